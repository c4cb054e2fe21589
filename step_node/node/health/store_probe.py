"""Asking the store again and again whether it answers, so that a dead one is seen on a chain that is idle.

The task asks one question at a time and waits for as long as it takes: a driver's call cannot always be cut short. So
what tells a store that hangs from one that answers is how long the question has been out, which anybody can look up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from step_node.storage.interface import Storage, StorageError

PROBE_INTERVAL_MS: Final = 2_000
"""From an answer to the next question: the head, which any engine reads in milliseconds."""

STORE_HANGS_SECONDS: Final = 5
"""A store that is silent for longer, to a question or to a batch, counts as away."""


class StoreProbe:
    """See the module's docstring."""

    def __init__(self, storage: Storage, answered: Callable[[float], None] = lambda _seconds: None) -> None:
        """`answered` is told how many seconds each answer took."""
        self._storage = storage
        self._answered = answered
        self._asked_at: float | None = None
        self._failure: str | None = None

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            self._asked_at = trio.current_time()
            try:
                await self._storage.head()
            except StorageError as error:
                self._failure = str(error)
            else:
                self._failure = None
                self._answered(trio.current_time() - self._asked_at)
            self._asked_at = None
            await trio.sleep(PROBE_INTERVAL_MS / 1000)

    @property
    def silent_seconds(self) -> int:
        """How long the question that is out has been without an answer."""
        return 0 if self._asked_at is None else int(trio.current_time() - self._asked_at)

    @property
    def trouble(self) -> str | None:
        """Why the store does not answer; None where it does."""
        if self.silent_seconds >= STORE_HANGS_SECONDS:
            return f"it has not answered a question for {self.silent_seconds} s"
        return self._failure
