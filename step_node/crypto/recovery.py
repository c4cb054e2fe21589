"""libsecp256k1's recovery of a public key, called with as little around it as Python allows.

coincurve's own way makes two objects and five pieces of memory for each key, a tenth of the recovery's time. So the
library's C functions, whose interface is stable, are called through coincurve's binding, which is not its public
interface; hence coincurve is pinned to the versions that were looked at, and the tests compare both ways.
"""

from __future__ import annotations

import threading
from typing import Any, Final

from coincurve._libsecp256k1 import ffi, lib
from coincurve.context import GLOBAL_CONTEXT
from coincurve.flags import EC_UNCOMPRESSED

PUBLIC_KEY_BYTES: Final = 65
"""Uncompressed: 0x04, x, y."""

_parse = lib.secp256k1_ecdsa_recoverable_signature_parse_compact
_recover = lib.secp256k1_ecdsa_recover
_serialize = lib.secp256k1_ec_pubkey_serialize


class _Memory(threading.local):
    """Where the library writes: one for each thread, since the interpreter's lock is let go in each call."""

    def __init__(self) -> None:
        serialized = ffi.new("unsigned char[]", PUBLIC_KEY_BYTES)
        self.parts: tuple[Any, ...] = (
            ffi.new("secp256k1_ecdsa_recoverable_signature *"),
            ffi.new("secp256k1_pubkey *"),
            serialized,
            ffi.new("size_t *", PUBLIC_KEY_BYTES),
            ffi.buffer(serialized),
        )


_memory: Final = _Memory()
_context: Final = GLOBAL_CONTEXT.ctx


def recover(message_digest: bytes, signature: bytes, recovery_id: int) -> bytes | None:
    """The public key, `PUBLIC_KEY_BYTES`, that signed 32 bytes; None if there is none.

    `signature` begins with r and s, 64 bytes; `recovery_id` is 0 to 3. The caller has checked the lengths.
    """
    parsed, key, serialized, length, buffer = _memory.parts
    if not (_parse(_context, parsed, signature, recovery_id) and _recover(_context, key, parsed, message_digest)):
        return None
    _serialize(_context, serialized, length, key, EC_UNCOMPRESSED)
    public_key: bytes = buffer[:]
    return public_key
