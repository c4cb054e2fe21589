"""Rows of the window as bytes: one column after another, numbers little-endian, with a digest over all.

They stand on the own disk alone; the digest tells a torn or damaged piece from a whole one.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from blake3 import blake3

from step_node.economy.columns import COLUMNS, ProofColumns
from step_node.proofs.proof import ADDRESS_BYTES

DIGEST_BYTES: Final = 16

_TYPES: Final = dict(
    zip(COLUMNS, ("<i8", "<i8", "<i8", "<u8", "<f8", "<f8", "<f8", f"({ADDRESS_BYTES},)u1"), strict=True)
)
ROW_BYTES: Final = sum(np.dtype(one).itemsize for one in _TYPES.values())


class DamagedRows(ValueError):
    """The bytes are not the rows that were written."""


def encode_rows(columns: ProofColumns) -> bytes:
    """The rows, and behind them their digest."""
    data = b"".join(
        np.ascontiguousarray(getattr(columns, name), np.dtype(one).base).tobytes() for name, one in _TYPES.items()
    )
    return data + blake3(data).digest(length=DIGEST_BYTES)


def decode_rows(data: bytes) -> ProofColumns:
    """The rows in `data`; their arrays cannot be written to. Raises `DamagedRows`."""
    count, rest = divmod(len(data) - DIGEST_BYTES, ROW_BYTES)
    if count < 0 or rest:
        raise DamagedRows(f"{len(data)} bytes: must be {ROW_BYTES} for each row, and {DIGEST_BYTES}")
    body = memoryview(data)[: count * ROW_BYTES]
    if blake3(body).digest(length=DIGEST_BYTES) != data[len(body) :]:
        raise DamagedRows("the digest is not that of the rows")
    found, offset = {}, 0
    for name, one in _TYPES.items():
        kind = np.dtype(one)
        found[name] = np.frombuffer(body, kind, count, offset)
        offset += count * kind.itemsize
    return ProofColumns(**found)
