"""One connection to the chain's database: transactions, snapshots, and trying again.

A snapshot is what a majority has *as far as its server knows*. A secondary learns of it a moment late, and so does a
member that has just become the primary: for that moment its snapshot may lack the batch that the last primary has
acknowledged. So what has been seen to be durable is remembered as a height, and a snapshot that is below it is not
taken for the state (docs/adr/0033-answers-from-secondaries.md).

Everything here runs on the asyncio loop. A piece of work is given a session and does all its calls in it. When the
database fails under it, the whole work is done again from its start, with growing pauses, until RETRY_MAX_S have
passed. That is right even where the outcome of a commit is unknown, because the only work that writes looks first
whether it has been done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from copy import copy
from dataclasses import dataclass
from typing import Self, TypeVar

from pymongo import ReadPreference
from pymongo.errors import ConnectionFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from step_node import __version__
from step_node.storage import mongo_documents as documents
from step_node.storage.checks import require_same_schema
from step_node.storage.interface import SCHEMA_VERSION, StorageMismatch, StorageUnavailable
from step_node.storage.mongo_driver import (
    Driver,
    SnapshotBehind,
    meaningful_errors,
    new_client,
    server_for,
    settled,
    worth_retrying,
)
from step_node.storage.mongo_replica_set import (
    explain_missing_primary,
    require_all_members,
    require_replica_set,
    where_is,
)

RETRY_MAX_S = 15.0
"""No new attempt is begun when this much time has passed since the first; then it is `StorageUnavailable`."""

PAUSE_FIRST_S = 0.02
PAUSE_MAX_S = 1.0

DURABLE_TIMEOUT_MS = 10_000
"""How long a commit waits for a majority of the set; then its outcome is unknown, and it is tried again."""

DURABLE = WriteConcern("majority", j=True, wtimeout=DURABLE_TIMEOUT_MS)

LEAVING_MAX_S = 5.0
"""How long connections of a node that has ended may still be there; after that a node uses the database."""
POLL_S = 0.1

NODE_APPLICATION = "step-node"
"""What a node is connected as, with the database's name after it."""

DATABASE_NAME_MAX_BYTES = 63
FORBIDDEN = '/\\. "$*<>:|?\0'
"""What no database name may contain."""

ResultT = TypeVar("ResultT")


@dataclass(slots=True)
class DurableHeight:
    """The greatest height that a majority is known to have. It never falls: what a majority has is not rolled back."""

    height: int = 0

    def note(self, height: int) -> None:
        """A majority has this height: a write was acknowledged, or a snapshot held it."""
        self.height = max(self.height, height)


