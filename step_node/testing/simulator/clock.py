"""A node's wall clock: the world's time, and how wrong this node is about it."""

from __future__ import annotations

import trio

START_MS = 1_760_000_000_000
"""2025-10-09, when every simulated chain begins."""


class SimulatedClock:
    """Satisfies `step_node.clock.Clock`. It may stand ahead or behind, and jump either way."""

    def __init__(self) -> None:
        self.error_ms = 0
        self.latest_ms = 0
        """The latest time that it has ever shown to its node."""

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch, as this node believes."""
        shown_ms = true_time_ms() + self.error_ms
        self.latest_ms = max(self.latest_ms, shown_ms)
        return shown_ms


def true_time_ms() -> int:
    """The world's time, milliseconds since the Unix epoch."""
    return START_MS + round(trio.current_time() * 1000)
