"""A clock that moves when the test says so."""

from __future__ import annotations


class SetClock:
    """Satisfies `step_node.clock.Clock`."""

    def __init__(self, now_ms: int) -> None:
        self.time_ms = now_ms

    def now_ms(self) -> int:
        """What it was set to."""
        return self.time_ms

    def advance(self, milliseconds: int) -> None:
        """Let time pass."""
        self.time_ms += milliseconds
