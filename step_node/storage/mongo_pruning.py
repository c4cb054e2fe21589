"""Deleting the oldest of the past from MongoDB: one step, within the transaction of the caller.

WiredTiger uses the space again that deleted documents leave, so the files stay as large as they are.
"""

from __future__ import annotations

from typing import Final

from pymongo import ASCENDING

from step_node.storage import checks
from step_node.storage import mongo_documents as documents
from step_node.storage.interface import PRUNED_BATCHES_MAX, PRUNED_ENTRIES_MAX, Kept
from step_node.storage.mongo_documents import Document
from step_node.storage.mongo_driver import Driver, settled
from step_node.storage.mongo_session import MongoDatabase

_TIMES: Final = {documents.PROOFS: "processed_at_ms", documents.OPERATIONS: "timestamp_ms"}
"""The collections of histories, and what each calls the time of the batch."""


async def write_kept(database: MongoDatabase, session: Driver, kept: Kept) -> None:
    """Say from where on the past is here."""
    update = {"$set": documents.kept_fields(kept)}
    await settled(database.collection(documents.META).update_one(documents.KEPT, update, upsert=True, session=session))


async def prune_batches(database: MongoDatabase, session: Driver, kept: Kept, end: int, before_ms: int | None) -> bool:
    """Delete the oldest batches below the height `end`; whether there is more."""
    batches = database.collection(documents.BATCHES)
    step_end = min(end, kept.batches_from + PRUNED_BATCHES_MAX)
    if before_ms is not None:
        young: Document = {"_id": {"$lt": step_end}, "timestamp_ms": {"$gte": before_ms}}
        found = await settled(batches.find_one(young, {"_id": True}, sort=[("_id", ASCENDING)], session=session))
        if found is not None:
            step_end = end = found["_id"]
    await settled(batches.delete_many({"_id": {"$lt": step_end}}, session=session))
    await write_kept(database, session, Kept(step_end, kept.histories_from))
    return step_end < end


async def prune_histories(
    database: MongoDatabase, session: Driver, kept: Kept, end: int, before_ms: int | None
) -> bool:
    """Delete the oldest proofs and operations below the height `end`; whether there is more."""
    heights: list[int] = []
    for name, time in _TIMES.items():
        cursor = database.collection(name).find({}, {"height": True, time: True}, session=session)
        oldest = cursor.sort("height", ASCENDING).limit(PRUNED_ENTRIES_MAX + 1)
        for one in await settled(oldest.to_list(length=None)):
            if not checks.is_older(one[time], before_ms):
                end = min(end, one["height"])
                break
            heights.append(one["height"])
    step_end = max(kept.histories_from, checks.step_end(sorted(heights), end))
    for name in _TIMES:
        await settled(database.collection(name).delete_many({"height": {"$lt": step_end}}, session=session))
    await write_kept(database, session, Kept(kept.batches_from, step_end))
    return step_end < end
