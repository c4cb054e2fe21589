"""Waiting for a store that does not answer: the environment's fault, retried with back-off and told in /health."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import structlog
import trio

from step_node.storage.interface import StorageUnavailable

RETRY_FIRST_MS = 100
RETRY_LONGEST_MS = 5_000

T = TypeVar("T")

log = structlog.get_logger("storage")


class StorageWatcher(Protocol):
    """Whoever keeps account of the store's troubles."""

    def storage_unavailable(self, reason: str) -> None:
        """The store did not answer; it will be tried again."""
        ...

    def storage_available(self) -> None:
        """It answers again."""
        ...


async def when_available(call: Callable[[], Awaitable[T]], watcher: StorageWatcher) -> T:
    """`call()`, tried again for as long as it raises `StorageUnavailable`, with delays from 0.1 s up to 5 s.

    For calls that must succeed before anything else can happen, and that change nothing when they fail.
    """
    delay_ms = RETRY_FIRST_MS
    while True:
        try:
            result = await call()
        except StorageUnavailable as error:
            watcher.storage_unavailable(str(error))
            log.warning("the store does not answer; trying again", reason=str(error), delay_ms=delay_ms)
            await trio.sleep(delay_ms / 1000)
            delay_ms = min(delay_ms * 2, RETRY_LONGEST_MS)
        else:
            watcher.storage_available()
            return result
