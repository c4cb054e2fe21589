"""Snapshots of the whole state in MongoDB: records out in order, and records in, a page at a time.

Everything here runs on the asyncio loop. Records go in outside of any transaction: what that leaves after a crash is
recognised by the mark that `MongoStorage.restore` sets before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from pymongo import ASCENDING

from step_node.ledger.records import Account, NonceRecord, Record, Triangle
from step_node.storage import mongo_documents as documents
from step_node.storage.interface import RecordSink, StoredRecord
from step_node.storage.mongo_documents import Document
from step_node.storage.mongo_driver import Driver, settled
from step_node.storage.mongo_session import MongoDatabase
from step_node.storage.pace import Pace

PAGE_RECORDS = 1_000
"""Records read at once while exporting."""

_RECORD_FROM: Final[tuple[tuple[str, Callable[[Document], Record]], ...]] = (
    (documents.ACCOUNTS, documents.account_from),
    (documents.TRIANGLES, documents.triangle_from),
    (documents.NONCES, documents.nonce_from),
)


async def export_records(database: MongoDatabase, session: Driver, sink: RecordSink, share: float) -> None:
    """All accounts, triangles and nonces, in the order that `RecordSink` asks for, in the session's one moment."""
    pace = Pace(share)
    for collection, record_from in _RECORD_FROM:
        # Nonces by their own index: `_id` is of changing length there, and MongoDB sorts shorter bytes first.
        key = ("account", "nonce") if collection == documents.NONCES else ("_id",)
        after: Document = {}
        while True:
            cursor = database.collection(collection).find(after, documents.WITHOUT_GEOMETRY, session=session)
            in_order = cursor.sort([(name, ASCENDING) for name in key]).limit(PAGE_RECORDS)
            page: list[Document] = await settled(in_order.to_list(length=None))
            sink.add([record_from(document) for document in page])
            await asyncio.sleep(pace.pause_seconds())
            if len(page) < PAGE_RECORDS:
                break
            after = _after(key, page[-1])


async def clear_state(database: MongoDatabase) -> None:
    """Delete all accounts, triangles and nonces."""
    for collection, _ in _RECORD_FROM:
        await settled(database.collection(collection).delete_many({}))


async def insert_records(database: MongoDatabase, page: Sequence[StoredRecord]) -> None:
    """Write records that are not there yet."""
    new: dict[str, list[Document]] = {}
    for record in page:
        match record:
            case Account():
                new.setdefault(documents.ACCOUNTS, []).append(documents.account_document(record))
            case Triangle(triangle_id):
                new.setdefault(documents.TRIANGLES, []).append(
                    {"_id": triangle_id} | documents.triangle_place(triangle_id) | documents.triangle_fields(record)
                )
            case NonceRecord():
                new.setdefault(documents.NONCES, []).append(documents.nonce_document(record))
    for collection, inserted in new.items():
        await settled(database.collection(collection).insert_many(inserted, ordered=False))


def _after(key: tuple[str, ...], last: Document) -> Document:
    if key == ("_id",):
        return {"_id": {"$gt": last["_id"]}}
    first, second = key
    return {
        "$or": [
            {first: {"$gt": last[first]}},
            {first: last[first], second: {"$gt": last[second]}},
        ]
    }
