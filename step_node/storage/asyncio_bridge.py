"""An asyncio loop in a thread of its own, and the one way from trio into it.

The MongoDB driver needs asyncio and the node is built on trio. Rather than mixing two loops in one thread, the driver
gets a loop and a thread to itself; `AsyncioThread.run` hands a coroutine over and waits for its outcome. When the
waiting trio task is cancelled, the coroutine is cancelled too, and `run` returns only after it has unwound: nothing
that was begun is ever left running behind the caller's back. How soon that is, is up to the coroutine.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import trio

ResultT = TypeVar("ResultT")


class AsyncioThread:
    """A running asyncio loop; `close` ends it. Tasks are bounded by the callers': each waits for its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="storage-asyncio", daemon=True)
        self._thread.start()

    async def run(self, function: Callable[[], Coroutine[Any, Any, ResultT]]) -> ResultT:
        """What the coroutine returns or raises, run on the asyncio loop. Called from trio.

        Raises `trio.ClosedResourceError` when `cancel_all` has cut it short.
        """
        ended = trio.Event()
        trio_token = trio.lowlevel.current_trio_token()
        tasks: list[asyncio.Task[ResultT]] = []

        def begin() -> None:
            task = self._loop.create_task(function())
            task.add_done_callback(lambda _: trio_token.run_sync_soon(ended.set))
            tasks.append(task)

        # The loop calls these in the order they are handed over, so `cancel` always finds the task.
        self._loop.call_soon_threadsafe(begin)
        try:
            await ended.wait()
        except trio.Cancelled:
            self._loop.call_soon_threadsafe(lambda: tasks[0].cancel())
            with trio.CancelScope(shield=True):
                await ended.wait()
            if not tasks[0].cancelled():
                # Looked at, so that asyncio does not report it as overlooked. The caller is gone: it gets Cancelled.
                tasks[0].exception()
            raise
        if tasks[0].cancelled():
            raise trio.ClosedResourceError("the call was cut short, because its store was closed")
        return tasks[0].result()

    async def cancel_all(self) -> None:
        """Cut short what is running; its callers get `trio.ClosedResourceError` once it has unwound."""

        async def cancel_others() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            if others:
                await asyncio.wait(others)

        await self.run(cancel_others)

    async def close(self) -> None:
        """End the loop and its thread. What is still running must have been cut short before (`cancel_all`)."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self._thread.join)
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()
