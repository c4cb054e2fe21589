"""The memory of a daemon: the garbage collector leaves alone what was there when it had started, and finds what comes
later; and threads share the C library's heaps."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
import weakref

import pytest
import trio
from trio.testing import MockClock

from step_node.node.memory import HEAPS_MAX, INTERVAL_SECONDS, INTERVALS_TO_ALL, collect_by_the_clock

PROGRAM = """
import gc
from step_node.node.memory import THRESHOLDS, collect_seldom, leave_alone_what_is_there

class Node:
    pass

collect_seldom()
assert gc.get_threshold() == THRESHOLDS
kept = [Node() for _ in range(1_000)]
leave_alone_what_is_there()
assert gc.get_freeze_count() > 1_000
assert not any(each is kept for each in gc.get_objects())

# What comes later, and refers to itself, is still found, also if it is old by then.
for _ in range(2 * THRESHOLDS[0] * THRESHOLDS[1] * THRESHOLDS[2]):
    cycle = Node()
    cycle.itself = cycle
assert sum(type(each) is Node for each in gc.get_objects()) < 2 * THRESHOLDS[0]
assert gc.get_stats()[2]["collections"] > 2, "two are of the start"
"""


HEAPS = """
import ctypes, sys, threading
from step_node.node.memory import HEAPS_MAX, share_heaps

if "shared" in sys.argv:
    share_heaps()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.fopen.restype = ctypes.c_void_p, ctypes.c_void_p
together = threading.Barrier(8)

def use() -> None:
    together.wait()
    held = [libc.malloc(1_000) for _ in range(100)]
    together.wait()
    for one in held:
        libc.free(ctypes.c_void_p(one))

threads = [threading.Thread(target=use) for _ in range(8)]
for each in threads:
    each.start()
for each in threads:
    each.join()
file = libc.fopen(b"/dev/stdout", b"w")
libc.malloc_info(0, ctypes.c_void_p(file))
libc.fflush(ctypes.c_void_p(file))
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="the C library is not glibc")
def test_threads_share_two_heaps_and_not_one_each() -> None:
    def heaps(*arguments: str) -> int:
        command = [sys.executable, "-c", HEAPS, *arguments]
        return subprocess.run(command, check=True, timeout=60, capture_output=True, text=True).stdout.count("<heap nr")

    assert heaps("shared") <= HEAPS_MAX < heaps()


RESIDENT = """
import ctypes, sys
from step_node.node.memory import give_back, share_heaps

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p

def malloc(size_bytes: int) -> ctypes.c_void_p:
    return ctypes.c_void_p(libc.malloc(size_bytes))

def resident_kib() -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))

def touched(size_bytes: int) -> ctypes.c_void_p:
    block = malloc(size_bytes)
    ctypes.memset(block, 1, size_bytes)
    return block

"""

LARGE = (
    RESIDENT
    + """
if "set" in sys.argv:
    share_heaps()
libc.free(touched(24 << 20))
# Of a size that one has gone of already; a small one behind it keeps a heap from shrinking.
before, large, small = resident_kib(), touched(16 << 20), touched(100)
libc.free(large)
print(resident_kib() - before)
"""
)

SCATTERED = (
    RESIDENT
    + """
share_heaps()
before = resident_kib()
blocks = [touched(64 << 10) for _ in range(320)]
for place, block in enumerate(blocks):
    if place % 32:
        libc.free(block)
if "back" in sys.argv:
    give_back()
print(resident_kib() - before)
"""
)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="the C library is not glibc")
def test_what_is_freed_is_given_back_to_the_system_large_buffers_at_once_and_free_pages_when_asked() -> None:
    def kept_kib(program: str, *arguments: str) -> int:
        command = [sys.executable, "-c", program, *arguments]
        return int(subprocess.run(command, check=True, timeout=60, capture_output=True, text=True).stdout)

    assert kept_kib(LARGE) > 12_000
    assert kept_kib(LARGE, "set") < 4_000
    assert kept_kib(SCATTERED) > 12_000
    assert kept_kib(SCATTERED, "back") < 4_000


class Cycle:
    """Refers to itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _not_by_itself() -> object:
    """Nothing is collected unless it is asked for."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_what_was_there_is_left_alone_and_what_comes_later_is_found() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=60)


async def test_garbage_goes_with_time_however_little_there_is_of_it(autojump_clock: MockClock) -> None:
    del autojump_clock
    async with trio.open_nursery() as nursery:
        nursery.start_soon(collect_by_the_clock)
        young = weakref.ref(Cycle())
        old_cycle = Cycle()
        old = weakref.ref(old_cycle)
        assert young() is not None
        await trio.sleep(INTERVAL_SECONDS + 1)
        assert young() is None
        await trio.sleep(2 * INTERVAL_SECONDS)
        del old_cycle
        assert old() is not None
        await trio.sleep(INTERVAL_SECONDS)
        assert old() is not None, "it is among the oldest"
        await trio.sleep(INTERVALS_TO_ALL * INTERVAL_SECONDS)
        assert old() is None
        nursery.cancel_scope.cancel()
