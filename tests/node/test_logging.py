"""Logs: the node's own at the level asked for, libraries' from warnings on, both in one form on standard error."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import traceback
from typing import Any

import pytest

from step_node.home.config import LogConfig
from step_node.node import log_lines
from step_node.node.line_writer import LineLoss
from step_node.node.log_limits import BURST_BYTES_MAX, LINES_PER_SITE_MAX
from step_node.node.log_lines import (
    INTEGER_BITS_MAX,
    TRACEBACK_CHARACTERS_MAX,
    VALUE_CHARACTERS_MAX,
    VALUES_MAX,
    plain,
    traceback_of,
    traceback_text,
)
from step_node.node.logging import LIMITED_LINES_WAITING_MAX, Log

SECRET = "5ec2e7" * 10
FORMS = ("console", "json")

BEGINNING = """
import logging, structlog, sys, warnings
from step_node.home.config import LogConfig
from step_node.node.logging import log_statistics, logging_set_up
log = structlog.get_logger("node")
"""
LEVELS = """
with logging_set_up(LogConfig(level="{level}", libraries="{libraries}", format="{form}")):
    log.debug("own detail", height=3)
    log.info("own news", height=3)
    logging.getLogger("p2p").info("network news")
    logging.getLogger("libp2p").info("library news")
    logging.getLogger("libp2p").warning("library warning")
"""
SECRETS = f"""
class Key:
    def __repr__(self):
        return "{SECRET}"

def sign(key, password):
    held = dict(password=password)
    raise ValueError("the line is bad")

def fail():
    password = "{SECRET[:30]}" + "{SECRET[30:]}"
    try:
        sign(Key(), password)
    except ValueError as error:
        raise ExceptionGroup("in a nursery", [error, RuntimeError("another")]) from error

with logging_set_up(LogConfig(format="{{form}}")):
    for logger in (log, structlog.get_logger("sync"), logging.getLogger("p2p"), logging.getLogger("libp2p")):
        try:
            fail()
        except ExceptionGroup as error:
            logger.exception("failed")
            logger.warning("ended", exc_info=error)
"""


def run(program: str, **values: str) -> list[str]:
    # A process of its own: logging is set up once in each.
    text = BEGINNING + program.format(**values)
    result = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert result.stdout == ""
    return result.stderr.splitlines()


@pytest.mark.parametrize(
    ("level", "libraries", "events"),
    [
        ("debug", "debug", ["own detail", "own news", "network news", "library news", "library warning"]),
        ("debug", "warning", ["own detail", "own news", "network news", "library warning"]),
        ("info", "debug", ["own news", "network news", "library news", "library warning"]),
        ("info", "warning", ["own news", "network news", "library warning"]),
        ("warning", "warning", ["library warning"]),
        ("error", "warning", []),
    ],
)
def test_each_level_lets_through_what_it_should(level: str, libraries: str, events: list[str]) -> None:
    lines = [json.loads(line) for line in run(LEVELS, level=level, libraries=libraries, form="json")]
    assert [line["event"] for line in lines] == events
    assert all(line.keys() >= {"event", "level", "timestamp"} for line in lines)


def test_on_a_console_the_same_stands_in_plain_lines() -> None:
    lines = run(LEVELS, level="info", libraries="warning", form="console")
    assert len(lines) == 3
    assert "own news" in lines[0]
    assert "height=3" in lines[0]


@pytest.mark.parametrize("form", FORMS)
def test_no_traceback_shows_what_a_variable_held(form: str) -> None:
    text = "\n".join(run(SECRETS, form=form))
    assert SECRET not in text
    assert text.count("the line is bad") >= 8, "but it shows the errors"
    assert ", in sign" in text
    assert "╭" not in text


def test_a_library_has_one_site_for_a_line_of_its_code_whatever_a_stranger_has_it_say() -> None:
    program = """
with logging_set_up(LogConfig(format="json")):
    for number in range(110):
        logging.getLogger("p2p").warning(f"peer {{number}} is at fault")
    logging.getLogger("p2p").warning("of another line")
"""
    *lines, told = [json.loads(line)["event"] for line in run(program)]
    assert len(lines) == LINES_PER_SITE_MAX + 1
    assert told.startswith("… 100 more in the last ")


def test_warnings_of_python_are_lines_of_the_log() -> None:
    program = 'with logging_set_up(LogConfig(format="json")):\n    warnings.warn("old ways", UserWarning)\n'
    (line,) = map(json.loads, run(program))
    assert (line["logger"], "old ways" in line["event"]) == ("py.warnings", True)


def test_a_record_that_cannot_be_made_a_line_is_counted_and_harms_nobody() -> None:
    program = """
with logging_set_up(LogConfig(format="json")):
    logging.getLogger("libp2p").warning("%d", "no number")
    logging.getLogger("libp2p").warning("after it")
    counted = log_statistics().lost["unreadable"]
