"""Rows for tests of plausibility, made account by account."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from mesh import locate_array
from step_node.economy.columns import ProofColumns
from step_node.economy.plausibility import AccountSignals

BEGIN_MS = 1_800_000_000_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000

MUNICH = (48.137, 11.575)
BERLIN = (52.52, 13.405)

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
        triangle=locate_array([row[2] for row in ordered], [row[3] for row in ordered], 10).astype(np.uint64),
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


def history(rows: int = 1_200, at: tuple[float, float] = MUNICH) -> list[Row]:
    """Proofs of one account an hour and more before those that are looked at, and one at the end of all."""
    return [(0, number * 3_001, at[0], at[1], 4 + number % 7) for number in range(rows)] + [
        (0, 24 * HOUR_MS, at[0], at[1], 4.0)
    ]


def made_window(seed: int) -> list[Row]:
    """Some crowds, programs and walkers in few regions, so that all signals speak sometimes."""
    random = np.random.default_rng(seed)
    rows: list[Row] = history(int(random.choice([1, 1_100])))
    for group in range(int(random.integers(1, 7))):
        accounts, proofs = ((1, 30), (8, 15), (15, 12), (40, 1), (60, 2))[int(random.integers(5))]
        begin_ms = int(random.integers(24 * HOUR_MS))
        step_ms = (10_000, 90_000, 420_000, 2 * HOUR_MS)[int(random.integers(4))]
        spread_ms = (1, 9_000)[int(random.integers(2))]
        apart_ms = (0, 4_000)[int(random.integers(2))]
        is_same, at = random.random() < 0.5, (MUNICH, BERLIN, (30.0, -40.0), (89.9, 10.0))[int(random.integers(4))]
        hop = (0.0, 0.006, 7.0)[int(random.integers(3))]
        for number in range(accounts):
            for proof in range(proofs):
                time_ms = begin_ms + number * apart_ms + proof * step_ms + int(random.integers(spread_ms))
                lat = at[0] - proof % 4 * hop + float(random.normal(0, 1e-5))
                accuracy_m = 5.0 if is_same and random.random() < 0.9 else float(random.integers(3, 50))
                rows.append((1_000 * (group + 1) + number, time_ms, lat, at[1], accuracy_m))
    return rows
