"""What a node is doing: its tasks as a tree, and its threads, with where each stands. Places in the code, no values."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from itertools import islice
from types import FrameType
from typing import Final

import trio

TASKS_MAX: Final = 4_000
"""Tasks in the text; the rest is left out, and said to be."""
FRAMES_MAX: Final = 24
"""Frames of one task or thread, the outermost first."""


def task_tree() -> str:
    """Every task of the event loop, under the one that has started it, with its stack."""
    root = trio.lowlevel.current_root_task()
    lines: list[str] = []
    waiting = [] if root is None else [(root, 0)]
    count = 0
    while waiting and count < TASKS_MAX:
        task, depth = waiting.pop()
        count += 1
        indent = "  " * min(depth, 20)
        lines.append(f"{indent}{task.name}")
        lines += [f"{indent}    {place}" for place in islice(_places(task), FRAMES_MAX)]
        waiting += [(child, depth + 1) for nursery in task.child_nurseries for child in nursery.child_tasks]
    if waiting:
        lines.append(f"… more than {TASKS_MAX} tasks")
    return "\n".join(lines) + "\n"


def thread_stacks() -> str:
    """Every thread, with its stack."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    lines: list[str] = []
    for ident, frame in sys._current_frames().items():
        lines.append(names.get(ident, str(ident)))
        lines += [f"    {place}" for place in islice(_stack(frame), FRAMES_MAX)]
    return "\n".join(lines) + "\n"


def _places(task: trio.lowlevel.Task) -> Iterator[str]:
    for frame, line in task.iter_await_frames():
        yield _place(frame, line)


def _stack(frame: FrameType | None) -> Iterator[str]:
    while frame is not None:
        yield _place(frame, frame.f_lineno)
        frame = frame.f_back


def _place(frame: FrameType, line: int | None) -> str:
    code = frame.f_code
    return f"{'/'.join(code.co_filename.split('/')[-3:])}:{line} in {code.co_qualname}"
