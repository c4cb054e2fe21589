"""Waiting for a store that does not answer: the environment's fault, retried with back-off and told in /health."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
import trio

from step_node.storage.interface import StorageUnavailable

RETRY_FIRST_MS = 100
RETRY_LONGEST_MS = 5_000

T = TypeVar("T")

log = structlog.get_logger("storage")


class StorageWatch:
    """Keeps account of a store's troubles, and waits for their end."""

    def __init__(self, on_retry: Callable[[], None]) -> None:
        self._on_retry = on_retry
        self.trouble: str | None = None
        """Why the store does not answer just now; None when it does."""

    async def when_available(self, call: Callable[[], Awaitable[T]]) -> T:
        """`call()`, tried again for as long as it raises `StorageUnavailable`, with delays from 0.1 s up to 5 s.

        For calls that must succeed before anything else can happen, and that change nothing when they fail.
        """
        delay_ms = RETRY_FIRST_MS
        while True:
            try:
                result = await call()
            except StorageUnavailable as error:
                self.trouble = str(error)
                self._on_retry()
                log.warning("the store does not answer; trying again", reason=self.trouble, delay_ms=delay_ms)
                await trio.sleep(delay_ms / 1000)
                delay_ms = min(delay_ms * 2, RETRY_LONGEST_MS)
            else:
                self.trouble = None
                return result
