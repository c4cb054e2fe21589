"""The memory of a process that lives long: its garbage collector, and what its threads keep of what they freed.

Python looks for garbage whenever so many objects are new, first among the youngest, now and then among all: two hundred
thousand that were there since the start, 75 ms in which nothing else happens. Under load that is too often; in a quiet
hour it is never, and what py-libp2p's connections leave behind, cycles that reference counts do not free, adds up to
megabytes. So what was there at the start is left alone, new objects are counted in larger numbers, and the clock has a
look, too.

glibc gives each thread a heap of its own, up to eight for each processor, and each stays as large as it once was. Work
that needs megabytes for a moment, as a snapshot does, comes to another thread each time, so that the process grows with
each snapshot for hours. With two heaps in all, that ends with the second.

A large buffer it asks the system for, and gives it back when it is freed; but when it has seen one go, it takes the
next of that size from a heap, which keeps it. And what lies free between what is used, a heap keeps as well. So the
size from which on a buffer is large is set here, and stays; and the clock has the heaps give back the pages on which
nothing is.
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
"""After so many of them all that came since the start is looked through, 0.1 ms for each thousand objects, and the
heaps give back their free pages, which takes half a millisecond."""


HEAPS_MAX: Final = 2
"""Of the C library, for all threads. They seldom want it at once: most of the time they wait for Python's lock."""

LARGE_BYTES: Final = 512 * 1024
"""A buffer of so many bytes is the system's again as soon as it is freed. msgpack takes one of half as much for each
message; those are better had from a heap, at once."""

TOP_BYTES_MAX: Final = 2 * LARGE_BYTES
"""Free bytes at the end of a heap, beyond which it shrinks. glibc has as many for buffers that large; with the 128 KiB
that it begins with, a heap would shrink and grow with each message."""

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
"""As glibc's malloc.h has them."""


def share_heaps() -> None:
    """Call before there are threads. Does nothing where the C library is another than glibc."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return
    mallopt(_M_ARENA_MAX, HEAPS_MAX)
    mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)
    mallopt(_M_TRIM_THRESHOLD, TOP_BYTES_MAX)


def give_back() -> None:
    """Have the heaps give back the pages on which nothing is. Does nothing where the C library is no glibc."""
    try:
        malloc_trim = ctypes.CDLL(None).malloc_trim
    except AttributeError:
        return
    malloc_trim(0)


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
        give_back()
