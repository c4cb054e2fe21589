"""`step-node storage`: what is damaged or cannot be done is an error that says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from step_node.home.paths import NodeHome
from step_node.storage.sqlite_file import open_writer
from step_node.testing.devnet.ports import free_ports
from tests.cli.conftest import Command


@pytest.mark.parametrize("uri", ["nonsense", "http://127.0.0.1", "mongodb://host:port", "mongodb://"])
def test_what_is_no_uri_is_an_error(command: Command, uri: str) -> None:
    result = command("storage", "init", "--uri", uri)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: the MongoDB URI cannot be used: ")


def test_a_server_that_is_not_there_is_an_error_that_names_it(command: Command) -> None:
    port = free_ports(1)[0].api
    result = command("storage", "init", "--uri", f"mongodb://127.0.0.1:{port}", "--wait-s", 0)
    assert result.exit_code == 1
    assert f"error: 127.0.0.1:{port} has no primary after 0 s" in result.stderr


def test_a_sound_store_and_a_home_without_one_and_a_damaged_one(command: Command, tmp_path: Path) -> None:
    home = NodeHome(tmp_path)
    home.config.write_text("", encoding="utf-8")
    result = command("storage", "check", "--home", tmp_path)
    assert (result.exit_code, result.stderr) == (
        1,
        f"error: {home.ledger}: is not there; the node has not been started yet\n",
    )
    home.data.mkdir()
    open_writer(home.ledger).close()
    result = command("storage", "check", "--home", tmp_path)
    assert (result.exit_code, result.stdout) == (0, f"{home.ledger} is sound\n")
    home.ledger.write_bytes(home.ledger.read_bytes()[:4_096] + bytes(8_192))
    result = command("storage", "check", "--home", tmp_path)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {home.ledger} is ")


def test_a_store_of_mongodb_is_not_checked_here(command: Command, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        '[storage]\nengine = "mongodb"\nmongodb_uri = "mongodb://127.0.0.1"\n', encoding="utf-8"
    )
    result = command("storage", "check", "--home", tmp_path)
    assert result.exit_code == 1
    assert "whose own command `validate` looks for damage" in result.stderr
