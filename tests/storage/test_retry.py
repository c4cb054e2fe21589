"""Waiting for a store: with longer and longer delays, and with the trouble on show for as long as it lasts."""

from __future__ import annotations

import pytest
import trio.testing

from step_node.storage.interface import StorageMismatch, StorageUnavailable
from step_node.storage.retry import StorageWatch


async def test_a_call_is_tried_until_the_store_answers(autojump_clock: trio.testing.MockClock) -> None:
    seen: list[tuple[float, str | None]] = []
    retries = 0

    def count() -> None:
        nonlocal retries
        retries += 1

    watch = StorageWatch(count)

    async def call() -> str:
        seen.append((round(autojump_clock.current_time() - start, 3), watch.trouble))
        if len(seen) < 9:
            raise StorageUnavailable("no primary")
        return "answer"

    start = autojump_clock.current_time()
    assert await watch.when_available(call) == "answer"
    assert [at for at, _ in seen] == [0, 0.1, 0.3, 0.7, 1.5, 3.1, 6.3, 11.3, 16.3]
    assert [trouble for _, trouble in seen] == [None, *["no primary"] * 8]
    assert retries == 8
    assert watch.trouble is None


async def test_what_trying_again_does_not_help_is_raised_at_once() -> None:
    watch = StorageWatch(lambda: None)

    async def call() -> None:
        raise StorageMismatch("another chain")

    with pytest.raises(StorageMismatch):
        await watch.when_available(call)
    assert watch.trouble is None
