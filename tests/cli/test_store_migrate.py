"""`step-node store migrate` brings a store of either engine to the present schema, and a dry run changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
from pymongo import MongoClient

from step_node.home.config import StorageConfig
from step_node.home.paths import NodeHome
from step_node.home.store import storage_settings
from step_node.storage.interface import SCHEMA_VERSION
from step_node.storage.open import open_storage
from tests.backup.homes import grow_home, make_home
from tests.cli.conftest import Command
from tests.storage.schema_4 import as_schema_4, database_as_schema_4
from tests.storage.test_schema_migration import pragma
from tests.support.mongod import mongodb_uri, new_database_name

__all__ = ["mongodb_uri"]

BATCHES = 2


def home_with_chain(root: Path, storage: StorageConfig | None = None) -> NodeHome:
    home = make_home(root, storage=storage)
    trio.run(lambda: grow_home(home, BATCHES, storage=storage))
    return home


def test_a_mongodb_store_is_brought_to_the_present_schema_and_a_dry_run_only_says_so(
    command: Command, tmp_path: Path, mongodb_uri: str
) -> None:
    storage = StorageConfig(engine="mongodb", mongodb_uri=mongodb_uri, mongodb_database=new_database_name())
    home = home_with_chain(tmp_path / "node", storage)
    client: Any = MongoClient(mongodb_uri)
    with client:
        database = client[storage.mongodb_database]
        database_as_schema_4(database)
        what = f"the database {storage.mongodb_database} from schema version 4 to {SCHEMA_VERSION}"
        migrate = ("store", "migrate", "--home", home.root)
        for arguments in ((), ("--to", "sqlite")):
            told = command(*migrate, "--dry-run", *arguments)
            assert (told.exit_code, f"would bring {what}" in told.stdout) == (0, True), told.output
            assert database.meta.find_one({"_id": "schema"}) == {"_id": "schema", "version": 4}
        told = command(*migrate)
        assert (told.exit_code, f"brought {what}" in told.stdout) == (0, True), told.output
        assert database.meta.find_one({"_id": "schema"})["version"] == SCHEMA_VERSION
        assert "needs no other schema" in command(*migrate).stdout


def test_a_database_without_a_store_is_told_and_stays_empty(command: Command, tmp_path: Path, mongodb_uri: str) -> None:
    storage = StorageConfig(engine="mongodb", mongodb_uri=mongodb_uri, mongodb_database=new_database_name())
    home = make_home(tmp_path / "node", storage=storage)
    told = command("store", "migrate", "--home", home.root)
    assert told.exit_code == 1
    assert "holds no STEP store; the node has not been started yet" in told.stderr
    client: Any = MongoClient(mongodb_uri)
    with client:
        assert storage.mongodb_database not in client.list_database_names()


@pytest.mark.parametrize(
    "arguments", [(), ("--to", "mongodb", "--mongodb-uri", "mongodb://127.0.0.1:1/?replicaSet=rs0")]
)
def test_a_dry_run_leaves_a_sqlite_store_in_its_schema(
    command: Command, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    home = home_with_chain(tmp_path / "node")
    as_schema_4(home.ledger)
    told = command("store", "migrate", "--home", home.root, "--dry-run", *arguments)
    assert (told.exit_code, "would bring" in told.stdout) == (0, True), told.output
    assert ("would copy it then" in told.stdout) is bool(arguments)
    assert pragma(home.ledger, "user_version") == 4
    assert command("store", "migrate", "--home", home.root).exit_code == 0
    assert pragma(home.ledger, "user_version") == SCHEMA_VERSION

    async def height() -> int:
        async with open_storage(storage_settings(home, StorageConfig())) as store:
            return (await store.head()).chain.height

    assert trio.run(height) == BATCHES
