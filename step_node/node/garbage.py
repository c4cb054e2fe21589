"""The garbage collector of a process that lives long.

Python looks through the youngest objects after every 700 new ones, and now and then through all: two hundred thousand
that were there since the start, 75 ms in which nothing else happens. What reference counts do not free here is little,
above all the objects of py-libp2p's connections, so it can look less often, and need not look at what stays. Under a
modest load the youngest are looked through every five seconds, and all that came after the start every ten minutes:
ten times more seldom, and what peers leave behind would add up to megabytes between.
"""

from __future__ import annotations

import gc
from typing import Final

THRESHOLDS: Final = (10_000, 10, 10)
"""New objects before the youngest are looked through; rounds of that before the next older, and before all."""


def collect_seldom() -> None:
    """Call first of all: importing makes hundreds of thousands of objects, none of them garbage."""
    gc.set_threshold(*THRESHOLDS)


def leave_alone_what_is_there() -> None:
    """Call when the process has started: what there is by now is never looked through again."""
    gc.collect()
    gc.freeze()
    # Python waits with all until a quarter as many are new as there were the last time: there are none now.
    gc.collect()
