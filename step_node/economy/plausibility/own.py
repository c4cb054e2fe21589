"""Signals from an account's own rows alone: no other account can change what they say of it. Pure.

Each function takes the rows and gives a `Reading`. What the bounds cost the innocent is in docs/plausibility.md.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from step_node.economy.columns import Floats, Integers
from step_node.economy.plausibility.grouping import (
    BPS,
    behind,
    digest,
    evenness,
    lengths_of,
    ramp,
    starts_of,
)
from step_node.economy.plausibility.reading import Reading
from step_node.economy.plausibility.rows import Rows

ROWS_MIN: Final = 12
"""Of an account with fewer rows nobody can say that they are all alike."""

_SAME_ACCURACY_BPS: Final = (5_000, 9_000)
"""The share of an account's most frequent accuracy at which suspicion begins, and at which it is complete."""

_SAME_INTERVAL_BPS: Final = (3_000, 8_000)
"""The same of intervals within 2 % of their median. A hand that waits for a countdown of ten seconds is late by half a
second and more, and never twice by the same."""

_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
_REST_MS: Final = (5 * _HOUR_MS, 3 * _HOUR_MS)
"""The longest pause of a day and more without a proof, from which on down nobody has slept well; and not at all."""

_ONCE_MS: Final = (_HOUR_MS, 6 * _HOUR_MS)
"""How long an account must have been away since its only proof before that is said of it, and said in full."""

_FASTEST_MPS: Final = 340
"""Faster than any airliner over ground; on the way along the chord, which is shorter than that along the ground."""

_TRAVEL_M_MIN: Final = 100_000
"""What is nearer may be a wrong fix, or two clocks."""

_EARTH_RADIUS_M: Final = 6_371_000.0
_RADIANS_A_DEGREE: Final = float.fromhex("0x1.1df46a2529d39p-6")


def identical_accuracies(rows: Rows) -> Reading:
    """Most of an account's proofs state the very same accuracy: receivers give another one each time."""
    ordered = np.sort(behind(rows.account, digest(rows.accuracy_m.view(np.uint64))))
    runs = starts_of(ordered)
    most = np.zeros(rows.accounts, dtype=np.int64)
    np.maximum.at(most, rows.account[runs], lengths_of(runs, len(ordered)))
    share_bps = most * BPS // np.maximum(rows.count, 1)
    strength = np.where(rows.count >= ROWS_MIN, ramp(share_bps, *_SAME_ACCURACY_BPS), 0)
    return Reading.where_any(strength, same_accuracy_bps=share_bps, proofs=rows.count)


def machine_intervals(rows: Rows) -> Reading:
    """The times between an account's proofs are all the same, within 2 %: a program's, not a hand's."""
    later, interval_ms = rows.intervals()
    even = evenness(rows.account[later], interval_ms, rows.accounts)
    strength = np.where(rows.count > ROWS_MIN, ramp(even.share_bps, *_SAME_INTERVAL_BPS), 0)
    return Reading.where_any(strength, interval_ms=even.median, same_interval_bps=even.share_bps)


def no_rest(rows: Rows) -> Reading:
    """An account has proven for a day and more, and never paused long enough to sleep."""
    later, interval_ms = rows.intervals()
    longest_ms = np.zeros(rows.accounts, dtype=np.int64)
    np.maximum.at(longest_ms, rows.account[later], interval_ms)
    last = rows.first + rows.count - 1
    span_ms = rows.time_ms[last] - rows.time_ms[rows.first]
    strength = np.where(span_ms >= _DAY_MS, ramp(longest_ms, *_REST_MS), 0)
    return Reading.where_any(strength, longest_pause_ms=longest_ms, span_ms=span_ms)


def impossible_travel(rows: Rows) -> Reading:
    """An account was at two places that nobody gets between in the time. The ledger compares an hour, not more."""
    later, interval_ms = rows.intervals()
    here, there = _vectors(rows.lat, rows.lon, later), _vectors(rows.lat, rows.lon, later - 1)
    squares = [(a - b) * (a - b) for a, b in zip(here, there, strict=True)]
    distance_m = (np.sqrt(squares[0] + squares[1] + squares[2]) * _EARTH_RADIUS_M).astype(np.int64)
    too_far = (distance_m > _TRAVEL_M_MIN) & (distance_m * 1_000 > interval_ms * _FASTEST_MPS)
    hops = np.bincount(rows.account[later[too_far]], minlength=rows.accounts).astype(np.int64)
    # One wrong fix makes one impossible way there, or one back after more than the horizon: that is half a reason.
    return Reading.where_any(ramp(hops, 0, 2), impossible_ways=hops)


def proves_once(rows: Rows) -> Reading:
    """An account has one proof in the window, and has not come back for hours."""
    away_ms = rows.end_ms - rows.batch_time_ms[rows.first]
    strength = np.where(rows.count == 1, ramp(away_ms, *_ONCE_MS), 0)
    return Reading.where_any(strength, away_ms=away_ms)


def _vectors(lat: Floats, lon: Floats, rows: Integers) -> tuple[Floats, Floats, Floats]:
    """Points of the unit sphere to some 1e-8, by + - * alone: the same bits on every machine (protocol.md §1)."""
    sine_lat, cosine_lat = _sine_cosine(lat[rows] * _RADIANS_A_DEGREE)
    # Half the longitude is at most a quarter turn, as the latitude is.
    sine, cosine = _sine_cosine(lon[rows] * (0.5 * _RADIANS_A_DEGREE))
    return cosine_lat * (1.0 - 2.0 * sine * sine), cosine_lat * (2.0 * sine * cosine), sine_lat


def _sine_cosine(angle: Floats) -> tuple[Floats, Floats]:
    """Of angles up to a quarter turn, by Taylor's series to the 15th and 16th power: 7e-10 is left out at the most."""
    square = angle * angle
    sine, cosine = np.ones_like(angle), np.ones_like(angle)
    for power in range(15, 1, -2):
        sine = 1.0 - square * sine / float(power * (power - 1))
    for power in range(16, 0, -2):
        cosine = 1.0 - square * cosine / float(power * (power - 1))
    return angle * sine, cosine
