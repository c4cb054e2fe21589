"""Waiting for a store that does not answer: the environment's fault, retried with back-off and told in /health.

Each call that waits is on record by itself, so that one call's success says nothing of another: a store may answer
questions, and take no batch. A call that neither succeeds nor fails is on record too; how long, is for who looks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog
import trio

from step_node.storage.interface import StorageUnavailable

RETRY_FIRST_MS = 100
RETRY_LONGEST_MS = 5_000

T = TypeVar("T")

log = structlog.get_logger("storage")


@dataclass(slots=True, eq=False)
class _Call:
    """One that has not succeeded yet. `trouble` is why it is tried again, once it is."""

    writes: bool
    began_at: float | None
    trouble: str | None = None


class StorageWatch:
    """Keeps account of a store's troubles, and waits for their end."""

    def __init__(self, on_retry: Callable[[], None]) -> None:
        self._on_retry = on_retry
        self._calls: set[_Call] = set()

    @property
    def trouble(self) -> str | None:
        """Why the store does not answer just now, to whichever call; None when it does."""
        return self.trouble_of(writes=True) or self.trouble_of(writes=False)

    def trouble_of(self, *, writes: bool) -> str | None:
        """Why it does not take what is written, or does not answer what is asked; None when it does."""
        return next((call.trouble for call in self._calls if call.trouble is not None and call.writes == writes), None)

    def write_seconds(self) -> float:
        """How long a write has been waited for, of those that are quick in a store that is well; 0 if none is."""
        began = [call.began_at for call in self._calls if call.writes and call.began_at is not None]
        return trio.current_time() - min(began) if began else 0.0

    async def when_available(
        self, call: Callable[[], Awaitable[T]], *, writes: bool = False, is_quick: bool = True
    ) -> T:
        """`call()`, tried again for as long as it raises `StorageUnavailable`, with delays from 0.1 s up to 5 s.

        For calls that must succeed before anything else can happen, and that change nothing when they fail. `writes`
        says that it writes; without `is_quick` it may take its time, as a whole snapshot does.
        """
        record = _Call(writes, trio.current_time() if is_quick else None)
        self._calls.add(record)
        try:
            return await self._until_available(call, record)
        finally:
            self._calls.remove(record)

    async def _until_available(self, call: Callable[[], Awaitable[T]], record: _Call) -> T:
        delay_ms = RETRY_FIRST_MS
        while True:
            try:
                return await call()
            except StorageUnavailable as error:
                record.trouble = str(error)
                self._on_retry()
                log.warning(
                    "the store does not answer; trying again",
                    reason=record.trouble,
                    writes=record.writes,
                    delay_ms=delay_ms,
                )
                await trio.sleep(delay_ms / 1000)
                delay_ms = min(delay_ms * 2, RETRY_LONGEST_MS)
