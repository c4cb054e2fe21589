"""`step-node backup` and `step-node store verify`, as people and scripts call them, and as docs/backup.md has them."""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pymongo
import pytest
import trio
from bson import Binary

from step_node.home.config import StorageConfig
from step_node.home.paths import NodeHome
from tests.backup.homes import grow_home, make_home
from tests.cli.conftest import Command
from tests.support.mongod import mongodb_uri, new_database_name

__all__ = ["mongodb_uri"]

PAGE = Path(__file__).parents[2] / "docs" / "backup.md"
UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
BATCHES = 4


@pytest.fixture
def grown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NodeHome:
    """A home, `node` in the present directory, with a chain."""
    monkeypatch.chdir(tmp_path)
    home = make_home(Path("node"))
    trio.run(grow_home, home, BATCHES)
    return home


def blocks_of_the_page() -> list[list[str]]:
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [block.splitlines() for block in blocks]


def test_the_commands_of_the_page_work_in_their_order(command: Command, grown: NodeHome) -> None:
    """`start` is run by tests/integration/test_backups.py."""
    ran = []
    for block in blocks_of_the_page():
        for line in block:
            program, *arguments = shlex.split(line)
            assert program == "step-node"
            if arguments[0] != "start":
                result = command(*arguments)
                assert result.exit_code == 0, (line, result.stderr)
                ran.append(" ".join(arguments[:2]))
    assert ran == ["backup create", "backup verify", "backup restore", "store verify", "store verify"]
    assert NodeHome(Path("restored")).ledger.exists()
    assert grown.ledger.exists()


def test_the_units_call_what_there_is(command: Command, grown: NodeHome) -> None:
    text = (UNITS / "step-backup.service").read_text(encoding="utf-8")
    lines = re.findall(r"^ExecStart=/opt/step-node/bin/step-node (.*)$", text, flags=re.MULTILINE)
    assert len(lines) == 2
    for line in lines:
        here = line.replace("/var/lib/step-node", str(grown.root)).replace("/var/backups/step-node", "made")
        assert command(*shlex.split(here)).exit_code == 0
    assert "OnCalendar=hourly" in (UNITS / "step-backup.timer").read_text(encoding="utf-8")


def test_what_scripts_are_told(command: Command, grown: NodeHome) -> None:
    created = json.loads(command("backup", "create", "--home", grown.root, "--output", "made", "--json").stdout)
    assert (created["height"], created["firstNewHeight"], created["keys"]) == (BATCHES, 1, [])
    assert created["bytesAdded"] == created["bytes"] > 0
    verified = json.loads(command("backup", "verify", "made", "--json").stdout)
    assert (verified["sound"], verified["batchesVerified"], verified["damaged"]) == (True, BATCHES, [])
    restored = json.loads(command("backup", "restore", "made", "--home", "restored", "--json").stdout)
    assert (restored["height"], restored["stateRoot"]) == (BATCHES, created["stateRoot"])
    assert restored["resumedFrom"] is None
    assert len(restored["signingHistories"]) == 1


def test_a_damaged_file_is_told_to_people_and_to_scripts(command: Command, grown: NodeHome) -> None:
    command("backup", "create", "--home", grown.root, "--output", "made")
    (batches,) = (Path("made") / "batches").iterdir()
    batches.unlink()
    name = f"batches/{batches.name}"
    told = command("backup", "verify", "made")
    assert told.exit_code == 1
    assert f"damaged: {name}: is not there. The batches of the heights 1 to {BATCHES} are lost." in told.stderr
    scripted = command("backup", "verify", "made", "--json")
    assert scripted.exit_code == 1
    assert [one["file"] for one in json.loads(scripted.stdout)["damaged"]] == [name]
    refused = command("backup", "restore", "made", "--home", "restored")
    assert refused.exit_code == 1
    assert name in refused.stderr
    assert not Path("restored").exists()


