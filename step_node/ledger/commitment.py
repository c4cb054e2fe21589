"""The state root: LtHash16, an incremental, order-independent commitment to a set of records (protocol.md §3).

Each record's canonical bytes are expanded by BLAKE3 to 2,048 bytes, read as 1,024 little-endian 16-bit lanes. The
commitment is the lane-wise sum modulo 2^16 over all records, so changing a record means subtracting the old one's
lanes and adding the new one's; the order of changes does not matter. The root is the SHA-256 of the lanes.

Source: Bellare and Micciancio's AdHash family; "Securing Update Propagation with Homomorphic Hashing"
(Lewi, Kim, Maykov, Weis, IACR 2019/227), which chooses 1,024 lanes of 16 bits for 200 bits of security.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from blake3 import blake3

from step_node.ledger.records import Record, record_bytes

LANES_BYTES = 2_048
EMPTY_LANES = bytes(LANES_BYTES)
_LANE = np.dtype("<u2")


def state_root(lanes: bytes) -> bytes:
    """The 32-byte root of a commitment's 2,048 bytes."""
    return hashlib.sha256(lanes).digest()


def commit_changes(lanes: bytes, *, removed: Iterable[Record], added: Iterable[Record]) -> bytes:
    """The commitment after `removed` records have left the set and `added` ones have joined it."""
    total = np.frombuffer(lanes, dtype=_LANE).copy()
    for record in removed:
        total -= _expand(record_bytes(record))
    for record in added:
        total += _expand(record_bytes(record))
    return total.tobytes()


def commit_encoded(lanes: bytes, added: Iterable[bytes]) -> bytes:
    """The commitment after records have joined the set, given as their `record_bytes`.

    Whoever adds what a stranger sent must make sure that no record is there twice: one that is added 65,536 times is
    as good as not there.
    """
    total = np.frombuffer(lanes, dtype=_LANE).copy()
    for encoded in added:
        total += _expand(encoded)
    return total.tobytes()


def _expand(encoded: bytes) -> np.ndarray[tuple[int], np.dtype[np.uint16]]:
    return np.frombuffer(blake3(encoded).digest(length=LANES_BYTES), dtype=_LANE)
