"""The way from trio into the asyncio thread: outcomes come back, cancellation goes over, nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing

from step_node.storage.asyncio_bridge import AsyncioThread
from step_node.storage.mongo_driver import settled


@pytest.fixture
async def thread() -> AsyncIterator[AsyncioThread]:
    opened = AsyncioThread()
    yield opened
    await opened.close()


async def test_what_a_coroutine_returns_comes_back(thread: AsyncioThread) -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 42

    assert await thread.run(work) == 42


async def test_what_a_coroutine_raises_comes_back(thread: AsyncioThread) -> None:
    async def work() -> None:
        raise LookupError("lost")

    with pytest.raises(LookupError, match="lost"):
        await thread.run(work)


async def test_many_run_at_once(thread: AsyncioThread) -> None:
    meeting = asyncio.Barrier(5)
    arrived: list[int] = []

    async def meet(number: int) -> None:
        async def work() -> None:
            await meeting.wait()
            arrived.append(number)

        await thread.run(work)

    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(meet, number)
    assert sorted(arrived) == [0, 1, 2, 3, 4]


async def test_a_cancelled_caller_returns_only_after_the_coroutine_has_unwound(thread: AsyncioThread) -> None:
    began = trio.Event()
    token = trio.lowlevel.current_trio_token()
    unwound = False

    async def work() -> None:
        nonlocal unwound
        token.run_sync_soon(began.set)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            unwound = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(thread.run, work)
        await began.wait()
        nursery.cancel_scope.cancel()
    assert unwound


async def test_a_caller_that_is_cancelled_beforehand_leaves_nothing_running(thread: AsyncioThread) -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    async def tasks() -> int:
        return len(asyncio.all_tasks())

    with trio.CancelScope() as scope:
        scope.cancel()
        await thread.run(work)
    assert scope.cancelled_caught
    assert await thread.run(tasks) == 1


async def test_cancelling_all_tells_each_caller_that_its_call_was_cut_short(thread: AsyncioThread) -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    async def call() -> None:
        with pytest.raises(trio.ClosedResourceError, match="cut short"):
            await thread.run(work)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        nursery.start_soon(call)
        await trio.testing.wait_all_tasks_blocked()
        await thread.cancel_all()


async def test_a_coroutine_that_fails_while_it_unwinds_does_not_hide_the_cancellation(thread: AsyncioThread) -> None:
    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise LookupError("while unwinding")

    with trio.CancelScope() as scope:
        scope.cancel()
        await thread.run(work)
    # Cancelled before it began, or while it waited: in both cases the caller sees its own cancellation.
    assert scope.cancelled_caught


async def test_a_cancelled_driver_call_is_waited_for(thread: AsyncioThread) -> None:
    """A driver's call that is under way in a thread of the driver's cannot be interrupted, so it must not be left."""
    began = trio.Event()
    token = trio.lowlevel.current_trio_token()
    steps: list[str] = []

    async def work() -> None:
        finish = asyncio.Event()

        async def call() -> int:
            token.run_sync_soon(began.set)
            await finish.wait()
            steps.append("the call ended")
            return 1

        try:
            waiting: asyncio.Task[int] = asyncio.ensure_future(settled(call()))
            await asyncio.shield(waiting)
        except asyncio.CancelledError:
            waiting.cancel()
            asyncio.get_running_loop().call_soon(finish.set)
            with pytest.raises(asyncio.CancelledError):
                await waiting
            steps.append("its caller went on")
            raise

    async with trio.open_nursery() as nursery:
        nursery.start_soon(thread.run, work)
        await began.wait()
        nursery.cancel_scope.cancel()
    assert steps == ["the call ended", "its caller went on"]
