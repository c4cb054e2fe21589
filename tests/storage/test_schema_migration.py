"""A store of the previous schema is brought to the present one, whole, whatever cuts that short."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from step_node.storage import mongo_session, sqlite_migration
from step_node.storage.interface import SCHEMA_VERSION, EarlierSchema, Kept, StorageMismatch, StorageUnavailable
from step_node.storage.open import MongoSettings, SqliteSettings, open_storage
from step_node.storage.sqlite_file import check_file
from step_node.storage.sqlite_migration import migrate_file, schema_step
from step_node.storage.sqlite_schema import PAGE_BYTES
from tests.storage.crash_points import CHAIN_SEED, MIGRATED_HEIGHT
from tests.storage.made_up_chain import MadeUpChain, assert_holds, begin
from tests.storage.made_up_snapshot import restored_of
from tests.storage.schema_4 import as_schema_4, database_as_schema_4
from tests.storage.test_crashes import crash_at_every_point
from tests.support.mongod import new_database_name


async def store_of_schema_4(path: Path, *, batches: int = 6) -> MadeUpChain:
    chain = MadeUpChain(seed=3, upgrades=False)
    async with open_storage(SqliteSettings(path)) as store:
        await begin(store, chain)
        for _ in range(batches):
            await store.finalise(chain.grow())
    as_schema_4(path)
    return chain


def pragma(path: Path, name: str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
        return value


async def test_a_sqlite_store_of_schema_4_is_brought_to_the_present_one_when_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    chain = await store_of_schema_4(path)
    assert (pragma(path, "user_version"), pragma(path, "page_size")) == (4, 4096)
    async with open_storage(SqliteSettings(path), alone=True) as store:
        await assert_holds(store, chain)
        assert await store.kept() == Kept(1, 1)
        await store.finalise(chain.grow())
        await assert_holds(store, chain)
    assert (pragma(path, "user_version"), pragma(path, "page_size")) == (SCHEMA_VERSION, PAGE_BYTES)
    check_file(path)
    assert sorted(one.name for one in tmp_path.iterdir() if "migrating" in one.name) == []


async def test_a_store_that_joined_from_a_snapshot_is_known_by_where_it_begins(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    chain = MadeUpChain(seed=3, upgrades=False)
    async with open_storage(SqliteSettings(path), alone=True) as store:
        await begin(store, chain)
        for _ in range(5):
            chain.grow()
        await store.restore(restored_of(chain))
    as_schema_4(path)
    async with open_storage(SqliteSettings(path), alone=True) as store:
        assert await store.kept() == Kept(5, 6)


async def test_looking_at_what_a_migration_would_do_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    await store_of_schema_4(path)
    before = path.read_bytes()
    step = schema_step(path)
    assert step is not None
    assert (step.found, step.size_bytes) == (4, len(before))
    assert path.read_bytes() == before
    migrate_file(path)
    assert schema_step(path) is None


async def test_a_store_that_has_gone_on_since_a_migration_was_cut_short_is_copied_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.sqlite"
    await store_of_schema_4(path, batches=2)
    monkeypatch.setattr(sqlite_migration, "_finish", _cut_short)
    with pytest.raises(KeyboardInterrupt):
        migrate_file(path)
    half_done = path.with_name("store.sqlite-migrating")
    copied = half_done.read_bytes()
    path.unlink()
    monkeypatch.undo()
    chain = await store_of_schema_4(path, batches=5)
    half_done.write_bytes(copied)
    async with open_storage(SqliteSettings(path), alone=True) as store:
        await assert_holds(store, chain)


def _cut_short(*_arguments: object) -> None:
    raise KeyboardInterrupt


async def test_rows_that_got_lost_on_the_way_are_noticed_and_the_store_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.sqlite"
    chain = await store_of_schema_4(path)
    with monkeypatch.context() as patched:
        patched.setattr(sqlite_migration, "_copy", lambda *_arguments: None)
        with pytest.raises(StorageMismatch, match=r"of 1 rows of chain 0 were copied. The store is as before"):
            migrate_file(path)
    assert pragma(path, "user_version") == 4
    async with open_storage(SqliteSettings(path), alone=True) as store:
        await assert_holds(store, chain)


async def test_a_schema_that_is_too_old_is_refused_saying_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    await store_of_schema_4(path, batches=1)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 3")
    with pytest.raises(StorageMismatch, match=r"schema version 3.*step-node store rebuild"):
        async with open_storage(SqliteSettings(path), alone=True):
            pass


async def test_a_newer_schema_is_refused_naming_the_release_that_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    async with open_storage(SqliteSettings(path), alone=True):
        pass
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA user_version = 99")
        connection.execute("UPDATE release SET name = '7.2.0'")
    with pytest.raises(StorageMismatch, match=r"schema version 99.*use release 7\.2\.0"):
        async with open_storage(SqliteSettings(path), alone=True):
            pass


@pytest.mark.long
async def test_sqlite_killed_at_any_statement_of_migrating_is_whole_and_goes_on(tmp_path: Path) -> None:
    points = await crash_at_every_point("migrate", "sqlite", str(tmp_path))
    assert points >= 40
    chain = MadeUpChain(CHAIN_SEED, upgrades=False)
    for _ in range(MIGRATED_HEIGHT):
        chain.grow()
    for point in range(1, points + 1):
        async with open_storage(SqliteSettings(tmp_path / f"{point}.sqlite"), alone=True) as store:
            await assert_holds(store, chain)


async def test_a_mongodb_store_of_schema_4_is_brought_to_the_present_one_when_it_is_opened(
    mongodb_uri: str,
) -> None:
    settings = MongoSettings(mongodb_uri, new_database_name())
    chain = MadeUpChain(seed=3, upgrades=False)
    async with open_storage(settings) as store:
        await begin(store, chain)
        for _ in range(6):
            await store.finalise(chain.grow())
    client: Any = MongoClient(mongodb_uri)
    with client:
        database = client[settings.database]
        database_as_schema_4(database)
        for _ in range(2):  # Cut short before the version was written, and gone on with.
            database.meta.update_one({"_id": "schema"}, {"$set": {"version": 4}})
            async with open_storage(settings, alone=True) as store:
                await assert_holds(store, chain)
                await store.finalise(chain.grow())
                await assert_holds(store, chain)
        assert database.meta.find_one({"_id": "schema"})["version"] == SCHEMA_VERSION
        assert "batch_hash_1" not in database.batches.index_information()
        assert "height_1_index_1" in database.proofs.index_information()


@pytest.mark.long
async def test_a_client_killed_at_any_command_of_migrating_mongodb_leaves_a_store_that_the_next_brings_there(
    mongodb_uri: str,
) -> None:
    prefix = new_database_name()[:40]
    points = await crash_at_every_point("migrate", "mongodb", mongodb_uri, prefix)
    assert points >= 20
    chain = MadeUpChain(CHAIN_SEED, upgrades=False)
    for _ in range(MIGRATED_HEIGHT):
        chain.grow()
    client: Any = MongoClient(mongodb_uri)
    with client:
        versions = []
        for point in range(1, points + 1):
            database = client[f"{prefix}{point}"]
            versions.append(database.meta.find_one({"_id": "schema"})["version"])
            async with open_storage(MongoSettings(mongodb_uri, database.name), alone=True) as store:
                await assert_holds(store, chain)
            assert database.meta.find_one({"_id": "schema"})["version"] == SCHEMA_VERSION
            assert "batch_hash_1" not in database.batches.index_information()
            assert "height_1_index_1" in database.proofs.index_information()
            assert "height_1_index_1" in database.operations.index_information()
    # Said last: of the present version only once all the rest is there.
    assert sorted(versions) == versions
    assert set(versions) == {4, SCHEMA_VERSION}


@contextmanager
def older_node(path: Path) -> Iterator[sqlite3.Connection]:
    """A node of the earlier release that runs: it holds the file open, as SQLite's lock on it shows."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("SELECT count(*) FROM chain").fetchone()
        yield connection


