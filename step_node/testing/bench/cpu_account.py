"""Writing down where a process's time goes.

What each task of the event loop takes, and each job on a worker thread, is added up by name, in the time of the thread
that it runs on: whatever else the machine does is left out. The sums are written to the file that the variable
`CPU_ACCOUNT` names, twice a second.
"""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio

from step_node.durable.atomic_file import write_fully

ACCOUNT_VARIABLE: Final = "CPU_ACCOUNT"
WRITE_SECONDS: Final = 0.5
EVENT_LOOP: Final = "trio"
"""The name of what the loop does between two tasks."""


class CpuAccount(trio.abc.Instrument):
    """Seconds by name: `tasks` on the event loop, `jobs` on worker threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tasks: defaultdict[str, float] = defaultdict(float)
        self._jobs: defaultdict[str, float] = defaultdict(float)
        self._at = time.thread_time()
        self._written_at = time.monotonic()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002  # trio's signature
        """See `trio.abc.Instrument`."""
        self._put_down(EVENT_LOOP)

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """See `trio.abc.Instrument`."""
        self._put_down(task.name)
        now = time.monotonic()
        if now - self._written_at >= WRITE_SECONDS:
            self._written_at = now
            self._write()

    def job(self, work: Callable[..., Any], /, *arguments: Any) -> Any:
        """Do `work` on this thread, and put its time down."""
        began = time.thread_time()
        try:
            return work(*arguments)
        finally:
            self._jobs[_name_of(work)] += time.thread_time() - began

    def _put_down(self, name: str) -> None:
        now = time.thread_time()
        self._tasks[name] += now - self._at
        self._at = now

    def _write(self) -> None:
        sums = {"process": time.process_time(), "tasks": dict(self._tasks), "jobs": dict(self._jobs)}
        unfinished = self._path.with_suffix(".part")
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            write_fully(descriptor, json.dumps(sums).encode())
        finally:
            os.close(descriptor)
        unfinished.replace(self._path)


def _name_of(work: Callable[..., Any]) -> str:
    """Of what a job is about: what a partial calls, and what the store's own wrapper was given."""
    while isinstance(work, partial):
        work = work.func
    cells = getattr(work, "__closure__", None) or ()
    if work.__qualname__.endswith(("in_thread", "checked")):
        inner = [cell.cell_contents for cell in cells if callable(cell.cell_contents)]
        if inner:
            return _name_of(inner[0])
    return f"{work.__module__}.{work.__qualname__}"


def install(account: CpuAccount) -> None:
    """Have every run of trio, and every job on its threads, put down from now on."""
    run, run_sync = trio.run, trio.to_thread.run_sync

    def profiled_run(function: Callable[..., Awaitable[Any]], *arguments: Any, **options: Any) -> Any:
        return run(function, *arguments, **options | {"instruments": [account]})

    def profiled_run_sync(work: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        return run_sync(account.job, work, *arguments, **options)

    trio.run = profiled_run  # type: ignore[assignment]
    trio.to_thread.run_sync = profiled_run_sync  # type: ignore[assignment]
