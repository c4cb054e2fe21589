"""Work on several processes ends when it should: at an error, at Ctrl-C, and with the process that has begun it."""

from __future__ import annotations

import multiprocessing
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from step_node.testing.economy.processes import in_order
from tests.support.waiting import block_until
from tests.testing.economy import pieces_of_work
from tests.testing.economy.pieces_of_work import BEGUN

ROOT = Path(__file__).parents[3]
SECONDS_MAX = 60.0

pytestmark = pytest.mark.slow


def test_answers_come_in_order_whichever_is_the_slowest() -> None:
    assert list(in_order(pieces_of_work.slowest_first, range(20), 2)) == [piece * piece for piece in range(20)]
    assert multiprocessing.active_children() == []


def test_an_error_ends_all_other_work_at_once() -> None:
    with pytest.raises(ArithmeticError, match="piece 1 does not add up"):
        list(in_order(pieces_of_work.without_end_but_for_one, range(6), 2))
    # Two threads may wait for the same one, and then either may be the one that strikes it off.
    block_until(lambda: multiprocessing.active_children() == [], seconds_max=SECONDS_MAX)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_process_is_left_after_the_one_that_has_begun_it(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "tests.testing.economy.pieces_of_work"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert [process.stdout.readline(), process.stdout.readline()] == [f"{BEGUN}\n"] * 2
            process.send_signal(number)
            # They have its standard output too: it ends when the last of them has ended.
            process.communicate(timeout=SECONDS_MAX)
        finally:
            process.kill()
    assert process.returncode == -number
