"""Work on several processes: answers in order, however many there are, and an end at once if anything goes wrong.

What one piece of work raises is raised here while the others still compute, and their processes are ended: nobody waits
for hours of what will not be used. So it is with Ctrl-C, which the processes leave to the one that has begun them; and
should that one be killed, they end by themselves.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from threading import Thread
from typing import TypeVar

from step_node.errors import StepNodeError

AHEAD = 4
"""How many pieces of work there are for each process: more would only wait."""

WorkT = TypeVar("WorkT")
AnswerT = TypeVar("AnswerT")


class ProcessLost(StepNodeError):
    """A process has ended in the middle of its work: nearly always because the machine has no more memory."""


def in_order(
    work: Callable[[WorkT], AnswerT], pieces: Sequence[WorkT], processes: int
) -> Generator[AnswerT, None, None]:
    """What `work` makes of each piece, in their order; both must be such that another process can be handed them.

    Raises what `work` raises, at once; ProcessLost.
    """
    waiting: deque[Future[AnswerT]] = deque()
    rest = iter(pieces)
    with _processes(processes) as pool:
        try:
            while True:
                for piece in rest:
                    waiting.append(pool.submit(work, piece))
                    if len(waiting) >= processes * AHEAD:
                        break
                if not waiting:
                    return
                wait([one for one in waiting if not one.done()], return_when=FIRST_COMPLETED)
                for one in waiting:
                    if one.done():
                        one.result()  # An error ends all of it, whosever turn it would be.
                while waiting and waiting[0].done():
                    yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise ProcessLost(
                "a process that simulated was ended from outside, probably for want of memory: have fewer at once"
                " (--jobs)"
            ) from error


@contextmanager
def _processes(count: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that are ended at once if this is left before all is done."""
    others = multiprocessing.active_children()
    with ProcessPoolExecutor(
        count, mp_context=multiprocessing.get_context("spawn"), initializer=_depend_on_parent
    ) as pool:
        is_done = False
        try:
            yield pool
            is_done = True
        finally:
            if not is_done:
                pool.shutdown(wait=False, cancel_futures=True)
                ours = [process for process in multiprocessing.active_children() if process not in others]
                for process in ours:
                    process.kill()
                for process in ours:
                    process.join()


def _depend_on_parent() -> None:
    """In a new process: leave Ctrl-C to the parent, and end when the parent has."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_after_parent, daemon=True).start()


def _end_after_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
