"""Signals from the company that an account came with: those who are new in the same region at the same time. Pure.

An account is *new* if its first row is in the second half of the time that is held: of the others nobody can tell. All
that is said here of an account depends on it and on the newcomers of its own region and, for what counts as usual
there, on the region's newcomers at other times; and on where the rows of the first half were.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np

from mesh import FACE_COUNT
from step_node.economy.columns import PERIOD_MS, Integers, period_of
from step_node.economy.plausibility.grouping import (
    BPS,
    behind,
    digest,
    evenness,
    ramp,
    starts_of,
)
from step_node.economy.plausibility.reading import Reading
from step_node.economy.plausibility.rows import Rows, region_of

LEVELS: Final = (1, 5, 9)
"""Of the regions whose newcomers are looked at: a face, and triangles with sides of some 440 and 27 km."""

COHORT_MIN: Final = 32
"""Fewer newcomers are no crowd: nothing is said of what they have in common."""

_USUAL_TIMES: Final = 6
"""A region has its peaks; only what is so many times the usual is a burst."""

_SAME_ACCURACY_BPS: Final = (3_000, 7_000)
_SAME_INTERVAL_BPS: Final = (3_000, 8_000)

_INTERVAL_MS_MIN: Final = 50
"""Below it, whole milliseconds are too coarse to tell equal intervals from others."""

_HISTORY_ROWS_MIN: Final = 1_000
_HISTORY_MS_MIN: Final = 3_600_000
"""With fewer rows in the first half, or less time, there is no history that one could be far from."""

_PERIOD_BITS: Final = 32


@dataclass(frozen=True, eq=False)
class Newcomers:
    """The new accounts, as indices, and of each what its first row says."""

    accounts: Integers
    place: Integers
    period: Integers
    """Counted from that of the middle, of which there are `periods`."""
    time_ms: Integers
    accuracy: Integers
    """A digest, to be compared."""
    periods: int
    accounts_of_all: int

    @classmethod
    def of(cls, rows: Rows) -> Newcomers:
        """Those of `rows`."""
        accounts = np.flatnonzero(rows.batch_time_ms[rows.first] > rows.middle_ms).astype(np.int64)
        first = rows.first[accounts]
        period_min = period_of(rows.middle_ms)
        time_ms = rows.time_ms[first]
        return cls(
            accounts=accounts,
            place=rows.place[first],
            period=rows.batch_time_ms[first] // PERIOD_MS - period_min,
            time_ms=time_ms - (time_ms.min() if len(time_ms) else 0),
            accuracy=digest(rows.accuracy_m[first].view(np.uint64)),
            periods=period_of(rows.end_ms) - period_min + 1,
            accounts_of_all=rows.accounts,
        )

    @cached_property
    def arrivals(self) -> tuple[Cohorts, ...]:
        """The newcomers of each region and period, by level of the regions."""
        return tuple(Cohorts.of(region_of(self.place, level) << _PERIOD_BITS | self.period) for level in LEVELS)

    @cached_property
    def cohorts(self) -> tuple[Cohorts, ...]:
        """The same, and all of each region together: what comes at a slow pace has its likeness all the same."""
        return *self.arrivals, Cohorts.of(region_of(self.place, LEVELS[-1]))

    def reading(self, strength: Integers, **figures: Integers) -> Reading:
        """A reading of all accounts, from values of the newcomers."""
        return Reading.where_any(self._spread(strength), **{name: self._spread(of) for name, of in figures.items()})

    def _spread(self, of_newcomers: Integers) -> Integers:
        of_all = np.zeros(self.accounts_of_all, dtype=np.int64)
        of_all[self.accounts] = of_newcomers
        return of_all


@dataclass(frozen=True, eq=False)
class Cohorts:
    """One way of grouping newcomers: of each its cohort's index, of each cohort its key and how many are in it."""

    keys: Integers = field(repr=False)
    member_of: Integers
    size: Integers

    @classmethod
    def of(cls, keys: Integers) -> Cohorts:
        """Those with the same key."""
        unique, member_of, size = np.unique(keys, return_inverse=True, return_counts=True)
        return cls(unique, member_of.astype(np.int64), size.astype(np.int64))


class _Strongest:
    """Of several ways of looking at the same newcomers, for each the one that says most, with its figures."""

    def __init__(self, count: int, *figures: str) -> None:
        self.strength = np.zeros(count, dtype=np.int64)
        self.figures = {name: np.zeros(count, dtype=np.int64) for name in figures}

    def take(self, strength: Integers, **figures: Integers) -> None:
        more = strength > self.strength
        self.strength[more] = strength[more]
        for name, of_newcomers in figures.items():
            self.figures[name][more] = of_newcomers[more]


