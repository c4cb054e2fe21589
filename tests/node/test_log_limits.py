"""How much of the log strangers can fill, by a clock that the tests turn."""

from __future__ import annotations

import ast
from pathlib import Path

from step_node.node.log_limits import (
    BURST_BYTES_MAX,
    BYTES_PER_SECOND_MAX,
    INTERVAL_SECONDS,
    LINES_PER_SITE_MAX,
    OWN_LOGGERS,
    SITES_MAX,
    HeldBack,
    LogLimits,
)

ROOT = Path(__file__).parents[2]
SITE = ("p2p", "base.py:308")


class Seconds:
    """A clock that stands until it is turned."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_lines_of_one_site_beyond_the_maximum_are_counted_and_told_when_the_interval_is_over() -> None:
    clock = Seconds()
    limits = LogLimits(clock)
    admitted = [limits.admits(SITE, "warning", f"peer {number} is at fault") for number in range(1_244)]
    assert admitted == [True] * LINES_PER_SITE_MAX + [False] * 1_234
    assert limits.take_over(is_last=False) == [], "the interval is not over"
    clock.now += INTERVAL_SECONDS
    assert limits.take_over(is_last=False) == [
        HeldBack("p2p", "warning", "peer 1243 is at fault", lines=1_234, seconds=INTERVAL_SECONDS)
    ]
    assert limits.take_over(is_last=False) == [], "it is told once"
    assert limits.admits(SITE, "warning", "the next interval")
    assert limits.held_back_total == 1_234


def test_each_site_has_lines_of_its_own() -> None:
    limits = LogLimits(Seconds())
    for _ in range(100):
        limits.admits(SITE, "warning", "often")
    assert limits.admits(("p2p", "base.py:317"), "error", "seldom")


def test_the_last_count_is_told_before_its_interval_is_over() -> None:
    clock = Seconds()
    limits = LogLimits(clock)
    for _ in range(LINES_PER_SITE_MAX + 3):
        limits.admits(SITE, "warning", "often")
    clock.now += 2.4
    (told,) = limits.take_over(is_last=True)
    assert (told.lines, told.seconds) == (3, 2)


def test_all_sites_together_have_so_many_bytes_a_second_and_what_goes_beyond_is_counted() -> None:
    clock = Seconds()
    limits = LogLimits(clock)
    written, size, seconds = 0, 700, 600
    for second in range(seconds):
        clock.now += 1
        for number in range(50):  # 35 kB a second, of ever other places
            if limits.affords(("p2p", f"place {number}"), "warning", f"in second {second}", size):
                written += size
    assert written <= BURST_BYTES_MAX + seconds * BYTES_PER_SECOND_MAX + size
    assert written >= seconds * BYTES_PER_SECOND_MAX * 0.9, "the bound is not much lower than it says"
    assert limits.held_back_total == seconds * 50 - written // size
    assert sum(told.lines for told in limits.take_over(is_last=True)) == limits.held_back_total


def test_what_the_counts_take_is_lacking_for_others() -> None:
    clock = Seconds()
    limits = LogLimits(clock)
    limits.charge(BURST_BYTES_MAX + BYTES_PER_SECOND_MAX)
    assert not limits.affords(SITE, "warning", "too soon", 1)
    clock.now += 1
    assert not limits.affords(SITE, "warning", "too soon", 1)
    clock.now += 1
    assert limits.affords(SITE, "warning", "late enough", 1)


def test_sites_beyond_the_maximum_share_one_count_so_that_they_cannot_fill_the_memory() -> None:
    limits = LogLimits(Seconds())
    for number in range(SITES_MAX):
        assert limits.admits(("p2p", str(number)), "warning", "one")
    admitted = sum(limits.admits(("p2p", str(number)), "warning", "more") for number in range(SITES_MAX, 2 * SITES_MAX))
    assert admitted == LINES_PER_SITE_MAX
    (told,) = limits.take_over(is_last=True)
    assert (told.logger, told.lines) == ("elsewhere", SITES_MAX - LINES_PER_SITE_MAX)


def test_who_reads_what_strangers_send_has_no_logger_without_limits() -> None:
    for room in ("network", "api"):
        for path in (ROOT / "step_node" / room).glob("*.py"):
            assert not OWN_LOGGERS & set(_names_of_loggers(path)), path
    assert {"consensus", "evidence"} <= set(OWN_LOGGERS)


def test_the_event_of_each_own_line_is_a_constant_since_it_stands_for_its_place() -> None:
    limited = 0
    for path in (ROOT / "step_node").rglob("*.py"):
        names = set(_names_of_loggers(path))
        if not names - OWN_LOGGERS or "getLogger" in path.read_text(encoding="utf-8"):
            continue
        for call in _calls(path):
            is_log = isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "log"
            if is_log and call.args:
                limited += 1
                assert isinstance(call.args[0], ast.Constant), (path, call.lineno)
    assert limited > 20


def _calls(path: Path) -> list[ast.Call]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def _names_of_loggers(path: Path) -> list[str]:
    return [
        call.args[0].value
        for call in _calls(path)
        if ast.unparse(call.func) in ("structlog.get_logger", "logging.getLogger")
        and call.args
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    ]