async def test_only_who_holds_the_lock_of_the_home_changes_the_schema_of_a_sqlite_store(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    chain = await store_of_schema_4(path)
    with pytest.raises(EarlierSchema, match=r"schema version 4.*stop the node.*store migrate"):
        async with open_storage(SqliteSettings(path)):
            pass
    with older_node(path) as node:
        # Two homes that name one file: the lock of a home does not tell, and SQLite does.
        with pytest.raises(StorageUnavailable, match=r"locked|in use"):
            async with open_storage(SqliteSettings(path), alone=True):
                pass
        node.execute("UPDATE chain SET paid_ustep = paid_ustep")
    assert pragma(path, "user_version") == 4
    async with open_storage(SqliteSettings(path), alone=True) as store:
        await assert_holds(store, chain)


async def test_only_who_holds_the_lock_and_is_alone_changes_the_schema_of_a_mongodb_store(
    mongodb_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongo_session, "LEAVING_MAX_S", 2.0)
    settings = MongoSettings(mongodb_uri, new_database_name())
    chain = MadeUpChain(seed=3, upgrades=False)
    async with open_storage(settings) as store:
        await begin(store, chain)
        await store.finalise(chain.grow())
    client: Any = MongoClient(mongodb_uri)
    older: Any = MongoClient(mongodb_uri, appname=f"{mongo_session.NODE_APPLICATION} {settings.database}")
    with client:
        meta = client[settings.database].meta
        database_as_schema_4(client[settings.database])
        with pytest.raises(EarlierSchema, match=r"schema version 4.*stop the node.*store migrate"):
            async with open_storage(settings):
                pass
        with older:
            older[settings.database].meta.find_one({})
            with pytest.raises(StorageMismatch, match="is in use by the node that is connected from"):
                async with open_storage(settings, alone=True):
                    pass
        assert meta.find_one({"_id": "schema"})["version"] == 4
        async with open_storage(settings, alone=True) as store:
            await assert_holds(store, chain)
        assert meta.find_one({"_id": "schema"})["version"] == SCHEMA_VERSION
