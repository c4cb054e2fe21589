"""libsecp256k1's recovery of a public key, called as directly as Python can, on signatures parsed beforehand.

Little is imported here: a process for each core starts with it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TypeAlias

from coincurve._libsecp256k1 import ffi, lib
from coincurve.context import GLOBAL_CONTEXT

from step_node.crypto.eip191 import RECOVERY_VALUES

DigestAndSignature: TypeAlias = tuple[bytes, bytes]
"""32 bytes that were signed, and the 65 bytes r‖s‖v."""


def recoveries_per_second(signatures: Sequence[DigestAndSignature]) -> float:
    """Bare recoveries by this thread in a second of its CPU time. Raises ValueError for one that has no key."""
    context, key = GLOBAL_CONTEXT.ctx, ffi.new("secp256k1_pubkey *")
    prepared = [(_parsed(signature), digest) for digest, signature in signatures]
    recover = lib.secp256k1_ecdsa_recover
    began_ns = time.thread_time_ns()
    for parsed, digest in prepared:
        if not recover(context, key, parsed, digest):
            raise ValueError(f"0x{digest.hex()}: no key can be recovered")
    return len(prepared) * 1e9 / (time.thread_time_ns() - began_ns)


def _parsed(signature: bytes) -> object:
    parsed = ffi.new("secp256k1_ecdsa_recoverable_signature *")
    recovery_id = signature[64] - RECOVERY_VALUES[0]
    if not lib.secp256k1_ecdsa_recoverable_signature_parse_compact(
        GLOBAL_CONTEXT.ctx, parsed, signature[:64], recovery_id
    ):
        raise ValueError(f"0x{signature.hex()}: is no signature")
    return parsed
