"""Which triangles trend: scores of regions, made of the rows of the window. Pure, and all integers.

A region is a triangle of a level, with all its descendants. Of the rows that are held after a height, those in it
count:

- `clicks`: how many they are.
- `decayed`: each counts half after `HALF_LIFE_MS`, by whole periods: 2**20 · 2**(-age · period / half-life), rounded
  down, so that it is an integer that every node finds.
- `plausible`: each counts less, by what the signals of plausibility say of its account (`account_signals`).
- `accounts`, and `plausible_accounts`: the distinct accounts among them, and these where each counts less likewise.

The score is the plausible decayed clicks, times the square root of the plausible accounts: what many do counts more
than what one does often, and an invented account adds nothing to either.

Theory of operation. An answer must not cost what the window does, a million rows, and there is a new one with each
batch. So the rows are sorted by triangle, in which order each region's are one range, on a thread once a period
(`TrendingBase`); and those that have come since are added to each answer. What cannot be summed up is how many accounts
are distinct. But of an account's rows in this order those in a region follow one another: a row is its account's first
in a region exactly if the one before it is in another region. So for each row the base knows down to which level it
shares a region with the one before it, and the distinct accounts of every region of every level are counted by one look
at each row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Final

import numpy as np
import numpy.typing as npt

from mesh import LEVEL_MAX, TriangleId
from mesh.triangle_id import LEVEL_BITS, LEVEL_MASK, PATH_BITS
from step_node.economy.columns import HALF_LIFE_MS, PERIOD_MS, WINDOW_MS, Integers, Keys, ProofColumns

WEIGHT_BITS: Final = 20
"""A click of the present period weighs 2**20."""

BPS: Final = 10_000
MILLI: Final = 1_000

AGE_MAX: Final = WINDOW_MS // PERIOD_MS + 1
"""Periods; no row that is held is older."""

Range = tuple[int, int]
"""Integer forms of triangles, the first and the last."""


def _root_floor(number: int, degree: int) -> int:
    """The largest integer whose power of this degree is not above `number`."""
    root = 1 << -(-number.bit_length() // degree)
    while True:
        better = ((degree - 1) * root + number // root ** (degree - 1)) // degree
        if better >= root:
            return root
        root = better


def _weights() -> Integers:
    half_life_periods = HALF_LIFE_MS // PERIOD_MS
    power = WEIGHT_BITS * half_life_periods
    return np.array([_root_floor(1 << power - age, half_life_periods) for age in range(AGE_MAX + 1)], np.int64)


WEIGHTS: Final = _weights()
"""What a click weighs, by the periods since its own."""


@dataclass(frozen=True, slots=True)
class TrendingRegion:
    """A region with its score, and all that it is made of; see the module's docstring. Scores are thousandths."""

    triangle: TriangleId
    score: int
    clicks: int
    decayed_milliclicks: int
    plausible_milliclicks: int
    accounts: int
    plausible_milliaccounts: int

    @property
    def breadth_milli(self) -> int:
        """The square root of the plausible accounts, in thousandths."""
        return isqrt(self.plausible_milliaccounts * MILLI)

    @property
    def implausibility_bps(self) -> int:
        """What the signals of plausibility have taken of the decayed clicks."""
        return BPS - BPS * self.plausible_milliclicks // self.decayed_milliclicks


@dataclass(frozen=True, slots=True)
class _Sums:
    """Of regions of one level, each of which has a code (the integer form without what is below that level)."""

    code: Keys
    clicks: Integers
    weight: Integers
    plausible: Integers
    """Weight, by the basis points that are trusted."""
    accounts: Integers
    trusted_bps: Integers
    """Of distinct accounts, each from 0 to 10,000."""

    def chosen(self, places: npt.NDArray[np.intp]) -> _Sums:
        """Those at these places."""
        return _Sums(self.code[places], *(column[places] for column in self.columns()))

    def columns(self) -> tuple[Integers, ...]:
        return (self.clicks, self.weight, self.plausible, self.accounts, self.trusted_bps)

    def merged_with(self, other: _Sums) -> _Sums:
        """Of both; regions that only the other has come behind those of this one."""
        place = np.searchsorted(self.code, other.code)
        known = place < len(self.code)
        known[known] = self.code[place[known]] == other.code[known]
        merged = []
        for own, added in zip(self.columns(), other.columns(), strict=True):
            both = np.concatenate([own, added[~known]])
            both[place[known]] += added[known]
            merged.append(both)
        return _Sums(np.concatenate([self.code, other.code[~known]]), *merged)