def newcomer_pace(newcomers: Newcomers) -> Reading:
    """Many more have come to a region in ten minutes than usually do: usual is the median of the periods that are held.

    One burst is not usual, however large it is, and neither is an event of some hours.
    """
    strongest = _Strongest(len(newcomers.accounts), "newcomers", "usual_newcomers")
    for cohorts in newcomers.arrivals:
        usual = _median_of_periods(cohorts, newcomers.periods)
        excess = cohorts.size - (COHORT_MIN + _USUAL_TIMES * usual)
        strength = np.maximum(excess, 0) * BPS // np.maximum(cohorts.size, 1)
        of = cohorts.member_of
        strongest.take(strength[of], newcomers=cohorts.size[of], usual_newcomers=usual[of])
    return newcomers.reading(strongest.strength, **strongest.figures)


def newcomer_accuracies(newcomers: Newcomers) -> Reading:
    """Most of those who came together state the very same accuracy. Said of these alone, not of others among them."""
    strongest = _Strongest(len(newcomers.accounts), "same_accuracy_bps", "newcomers")
    for cohorts in newcomers.cohorts:
        alike = Cohorts.of(behind(cohorts.member_of, newcomers.accuracy))
        size = cohorts.size[cohorts.member_of]
        share_bps = alike.size[alike.member_of] * BPS // size
        strength = np.where(size >= COHORT_MIN, ramp(share_bps, *_SAME_ACCURACY_BPS), 0)
        strongest.take(strength, same_accuracy_bps=share_bps, newcomers=size)
    return newcomers.reading(strongest.strength, **strongest.figures)


def newcomer_intervals(newcomers: Newcomers) -> Reading:
    """Those who came to a region came at even intervals: a program's, not a crowd's."""
    strongest = _Strongest(len(newcomers.accounts), "interval_ms", "same_interval_bps", "newcomers")
    for cohorts in newcomers.cohorts:
        ordered = np.sort(behind(cohorts.member_of, newcomers.time_ms))
        cohort = np.repeat(np.arange(len(cohorts.size), dtype=np.int64), cohorts.size)
        later = np.flatnonzero(cohort[1:] == cohort[:-1]) + 1
        # What stands above the time is the same of both.
        even = evenness(cohort[later], ordered[later] - ordered[later - 1], len(cohorts.size))
        speaks = (cohorts.size >= COHORT_MIN) & (even.median >= _INTERVAL_MS_MIN)
        strength = np.where(speaks, ramp(even.share_bps, *_SAME_INTERVAL_BPS), 0)
        of = cohorts.member_of
        strongest.take(
            strength[of], interval_ms=even.median[of], same_interval_bps=even.share_bps[of], newcomers=cohorts.size[of]
        )
    return newcomers.reading(strongest.strength, **strongest.figures)


def far_from_history(newcomers: Newcomers, rows: Rows) -> Reading:
    """An account is new where nobody proved in the first half of the time held, and the more, the more come there.

    Silent as long as the first half is too short, or too empty, to be a history of anything.
    """
    strongest = _Strongest(len(newcomers.accounts), "newcomers", "level")
    in_history = rows.batch_time_ms <= rows.middle_ms
    if np.count_nonzero(in_history) >= _HISTORY_ROWS_MIN and rows.middle_ms - rows.begin_ms >= _HISTORY_MS_MIN:
        for level in LEVELS[1:]:
            cohorts = Cohorts.of(region_of(newcomers.place, level))
            is_known = np.zeros(FACE_COUNT << 2 * (level - 1), dtype=np.bool_)
            is_known[region_of(rows.place[in_history], level)] = True
            strength = np.where(is_known[cohorts.keys], 0, cohorts.size * BPS // (cohorts.size + COHORT_MIN))
            of = cohorts.member_of
            strongest.take(strength[of], newcomers=cohorts.size[of], level=np.full(len(of), level, dtype=np.int64))
    return newcomers.reading(strongest.strength, **strongest.figures)


def _median_of_periods(cohorts: Cohorts, periods: int) -> Integers:
    """How many newcomers a cohort's region has in the median period, of all periods, those without any counted in."""
    region = cohorts.keys >> _PERIOD_BITS
    begins = starts_of(region)
    with_any = np.diff(begins, append=len(region))
    index = np.repeat(np.arange(len(begins), dtype=np.int64), with_any)
    ordered = cohorts.size[np.lexsort((cohorts.size, index))]
    behind_empty = periods // 2 - (periods - with_any)
    median = np.where(behind_empty >= 0, ordered[begins + np.maximum(behind_empty, 0)], 0)
    return median[index]
