"""Work that must not run on the event loop, and the one place that says where it runs instead.

A daemon runs it on a worker thread. The simulator (step_node/testing/simulator/) replaces that for the tasks of one
node, and of those alone: there it runs on the event loop, after the time that a slow disk or a busy machine takes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import partial
from typing import Protocol, TypeVar, TypeVarTuple

import trio

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


class Offload(Protocol):
    """Where blocking work runs."""

    def __call__(self, work: partial[T], /) -> Awaitable[T]:
        """Run `work` and give its result, or raise what it raises. Its function and arguments say what it is."""
        ...


offload_of_task: ContextVar[Offload | None] = ContextVar("offload_of_task", default=None)
"""What replaces worker threads in this task and those that it starts. None in a daemon."""


async def run_blocking(
    work: Callable[[*Arguments], T],
    *arguments: *Arguments,
    limiter: trio.CapacityLimiter | None = None,
) -> T:
    """`work(*arguments)` off the event loop; a cancelled caller waits for its end. See `trio.to_thread.run_sync`."""
    elsewhere = offload_of_task.get()
    if elsewhere is not None:
        return await elsewhere(partial(work, *arguments))
    return await trio.to_thread.run_sync(work, *arguments, limiter=limiter)