def test_keys_are_said_aloud(command: Command, grown: NodeHome) -> None:
    result = command("backup", "create", "--home", grown.root, "--output", "made", "--with-keys")
    assert "THE BACKUP HOLDS KEYS (p2p.key, validator.json)" in result.stderr
    assert "THE BACKUP" not in command("backup", "create", "--home", grown.root, "--output", "made").stderr


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (("--engine", "mongodb"), "--engine mongodb: say --mongodb-uri as well"),
        (("--mongodb-uri", "mongodb://x"), "--mongodb-uri: say --engine mongodb as well"),
        (("--engine", "sqlite", "--mongodb-uri", "mongodb://x"), "--mongodb-uri: is for --engine mongodb"),
    ],
)
def test_options_that_contradict_each_other(command: Command, arguments: tuple[str, ...], rule: str) -> None:
    result = command("backup", "restore", "made", "--home", "restored", *arguments)
    assert (result.exit_code, result.stderr) == (1, f"error: {rule}\n")


def test_a_home_that_was_never_started_has_nothing_to_back_up(command: Command, tmp_path: Path) -> None:
    home = make_home(tmp_path / "node")
    result = command("backup", "create", "--home", home.root, "--output", tmp_path / "made")
    assert result.exit_code == 1
    assert "is not there; the node has not been started yet" in result.stderr


def test_progress_is_told_in_lines_where_there_is_no_terminal(command: Command, grown: NodeHome) -> None:
    result = command("store", "verify", "--home", grown.root)
    assert result.stdout.startswith(
        f"{grown.ledger} is sound: {BATCHES} batches up to height {BATCHES}, {BATCHES} commits"
    )
    assert result.stderr.splitlines()[-2:] == ["records: 100 %", "batches: 100 %"]


FLIPPED_COMMIT = (
    "UPDATE batches SET commit_bytes = (SELECT commit_bytes FROM batches WHERE height = 2) WHERE height = 3"
)
CHANGES = [
    (FLIPPED_COMMIT, 3, "its commit is of another batch"),
    ("UPDATE batches SET batch = (SELECT batch FROM batches WHERE height = 1) WHERE height = 2", 2, "is of height 1"),
    ("UPDATE batches SET batch = substr(batch, 1, 200) WHERE height = 4", 4, "cannot be read"),
    (
        "UPDATE batches SET timestamp_ms = timestamp_ms + 1 WHERE height = 2",
        2,
        "what the store says of its hash or its",
    ),
    ("UPDATE proofs SET reward_ustep = reward_ustep + 1 WHERE height = 3", 3, "its receipts are not those"),
    ("DELETE FROM proofs WHERE height = 2", 2, "is missing"),
]


@pytest.mark.parametrize(("change", "height", "reason"), CHANGES)
def test_the_first_bad_height_of_a_store_is_named(
    command: Command, grown: NodeHome, change: str, height: int, reason: str
) -> None:
    with closing(sqlite3.connect(grown.ledger)) as hand, hand:
        hand.execute(change)
    result = command("store", "verify", "--home", grown.root)
    assert result.exit_code == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: the store is damaged at height {height}: ")
    assert reason in line
    assert "`step-node store rebuild`" in line


def test_the_first_bad_height_of_a_mongodb_store_is_named(command: Command, tmp_path: Path, mongodb_uri: str) -> None:
    storage = StorageConfig(engine="mongodb", mongodb_uri=mongodb_uri, mongodb_database=new_database_name())
    home = make_home(tmp_path / "node", storage=storage)

    async def grow() -> None:
        await grow_home(home, BATCHES, storage=storage)

    trio.run(grow)
    assert command("store", "verify", "--home", home.root).exit_code == 0
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(mongodb_uri)
    batches = client[storage.mongodb_database]["batches"]
    second = batches.find_one({"_id": 2})
    assert second is not None
    damaged = bytearray(second["batch"])
    damaged[len(damaged) // 2] ^= 1
    batches.update_one({"_id": 2}, {"$set": {"batch": Binary(bytes(damaged))}})
    client.close()
    result = command("store", "verify", "--home", home.root)
    assert result.exit_code == 1
    assert "error: the store is damaged at height 2: " in result.stderr
