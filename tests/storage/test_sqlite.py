"""What is SQLite's own: the file, and what can be wrong with it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from step_node.ledger.state import NonceExpiry, StateKeys
from step_node.storage import sqlite_file
from step_node.storage import sqlite_rows as rows
from step_node.storage.interface import (
    SCHEMA_VERSION,
    STRANGERS_READS_MAX,
    NoChain,
    StorageMismatch,
    StorageUnavailable,
)
from step_node.storage.open import SqliteSettings, open_storage
from step_node.storage.sqlite import OWN_READS_MAX, SqliteStorage
from step_node.storage.sqlite_file import open_reader
from tests.storage.made_up_chain import MadeUpChain, assert_holds, begin

TABLES = ("accounts", "triangles", "nonces", "proofs")


async def make_store(path: Path, batches: int = 2) -> MadeUpChain:
    chain = MadeUpChain(seed=1)
    async with open_storage(SqliteSettings(path)) as store:
        await begin(store, chain)
        for _ in range(batches):
            await store.finalise(chain.grow())
    return chain


async def test_a_closed_store_is_reopened_as_it_was(tmp_path: Path) -> None:
    chain = await make_store(tmp_path / "store")
    async with open_storage(SqliteSettings(tmp_path / "store")) as store:
        await begin(store, chain)
        await assert_holds(store, chain)


async def test_who_only_reads_finds_no_chain_where_there_is_no_file_and_makes_none(tmp_path: Path) -> None:
    path = tmp_path / "store"
    async with open_storage(SqliteSettings(path), only_reads=True) as store:
        with pytest.raises(NoChain):
            await store.head()
    assert list(tmp_path.iterdir()) == []
    chain = await make_store(path)
    async with open_storage(SqliteSettings(path), only_reads=True) as store:
        await assert_holds(store, chain)


async def test_a_commit_is_durable_and_readers_do_not_wait_for_it(tmp_path: Path) -> None:
    store = await SqliteStorage.open(tmp_path / "store")
    assert store._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store._writer.execute("PRAGMA synchronous").fetchone() == (2,)
    await store.close()


async def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    store = await SqliteStorage.open(tmp_path / "store")
    await store.close()
    await store.close()


async def test_two_openers_of_one_file_apply_a_height_once(tmp_path: Path) -> None:
    chain = await make_store(tmp_path / "store")
    settings = SqliteSettings(tmp_path / "store")
    async with open_storage(settings) as first, open_storage(settings) as second:
        batch = chain.grow()
        await first.finalise(batch)
        await second.finalise(batch)
        await second.finalise(chain.grow())
        await assert_holds(first, chain)
        await assert_holds(second, chain)


async def open_and_expect(path: Path, message: str) -> None:
    with pytest.raises(StorageMismatch, match=message):
        await SqliteStorage.open(path)


async def test_a_newer_schema_is_refused_naming_both_versions(tmp_path: Path) -> None:
    await make_store(tmp_path / "store")
    with sqlite3.connect(tmp_path / "store") as connection:
        connection.execute("PRAGMA user_version = 7")
    connection.close()
    await open_and_expect(tmp_path / "store", rf"schema version 7.*versions up to {SCHEMA_VERSION}")


async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    content = b"These are not the pages you are looking for. " * 100
    (tmp_path / "store").write_bytes(content)
    await open_and_expect(tmp_path / "store", "not a usable SQLite database")
    assert (tmp_path / "store").read_bytes() == content


async def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    await make_store(tmp_path / "store")
    damaged = bytearray((tmp_path / "store").read_bytes())
    damaged[100:3_000] = b"\xff" * 2_900
    (tmp_path / "store").write_bytes(damaged)
    await open_and_expect(tmp_path / "store", "not a usable SQLite database")


async def make_damaged_store(path: Path) -> None:
    """A store with one page that nothing reads at a start: the first one of an index."""
    await make_store(path, batches=30)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
        (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'proofs_by_account'").fetchone()
    content = bytearray(path.read_bytes())
    content[page_bytes * (page - 1) + 8 : page_bytes * page - 64] = b"\xff" * (page_bytes - 72)
    path.write_bytes(content)


async def test_a_damaged_page_is_found_at_the_start_not_when_a_batch_touches_it(tmp_path: Path) -> None:
    await make_damaged_store(tmp_path / "store")
    await open_and_expect(tmp_path / "store", r"store is damaged: .*; move it away and let the node catch up")


async def test_a_file_that_is_too_large_to_look_through_at_each_start_can_be_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_damaged_store(tmp_path / "store")
    monkeypatch.setattr(sqlite_file, "CHECKED_AT_START_BYTES_MAX", 1_000)
    await (await SqliteStorage.open(tmp_path / "store")).close()
    with pytest.raises(StorageMismatch, match=r"store is .*move it away"):
        sqlite_file.check_file(tmp_path / "store")


async def test_a_sound_file_passes_the_check_while_it_is_in_use(tmp_path: Path) -> None:
    chain = await make_store(tmp_path / "store")
    async with open_storage(SqliteSettings(tmp_path / "store")) as store:
        await store.finalise(chain.grow())
        sqlite_file.check_file(tmp_path / "store")
        await assert_holds(store, chain)


def test_another_programs_database_is_not_checked(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "store")) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    with pytest.raises(StorageMismatch, match="of another program"):
        sqlite_file.check_file(tmp_path / "store")


async def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "store")
    connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    content = (tmp_path / "store").read_bytes()
    await open_and_expect(tmp_path / "store", "of another program")
    assert (tmp_path / "store").read_bytes() == content


async def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / "store").touch()
    await make_store(tmp_path / "store")


async def test_a_folder_that_does_not_exist_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="unable to open database file"):
        await SqliteStorage.open(tmp_path / "absent" / "store")


async def test_a_full_disk_is_unavailable_and_changes_nothing(tmp_path: Path) -> None:
    chain = MadeUpChain(seed=1)
    store = await SqliteStorage.open(tmp_path / "store")
    await begin(store, chain)
    (pages,) = store._writer.execute("PRAGMA page_count").fetchone()
    store._writer.execute(f"PRAGMA max_page_count = {pages}")
    kept = MadeUpChain(seed=1)
    batch = chain.grow(proofs=500)
    with pytest.raises(StorageUnavailable, match="disk is full; nothing was written"):
        await store.finalise(batch)
    await assert_holds(store, kept)
    store._writer.execute("PRAGMA max_page_count = 1000000")
    await store.finalise(batch)
    await assert_holds(store, chain)
    await store.close()


async def test_a_file_locked_by_another_process_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("step_node.storage.sqlite_file.BUSY_TIMEOUT_S", 0.05)
    chain = await make_store(tmp_path / "store")
    async with open_storage(SqliteSettings(tmp_path / "store")) as store:
        other = sqlite3.connect(tmp_path / "store", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        batch = chain.grow()
        with pytest.raises(StorageUnavailable, match="database is locked"):
            await store.finalise(batch)
        other.close()
        await store.finalise(batch)
        await assert_holds(store, chain)


async def test_the_pages_that_stay_in_memory_take_little_more_than_a_megabyte(tmp_path: Path) -> None:
    """They fill in the course of an hour, and a node grows by as much."""
    chain = await make_store(tmp_path / "store")
    with closing(open_reader(tmp_path / "store")) as connection:
        (cache_size,) = connection.execute("PRAGMA cache_size").fetchone()
    assert cache_size < 0, "it is set in pages, not in KiB"
    assert -cache_size * (OWN_READS_MAX + STRANGERS_READS_MAX) <= 1_200
    store = await SqliteStorage.open(tmp_path / "store")
    said: list[str] = []
    store._writer.set_trace_callback(said.append)
    await store.finalise(chain.grow())
    assert said[-2:] == ["COMMIT", "PRAGMA shrink_memory"], "what the writer keeps in one transaction, it gives back"
    await store.close()


async def test_no_batch_reads_a_table_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look-up of many keys is a search: else a batch takes longer, the more accounts and nonces there are."""
    said: list[str] = []

    def open_and_listen(path: Path) -> sqlite3.Connection:
        connection = open_reader(path)
        connection.set_trace_callback(said.append)
        return connection

    monkeypatch.setattr("step_node.storage.sqlite_reads.open_reader", open_and_listen)
    chain = await make_store(tmp_path / "store")
    store = await SqliteStorage.open(tmp_path / "store")
    store._writer.set_trace_callback(said.append)
    batch = chain.grow()
    changes = batch.changes
    keys = StateKeys(
        frozenset(one.address for one in changes.accounts),
        frozenset(one.id for one in changes.triangles),
        frozenset((one.account, one.nonce) for one in (*changes.nonces_added, *changes.nonces_removed)),
        NonceExpiry(before_ms=1, nonces_max=5),
    )
    await store.load(keys)
    await store.receipts([receipt.proof_id for receipt in batch.receipts])
    await store.finalise(batch)
    store._writer.set_trace_callback(None)
    looked_up = [text for text in said if " IN (" in text]
    assert {table for table in TABLES for text in looked_up if f"FROM {table} WHERE" in text} == set(TABLES)
    for text in looked_up:
        plan = [row[3] for row in store._writer.execute(f"EXPLAIN QUERY PLAN {text}")]
        assert not [step for step in plan if step.split()[0] == "SCAN" and step.split()[1] in TABLES], (text, plan)
    await store.close()


