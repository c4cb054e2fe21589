"""The window's rows by account, each account's by time: what all signals are read from. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mesh import locate_array
from mesh.triangle_id import LEVEL_BITS, LEVEL_MAX
from step_node.economy.columns import WINDOW_PROOFS_MAX, Floats, Integers, Keys, ProofColumns
from step_node.economy.plausibility.grouping import lengths_of, starts_of


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows in the order of (account, signed time), and the accounts in the order of their keys.

    Of each account: its key, its first row, how many rows. Of each row: the index of its account, the time that was
    signed, its batch's time, degrees and metres as signed, and its place, the integer form of the triangle of the last
    level that holds it, wherever and in however large a triangle it was claimed.
    """

    keys: Keys = field(repr=False)
    first: Integers
    count: Integers
    account: Integers
    time_ms: Integers
    batch_time_ms: Integers
    place: Integers
    lat: Floats
    lon: Floats
    accuracy_m: Floats
    begin_ms: int
    """The time of the first batch that is held; 0 without rows, as the following."""
    middle_ms: int
    end_ms: int

    @classmethod
    def of(cls, columns: ProofColumns) -> Rows:
        """The rows of `columns`. Raises ValueError where they are more than a window holds when a period begins."""
        if len(columns) > WINDOW_PROOFS_MAX:
            raise ValueError(f"columns: {len(columns)} rows; at most {WINDOW_PROOFS_MAX} are looked at together")
        order = np.lexsort((columns.timestamp_ms, columns.account_key))
        key = columns.account_key[order]
        lat, lon = columns.lat[order], columns.lon[order]
        first = starts_of(key)
        count = lengths_of(first, len(key))
        batch_time_ms = columns.batch_time_ms[order]
        begin_ms = int(batch_time_ms.min()) if len(key) else 0
        end_ms = int(batch_time_ms.max()) if len(key) else 0
        return cls(
            keys=key[first],
            first=first,
            count=count,
            account=np.repeat(np.arange(len(first), dtype=np.int64), count),
            time_ms=columns.timestamp_ms[order],
            batch_time_ms=batch_time_ms,
            place=locate_array(lat, lon, LEVEL_MAX).astype(np.int64),
            lat=lat,
            lon=lon,
            accuracy_m=columns.accuracy_m[order],
            begin_ms=begin_ms,
            middle_ms=begin_ms + (end_ms - begin_ms) // 2,
            end_ms=end_ms,
        )

    @property
    def accounts(self) -> int:
        """How many there are."""
        return len(self.keys)

    def intervals(self) -> tuple[Integers, Integers]:
        """Of each two rows of one account that follow one another: the later one's index, and the time between, ms."""
        later = np.flatnonzero(self.account[1:] == self.account[:-1]) + 1
        return later, self.time_ms[later] - self.time_ms[later - 1]


def region_of(place: Integers, level: int) -> Integers:
    """A number for the triangle of `level` that holds a place, in the places' order; of 21 bits at level 9."""
    return place >> (LEVEL_BITS + 2 * (LEVEL_MAX - level))
