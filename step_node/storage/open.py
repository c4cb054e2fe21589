"""Which engine a node uses, opening it, and finding what is to be taken away: the one place that knows them all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import trio

from step_node.storage.interface import Storage
from step_node.storage.memory import MemoryStorage
from step_node.storage.mongo import AnswersFrom, MongoStorage
from step_node.storage.mongo_removal import FoundDatabase, drop_database, find_database
from step_node.storage.mongo_session import RETRY_MAX_S
from step_node.storage.mongo_sizes import measure_database
from step_node.storage.sizes import StoreSizes
from step_node.storage.sqlite import SqliteStorage
from step_node.storage.sqlite_file import FILE_SUFFIXES
from step_node.storage.sqlite_sizes import measure_file


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
    answers_from: AnswersFrom = "primary"
    """Where what strangers ask is read (docs/adr/0033-answers-from-secondaries.md)."""


StorageSettings: TypeAlias = MemorySettings | SqliteSettings | MongoSettings


@asynccontextmanager
async def open_storage(
    settings: StorageSettings, *, alone: bool = False, only_reads: bool = False
) -> AsyncIterator[Storage]:
    """The store, open for as long as the context lasts.

    `alone`: the caller holds the lock of the home that the store belongs to, so no node can have it open. Only then is
    a store of an earlier schema brought to the present one (a node of the earlier release that ran beside it would go
    on with a file that is not the store any more), and only then are transactions ended that were left open.

    `only_reads`: the caller looks at a store that may be a running node's, perhaps of another release and with the
    rights of a reader; opening it changes nothing in a database, and makes no file where there is none. Not with
    `alone`.

    Raises `StorageMismatch` when what is there is not a store that this program can use (`EarlierSchema` where `alone`
    would help), and `StorageUnavailable` when it cannot be reached.
    """
    if alone and only_reads:
        raise ValueError("who is alone with a store ends what was left open in it, which is not only reading")
    store = await _opened(settings, alone=alone, only_reads=only_reads)
    try:
        yield store
    finally:
        await store.close()


async def _opened(settings: StorageSettings, *, alone: bool, only_reads: bool) -> Storage:
    match settings:
        case MemorySettings():
            return MemoryStorage()
        case SqliteSettings(path) if only_reads and not path.exists():
            # Whoever looks may be another user than the node's, which could not write to a file of that one's.
            return MemoryStorage()
        case SqliteSettings(path):
            return await SqliteStorage.open(path, alone=alone)
        case MongoSettings(uri, database, retry_max_s, answers_from):
            return await MongoStorage.open(
                uri,
                database,
                alone=alone,
                only_reads=only_reads,
                retry_max_s=retry_max_s,
                answers_from=answers_from,
            )


async def measure_store(settings: StorageSettings) -> StoreSizes | None:
    """How large the store is; None for one in memory. A node may run on it.

    Raises `StorageMismatch` when what is there is not a store of the present schema, `StorageUnavailable`.
    """
    match settings:
        case MemorySettings():
            return None
        case SqliteSettings(path):
            return await trio.to_thread.run_sync(measure_file, path)
        case MongoSettings(uri, database):
            return await measure_database(uri, database)


@dataclass(frozen=True, slots=True)
class FoundStore:
    """What there is of a store, looked at from outside: it may be damaged, or of another version.

    `files` can be moved away, in this order, a crash between two of them doing no harm; `database` can only be dropped.
    """

    files: tuple[Path, ...] = ()
    database: FoundDatabase | None = None


async def find_store(settings: StorageSettings) -> FoundStore:
    """What is there; nobody may have the store open.

    Raises `StorageMismatch` for a database that is not, or not only, a STEP store, or that a node is connected to;
    `StorageUnavailable` when it cannot be reached.
    """
    match settings:
        case MemorySettings():
            return FoundStore()
        case SqliteSettings(path):
            files = (path.with_name(path.name + suffix) for suffix in FILE_SUFFIXES)
            return FoundStore(files=tuple(file for file in files if file.exists()))
        case MongoSettings(uri, database):
            return FoundStore(database=await find_database(uri, database))


async def drop_found(settings: StorageSettings, found: FoundStore) -> None:
    """Drop the database of `found`, if there is one: what it holds is gone. Raises `StorageUnavailable`.

    Cut short, it is gone on with by the next call, or by `open_storage`.
    """
    if found.database is not None and isinstance(settings, MongoSettings):
        await drop_database(settings.uri, settings.database)
