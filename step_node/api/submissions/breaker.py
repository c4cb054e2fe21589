"""The circuit breaker of the intake: it sheds submissions when far more come than the node is used to.

Theory of operation. Time is counted in whole seconds of a monotonic clock. Of each second it is known how many
submissions were *offered* and how many of them were *taken*, which says that they got past this breaker.

- The *rate* is what was offered in the last `WINDOW_SECONDS` whole seconds, a second.
- The *baseline* is what was taken in the `BASELINE_SECONDS` before those, a second; of a node that has not run for so
  long, in as many as there are. It is never reckoned lower than a floor, which keeps a quiet node from shedding its
  fourth client, and with less than `BASELINE_SECONDS_MIN` of them nothing is shed: a node that has just started has no
  idea of what is usual, and may get the clients of one that is away.
- The *limit* is the factor times the baseline.

*Closed*, it takes everything; when a second ends with a rate above the limit, it opens. *Open*, it takes nothing for
`OPEN_SECONDS`. Then, *half open*, it takes as many a second as the limit allows and sheds the rest, until a window has
passed since: if the rate is above the limit then, it opens again; if it is below `CLOSED_BELOW` of the limit, it
closes; in between it stays half open, and looks again with each second. So it does not flutter about its limit.

What is shed does not raise the baseline, so an attack does not become the rule. What half open takes does: growth that
lasts raises the baseline within minutes, up to the factor each time, and the breaker closes by itself.

Pure: times are handed in.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

WINDOW_SECONDS: Final = 10
BASELINE_SECONDS: Final = 300
BASELINE_SECONDS_MIN: Final = 60
OPEN_SECONDS: Final = 5
CLOSED_BELOW: Final = 2 / 3
"""Of the limit: a half open breaker closes below this."""

_SECONDS_KEPT_MAX: Final = WINDOW_SECONDS + BASELINE_SECONDS


class BreakerState(StrEnum):
    """What it does with what is offered."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """`factor`: how many times the baseline is too much. `floor_per_second`: the least that counts as baseline.

    Without `sheds` it counts, and never opens.
    """

    sheds: bool = True
    factor: float = 3.0
    floor_per_second: float = 100.0


@dataclass(frozen=True, slots=True)
class BreakerFigures:
    """Where it stands: submissions a second."""

    state: BreakerState
    rate_per_second: float
    baseline_per_second: float
    limit_per_second: float


@dataclass(slots=True)
class _Second:
    offered: int = 0
    taken: int = 0


class IntakeBreaker:
    """See the module's docstring. `now` is in seconds, from any origin, and never goes back."""

    def __init__(self, settings: BreakerSettings, now: float) -> None:
        self._settings = settings
        self._second = int(now)
        self._present = _Second()
        self._past: deque[_Second] = deque(maxlen=_SECONDS_KEPT_MAX)
        """Whole seconds, the latest last."""
        self._offered_in_window = 0
        self._taken_before = 0
        """In the seconds that are kept before the window."""
        self._state = BreakerState.CLOSED
        self._since = self._second
        """The second with which the state began."""
        self._taken_ahead = 0.0
        """What was taken half open beyond the limits of the seconds until now."""

    def offer(self, count: int, now: float) -> bool:
        """Count so many submissions that come together; whether they are taken, all or none."""
        self._advance(now)
        self._present.offered += count
        if not self._has_room(count):
            return False
        self._present.taken += count
        return True

    def retry_seconds(self, now: float) -> int:
        """In how many seconds a submission is worth a try again; 0 while it need not wait."""
        self._advance(now)
        if self._state is BreakerState.OPEN:
            return max(1, self._since + OPEN_SECONDS - self._second)
        beyond = self._taken_ahead + self._present.taken + 1 - self._limit()
        return 0 if self._has_room(1) else max(1, math.ceil(beyond / self._limit()))

    def figures(self, now: float) -> BreakerFigures:
        """Where it stands at the end of the last whole second."""
        self._advance(now)
        return BreakerFigures(self._state, self._rate(), self._baseline(), self._limit())

    def set(self, settings: BreakerSettings) -> None:
        """Go on with other settings; what was counted stays. One that no longer sheds is closed at once."""
        self._settings = settings
        if not settings.sheds:
            self._state = BreakerState.CLOSED

    def _has_room(self, count: int) -> bool:
        if self._state is BreakerState.CLOSED:
            return True
        if self._state is BreakerState.OPEN:
            return False
        # The first gets in however many come together, so that a full body is not shed for good; what it takes beyond
        # the limit is taken off the seconds that follow, or a full body in each of them would get in.
        taken = self._taken_ahead + self._present.taken
        return taken == 0 or taken + count <= self._limit()

    def _advance(self, now: float) -> None:
        second = int(now)
        if second - self._second > _SECONDS_KEPT_MAX:
            # Nobody has asked for longer than is remembered: there is nothing of that time to look at.
            self._past.extend(_Second() for _ in range(_SECONDS_KEPT_MAX))
            self._offered_in_window = self._taken_before = 0
            self._state = BreakerState.CLOSED
            self._present, self._second = _Second(), second
        while self._second < second:
            self._end_second()
            self._look()

    def _end_second(self) -> None:
        if self._state is BreakerState.HALF_OPEN:
            self._taken_ahead = max(0.0, self._taken_ahead + self._present.taken - self._limit())
        if len(self._past) == _SECONDS_KEPT_MAX:
            self._taken_before -= self._past[0].taken
        self._past.append(self._present)
        self._offered_in_window += self._present.offered
        if len(self._past) > WINDOW_SECONDS:
            leaves = self._past[-WINDOW_SECONDS - 1]
            self._offered_in_window -= leaves.offered
            self._taken_before += leaves.taken
        self._present = _Second()
        self._second += 1

    def _look(self) -> None:
        """What the end of a second changes."""
        if not self._settings.sheds:
            return
        match self._state:
            case BreakerState.CLOSED:
                seen = len(self._past) - WINDOW_SECONDS
                if seen >= BASELINE_SECONDS_MIN and self._rate() > self._limit():
                    self._turn(BreakerState.OPEN)
            case BreakerState.OPEN:
                if self._second - self._since >= OPEN_SECONDS:
                    self._turn(BreakerState.HALF_OPEN)
            case BreakerState.HALF_OPEN:
                if self._second - self._since < WINDOW_SECONDS:
                    return
                if self._rate() > self._limit():
                    self._turn(BreakerState.OPEN)
                elif self._rate() < CLOSED_BELOW * self._limit():
                    self._turn(BreakerState.CLOSED)

    def _turn(self, state: BreakerState) -> None:
        self._state, self._since, self._taken_ahead = state, self._second, 0.0

    def _rate(self) -> float:
        return self._offered_in_window / WINDOW_SECONDS

    def _baseline(self) -> float:
        seconds = len(self._past) - WINDOW_SECONDS
        usual = self._taken_before / seconds if seconds > 0 else 0.0
        return max(usual, self._settings.floor_per_second)

    def _limit(self) -> float:
        return self._settings.factor * self._baseline()
