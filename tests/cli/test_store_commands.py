"""`step-node store`: what is damaged or cannot be done is an error that says why."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pymongo
import pymongo.database
import pytest
import trio

from step_node.home.config import NodeConfig, StorageConfig
from step_node.home.config_file import render_config
from step_node.home.lock import HomeLock
from step_node.home.paths import NodeHome
from step_node.storage.open import MongoSettings, SqliteSettings, open_storage
from step_node.storage.sqlite_file import open_writer
from step_node.testing.devnet.ports import free_ports
from tests.cli.conftest import Command
from tests.storage.made_up_chain import MadeUpChain, begin
from tests.support.chains import finalise, make_genesis, open_chain
from tests.support.mongod import mongodb_uri, new_database_name
from tests.support.proofs import signed_proof

__all__ = ["mongodb_uri"]


@pytest.mark.parametrize("uri", ["nonsense", "http://127.0.0.1", "mongodb://host:port", "mongodb://"])
def test_what_is_no_uri_is_an_error(command: Command, uri: str) -> None:
    result = command("store", "init", "--uri", uri)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: the MongoDB URI (storage.mongodb_uri) cannot be used: ")


def test_a_server_that_is_not_there_is_an_error_that_names_it(command: Command) -> None:
    port = free_ports(1)[0].api
    result = command("store", "init", "--uri", f"mongodb://127.0.0.1:{port}", "--wait-s", 0)
    assert result.exit_code == 1
    assert f"error: 127.0.0.1:{port} has no primary after 0 s" in result.stderr


def test_a_sound_store_and_a_home_without_one_and_a_damaged_one(command: Command, tmp_path: Path) -> None:
    home = NodeHome(tmp_path)
    home.config.write_text("", encoding="utf-8")
    result = command("store", "verify", "--home", tmp_path)
    assert (result.exit_code, result.stderr) == (
        1,
        f"error: {home.ledger}: is not there; the node has not been started yet\n",
    )
    home.data.mkdir()
    open_writer(home.ledger).close()
    result = command("store", "verify", "--home", tmp_path)
    assert (result.exit_code, result.stdout) == (0, f"{home.ledger} is sound\n")
    home.ledger.write_bytes(home.ledger.read_bytes()[:4_096] + bytes(8_192))
    result = command("store", "verify", "--home", tmp_path)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {home.ledger} is ")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE accounts SET proofs = proofs + 1",
        "UPDATE triangles SET clicks = clicks + 1",
        "DELETE FROM nonces",
    ],
)
def test_a_record_changed_from_outside_is_found_and_what_to_do_is_said(
    command: Command, tmp_path: Path, change: str
) -> None:
    home = NodeHome(tmp_path)
    home.config.write_text("", encoding="utf-8")
    home.genesis.write_text(make_genesis(1).model_dump_json(), encoding="utf-8")
    home.data.mkdir()

    async def make_store() -> None:
        async with open_storage(SqliteSettings(home.ledger)) as storage:
            chain = await open_chain(make_genesis(1), storage=storage)
            await finalise(chain, [signed_proof()])

    trio.run(make_store)
    assert command("store", "verify", "--home", tmp_path).exit_code == 0
    with closing(sqlite3.connect(home.ledger)) as hand, hand:
        hand.execute(change)
    result = command("store", "verify", "--home", tmp_path)
    assert result.exit_code == 1
    assert "error: the records of the store do not add up to its state root" in result.stderr
    assert "`step-node store rebuild`" in result.stderr
    assert "Traceback" not in result.stderr


def taken_away(home: NodeHome, number: int = 1) -> dict[str, bytes]:
    """The files of a store that was taken away, and what is in them."""
    return {path.name: path.read_bytes() for path in home.old_store(number).iterdir()}


@pytest.fixture
def used_home(home: NodeHome) -> NodeHome:
    """A home with a file of everything that a node keeps beside its store, and an empty SQLite store."""
    open_writer(home.ledger).close()
    for path in (home.consensus_log, home.proof_of_lock, home.evidence, home.journal):
        path.write_bytes(path.name.encode())
    return home


def kept(home: NodeHome) -> dict[str, bytes]:
    """All of `data` that must not be touched."""
    files = (path for path in home.data.rglob("*") if path.is_file() and "old_store" not in str(path))
    gone = (home.ledger.name, home.consensus_log.name)
    return {str(path): path.read_bytes() for path in files if not path.name.startswith(gone)}


def test_a_sqlite_store_is_moved_away_with_the_consensus_log_and_nothing_else(
    command: Command, used_home: NodeHome
) -> None:
    logs = [used_home.data / f"ledger.sqlite{suffix}" for suffix in ("-wal", "-shm", "-journal")]
    for log in logs:
        log.write_bytes(log.name.encode())
    ledger, before = used_home.ledger.read_bytes(), kept(used_home)
    assert any("signing_history" in path for path in before)
    result = command("store", "rebuild", "--home", used_home.root)
    assert result.exit_code == 0, result.stderr
    directory = used_home.old_store(1)
    assert result.stdout == (
        f"moved {used_home.consensus_log} to {directory}\n"
        f"moved {used_home.ledger} to {directory}\n"
        f"moved {logs[0]} to {directory}\n"
        f"moved {logs[1]} to {directory}\n"
        f"moved {logs[2]} to {directory}\n"
        f"next: step-node start --home {used_home.root};"
        " `step-node status` says syncing until it has the chain again\n"
        f"{directory} may be deleted after that\n"
    )
    assert directory.stat().st_mode & 0o777 == 0o700
    assert taken_away(used_home) == {
        "consensus.log": b"consensus.log",
        "ledger.sqlite": ledger,
        **{log.name: log.name.encode() for log in logs},
    }
    assert kept(used_home) == before
    assert not used_home.ledger.exists()
    assert not used_home.consensus_log.exists()


def test_a_second_time_there_is_nothing_to_take_away_and_a_third_overwrites_nothing(
    command: Command, used_home: NodeHome
) -> None:
    assert command("store", "rebuild", "--home", used_home.root).exit_code == 0
    first = taken_away(used_home)
    result = command("store", "rebuild", "--home", used_home.root)
    assert (result.exit_code, result.stdout) == (
        0,
        f"there is no store to take away; next: step-node start --home {used_home.root}\n",
    )
    assert not used_home.old_store(2).exists()
    used_home.consensus_log.write_bytes(b"of a new store")
    assert command("store", "rebuild", "--home", used_home.root).exit_code == 0
    assert taken_away(used_home) == first
    assert taken_away(used_home, 2) == {"consensus.log": b"of a new store"}


def test_the_consensus_log_goes_before_the_store_and_the_file_before_its_own_log(
    command: Command, used_home: NodeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    wal = used_home.data / "ledger.sqlite-wal"
    wal.write_bytes(b"wal")
    moved: list[str] = []
    rename = Path.rename

    def one_then_fail(path: Path, new: Path) -> Path:
        moved.append(path.name)
        if len(moved) % 2:
            return rename(path, new)
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr(Path, "rename", one_then_fail)
    result = command("store", "rebuild", "--home", used_home.root)
    assert (result.exit_code, result.stderr) == (1, f"error: {used_home.ledger}: Input/output error\n")
    assert command("store", "rebuild", "--home", used_home.root).exit_code == 1
    assert command("store", "rebuild", "--home", used_home.root).exit_code == 0
    assert moved == ["consensus.log", "ledger.sqlite", "ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-wal"]
    # SQLite takes no log for the one of a new file.
    wal.write_bytes(b"of a store that is gone")
    open_writer(used_home.ledger).close()


@pytest.mark.parametrize("engine", ["sqlite", "mongodb"])
def test_the_store_of_a_running_node_is_not_taken_away(command: Command, used_home: NodeHome, engine: str) -> None:
    if engine == "mongodb":
        port = free_ports(1)[0].api
        name_database(used_home, f"mongodb://127.0.0.1:{port}", "not_even_looked_for")
    with HomeLock(used_home.root):
        result = command("store", "rebuild", "--home", used_home.root, "--yes")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {used_home.root}: this node home is in use by process ")
    assert used_home.ledger.exists()
    assert used_home.consensus_log.exists()


def name_database(home: NodeHome, uri: str, database: str) -> None:
    storage = StorageConfig(engine="mongodb", mongodb_uri=uri, mongodb_database=database)
    home.config.write_text(render_config(NodeConfig(storage=storage)), encoding="utf-8")


Database = pymongo.database.Database[dict[str, Any]]


@pytest.fixture
def database(mongodb_uri: str, used_home: NodeHome) -> Iterator[Database]:
    """The database that `used_home` names, which is not there yet; dropped in the end."""
    name = new_database_name()
    name_database(used_home, mongodb_uri, name)
    with pymongo.MongoClient[dict[str, Any]](mongodb_uri) as client:
        yield client[name]
        client.drop_database(name)


async def store_three_batches(settings: MongoSettings) -> None:
    chain = MadeUpChain(seed=1)
    async with open_storage(settings) as store:
        await begin(store, chain)
        for _ in range(3):
            await store.finalise(chain.grow())


@pytest.fixture
def settings(mongodb_uri: str, database: Database) -> MongoSettings:
    """Of `database`, which holds a chain at height 3."""
    settings = MongoSettings(mongodb_uri, database.name)
    trio.run(store_three_batches, settings)
    return settings


def described(database: Database) -> str:
    host, port = database.client.address or ("", 0)
    return f"the database {database.name} on {host}:{port}, at height 3"


@pytest.mark.usefixtures("settings")
def test_a_mongodb_database_is_dropped_after_a_yes_and_the_consensus_log_moved(
    command: Command, used_home: NodeHome, database: Database
) -> None:
    before = kept(used_home)
    result = command("store", "rebuild", "--home", used_home.root, stdin="y\n")
    assert result.exit_code == 0, result.stderr
    assert f"Drop {described(database)}? It cannot be brought back. [y/N]" in result.stderr
    directory = used_home.old_store(1)
    assert result.stdout.endswith(
        f"moved {used_home.consensus_log} to {directory}\n"
        f"dropped {described(database)}\n"
        f"next: step-node start --home {used_home.root};"
        " `step-node status` says syncing until it has the chain again\n"
        f"{directory} may be deleted after that\n"
    )
    assert database.name not in database.client.list_database_names()
    assert taken_away(used_home) == {"consensus.log": b"consensus.log"}
    assert kept(used_home) == before
    # The file is not this engine's store, and stays.
    assert used_home.ledger.exists()
    result = command("store", "rebuild", "--home", used_home.root)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("there is no store to take away; next: ")


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_without_a_yes_a_mongodb_database_stays_and_nothing_is_moved(
    command: Command, used_home: NodeHome, database: Database, answer: str
) -> None:
    result = command("store", "rebuild", "--home", used_home.root, stdin=answer)
    assert result.exit_code == 1
    expected = f"error: {described(database)}, was not dropped, and nothing was moved; in scripts say --yes\n"
    assert result.stderr.endswith(expected)
    assert database["meta"].find_one({"_id": "chain"})
    assert used_home.consensus_log.exists()
    result = command("store", "rebuild", "--home", used_home.root, "--yes")
    assert result.exit_code == 0
    assert "Drop" not in result.stderr


def test_a_database_that_is_not_only_a_step_store_is_not_dropped(
    command: Command, used_home: NodeHome, mongodb_uri: str, database: Database
) -> None:
    database["accounts"].insert_one({"_id": "somebody else's"})
    refused = command("store", "rebuild", "--home", used_home.root, "--yes")
    assert refused.exit_code == 1
    assert "is not known to be a STEP store: it names no schema version; nothing was dropped" in refused.stderr
    trio.run(store_three_batches, MongoSettings(mongodb_uri, database.name))
    database["invoices"].insert_one({"_id": 1})
    refused = command("store", "rebuild", "--home", used_home.root, "--yes")
    assert refused.exit_code == 1
    assert "holds collections that are not a STEP store's: invoices; nothing was dropped" in refused.stderr
    assert database["accounts"].find_one({"_id": "somebody else's"})
    assert used_home.consensus_log.exists()


@pytest.mark.usefixtures("settings")
def test_a_store_of_another_version_is_dropped_too(command: Command, used_home: NodeHome, database: Database) -> None:
    database["meta"].update_one({"_id": "schema"}, {"$set": {"version": 999}})
    result = command("store", "rebuild", "--home", used_home.root, "--yes")
    assert result.exit_code == 0, result.stderr
    assert database.list_collection_names() == []


def test_a_database_that_a_node_of_another_home_uses_is_not_dropped(
    command: Command, used_home: NodeHome, settings: MongoSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("step_node.storage.mongo_session.LEAVING_MAX_S", 0.0)
    with pymongo.MongoClient[dict[str, Any]](settings.uri, appname=f"step-node {settings.database}") as node:
        assert node[settings.database]["meta"].find_one({"_id": "chain"})
        refused = command("store", "rebuild", "--home", used_home.root, "--yes")
        assert node[settings.database]["meta"].find_one({"_id": "chain"})
    assert refused.exit_code == 1
    assert "is in use by the node that is connected from 127.0.0.1:" in refused.stderr
    monkeypatch.undo()
    assert command("store", "rebuild", "--home", used_home.root, "--yes").exit_code == 0


@pytest.mark.usefixtures("settings")
def test_a_drop_that_was_cut_short_is_gone_on_with(command: Command, used_home: NodeHome, database: Database) -> None:
    # What is left of a store then; tests/storage kills a process at each of its steps.
    for name in database.list_collection_names():
        if name != "meta":
            database.drop_collection(name)
    database["meta"].delete_many({})
    database["meta"].insert_one({"_id": "removing", "removing": True})
    used_home.consensus_log.unlink()
    result = command("store", "rebuild", "--home", used_home.root, "--yes")
    assert result.exit_code == 0, result.stderr
    assert ", without a chain\n" in result.stdout
    assert "may be deleted" not in result.stdout
    assert database.list_collection_names() == []
