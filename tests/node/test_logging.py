"""Logs: the node's own at the level asked for, libraries' from warnings on, both in one form on standard error."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROGRAM = """
import logging, structlog
from step_node.home.config import LogConfig
from step_node.node.logging import configure_logging
log = structlog.get_logger("node")
configure_logging(LogConfig(level="{level}", format="{form}"))
log.debug("own detail", height=3)
log.info("own news", height=3)
logging.getLogger("p2p").info("network news")
logging.getLogger("libp2p").info("library news")
logging.getLogger("libp2p").warning("library warning")
"""


def run(level: str, form: str) -> list[str]:
    # A process of its own: logging is set up once in each.
    program = PROGRAM.format(level=level, form=form)
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == ""
    return result.stderr.splitlines()


@pytest.mark.parametrize(
    ("level", "events"),
    [
        ("debug", ["own detail", "own news", "network news", "library news", "library warning"]),
        ("info", ["own news", "network news", "library warning"]),
        ("warning", ["library warning"]),
        ("error", []),
    ],
)
def test_each_level_lets_through_what_it_should(level: str, events: list[str]) -> None:
    lines = [json.loads(line) for line in run(level, "json")]
    assert [line["event"] for line in lines] == events
    assert all(line.keys() >= {"event", "level", "timestamp"} for line in lines)


def test_on_a_console_the_same_stands_in_plain_lines() -> None:
    lines = run("info", "console")
    assert len(lines) == 3
    assert "own news" in lines[0]
    assert "height=3" in lines[0]