@dataclass(frozen=True, slots=True)
class TrendingBase:
    """The rows that were held at one moment of a period, sorted. `of` makes it; it takes some time."""

    period: int
    triangle: Keys
    """Rising; the next three are in this order."""
    weight: Integers
    trusted_bps: Integers
    shared_level: npt.NDArray[np.int8]
    """The deepest level at which the account's row before this one is in the same region; 0: at none."""
    account: Keys
    """The keys of the accounts, rising; the next two are in this order."""
    account_trusted_bps: Integers
    run_start: Integers
    """Where the rows of each account begin among `run_triangle`; one more tells where the last one's end."""
    run_triangle: Keys

    @classmethod
    def of(cls, rows: ProofColumns, period: int, keys: Keys, implausibility_bps: Integers) -> TrendingBase:
        """Of the `rows` held in `period`, and the signals of that period: `implausibility_bps` of the accounts `keys`,
        which rise; of any other account it is 0."""
        account, dense = np.unique(rows.account_key, return_inverse=True)
        account_trusted_bps = BPS - _looked_up(account, keys, implausibility_bps, 0)
        by_triangle = np.argsort(rows.triangle, kind="stable")
        triangle, dense = rows.triangle[by_triangle], dense.reshape(-1)[by_triangle]
        ages = period - rows.batch_time_ms[by_triangle] // PERIOD_MS
        by_account = np.argsort(dense, kind="stable")
        run_triangle, run_dense = triangle[by_account], dense[by_account]
        shared = np.zeros(len(triangle), np.int8)
        if len(triangle):
            same = np.concatenate([[False], run_dense[1:] == run_dense[:-1]])
            before = np.concatenate([run_triangle[:1], run_triangle[:-1]])
            shared[by_account] = np.where(same, _shared_level(before, run_triangle), 0)
        return cls(
            period=period,
            triangle=triangle,
            weight=WEIGHTS[ages],
            trusted_bps=account_trusted_bps[dense],
            shared_level=shared,
            account=account,
            account_trusted_bps=account_trusted_bps,
            run_start=np.searchsorted(run_dense, np.arange(len(account) + 1)).astype(np.int64),
            run_triangle=run_triangle,
        )

    def sums(self, level: int, ranges: Sequence[Range] | None) -> _Sums:
        """Of the regions of `level` in these ranges, which rise; None: of all."""
        chosen: slice | npt.NDArray[np.intp] = slice(None)
        if ranges is not None:
            edges = np.array(ranges, np.uint64).reshape(-1, 2)
            firsts = np.searchsorted(self.triangle, edges[:, 0], "left")
            ends = np.searchsorted(self.triangle, edges[:, 1], "right")
            chosen = np.concatenate([np.arange(0), *map(np.arange, firsts, ends)]).astype(np.intp)
        triangle = self.triangle[chosen]
        deep = (triangle & np.uint64(LEVEL_MASK)) >= level
        weight, trusted, shared = self.weight[chosen], self.trusted_bps[chosen], self.shared_level[chosen]
        if not deep.all():
            triangle, weight, trusted, shared = triangle[deep], weight[deep], trusted[deep], shared[deep]
        code = _code(triangle, level)
        starts = _starts(code)
        is_first = shared < level
        return _Sums(
            code[starts],
            clicks=np.diff(np.append(starts, len(code))),
            weight=_summed(weight, starts),
            plausible=_summed(weight * trusted, starts),
            accounts=_summed(is_first.astype(np.int64), starts),
            trusted_bps=_summed(np.where(is_first, trusted, 0), starts),
        )

    def sums_since(self, rows: ProofColumns, level: int, ranges: Sequence[Range] | None) -> _Sums:
        """What further rows of the same period add to `sums`."""
        triangle, key = rows.triangle, rows.account_key
        chosen = (triangle & np.uint64(LEVEL_MASK)) >= level
        if ranges is not None:
            edges = np.array(ranges, np.uint64).reshape(-1, 2)
            place = np.searchsorted(edges[:, 0], triangle, "right") - 1
            chosen &= (place >= 0) & (triangle <= edges[np.maximum(place, 0), 1]) if len(edges) else False
        code, key = _code(triangle[chosen], level), key[chosen]
        order = np.lexsort((key, code))
        code, key = code[order], key[order]
        trusted = _looked_up(key, self.account, self.account_trusted_bps, BPS)
        starts = _starts(code)
        is_first = np.ones(len(code), bool)
        is_first[1:] = (code[1:] != code[:-1]) | (key[1:] != key[:-1])
        firsts = np.flatnonzero(is_first)
        is_first[firsts] = ~self._has(key[firsts], code[firsts], level)
        return _Sums(
            code[starts],
            clicks=np.diff(np.append(starts, len(code))),
            weight=np.diff(np.append(starts, len(code))) << WEIGHT_BITS,
            plausible=_summed(trusted << WEIGHT_BITS, starts),
            accounts=_summed(is_first.astype(np.int64), starts),
            trusted_bps=_summed(np.where(is_first, trusted, 0), starts),
        )

    def _has(self, key: Keys, code: Keys, level: int) -> npt.NDArray[np.bool_]:
        """Whether each account has a row in the region with that code: a binary search among its rows."""
        if not len(self.account):
            return np.zeros(len(key), bool)
        place = np.minimum(np.searchsorted(self.account, key), len(self.account) - 1)
        low, end = self.run_start[place], self.run_start[place + 1]
        end = np.where(self.account[place] == key, end, low)
        below = np.uint64(PATH_BITS - 2 * (level - 1) + LEVEL_BITS)
        first = code << below | np.uint64(level)
        last = (code << below | (np.uint64(1) << below) - np.uint64(1)) & ~np.uint64(LEVEL_MASK) | np.uint64(LEVEL_MAX)
        high = end
        while (open_ := low < high).any():
            middle = (low + high) >> 1
            is_below = self.run_triangle[np.where(open_, middle, 0)] < first
            low, high = np.where(open_ & is_below, middle + 1, low), np.where(open_ & ~is_below, middle, high)
        found = low < end
        return found & (self.run_triangle[np.where(found, low, 0)] <= last)


