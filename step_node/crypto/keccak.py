"""Keccak-256 as Ethereum uses it: the padding of the competition entry, not that of FIPS 202's SHA3-256.

pycryptodome has the only native one among the dependencies (eth-hash and eth-utils call it too), and its Python layer
costs more than the hash: 3.7 µs, and four releases of the interpreter's lock. On two threads these releases hurt far
more than they look: each is a chance for the other thread to take the lock, and verifying proofs on two threads was
no faster than on one. So the C functions are called directly, with the lock held: 1.4 µs. They are not pycryptodome's
public interface; hence only in versions that were looked at, with a known answer asked at import, and otherwise
through the public interface.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from pathlib import Path

import Crypto
from Crypto.Hash import keccak

DIGEST_BYTES = 32

_CAPACITY_BYTES = 2 * DIGEST_BYTES
_ROUNDS = 24
_PADDING = 0x01
_INSPECTED_VERSIONS = ((3, 24),)
_DIGEST_OF_NOTHING = bytes.fromhex("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470")

Keccak256 = Callable[[bytes], bytes]


def public_keccak_256(data: bytes) -> bytes:
    """The 32-byte digest of `data`, through pycryptodome's public interface."""
    digest: bytes = keccak.new(digest_bits=256, data=data).digest()
    return digest


def direct_keccak_256() -> Keccak256 | None:
    """The same by direct calls, or None if this pycryptodome is not one that it is known to work with."""
    if Crypto.version_info[:2] not in _INSPECTED_VERSIONS:
        return None
    libraries = list(Path(keccak.__file__).parent.glob("_keccak.*"))
    if len(libraries) != 1:
        return None
    library = ctypes.PyDLL(str(libraries[0]))
    library.keccak_init.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint8]
    library.keccak_reset.argtypes = [ctypes.c_void_p]
    library.keccak_absorb.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
    library.keccak_digest.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint8]
    library.keccak_destroy.argtypes = [ctypes.c_void_p]
    reset, absorb, finish = library.keccak_reset, library.keccak_absorb, library.keccak_digest

    class Sponge:
        """One for each thread, since the lock may change hands between two calls; freed when its thread ends."""

        handle: int | None = None

        def __init__(self) -> None:
            handle = ctypes.c_void_p()
            if library.keccak_init(ctypes.byref(handle), _CAPACITY_BYTES, _ROUNDS) != 0:
                raise MemoryError("no memory for a Keccak state")
            self.handle = handle.value
            self.digest = ctypes.create_string_buffer(DIGEST_BYTES)

        def __del__(self) -> None:
            if self.handle is not None:
                library.keccak_destroy(self.handle)

    of_thread = threading.local()

    def direct(data: bytes) -> bytes:
        try:
            sponge = of_thread.sponge
        except AttributeError:
            sponge = of_thread.sponge = Sponge()
        handle, digest = sponge.handle, sponge.digest
        if reset(handle) or absorb(handle, data, len(data)) or finish(handle, digest, DIGEST_BYTES, _PADDING):
            raise RuntimeError("pycryptodome's Keccak reports an error")
        raw: bytes = digest.raw
        return raw

    return direct if direct(b"") == _DIGEST_OF_NOTHING else None


keccak_256: Keccak256 = direct_keccak_256() or public_keccak_256
"""The 32-byte Keccak-256 digest of `data`. Safe to call from several threads."""
