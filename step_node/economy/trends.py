"""What trends, as of the last height: kept ready beside a running node, and answered off the event loop.

As a period begins, the signals of plausibility are computed over the rows that are held then, and the rows are sorted,
on a thread. Until that is done, seconds where a million rows are held, answers are as of the last height of the period
before: whatever height an answer names, it is the one that every node gives at that height.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import trio

from mesh import FACE_COUNT, LEVEL_MIN, Region, TriangleId, corners
from mesh.descent import child_corners
from mesh.regions import cap_touches
from step_node.economy.columns import PERIOD_MS, ProofColumns, period_of
from step_node.economy.observatory import TOLD_ROWS, Observatory
from step_node.economy.plausibility import AccountSignals, account_signals
from step_node.economy.trending import Range, TrendingBase, TrendingRegion, top_regions
from step_node.economy.window import ProofWindow
from step_node.offload import run_blocking

TRENDING_MAX: Final = 100
"""Regions that one answer lists at most."""

ANSWERS_MAX: Final = 64
"""Answers of one height that are kept; the one that was asked for least lately goes first."""

COVER_MAX: Final = 64
"""Triangles that an area is covered with; where more are needed, they are of the level above."""

TOUCHING_LOOKS_MAX: Final = 1_000
"""Regions of which it is asked whether they touch an area; what is beyond, with lower scores, is not shown.
So many take some 40 ms, all of the interpreter's."""

LOOK_SECONDS: Final = 1.0
"""How often it is looked whether it is on again."""

PAUSE_TIMES: Final = 4.0
"""How long it is paused after making a base, by the time that it took."""


@dataclass(frozen=True, slots=True)
class PeriodSignals:
    """The signals of plausibility of one period: over the rows that were held as it began."""

    period: int
    begins_ms: int
    rows: int
    is_complete: bool
    """Whether none of the rows were missing on this node."""
    complete_from_height: int
    signals: AccountSignals


@dataclass(frozen=True, slots=True)
class _View:
    """What has been computed for a period of a window."""

    window: ProofWindow
    first: int
    end: int
    base: TrendingBase
    signals: PeriodSignals


@dataclass(frozen=True, slots=True)
class TrendsAt:
    """What trends at a height: `Trends.top` answers of it."""

    height: int
    batch_time_ms: int
    is_complete: bool
    complete_from_height: int
    base: TrendingBase
    since: tuple[ProofColumns, ...]

    @property
    def rows(self) -> int:
        """Proofs that are looked at."""
        return len(self.base.triangle) + sum(map(len, self.since))


@dataclass(frozen=True, slots=True)
class Area:
    """A part of the sphere, by a text that names it."""

    name: str
    region: Region


