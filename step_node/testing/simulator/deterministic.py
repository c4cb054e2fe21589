"""A trio run in which the order of tasks, and time, come from a seed.

Trio runs the tasks that are ready in an order that it draws itself. It has a switch for Hypothesis that makes it sort
them before, so that the order depends on its random generator alone; that is used here, and the generator is seeded.
Time is `MockClock`'s: it stands still while anything can run, and then jumps to the next deadline. Nothing may come
from outside: no thread, no socket, no file.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import trio
import trio.testing
from trio._core import _run as scheduler

T = TypeVar("T")

FOREVER_SECONDS = 999_999_999
"""How long the scheduler would wait for what is due later, if nobody moved the clock."""


def run_deterministically(main: Callable[[], Awaitable[T]], *, seed: int) -> T:
    """`trio.run(main)`, with the schedule that belongs to `seed`. Leaves trio as it was."""

    async def run() -> T:
        return await main()

    with _seeded_scheduler(seed), _no_garbage_collection():
        return trio.run(run, clock=_clock())


def _clock() -> trio.testing.MockClock:
    """A `MockClock` that stands still until it jumps. The real one asks the machine's time whenever it is read, to
    multiply it with 0; trio lets nobody derive from it."""
    clock = trio.testing.MockClock(autojump_threshold=0)
    now = 0.0

    def jump_to_next_deadline() -> None:
        nonlocal now
        deadline = scheduler.GLOBAL_RUN_CONTEXT.runner.deadlines.next_deadline()
        if now < deadline < math.inf:
            now = deadline

    for name, method in (
        ("current_time", lambda: now),
        ("deadline_to_sleep_time", lambda deadline: 0 if deadline <= now else FOREVER_SECONDS),
        ("_autojump", jump_to_next_deadline),
    ):
        setattr(clock, name, method)
    return clock


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
