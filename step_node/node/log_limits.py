"""How much of the log strangers can fill: so many lines of each kind, and so many bytes of all kinds together.

Beyond that, lines are counted in place of being written, and the count is a line of its own when the interval is over.
What strangers cannot set off (`OWN_LOGGERS`), and what is critical, is never held back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

INTERVAL_SECONDS: Final = 10
LINES_PER_SITE_MAX: Final = 10
"""Lines of one site in an interval; more are counted."""
BYTES_PER_SECOND_MAX: Final = 4_096
"""Bytes of all lines that strangers set off, in the long run; lines beyond that are counted."""
BURST_BYTES_MAX: Final = INTERVAL_SECONDS * BYTES_PER_SECOND_MAX
"""Of these bytes, as many at once, after some quiet."""
SITES_MAX: Final = 1_024
"""Sites that are told apart in an interval. There are fewer in the code; any further one shares a count."""

OWN_LOGGERS: Final = frozenset(
    {"admin", "consensus", "evidence", "home", "journal", "node", "operations", "settlement", "storage"}
)
"""Who logs what no stranger can set off: it takes a validator's key, a fee, or this machine. All others are limited."""

Site: TypeAlias = tuple[str, str]
"""Who logs, and where in its code: not what, since a stranger's bytes may be part of that."""

_ELSEWHERE: Final = ("elsewhere", "")


@dataclass(frozen=True, slots=True)
class HeldBack:
    """Lines of one site that were counted: how many, in how long, and what the latest of them said."""

    logger: str
    level: str
    latest_event: str
    lines: int
    seconds: int


@dataclass(slots=True)
class _Interval:
    began_at: float
    admitted: int = 0
    held_back: int = 0
    level: str = ""
    latest_event: str = ""


class LogLimits:
    """See the module's docstring. For all threads."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        # Not a plain lock: the collector of garbage may run within, and have a finaliser log.
        self._lock = threading.RLock()
        self._intervals: dict[Site, _Interval] = {}
        self._bytes_left = float(BURST_BYTES_MAX)
        self._filled_at = monotonic()
        self._held_back_total = 0

    @property
    def held_back_total(self) -> int:
        """How many lines have been counted in place of being written."""
        return self._held_back_total

    def admits(self, site: Site, level: str, event: str) -> bool:
        """Whether the site may log another line; if not, it is counted."""
        with self._lock:
            interval = self._interval(site)
            if interval.admitted < LINES_PER_SITE_MAX:
                interval.admitted += 1
                return True
            self._hold_back(interval, level, event)
            return False

    def affords(self, site: Site, level: str, event: str, size_bytes: int) -> bool:
        """Whether a line of this site and size may be written, which is then charged; if not, it is counted."""
        with self._lock:
            self._fill()
            if self._bytes_left > 0:
                self._bytes_left -= size_bytes
                return True
            self._hold_back(self._interval(site), level, event)
            return False

    def charge(self, size_bytes: int) -> None:
        """A line that says what was held back is always written; what it takes is then lacking for others."""
        with self._lock:
            self._fill()
            self._bytes_left -= size_bytes

    def take_over(self, *, is_last: bool) -> list[HeldBack]:
        """What was held back in the intervals that are over, or in all of them; these begin anew."""
        with self._lock:
            now = self._monotonic()
            over = [
                site
                for site, interval in self._intervals.items()
                if is_last or now - interval.began_at >= INTERVAL_SECONDS
            ]
            ended = [(site, self._intervals.pop(site)) for site in over]
        return [
            HeldBack(logger, one.level, one.latest_event, one.held_back, max(1, round(now - one.began_at)))
            for (logger, _), one in ended
            if one.held_back
        ]

    def _interval(self, site: Site) -> _Interval:
        now = self._monotonic()
        found = self._intervals.get(site)
        if found is None and len(self._intervals) >= SITES_MAX:
            site = _ELSEWHERE
            found = self._intervals.get(site)
        if found is None:
            found = self._intervals[site] = _Interval(now)
        return found

    def _hold_back(self, interval: _Interval, level: str, event: str) -> None:
        interval.held_back += 1
        interval.level, interval.latest_event = level, event
        self._held_back_total += 1

    def _fill(self) -> None:
        now = self._monotonic()
        gained = (now - self._filled_at) * BYTES_PER_SECOND_MAX
        self._bytes_left, self._filled_at = min(BURST_BYTES_MAX, self._bytes_left + gained), now
