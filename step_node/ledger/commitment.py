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
from itertools import islice
from typing import TypeAlias

import numpy as np
from blake3 import blake3

from step_node.ledger.records import Record, records_bytes

LANES_BYTES = 2_048
EMPTY_LANES = bytes(LANES_BYTES)
_LANE = np.dtype("<u2")
_LANES = LANES_BYTES // _LANE.itemsize
_Lanes: TypeAlias = np.ndarray[tuple[int], np.dtype[np.uint16]]

_RECORDS_PER_BLOCK = 64
"""Expanded and summed at a time: some 128 KiB, joined twice over, which a processor keeps in its second cache."""


def state_root(lanes: bytes) -> bytes:
    """The 32-byte root of a commitment's 2,048 bytes."""
    return hashlib.sha256(lanes).digest()


def commit_changes(lanes: bytes, *, removed: Iterable[Record], added: Iterable[Record]) -> bytes:
    """The commitment after `removed` records have left the set and `added` ones have joined it."""
    total = np.frombuffer(lanes, dtype=_LANE) - _sum_of(records_bytes(removed)) + _sum_of(records_bytes(added))
    return total.tobytes()


def commit_encoded(lanes: bytes, added: Iterable[bytes]) -> bytes:
    """The commitment after records have joined the set, given as their `record_bytes`.

    Whoever adds what a stranger sent must make sure that no record is there twice: one that is added 65,536 times is
    as good as not there.
    """
    return (np.frombuffer(lanes, dtype=_LANE) + _sum_of(added)).tobytes()


def _sum_of(records: Iterable[bytes]) -> _Lanes:
    """The lane-wise sum of what the records expand to."""
    total: _Lanes = np.zeros(_LANES, dtype=_LANE)
    remaining = iter(records)
    while block := list(islice(remaining, _RECORDS_PER_BLOCK)):
        expanded = b"".join([blake3(record).digest(length=LANES_BYTES) for record in block])
        total += np.frombuffer(expanded, dtype=_LANE).reshape(len(block), _LANES).sum(axis=0, dtype=_LANE)
    return total
