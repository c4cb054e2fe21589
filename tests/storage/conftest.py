"""A fresh store of each engine, for tests that every engine must pass."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from step_node.storage import MemorySettings, MongoSettings, SqliteSettings, Storage, StorageSettings, open_storage
from tests.mongod import mongodb_uri, new_database_name
from tests.storage.made_up_chain import MadeUpChain

__all__ = ["mongodb_uri"]


@pytest.fixture(params=["memory", "sqlite", "mongodb"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> StorageSettings:
    """Where one test's store is: a fresh one of each engine in turn."""
    match request.param:
        case "sqlite":
            return SqliteSettings(tmp_path / "store.sqlite")
        case "mongodb":
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
    await store.initialise(chain.genesis_hash, chain.genesis_head, chain.genesis_accounts)
    return store
