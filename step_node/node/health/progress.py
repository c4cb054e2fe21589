"""Whether the chain moves while something waits: a height that stands still is a fault only then."""

from __future__ import annotations

from typing import Final

import trio

from consensus.values import TimeoutKind, Timeouts
from step_node.engine.driver import ConsensusDriver
from step_node.engine.machine_runner import timeouts_of
from step_node.parameters import Parameters

PATIENCE_ROUNDS: Final = 3
"""A height is late once so many rounds could have failed, each after its longest."""


def patience_seconds(parameters: Parameters) -> float:
    """How long something may wait for a batch before that is worth a word: 34.5 s with the timeouts of protocol.md."""
    timeouts: Timeouts = timeouts_of(parameters)
    rounds = range(PATIENCE_ROUNDS)
    return sum(timeouts.duration_ms(kind, number) for number in rounds for kind in TimeoutKind) / 1000


class ProgressWatch:
    """Told now and then to look; says since when the present height has had work and has not been decided."""

    def __init__(self, driver: ConsensusDriver) -> None:
        self._driver = driver
        self._height = 0
        self._waits_since: float | None = None

    def look(self) -> None:
        """Take in how things are now."""
        height, has_work = self._driver.state.height, self._driver.has_work
        if height != self._height or not has_work:
            self._height, self._waits_since = height, None
        if has_work and self._waits_since is None:
            self._waits_since = trio.current_time()

    @property
    def undecided_seconds(self) -> float:
        """How long something has waited at the present height; 0 if nothing does."""
        if self._waits_since is None or self._driver.state.height != self._height:
            return 0.0
        return trio.current_time() - self._waits_since
