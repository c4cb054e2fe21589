"""The sizes of a MongoDB store, as the server tells them; a running node may go on with it meanwhile."""

from __future__ import annotations

from step_node.storage import mongo_documents as documents
from step_node.storage.asyncio_bridge import AsyncioThread
from step_node.storage.interface import StorageMismatch
from step_node.storage.mongo_driver import meaningful_errors, settled
from step_node.storage.mongo_replica_set import where_is
from step_node.storage.mongo_session import RETRY_MAX_S, MongoDatabase
from step_node.storage.sizes import StoreSizes, TableSize

APPLICATION = "step-node store stats"
"""What this is connected as, so that nobody takes it for a node."""


async def measure_database(uri: str, name: str) -> StoreSizes:
    """What the primary takes for the database. Raises `StorageMismatch` if it holds no store, `StorageUnavailable`.

    Called from trio.
    """

    async def measure() -> StoreSizes:
        with meaningful_errors():
            database = MongoDatabase(uri, name, RETRY_MAX_S, application=APPLICATION)
            try:
                return await _measured(database, f"the database {name} on {where_is(uri)}")
            finally:
                await database.close()

    thread = AsyncioThread()
    try:
        return await thread.run(measure)
    finally:
        await thread.close()


async def _measured(database: MongoDatabase, where: str) -> StoreSizes:
    schema = await settled(database.collection(documents.META).find_one({"_id": "schema"}))
    if schema is None:
        raise StorageMismatch(f"{where} holds no STEP store; the node has not been started yet")
    tables, reusable_bytes = [], 0
    for collection in sorted(documents.COLLECTIONS & set(await settled(database.database.list_collection_names()))):
        stats = await settled(database.database.command("collStats", collection))
        tables.append(TableSize(collection, int(stats["count"]), int(stats["totalSize"])))
        reusable_bytes += int(stats.get("freeStorageSize", 0))
    of_database = await settled(database.database.command("dbStats"))
    return StoreSizes(
        schema_version=int(schema["version"]),
        tables=tuple(tables),
        size_bytes=sum(table.size_bytes or 0 for table in tables),
        reusable_bytes=reusable_bytes,
        disk_free_bytes=int(of_database["fsTotalSize"]) - int(of_database["fsUsedSize"]),
    )
