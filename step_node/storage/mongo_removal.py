"""Taking a chain's database away for good, after a look at whether it is one, and whose.

A database is not put aside as a file is, so what is looked at first is what would be lost. It is dropped only if it
holds a STEP store and nothing else, and only while no node is connected to it: another home may name the same database,
and its lock is not ours to see.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from step_node.storage import mongo_documents as documents
from step_node.storage.asyncio_bridge import AsyncioThread
from step_node.storage.interface import StorageMismatch
from step_node.storage.mongo_driver import meaningful_errors, settled
from step_node.storage.mongo_replica_set import where_is
from step_node.storage.mongo_session import RETRY_MAX_S, MongoDatabase

APPLICATION = "step-node store rebuild"
"""What this is connected as, so that it does not take itself for a node."""

SYSTEM_PREFIX = "system."
"""Of collections that are the server's own, such as its profiler's."""
SHOWN_MAX = 5

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class FoundDatabase:
    """A database that holds a STEP store. `where` are its servers, `height` its head's; None: it has no chain yet."""

    name: str
    where: str
    height: int | None

    def __str__(self) -> str:
        head = "without a chain" if self.height is None else f"at height {self.height}"
        return f"the database {self.name} on {self.where}, {head}"


async def find_database(uri: str, name: str) -> FoundDatabase | None:
    """The STEP store in the database, of whatever schema version; None if the database is empty, or is not there.

    Raises `StorageMismatch` if the database holds anything else or a node is connected to it, and for an unusable URI;
    `StorageUnavailable` when there is no primary. Called from trio.
    """

    async def find(database: MongoDatabase) -> FoundDatabase | None:
        names = set(await settled(database.database.list_collection_names()))
        ours = names & documents.COLLECTIONS
        others = sorted(one for one in names - ours if not one.startswith(SYSTEM_PREFIX))
        where = where_is(uri)
        if others:
            raise StorageMismatch(
                f"the database {name} on {where} holds collections that are not a STEP store's:"
                f" {', '.join(others[:SHOWN_MAX])}; nothing was dropped. Put storage.mongodb_database right, or drop"
                " the database yourself"
            )
        if not ours:
            return None
        meta = database.collection(documents.META)
        if not await settled(meta.count_documents({"_id": {"$in": ["schema", documents.REMOVING["_id"]]}})):
            raise StorageMismatch(
                f"the database {name} on {where} is not known to be a STEP store: it names no schema version; nothing"
                " was dropped. Put storage.mongodb_database right, or drop the database yourself"
            )
        await database.require_no_node()
        chain = await settled(meta.find_one({"_id": "chain"}, {"height": True}))
        return FoundDatabase(name, where, None if chain is None else chain["height"])

    return await _with_database(uri, name, find)


async def drop_database(uri: str, name: str) -> None:
    """Drop the database, whatever it holds: `find_database` has looked. Cut short, the next opening goes on with it.

    Raises `StorageUnavailable` when there is no primary for `RETRY_MAX_S`. Called from trio.
    """
    await _with_database(uri, name, MongoDatabase.drop)


async def _with_database(uri: str, name: str, work: Callable[[MongoDatabase], Awaitable[ResultT]]) -> ResultT:
    async def run() -> ResultT:
        with meaningful_errors():
            database = MongoDatabase(uri, name, RETRY_MAX_S, application=APPLICATION)
            try:
                return await work(database)
            finally:
                await database.close()

    thread = AsyncioThread()
    try:
        return await thread.run(run)
    finally:
        await thread.close()
