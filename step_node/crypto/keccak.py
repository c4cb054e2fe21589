"""Keccak-256 as Ethereum uses it: the padding of the competition entry, not that of FIPS 202's SHA3-256.

tiny-keccak hands the bytes to the Rust crate of that name, with which Ethereum's programs in Rust hash, in one call. It
keeps the interpreter's lock meanwhile, and that is wanted: each time the lock is let go is a chance for another thread
to take it, which on threads that verify proofs costs more than the hash.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tiny_keccak import keccak256

keccak_256: Final[Callable[[bytes], bytes]] = keccak256
"""The 32-byte Keccak-256 digest of `data`. Safe to call from several threads."""
