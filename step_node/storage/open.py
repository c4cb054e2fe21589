"""Which engine a node uses, and opening it: the one place that knows them all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from step_node.storage.interface import Storage
from step_node.storage.memory import MemoryStorage
from step_node.storage.mongo import MongoStorage
from step_node.storage.mongo_session import RETRY_MAX_S
from step_node.storage.sqlite import SqliteStorage


@dataclass(frozen=True, slots=True)
class MemorySettings:
    """Nothing is kept."""


@dataclass(frozen=True, slots=True)
class SqliteSettings:
    """The file's path; its folder must exist. SQLite keeps two more files beside it, `-wal` and `-shm`."""

    path: Path


@dataclass(frozen=True, slots=True)
class MongoSettings:
    """A replica set's URI (`mongodb://…`), and the database of this node's own within it.

    After `retry_max_s` seconds of a database that does not answer, a call gives up with `StorageUnavailable`.
    """

    uri: str = field(repr=False)
    """It may hold a password."""
    database: str
    retry_max_s: float = RETRY_MAX_S


StorageSettings: TypeAlias = MemorySettings | SqliteSettings | MongoSettings


@asynccontextmanager
async def open_storage(settings: StorageSettings) -> AsyncIterator[Storage]:
    """The store, open for as long as the context lasts.

    Raises `StorageMismatch` when what is there is not a store that this program can use, and `StorageUnavailable`
    when it cannot be reached.
    """
    store = await _opened(settings)
    try:
        yield store
    finally:
        await store.close()


async def _opened(settings: StorageSettings) -> Storage:
    match settings:
        case MemorySettings():
            return MemoryStorage()
        case SqliteSettings(path):
            return await SqliteStorage.open(path)
        case MongoSettings(uri, database, retry_max_s):
            return await MongoStorage.open(uri, database, retry_max_s=retry_max_s)