class Trends:
    """See the module's docstring. To be used from the event loop; `run` it beside the node.

    While `is_on()` says no, nothing is computed, and what is answered ends with the period.
    """

    def __init__(self, observatory: Observatory, *, is_on: Callable[[], bool] = lambda: True) -> None:
        self._is_on = is_on
        self._observatory = observatory
        observatory.before_period.append(self._seal)
        self._view: _View | None = None
        self._sealed: TrendsAt | None = None
        """What the view says of the last height of its period, once that is over."""
        self._one_at_a_time = trio.CapacityLimiter(1)
        self._answers_of: TrendsAt | None = None
        self._answers: OrderedDict[tuple[int, str], list[TrendingRegion]] = OrderedDict()

    @property
    def signals(self) -> PeriodSignals | None:
        """The signals of the last period for which they are computed; None before the first."""
        return None if self._view is None else self._view.signals

    def now(self) -> TrendsAt | None:
        """What trends at the last height for which it is known; None before the first."""
        view = self._view
        if view is None:
            return None
        return self._sealed or self._at_head(view)

    async def top(self, at: TrendsAt, level: int, area: Area | None) -> list[TrendingRegion]:
        """The `TRENDING_MAX` regions of `level` with the highest scores; with an `area`, of those that touch it."""
        known = self._known(at, level, area)
        if known is not None:
            return known
        async with self._one_at_a_time:
            # Others may have waited for the same.
            known = self._known(at, level, area)
            if known is None:
                known = await run_blocking(compute_top, at, level, area)
                # Somebody may have asked of a later height meanwhile: then the answers that are kept are of that one.
                if self._answers_are_of(at):
                    self._answers[_key(level, area)] = known
                    if len(self._answers) > ANSWERS_MAX:
                        self._answers.popitem(last=False)
        return known

    def is_known(self, at: TrendsAt, level: int, area: Area | None) -> bool:
        """Whether `top` need not compute it."""
        return self._known(at, level, area) is not None

    async def run(self) -> None:
        """Keep it ready, until cancelled."""
        while True:
            if not self._is_on():
                await trio.sleep(LOOK_SECONDS)
                continue
            if self._is_stale():
                began = trio.current_time()
                await self._renew()
                await trio.sleep(PAUSE_TIMES * (trio.current_time() - began))
            if not self._is_stale():
                await self._observatory.wait_for_change()

    def _known(self, at: TrendsAt, level: int, area: Area | None) -> list[TrendingRegion] | None:
        if not self._answers_are_of(at):
            self._answers.clear()
            self._answers_of = at
        key = _key(level, area)
        if key in self._answers:
            self._answers.move_to_end(key)
        return self._answers.get(key)

    def _answers_are_of(self, at: TrendsAt) -> bool:
        # Rows from before the first ones change what is said of a height, and the base.
        of = self._answers_of
        return of is not None and of.height == at.height and of.base is at.base

    def _is_stale(self) -> bool:
        window, view = self._observatory.window, self._view
        if not self._observatory.is_at_head:
            return False
        return (
            view is None
            or view.window is not window
            or view.base.period != period_of(window.batch_time_ms)
            or view.first > window.first
            or view.signals.is_complete != window.is_complete
            or window.end - view.end >= TOLD_ROWS
        )

    async def _renew(self) -> None:
        window = self._observatory.window
        period, first, end = period_of(window.batch_time_ms), window.first, window.end
        before, present = window.parts(first, window.period_first), window.parts(window.period_first, end)
        completeness = (window.is_complete, window.complete_from_height)
        view = self._view
        known = None
        if view is not None and (view.window, view.first, view.base.period) == (window, first, period):
            known = view.signals.signals
        base, signals = await run_blocking(_computed, before, present, period, known)
        if self._observatory.window is not window or period_of(window.batch_time_ms) != period:
            return  # It is over already.
        rows = sum(map(len, before))
        of_period = PeriodSignals(period, period * PERIOD_MS, rows, *completeness, signals)
        self._view = _View(window, first, end, base, of_period)
        self._sealed = None

    def _seal(self) -> None:
        view = self._view
        if view is not None and self._sealed is None:
            self._sealed = self._at_head(view)

    def _at_head(self, view: _View) -> TrendsAt:
        window = view.window
        return TrendsAt(
            height=window.height,
            batch_time_ms=window.batch_time_ms,
            is_complete=view.signals.is_complete,
            complete_from_height=view.signals.complete_from_height,
            base=view.base,
            since=tuple(window.parts(view.end, window.end)),
        )


def _key(level: int, area: Area | None) -> tuple[int, str]:
    return level, "" if area is None else area.name


def _computed(
    before: Sequence[ProofColumns], present: Sequence[ProofColumns], period: int, known: AccountSignals | None
) -> tuple[TrendingBase, AccountSignals]:
    """The base of a period's rows, those held as it began and those since, and its signals, if they are not `known`."""
    rows = ProofColumns.joined([*before, *present])
    signals = account_signals(rows.rows(slice(sum(map(len, before))))) if known is None else known
    return TrendingBase.of(rows, period, signals.keys, signals.implausibility_bps), signals


def compute_top(at: TrendsAt, level: int, area: Area | None) -> list[TrendingRegion]:
    """See `Trends.top`. On a thread: it takes up to a tenth of a second where a million rows are held."""
    since = ProofColumns.joined(at.since)
    if area is None:
        return top_regions(at.base, since, level, TRENDING_MAX)
    return top_regions(
        at.base,
        since,
        level,
        TRENDING_MAX,
        ranges=cover(area.region, level),
        touches=lambda triangle: area.region.touches(corners(triangle)),
        looks_max=TOUCHING_LOOKS_MAX,
    )


def cover(region: Region, level: int) -> list[Range]:
    """Ranges of integer forms, rising, in which all triangles of `level` are that touch the region.

    They are those of at most `COVER_MAX` triangles, all of one level, which is `level` or above it.
    """
    cells = [(face, corners(face)) for face in (TriangleId(number, LEVEL_MIN, 0) for number in range(FACE_COUNT))]
    cells = [cell for cell in cells if cap_touches(region, cell[1])]
    while cells and cells[0][0].level < level:
        finer = [
            (child, vertices)
            for triangle, parent in cells
            for digit, child in enumerate(triangle.children)
            if cap_touches(region, vertices := child_corners(parent, digit))
        ]
        if len(finer) > COVER_MAX:
            break
        cells = finer
    return [(triangle.integer, triangle.last_integer) for triangle, _ in cells]