def top_regions(
    base: TrendingBase,
    since: ProofColumns,
    level: int,
    limit: int,
    *,
    ranges: Sequence[Range] | None = None,
    touches: Callable[[TriangleId], bool] | None = None,
    looks_max: int | None = None,
) -> list[TrendingRegion]:
    """The `limit` regions of `level` with the highest scores, equal scores by rising integer form.

    `since` are the rows of the base's period that have come after it was made. Only regions in `ranges`, which rise and
    do not overlap, and of these only those that `touches` takes, count. It is asked of `looks_max` at most, best first.
    """
    sums = base.sums(level, ranges)
    if len(since):
        sums = sums.merged_with(base.sums_since(since, level, ranges))
    found = list[TrendingRegion]()
    seen, wanted = 0, limit
    end = len(sums.code) if looks_max is None else min(looks_max, len(sums.code))
    while len(found) < limit and seen < end:
        best = _best(sums, wanted)
        for region in best.regions(seen, min(wanted, end), level):
            if touches is None or touches(region.triangle):
                found.append(region)
                if len(found) == limit:
                    break
        seen, wanted = wanted, 4 * wanted
    return found


@dataclass(frozen=True, slots=True)
class _Scored:
    """Regions with their scores, best first, equal ones by code."""

    sums: _Sums
    plausible_milliclicks: Integers
    plausible_milliaccounts: Integers
    score: Integers

    @classmethod
    def of(cls, sums: _Sums) -> _Scored:
        plausible = sums.plausible // BPS * MILLI >> WEIGHT_BITS
        accounts = sums.trusted_bps * MILLI // BPS
        score = plausible * _root(accounts * MILLI) // MILLI
        order = np.lexsort((sums.code, -score))
        return cls(sums.chosen(order), plausible[order], accounts[order], score[order])

    def regions(self, start: int, end: int, level: int) -> Iterator[TrendingRegion]:
        for place in range(start, min(end, len(self.score))):
            yield TrendingRegion(
                _triangle(int(self.sums.code[place]), level),
                score=int(self.score[place]),
                clicks=int(self.sums.clicks[place]),
                decayed_milliclicks=int(self.sums.weight[place]) * MILLI >> WEIGHT_BITS,
                plausible_milliclicks=int(self.plausible_milliclicks[place]),
                accounts=int(self.sums.accounts[place]),
                plausible_milliaccounts=int(self.plausible_milliaccounts[place]),
            )


