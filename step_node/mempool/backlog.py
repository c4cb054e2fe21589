"""How many proofs may wait: as many as the chain has lately shown that it finalises within `BACKLOG_SECONDS`.

A node can take proofs in many times faster than the network finalises them, from the same processors: whoever takes in
all that comes starves consensus with it, and keeps clients waiting for what is then dropped as too old. So what is more
is refused early, with a time to come back, and at little cost. What peers pass on is not refused: it is promised there.

The rate is that of the last `WINDOW_MS`. An idle chain shows none, nor does one that stands still: up to
`BACKLOG_PROOFS_MIN` may always wait.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Final

from step_node.clock import monotonic_ms

BACKLOG_SECONDS: Final = 3
"""The finality that clients can count on under any load."""

BACKLOG_PROOFS_MIN: Final = 3_000
"""Three full batches."""

WINDOW_MS: Final = 5_000

RETRY_SECONDS_MAX: Final = 30
"""What a client is told to wait at most, as when the chain stands still and nobody knows for how long."""


class Backlog:
    """Measures the rate, and says how many may wait. Lives on the event loop."""

    def __init__(self, monotonic_ms: Callable[[], int] = monotonic_ms) -> None:
        self._monotonic_ms = monotonic_ms
        self._batches: deque[tuple[int, int]] = deque()
        """When each batch of the window was finalised, and how many proofs were in it."""
        self._proofs = 0
        """In all of them."""

    def note_finalised(self, proofs: int) -> None:
        """A batch of so many is final."""
        if proofs:
            self._batches.append((self._monotonic_ms(), proofs))
            self._proofs += proofs

    def per_second(self) -> float:
        """Proofs that became final in each second of the window."""
        begin_ms = self._monotonic_ms() - WINDOW_MS
        while self._batches and self._batches[0][0] <= begin_ms:
            self._proofs -= self._batches.popleft()[1]
        return self._proofs * 1_000 / WINDOW_MS

    def room(self, waiting: int) -> int:
        """How many more may wait beside those that do; not below 0."""
        bound = max(BACKLOG_PROOFS_MIN, BACKLOG_SECONDS * self.per_second())
        return max(0, int(bound) - waiting)

    def retry_seconds(self, waiting: int) -> int:
        """When it is worth coming back: when half of those that wait should be final."""
        per_second = self.per_second()
        if per_second * RETRY_SECONDS_MAX * 2 <= waiting:
            return RETRY_SECONDS_MAX
        return max(1, math.ceil(waiting / 2 / per_second))
