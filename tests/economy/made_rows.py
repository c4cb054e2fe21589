"""Rows for tests of plausibility, made account by account."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from mesh import locate
from step_node.economy.columns import ProofColumns
from step_node.economy.plausibility import AccountSignals

BEGIN_MS = 1_800_000_000_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000

Row = tuple[int, int, float, float, float]
"""Account's number, milliseconds after the beginning, latitude, longitude, accuracy in metres."""


def address_of(number: int) -> bytes:
    """The address of an account with a number."""
    return (number + 1).to_bytes(8, "big") + bytes(12)


def columns_of(rows: Iterable[Row]) -> ProofColumns:
    """Columns of these rows, in batches of a second, which lie a second behind what is signed."""
    ordered = sorted(rows, key=lambda row: row[1] // 1_000)
    seconds = np.array([row[1] // 1_000 + 1 for row in ordered], dtype=np.int64)
    return ProofColumns(
        height=seconds,
        batch_time_ms=BEGIN_MS + seconds * 1_000,
        timestamp_ms=np.array([BEGIN_MS + row[1] for row in ordered], dtype=np.int64),
        triangle=np.array([locate(row[2], row[3], 10).integer for row in ordered], dtype=np.uint64),
        lat=np.array([row[2] for row in ordered], dtype=np.float64),
        lon=np.array([row[3] for row in ordered], dtype=np.float64),
        accuracy_m=np.array([row[4] for row in ordered], dtype=np.float64),
        account=np.array([list(address_of(row[0])) for row in ordered], dtype=np.uint8).reshape(len(ordered), 20),
    )


def bytes_of(signals: AccountSignals) -> bytes:
    """All that signals consist of."""
    parts: list[npt.NDArray[Any]] = [
        signals.keys,
        signals.implausibility_bps,
        signals.proofs,
        signals.places,
        signals.account_at_place,
    ]
    for name in sorted(signals.readings):
        reading = signals.readings[name]
        parts += [reading.accounts, reading.strength_bps, *(reading.figures[key] for key in sorted(reading.figures))]
    return b"|".join(part.tobytes() for part in parts)