def _best(sums: _Sums, count: int) -> _Scored:
    """The `count` best regions, and behind them some others.

    Of a million regions the exact scores of all would take longest of all. So they are first bounded by floats: no
    rounding down, of the four there are, takes more from a factor than is taken from it here.
    """
    if count < len(sums.code):
        clicks, breadth = sums.plausible / (BPS << WEIGHT_BITS), np.sqrt(sums.trusted_bps / BPS)
        at_most = clicks * breadth
        at_least = np.maximum(clicks - 0.0011, 0.0) * np.maximum(breadth - 0.033, 0.0) - 0.0011
        least = np.partition(at_least, len(at_least) - count)[len(at_least) - count]
        sums = sums.chosen(np.flatnonzero(at_most * (1 + 1e-9) >= least))
    return _Scored.of(sums)


def _root(numbers: Integers) -> Integers:
    """The square roots of integers below 2**52, rounded down. The float's root is right to half a unit in the last
    place, which can only round up to the next integer."""
    roots = np.sqrt(numbers.astype(np.float64)).astype(np.int64)
    return roots - (roots * roots > numbers)


def _code(triangle: Keys, level: int) -> Keys:
    """What triangles share exactly if they are in the same region of `level`."""
    return triangle >> np.uint64(LEVEL_BITS + PATH_BITS - 2 * (level - 1))


def _triangle(code: int, level: int) -> TriangleId:
    return TriangleId(code >> 2 * (level - 1), level, code & (1 << 2 * (level - 1)) - 1)


def _shared_level(one: Keys, other: Keys) -> Integers:
    """The deepest level at which the two triangles are in the same region; 0 where they are on different faces."""
    differing = (one ^ other) >> np.uint64(LEVEL_BITS)
    # The exponent of a number below 2**53 is how many bits it has.
    bits = np.frexp(differing.astype(np.float64))[1]
    digits = (PATH_BITS - bits) // 2
    mask = np.uint64(LEVEL_MASK)
    level = np.minimum(np.minimum(one & mask, other & mask).astype(np.int64), digits + 1)
    return np.where(bits > PATH_BITS, 0, level)


def _starts(rising: Keys) -> Integers:
    """Where each of the values begins."""
    if not len(rising):
        return np.zeros(0, np.int64)
    return np.concatenate([[0], np.flatnonzero(rising[1:] != rising[:-1]) + 1]).astype(np.int64)


def _summed(values: Integers, starts: Integers) -> Integers:
    return np.add.reduceat(values, starts) if len(starts) else np.zeros(0, np.int64)


def _looked_up(keys: Keys, among: Keys, values: Integers, otherwise: int) -> Integers:
    """The value of each key `among` those that rise, or `otherwise`."""
    if not len(among):
        return np.full(len(keys), otherwise, np.int64)
    place = np.minimum(np.searchsorted(among, keys), len(among) - 1)
    return np.where(among[place] == keys, values[place], otherwise).astype(np.int64)