class MongoDatabase:
    """The chain's database, on the asyncio loop that made it; `close` ends its connections."""

    def __init__(self, uri: str, name: str, retry_max_s: float, *, application: str = NODE_APPLICATION) -> None:
        self._uri = uri
        self._name = name
        self._retry_max_s = retry_max_s
        # The name that nodes, and transactions that they have left over, are recognised by.
        self._node_application = f"{NODE_APPLICATION} {name}"
        self.durable = DurableHeight()
        _require_database_name(name)
        self._client = new_client(uri, appname=f"{application} {name}", server_selector=server_for(name))
        self.database: Driver = self._client.get_database(
            name, write_concern=DURABLE, read_concern=ReadConcern("majority")
        )

    def on_secondaries(self) -> Self:
        """The same database, over the same connections, for snapshots of a secondary, or of the primary if there is
        none. Nothing is tried again: who asks here has the primary to turn to."""
        other = copy(self)
        other.database = self.database.with_options(read_preference=ReadPreference.SECONDARY_PREFERRED)
        other._retry_max_s = 0.0
        return other

    def collection(self, name: str) -> Driver:
        return self.database[name]

    def require_height(self, found: int, wanted: int) -> None:
        """Raises `SnapshotBehind` if a snapshot of height `found` does not reach `wanted`, which a majority has."""
        if found < wanted:
            raise SnapshotBehind(f"its snapshot is of height {found}, and a majority has height {wanted}")
        self.durable.note(found)

    async def prepare(self, *, alone: bool, only_reads: bool = False) -> None:
        """Check the server and the schema, and make the indexes in a database that has none yet.

        `alone`: no node of the home runs, so a transaction that is open is what a killed one has left, and is ended.
        A database that was being dropped when something cut that short is dropped to the end first.
        `only_reads`: nothing is written, dropped or ended, and a database that is being dropped is refused.

        Raises `StorageMismatch` for a standalone server, a set that has not been initiated, or another schema
        version (`EarlierSchema`: see `mongo_migration`); `StorageUnavailable` when there is no primary.
        """
        with meaningful_errors():
            try:
                hello = await settled(self._client.admin.command("hello"))
            except ConnectionFailure:
                await explain_missing_primary(self._uri)
                raise
            require_replica_set(hello, where_is(self._uri))
            require_all_members(hello, self._uri)
            if alone:
                await self._end_leftover_transactions()
            meta = self.collection(documents.META)
            where = f"the database {self._name} on {where_is(self._uri)}"
            if await settled(meta.find_one(documents.REMOVING)) is not None:
                if only_reads:
                    raise StorageMismatch(f"{where} is being dropped, or that was cut short: the next start ends it")
                await self.drop()
            schema = await settled(meta.find_one({"_id": "schema"}))
            if schema is not None:
                require_same_schema(schema["version"], where, release=schema.get("release"))
            if not only_reads:
                await self.sign()

    async def sign(self) -> None:
        """Make the indexes, and then say which schema the store has. Raises what PyMongo does."""
        # Those that are there cost a round trip.
        for collection, indexes in documents.INDEXES.items():
            await settled(self.collection(collection).create_indexes(indexes))
        # An upsert, since two nodes may come here at once.
        written = {"version": SCHEMA_VERSION, "release": __version__}
        await settled(self.collection(documents.META).update_one({"_id": "schema"}, {"$set": written}, upsert=True))

    async def transaction(self, work: Callable[[Driver], Awaitable[ResultT]]) -> ResultT:
        """What `work(session)` returns, once its transaction is durable on a majority.

        The commit is sent even if nothing was written: only then is what `work` has read known to be durable.
        """

        async def attempt() -> ResultT:
            session = await settled(self._client.start_session())
            try:
                await settled(
                    session.start_transaction(
                        read_concern=ReadConcern("snapshot"),
                        write_concern=DURABLE,
                        max_commit_time_ms=DURABLE_TIMEOUT_MS,
                    )
                )
                result = await work(session)
                await settled(session.commit_transaction())
                return result
            finally:
                # Ends what has not been committed: the driver sends the abort, and swallows its failure.
                await settled(session.end_session())

        return await self.retried(attempt)

    async def snapshot(self, work: Callable[[Driver], Awaitable[ResultT]]) -> ResultT:
        """What `work(session)` returns, all of its reads seeing one moment that a majority has made durable."""

        async def attempt() -> ResultT:
            session = await settled(self._client.start_session(snapshot=True))
            try:
                return await work(session)
            finally:
                await settled(session.end_session())

        return await self.retried(attempt)

    async def drop(self) -> None:
        """Drop the database. Raises `StorageUnavailable`; then, and after a crash, `prepare` goes on with it.

        The server drops one collection after another, so a mark is set first that is the last to go.
        """

        async def attempt() -> None:
            meta = self.collection(documents.META)
            await settled(meta.update_one(documents.REMOVING, {"$set": {"removing": True}}, upsert=True))
            for name in sorted(documents.COLLECTIONS - {documents.META}):
                await settled(self.database.drop_collection(name))
            await settled(self._client.drop_database(self._name))

        await self.retried(attempt)

    async def clients_of_nodes(self) -> list[str]:
        """From where nodes are connected for this database, sorted: host and port of each connection."""
        connected = [
            {"$currentOp": {"idleConnections": True}},
            {"$match": {"appName": self._node_application, "client": {"$exists": True}}},
        ]
        cursor = await settled(self._client.admin.aggregate(connected))
        return sorted({one["client"] for one in await settled(cursor.to_list(length=None))})

    async def require_no_node(self) -> None:
        """Raise `StorageMismatch` if a node is connected for this database; this itself must not be one."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LEAVING_MAX_S
        while clients := await self.clients_of_nodes():
            if loop.time() >= deadline:
                raise StorageMismatch(
                    f"the database {self._name} on {where_is(self._uri)} is in use by the node that is connected from"
                    f" {clients[0]}: stop it first, or give this node a database of its own in storage.mongodb_database"
                )
            await asyncio.sleep(POLL_S)

    async def close(self) -> None:
        await settled(self._client.close())

    async def retried(self, attempt: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """What `attempt()` returns, begun anew while the database is at fault. Raises `StorageUnavailable`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._retry_max_s
        pause_s = PAUSE_FIRST_S
        while True:
            try:
                return await attempt()
            except PyMongoError as error:
                if not worth_retrying(error):
                    with meaningful_errors():
                        raise
                if loop.time() + pause_s > deadline:
                    raise StorageUnavailable(
                        f"MongoDB on {where_is(self._uri)} does not answer, tried for {self._retry_max_s:g} s: {error}"
                    ) from error
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSE_MAX_S)

    async def _end_leftover_transactions(self) -> None:
        """End the transactions that a killed predecessor of this node has left open.

        The server keeps them for a minute (`transactionLifetimeLimitSeconds`), and until then every write to what
        they have touched is a conflict. Of a node that runs they must not be ended, for it is in the midst of them; one
        of another home that names the same database begins anew (`worth_retrying`).
        """
        leftover = [
            {"$currentOp": {"idleSessions": True}},
            {"$match": {"appName": self._node_application, "type": "idleSession", "transaction": {"$exists": True}}},
        ]
        cursor = await settled(self._client.admin.aggregate(leftover))
        sessions = [{"id": one["lsid"]["id"]} for one in await settled(cursor.to_list(length=None))]
        if sessions:
            await settled(self._client.admin.command("killSessions", sessions))


def _require_database_name(name: str) -> None:
    """MongoDB's rule for names (Manual, "Naming Restrictions"), the stricter one of both platforms."""
    if not 1 <= len(name.encode()) <= DATABASE_NAME_MAX_BYTES or any(character in FORBIDDEN for character in name):
        raise StorageMismatch(
            f"the MongoDB database is named {name!r}: it must have 1 to {DATABASE_NAME_MAX_BYTES} bytes, and none of"
            f" {' '.join(map(repr, FORBIDDEN))}"
        )
