"""The whole past in MongoDB, oldest first: read for another store, and taken from one."""

from __future__ import annotations

from collections.abc import Sequence

from pymongo import ASCENDING, DESCENDING

from step_node.storage import mongo_documents as documents
from step_node.storage.interface import FinalisedOperation, FinalisedProof, History, HistoryEnds, Place
from step_node.storage.mongo_documents import Document
from step_node.storage.mongo_driver import Driver, settled
from step_node.storage.mongo_session import MongoDatabase


async def read_all_proofs(
    database: MongoDatabase, session: Driver, limit: int, after: bytes | None
) -> Sequence[FinalisedProof]:
    """Proofs from behind the one with the id `after`."""
    found = await _behind(database, session, documents.PROOFS, limit, after)
    return tuple(map(documents.finalised_proof_from, found))


async def read_all_operations(
    database: MongoDatabase, session: Driver, limit: int, after: bytes | None
) -> Sequence[FinalisedOperation]:
    """Operations from behind the one with the id `after`."""
    found = await _behind(database, session, documents.OPERATIONS, limit, after)
    return tuple(map(documents.operation_from, found))


async def read_history_ends(database: MongoDatabase, session: Driver) -> HistoryEnds:
    """How far the past reaches."""

    async def last(collection: str, key: str) -> Document | None:
        order = [("_id", DESCENDING)] if key == "_id" else [("height", DESCENDING), ("index", DESCENDING)]
        fields = {"_id": True} if key == "_id" else {"height": True, "index": True}
        found: Document | None = await settled(
            database.collection(collection).find_one({}, fields, sort=order, session=session)
        )
        return found

    def place_of(document: Document | None) -> Place | None:
        return None if document is None else (document["height"], document["index"])

    batch = await last(documents.BATCHES, "_id")
    proof = await last(documents.PROOFS, "place")
    operation = await last(documents.OPERATIONS, "place")
    return HistoryEnds(
        batch=None if batch is None else batch["_id"],
        proof_id=None if proof is None else proof["_id"],
        operation_id=None if operation is None else operation["_id"],
        slashing=place_of(await last(documents.SLASHINGS, "place")),
        validator_change=place_of(await last(documents.VALIDATOR_CHANGES, "place")),
    )


def documents_of(history: History) -> dict[str, list[Document]]:
    """By collection, those that a part of the past is."""
    made = {
        documents.BATCHES: [documents.batch_document(one) for one in history.batches],
        documents.PROOFS: [documents.proof_document(one.proof, one.receipt) for one in history.proofs],
        documents.OPERATIONS: [documents.operation_document(one) for one in history.operations],
        documents.SLASHINGS: [documents.slashing_document(one) for one in history.slashings],
        documents.VALIDATOR_CHANGES: [documents.validator_change_document(one) for one in history.validator_changes],
    }
    return {collection: new for collection, new in made.items() if new}


async def _behind(
    database: MongoDatabase, session: Driver, name: str, limit: int, after: bytes | None
) -> list[Document]:
    collection = database.collection(name)
    which: Document = {}
    if after is not None:
        fields = {"height": True, "index": True}
        last = await settled(collection.find_one({"_id": after}, fields, session=session))
        height, index = last["height"], last["index"]
        which = {"$or": [{"height": height, "index": {"$gt": index}}, {"height": {"$gt": height}}]}
    cursor = collection.find(which, session=session).sort([("height", ASCENDING), ("index", ASCENDING)]).limit(limit)
    found: list[Document] = await settled(cursor.to_list(length=None))
    return found
