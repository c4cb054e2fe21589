"""Bringing a MongoDB store of an earlier schema to the present one, in place, while no node is connected.

Each step may be done again, and the version is written last, by `MongoDatabase.sign` with the indexes that are new; so
whatever cuts it short, the next opening goes on with it.

Version 5 has no index of batches by their hashes, which nothing read, and says from where on the past is there.
"""

from __future__ import annotations

from typing import Final

import structlog
from pymongo import ASCENDING
from pymongo.errors import OperationFailure

from step_node.storage import mongo_documents as documents
from step_node.storage.interface import SCHEMA_VERSION, Kept
from step_node.storage.mongo_driver import meaningful_errors, settled
from step_node.storage.mongo_session import RETRY_MAX_S, MongoDatabase

APPLICATION: Final = "step-node store migrate"
"""What this is connected as, so that it does not take itself for a node."""

BATCHES_BY_HASH: Final = "batch_hash_1"
"""The index that version 4 had."""

INDEX_NOT_FOUND: Final = 27
"""The server's code."""

log = structlog.get_logger("storage")


async def migrate_database(uri: str, name: str) -> None:
    """Bring the database, which holds a store of an earlier schema, to the present one.

    Raises `StorageMismatch` if a node is connected to it, `StorageUnavailable`.
    """
    with meaningful_errors():
        database = MongoDatabase(uri, name, RETRY_MAX_S, application=APPLICATION)
        try:
            await database.require_no_node()
            log.info("the store is brought to the present schema", version=SCHEMA_VERSION)
            await _migrate(database)
        finally:
            await database.close()


async def _migrate(database: MongoDatabase) -> None:
    batches = database.collection(documents.BATCHES)
    try:
        await settled(batches.drop_index(BATCHES_BY_HASH))
    except OperationFailure as error:
        if error.code != INDEX_NOT_FOUND:
            raise
    lowest = await settled(batches.find_one({}, {"_id": True}, sort=[("_id", ASCENDING)]))
    if lowest is not None and lowest["_id"] > 1:
        # It has joined from the snapshot of the height that it begins with.
        kept = documents.kept_fields(Kept(lowest["_id"], lowest["_id"] + 1))
        meta = database.collection(documents.META)
        await settled(meta.update_one(documents.KEPT, {"$setOnInsert": kept}, upsert=True))
    await database.sign()
