"""The node's only clock. Everything that needs the time is given one, so that tests can be given another."""

from __future__ import annotations

import time
from typing import Protocol

import trio


class Clock(Protocol):
    """Wall-clock time, for what is compared with timestamps. It may be set, either way, at any moment; so durations are
    never measured with it, but with `monotonic_ms` or `trio.current_time()`."""

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch."""
        return time.time_ns() // 1_000_000


def monotonic_ms() -> int:
    """Milliseconds since an origin of their own, never going back, whatever is done to the wall clock: trio's time."""
    return int(trio.current_time() * 1000)