assert counted == 1, counted
"""
    assert json.loads(run(program)[0])["event"] == "after it"


# --- the log itself, written into memory ------------------------------------------------------------------------------


class Memory:
    """What a log has written, and a clock that stands."""

    def __init__(self, form: Any = "json") -> None:
        self.text = b""
        self.now = 0.0
        self.log = Log(LogConfig(format=form), write=self._write, monotonic=lambda: self.now)

    def _write(self, _descriptor: int, data: memoryview) -> int:
        self.text += data
        return len(data)

    def take(self, logger: str, event: str, level: str = "warning", **values: object) -> None:
        self.log.take(logger, event, {"event": event, "level": level, **values})

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


def test_what_a_stranger_repeats_is_counted_and_the_count_is_a_line() -> None:
    memory = Memory()
    with memory.log.writer:
        for number in range(1_234 + LINES_PER_SITE_MAX):
            memory.take("peers", "a peer's greeting is refused", peer=str(number))
    *written, told = memory.lines()
    assert len(written) == LINES_PER_SITE_MAX
    assert told["event"] == "… 1,234 more in the last 1 s"
    assert (told["logger"], told["latest"], told["level"]) == ("peers", "a peer's greeting is refused", "warning")
    assert memory.log.statistics().summed_up == 1_234


@pytest.mark.parametrize(
    ("logger", "level"), [("consensus", "warning"), ("evidence", "info"), ("gossip", "critical"), ("node", "error")]
)
def test_what_consensus_has_to_say_is_never_held_back(logger: str, level: str) -> None:
    memory = Memory()
    lines = 200
    with memory.log.writer:
        for _ in range(lines):
            memory.take("peers", "x" * VALUE_CHARACTERS_MAX, reason="y" * VALUE_CHARACTERS_MAX)
            memory.take(logger, "a validator is accused", level)
    assert sum(line["event"] == "a validator is accused" for line in memory.lines()) == lines


def test_strangers_who_cause_lines_of_many_kinds_share_so_many_bytes() -> None:
    memory = Memory()
    with memory.log.writer:
        for number in range(LIMITED_LINES_WAITING_MAX - 100):
            memory.take("p2p", f"place {number}", reason="\x1b" * VALUE_CHARACTERS_MAX)
    written = [line for line in memory.lines() if "more in" not in line["event"]]
    size = sum(len(json.dumps(line)) for line in written)
    assert BURST_BYTES_MAX * 0.9 < size <= BURST_BYTES_MAX + 2 * VALUE_CHARACTERS_MAX
    assert memory.log.statistics().summed_up == LIMITED_LINES_WAITING_MAX - 100 - len(written)


@pytest.mark.parametrize("form", FORMS)
def test_what_a_stranger_sends_is_no_line_of_its_own_and_tells_a_terminal_nothing(form: str) -> None:
    memory = Memory(form)
    with memory.log.writer:
        memory.take("p2p", "peer \n2026 [critical] fork \x1b[2J", reason="\r\n\x1b]0;title\x07\udcff")
    assert memory.text.count(b"\n") == 1
    assert not {0x1B, 0x0D, 0x07} & set(memory.text)


def test_a_change_after_the_line_was_logged_does_not_change_the_line() -> None:
    memory = Memory()
    codes = {"TOO_FAST": 1}
    memory.take("node", "dropped", codes=codes)
    codes["CLOCK_DRIFT"] = 2
    with memory.log.writer:
        pass
    assert memory.lines()[0]["codes"] == {"TOO_FAST": 1}


def test_values_are_bounded_whatever_they_are() -> None:
    large = 1 << 100_000
    assert plain((1, True, 2.5, None, "text")) == [1, True, 2.5, None, "text"]
    assert plain(2**INTEGER_BITS_MAX - 1) == 2**INTEGER_BITS_MAX - 1
    assert plain(large) == hex(large)[:VALUE_CHARACTERS_MAX] + "…"
    assert plain(b"\xff" * 10_000) == repr(b"\xff" * 10_000)[:VALUE_CHARACTERS_MAX] + "…"
    assert plain(dict.fromkeys(range(1000), "x")) == {str(number): "x" for number in range(VALUES_MAX)}
    assert plain(range(10)) == "range(0, 10)"


def test_a_traceback_is_bounded_and_keeps_its_end() -> None:
    error = ValueError("v" * 50_000)
    for number in range(50):
        outer = ValueError(f"outer {number} " + "w" * 1_000)
        outer.__cause__ = ExceptionGroup("many", [error] * 50)
        error = outer
    error.add_note("the end")
    text = traceback_text(traceback_of(error))
    assert len(text) <= TRACEBACK_CHARACTERS_MAX + 60
    assert "characters are left out" in text
    assert text.endswith("the end")


def test_a_traceback_is_made_text_by_the_writer_and_not_by_who_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    made_by: list[str] = []

    def tell(taken: traceback.TracebackException) -> str:

        made_by.append(threading.current_thread().name)
        return traceback_text(taken)

    monkeypatch.setattr(log_lines, "traceback_text", tell)
    memory = Memory()
    with memory.log.writer:
        memory.take("p2p", "failed", exc_info=ValueError("a stranger's bytes"))
    assert made_by == ["log"]
    assert memory.lines()[0]["exception"] == "ValueError: a stranger's bytes"


def test_what_is_logged_and_not_written_is_counted_by_its_reason() -> None:
    def full(_descriptor: int, _data: memoryview) -> int:
        raise OSError(28, "No space left on device")

    log = Log(LogConfig(), write=full)
    with log.writer:
        log.take("consensus", "finalised a batch", {"event": "finalised a batch", "level": "info"})
    assert log.statistics().lost == {LineLoss.QUEUE_FULL: 0, LineLoss.WRITE_FAILED: 1, LineLoss.UNREADABLE: 0}
