"""A fresh store of each engine, for tests that every engine must pass."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pymongo import AsyncMongoClient

from step_node.storage.interface import Storage
from step_node.storage.open import MemorySettings, MongoSettings, SqliteSettings, StorageSettings, open_storage
from tests.storage.made_up_chain import MadeUpChain, begin
from tests.support.mongod import mongodb_uri, new_database_name

__all__ = ["mongodb_uri"]


@pytest.fixture(params=["memory", "sqlite", "mongodb", "mongodb through PyMongo"])
def settings(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StorageSettings:
    """Where one test's store is: a fresh one of each engine in turn, MongoDB through two drivers."""
    if request.param == "mongodb through PyMongo":
        monkeypatch.setattr("step_node.storage.mongo_driver.AsyncClient", AsyncMongoClient)
    match request.param:
        case "sqlite":
            return SqliteSettings(tmp_path / "store.sqlite")
        case "mongodb" | "mongodb through PyMongo":
            return MongoSettings(request.getfixturevalue("mongodb_uri"), new_database_name())
        case _:
            return MemorySettings()


@pytest.fixture
async def store(settings: StorageSettings) -> AsyncIterator[Storage]:
    """An open, empty store."""
    async with open_storage(settings) as opened:
        yield opened


@pytest.fixture
def chain() -> MadeUpChain:
    return MadeUpChain(seed=1)


@pytest.fixture
async def started(store: Storage, chain: MadeUpChain) -> Storage:
    """An open store that holds `chain`'s genesis."""
    await begin(store, chain)
    return store
