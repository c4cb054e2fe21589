"""The memory of a process that lives long: its garbage collector, and what its threads keep of what they freed.

Python looks for garbage whenever so many objects are new, first among the youngest, now and then among all: two hundred
thousand that were there since the start, 75 ms in which nothing else happens. Under load that is too often; in a quiet
hour it is never, and what py-libp2p's connections leave behind, cycles that reference counts do not free, adds up to
megabytes. So what was there at the start is left alone, new objects are counted in larger numbers, and the clock has a
look, too.

glibc gives each thread a heap of its own, up to eight for each processor, and each stays as large as it once was. Work
that needs megabytes for a moment, as a snapshot does, comes to another thread each time, so that the process grows with
each snapshot for hours. With two heaps in all, that ends with the second.
"""

from __future__ import annotations

import ctypes
import gc
from typing import Final

THRESHOLDS: Final = (10_000, 10, 10)
"""New objects before the youngest are looked through; rounds of that before the next older, and before all."""

INTERVAL_SECONDS: Final = 30.0
"""How long garbage lies at most that was never old; 1 to 2 ms."""

INTERVALS_TO_ALL: Final = 10
"""After so many of them all that came since the start is looked through, 0.1 ms for each thousand objects."""


HEAPS_MAX: Final = 2
"""Of the C library, for all threads. They seldom want it at once: most of the time they wait for Python's lock."""

_M_ARENA_MAX: Final = -8
"""As glibc's malloc.h has it."""


def share_heaps() -> None:
    """Call before there are threads. Does nothing where the C library is another than glibc."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return
    mallopt(_M_ARENA_MAX, HEAPS_MAX)


def collect_seldom() -> None:
    """Call first of all: importing makes hundreds of thousands of objects, none of them garbage."""
    gc.set_threshold(*THRESHOLDS)


def leave_alone_what_is_there() -> None:
    """Call when the process has started: what there is by now is never looked through again."""
    gc.collect()
    gc.freeze()
    # Python waits with all until a quarter as many are new as there were the last time: there are none now.
    gc.collect()


async def collect_by_the_clock() -> None:
    """Collect every `INTERVAL_SECONDS`, until cancelled."""
    import trio  # Here, since the command line asks for this module before it knows what for; --help is to be quick.

    while True:
        for number in range(INTERVALS_TO_ALL):
            await trio.sleep(INTERVAL_SECONDS)
            gc.collect(1 if number + 1 < INTERVALS_TO_ALL else 2)
