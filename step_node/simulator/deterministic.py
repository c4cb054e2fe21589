"""A trio run in which the order of tasks, and time, come from a seed.

Trio runs the tasks that are ready in an order that it draws itself. It has a switch for Hypothesis that makes it sort
them before, so that the order depends on its random generator alone; that is used here, and the generator is seeded.
Time is `MockClock`'s: it stands still while anything can run, and then jumps to the next deadline. Nothing may come
from outside: no thread, no socket, no file.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import trio
import trio.testing
from trio._core import _run as scheduler

T = TypeVar("T")


def run_deterministically(main: Callable[[], Awaitable[T]], *, seed: int) -> T:
    """`trio.run(main)`, with the schedule that belongs to `seed`. Leaves trio as it was."""

    async def run() -> T:
        return await main()

    with _seeded_scheduler(seed), _no_garbage_collection():
        return trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0))


@contextmanager
def _seeded_scheduler(seed: int) -> Iterator[None]:
    switch = "_ALLOW_DETERMINISTIC_SCHEDULING"
    was_on, state = getattr(scheduler, switch), scheduler._r.getstate()
    setattr(scheduler, switch, True)
    scheduler._r.seed(seed)
    try:
        yield
    finally:
        setattr(scheduler, switch, was_on)
        scheduler._r.setstate(state)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Collect once, at the end: when the collector runs in between depends on what the process did before."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
        gc.collect()
