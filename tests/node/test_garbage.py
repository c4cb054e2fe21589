"""The garbage collector of a daemon looks seldom, and not at what was there when it had started."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc
from step_node.node.garbage import THRESHOLDS, collect_seldom, leave_alone_what_is_there

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


def test_what_was_there_is_left_alone_and_what_comes_later_is_found() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=60)