class ListeningConnection(sqlite3.Connection):
    """Knows which statements it was asked for."""

    statements: set[str]

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        self.statements.add(sql)
        return super().execute(sql, *parameters)


def test_few_statements_serve_rows_of_all_numbers(tmp_path: Path) -> None:
    """A statement for each number of rows would be prepared anew for nearly every batch, and kept, by the megabyte."""
    with closing(sqlite3.connect(tmp_path / "store", factory=ListeningConnection)) as connection:
        connection.statements = set()
        connection.execute("CREATE TABLE triangles (id INTEGER PRIMARY KEY, clicks INTEGER NOT NULL, state INTEGER)")
        for number in range(1, 101):
            triangles = [(triangle, number, None if triangle % 2 else 0) for triangle in range(number)]
            rows.write_rows(connection, "REPLACE", rows.TRIANGLES, triangles)
            keys = [(triangle,) for triangle in range(number)]
            assert sorted(map(tuple, rows.read_rows_in(connection, rows.TRIANGLES, "id", keys))) == triangles
        assert rows.delete_rows_in(connection, rows.TRIANGLES, "id", [(number,) for number in range(90, 200)]) == 10
        assert connection.execute("SELECT count(*), max(id) FROM triangles").fetchone() == (90, 89)
        assert len(connection.statements) <= 3 + 2 * 8


async def test_look_ups_use_their_indexes(tmp_path: Path) -> None:
    store = await SqliteStorage.open(tmp_path / "store")
    for query in (
        "SELECT * FROM accounts ORDER BY balance_ustep DESC, address LIMIT 5",
        "SELECT * FROM proofs WHERE account = ? AND (height, position) < (?, ?) ORDER BY height DESC, position DESC",
        "SELECT * FROM nonces WHERE timestamp_ms < ? ORDER BY timestamp_ms, account, nonce LIMIT ?",
    ):
        plan = store._writer.execute(f"EXPLAIN QUERY PLAN {query}", [0] * query.count("?")).fetchall()
        details = [row[3] for row in plan]
        assert any("USING" in detail for detail in details), details
        assert not any("USE TEMP B-TREE" in detail for detail in details), details
    await store.close()
