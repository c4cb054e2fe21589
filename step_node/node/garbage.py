"""The garbage collector of a process that lives long.

Python looks through the youngest objects after every 700 new ones, and now and then through all: a hundred thousand
that were there since the start, 75 ms in which nothing else happens. What reference counts do not free here are a few
cycles of exceptions and tasks, so it can be seldom, and need not look at what stays.
"""

from __future__ import annotations

import gc
from typing import Final

THRESHOLDS: Final = (50_000, 20, 100)
"""New objects before the youngest are looked through; rounds of that before the next older, and before all."""


def collect_seldom() -> None:
    """Call first of all: importing makes hundreds of thousands of objects, none of them garbage."""
    gc.set_threshold(*THRESHOLDS)


def leave_alone_what_is_there() -> None:
    """Call when the process has started: what there is by now is never looked through again."""
    gc.collect()
    gc.freeze()
