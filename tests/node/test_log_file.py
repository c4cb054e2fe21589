"""The log as a file: put aside when it is full, opened anew when it was moved, and never larger or more than said."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from step_node.errors import StepNodeError
from step_node.home.config import LogConfig, NodeConfig
from step_node.home.config_sources import settings_of
from step_node.node.log_file import FileBounds, LogFile
from step_node.node.logging import LOG_SETTINGS, Levels
from step_node.node.reload import Reloader


def write(log: LogFile, text: str) -> None:
    data = text.encode()
    os.write(log.descriptor(len(data)), data)


def test_a_full_file_is_put_aside_and_the_oldest_goes(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "node.log", FileBounds(bytes_max=4, count=3))
    for number in range(5):
        write(log, f"{number}\n")
        write(log, f"{number}\n")
    log.close()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "node.log": "4\n4\n",
        "node.log.1": "3\n3\n",
        "node.log.2": "2\n2\n",
    }


def test_a_file_that_another_program_has_moved_is_opened_anew(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "node.log", FileBounds(bytes_max=0, count=1))
    write(log, "old\n")
    (tmp_path / "node.log").rename(tmp_path / "moved")
    write(log, "still old\n")
    log.reopen()
    write(log, "new\n")
    log.close()
    assert (tmp_path / "moved").read_text() == "old\nstill old\n"
    assert (tmp_path / "node.log").read_text() == "new\n"


def test_a_file_is_gone_on_with_after_a_restart(tmp_path: Path) -> None:
    for _ in range(2):
        log = LogFile(tmp_path / "node.log", FileBounds(bytes_max=4, count=2))
        write(log, "a\n")
        log.close()
    assert (tmp_path / "node.log").read_text() == "a\na\n"


def test_levels_change_by_the_text_that_settings_have() -> None:
    levels = Levels.of(LogConfig(level="info", levels="consensus=debug"))
    assert (levels.number("consensus"), levels.number("sync")) == (10, 20)
    levels.change("sync=error")
    levels.change("warning")
    assert levels.text() == "warning,libraries=warning,consensus=debug,sync=error"
    with pytest.raises(ValueError, match="a level is one of"):
        levels.change("loud")
    assert levels.number("peers") == 30


def reloaded(config: NodeConfig, new: NodeConfig, *, refuses: bool = False) -> tuple[Reloader, list[str]]:
    taken: list[str] = []

    def prepare(wanted: NodeConfig) -> Callable[[], None]:
        if refuses:
            raise StepNodeError("api.tls_key: is not the key")
        return lambda: taken.append(wanted.log.level)

    reloader = Reloader(config, lambda: new)
    reloader.register(LOG_SETTINGS, prepare)
    return reloader, taken


async def test_what_nobody_takes_waits_for_a_restart_and_the_rest_changes() -> None:
    new = NodeConfig().model_copy(
        update={"log": LogConfig(level="debug"), "api": NodeConfig().api.model_copy(update={"port": 1})}
    )
    reloader, taken = reloaded(NodeConfig(), new)
    result = await reloader.reload()
    assert (result.changed, result.waiting, result.refused) == (("log.level",), ("api.port",), None)
    assert taken == ["debug"]
    assert (reloader.in_force.log.level, reloader.in_force.api.port) == ("debug", 8_600)


async def test_one_part_that_refuses_leaves_everything_as_it_was() -> None:
    reloader, taken = reloaded(NodeConfig(), NodeConfig(log=LogConfig(level="debug")), refuses=True)
    result = await reloader.reload()
    assert result.refused == "api.tls_key: is not the key"
    assert (taken, reloader.in_force) == ([], NodeConfig())


def test_only_settings_that_can_change_are_registered() -> None:
    reloader = Reloader(NodeConfig(), NodeConfig)
    with pytest.raises(ValueError, match=r"api\.port"):
        reloader.register(["api.port"], lambda _config: lambda: None)
    assert {setting.name for setting in settings_of(NodeConfig) if setting.is_reloadable} >= set(LOG_SETTINGS)
