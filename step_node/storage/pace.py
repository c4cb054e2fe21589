"""Long work on a thread that leaves the interpreter to others for most of the time."""

from __future__ import annotations

import time
from typing import Final

PAUSE_SECONDS_MAX: Final = 5.0
"""No pause is longer: whatever a page of records has cost, the next one comes."""


class Pace:
    """Says how long to pause between pieces of work, so that they take `share` of a core at most. For one thread."""

    def __init__(self, share: float) -> None:
        if not 0.0 < share <= 1.0:
            raise ValueError(f"share: must be above 0 and at most 1, not {share}")
        self._pauses_per_second = 1.0 / share - 1.0
        self._spent_seconds = time.thread_time()

    def pause_seconds(self) -> float:
        """For what this thread has spent since it was asked last."""
        now = time.thread_time()
        spent_seconds, self._spent_seconds = now - self._spent_seconds, now
        return min(spent_seconds * self._pauses_per_second, PAUSE_SECONDS_MAX)
