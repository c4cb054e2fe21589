"""`step-node store stats`: what is in a store is told as it is, with either engine, beside a node that has it open."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pymongo
import pytest
import trio

from step_node.cli.store_stats_command import DAY_MS, SPAN_MIN_MS, StoreStatistics
from step_node.home.config import NodeConfig, StorageConfig
from step_node.home.config_file import render_config
from step_node.home.paths import NodeHome
from step_node.storage import sqlite_sizes
from step_node.storage.interface import Kept
from step_node.storage.open import MemorySettings, SqliteSettings, measure_store, open_storage
from step_node.storage.sizes import StoreSizes, TableSize
from tests.backup.homes import grow_home, make_home
from tests.cli.conftest import Command
from tests.support.mongod import mongodb_uri, new_database_name

__all__ = ["mongodb_uri"]

BATCHES = 4


def home_with_chain(root: Path, storage: StorageConfig | None = None) -> NodeHome:
    home = make_home(root, storage=storage)
    trio.run(lambda: grow_home(home, BATCHES, storage=storage))
    return home


def test_what_is_in_a_sqlite_store_is_told_to_people_and_to_scripts(command: Command, tmp_path: Path) -> None:
    home = home_with_chain(tmp_path / "node")
    told = json.loads(command("store", "stats", "--home", home.root, "--json").stdout)
    assert (told["height"], told["batchesFrom"], told["historiesFrom"]) == (BATCHES, 1, 1)
    with closing(sqlite3.connect(home.ledger)) as store:
        names = [row[0] for row in store.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        rows = {name: store.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}
    assert {name: table["rows"] for name, table in told["tables"].items()} == rows
    assert rows["batches"] == BATCHES
    assert all(table["bytes"] >= 512 for table in told["tables"].values())
    # Each index counts as its table's; the rest of the file is SQLite's own list of them.
    assert 0 < home.ledger.stat().st_size - sum(table["bytes"] for table in told["tables"].values()) < 20_000
    assert told["bytes"] >= home.ledger.stat().st_size
    assert told["bytesPerDay"] is None
    shown = command("store", "stats", "--home", home.root)
    assert shown.exit_code == 0
    assert f"height {BATCHES}; batches from 1, histories from 1; schema version 5" in shown.stdout
    assert "no forecast" in shown.stdout


def test_what_is_in_a_mongodb_store_is_told(command: Command, tmp_path: Path, mongodb_uri: str) -> None:
    storage = StorageConfig(engine="mongodb", mongodb_uri=mongodb_uri, mongodb_database=new_database_name())
    home = home_with_chain(tmp_path / "node", storage)
    told = json.loads(command("store", "stats", "--home", home.root, "--json").stdout)
    assert told["height"] == told["tables"]["batches"]["rows"] == BATCHES
    assert told["bytes"] == sum(table["bytes"] for table in told["tables"].values()) > 0
    assert told["diskFreeBytes"] > 0
    empty = storage.model_copy(update={"mongodb_database": new_database_name()})
    home.config.write_text(render_config(NodeConfig(storage=empty)), encoding="utf-8")
    refused = command("store", "stats", "--home", home.root)
    assert refused.exit_code == 1
    assert "holds no STEP store; the node has not been started yet" in refused.stderr


def test_who_looks_at_a_mongodb_store_changes_nothing_in_it(command: Command, tmp_path: Path, mongodb_uri: str) -> None:
    storage = StorageConfig(engine="mongodb", mongodb_uri=mongodb_uri, mongodb_database=new_database_name())
    home = home_with_chain(tmp_path / "node", storage)
    with pymongo.MongoClient[dict[str, Any]](mongodb_uri) as client:
        database = client[storage.mongodb_database]
        # As another release has left it, with other indexes.
        database.meta.update_one({"_id": "schema"}, {"$set": {"release": "of another release"}})
        database.accounts.drop_indexes()

        def everything() -> dict[str, object]:
            return {
                name: (list(database[name].find().sort("_id")), database[name].index_information())
                for name in sorted(database.list_collection_names())
            }

        before = everything()
        for words in (
            ("store", "stats", "--home", home.root),
            ("store", "verify", "--home", home.root),
            ("store", "migrate", "--home", home.root, "--to", "sqlite", "--dry-run"),
            ("backup", "create", "--home", home.root, "--output", tmp_path / "backup"),
        ):
            result = command(*words)
            assert result.exit_code == 0, result.stderr
            assert everything() == before, words


def test_a_home_without_a_store_and_one_without_a_chain_are_errors(command: Command, tmp_path: Path) -> None:
    home = make_home(tmp_path / "node")
    refused = command("store", "stats", "--home", home.root)
    assert (refused.exit_code, refused.stderr) == (
        1,
        f"error: {home.ledger}: is not there; the node has not been started yet\n",
    )

    async def make_empty() -> None:
        async with open_storage(SqliteSettings(home.ledger)):
            pass

    trio.run(make_empty)
    refused = command("store", "stats", "--home", home.root)
    assert refused.exit_code == 1
    assert "its store holds no chain yet; start the node first" in refused.stderr


async def test_a_sqlite_that_does_not_tell_sizes_still_counts_rows_and_memory_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(tmp_path / "node")
    await grow_home(home, BATCHES)
    monkeypatch.setattr(sqlite_sizes, "_sizes", lambda _connection, _owners: None)
    sizes = await measure_store(SqliteSettings(home.ledger))
    assert sizes is not None
    assert sizes.past_bytes is None
    assert {table.name: table.rows for table in sizes.tables}["batches"] == BATCHES
    assert await measure_store(MemorySettings()) is None


@pytest.mark.parametrize(
    ("span_ms", "past_bytes", "a_day", "days"),
    [
        (DAY_MS, 1_000, 1_000, 21),
        (2 * DAY_MS, 1_000, 500, 42),
        (SPAN_MIN_MS, 1_000, 24_000, 0),
        (SPAN_MIN_MS - 1, 1_000, None, None),
        (DAY_MS, 0, 0, None),
    ],
)
def test_the_disk_lasts_as_long_as_the_past_goes_on_growing_as_it_has(
    span_ms: int, past_bytes: int, a_day: int | None, days: int | None
) -> None:
    tables = (TableSize("batches", 5, past_bytes), TableSize("accounts", 5, 999_999))
    found = StoreStatistics(9, Kept(1, 1), span_ms, StoreSizes(5, tables, 1_000_999, 1_000, 20_000))
    assert (found.bytes_per_day, found.days_left) == (a_day, days)
