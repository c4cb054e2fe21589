"""Reading the MongoDB database: each read sees one moment that a majority has made durable.

The moment reaches as far as the question does: the head of all that is known to be durable, or the last height that the
question is about. What lies below is final, the same in every later moment.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, TypeVar

import trio
from pymongo import ASCENDING, DESCENDING

from step_node.ledger.level_counts import CountsByLevel
from step_node.ledger.offences import Slashing
from step_node.ledger.records import Account, NonceRecord, Triangle, TriangleState
from step_node.ledger.state import NonceExpiry, Receipt, StateHead, StateKeys, StateSlice, TriangleRanges
from step_node.ledger.validator_changes import ValidatorChange
from step_node.storage import checks
from step_node.storage import mongo_accounts as accounts
from step_node.storage import mongo_documents as documents
from step_node.storage.asyncio_bridge import AsyncioThread
from step_node.storage.interface import (
    AccountPage,
    FinalisedOperation,
    FinalisedProof,
    Kept,
    Place,
    StorageReads,
    StoredBatch,
    Transaction,
)
from step_node.storage.mongo_documents import Document
from step_node.storage.mongo_driver import Driver, settled
from step_node.storage.mongo_pages import MongoPage
from step_node.storage.mongo_session import MongoDatabase

RANGES_PER_QUERY: Final = 100
"""Ranges of ids that one query names; for more there are several, of the same moment."""

ResultT = TypeVar("ResultT")
EntryT = TypeVar("EntryT")


class MongoReads(StorageReads):
    """At most `reads_max` reads at the same time, each with a connection of the driver's pool; a further one waits."""

    def __init__(self, thread: AsyncioThread, database: MongoDatabase, *, reads_max: int) -> None:
        self._thread = thread
        self._database = database
        self._turns = trio.CapacityLimiter(reads_max)

    async def head(self) -> StateHead:
        return await self._read(self._read_head)

    async def load(self, keys: StateKeys) -> StateSlice:
        if keys.ranges is not None:
            checks.require_ranges(keys.ranges)

        async def work(session: Driver) -> StateSlice:
            head = await self._read_head(session)
            found_accounts = await self._find_ids(session, documents.ACCOUNTS, keys.accounts)
            triangles = await self._find_ids(session, documents.TRIANGLES, keys.triangles, documents.WITHOUT_GEOMETRY)
            nonce_keys = [documents.nonce_key(*key) for key in keys.nonces]
            nonces = map(documents.nonce_from, await self._find_ids(session, documents.NONCES, nonce_keys))
            expired: list[NonceRecord] = []
            if keys.expiry is not None:
                expired = await self._oldest_nonces(session, keys.expiry)
            return StateSlice(
                head=head,
                accounts=dict.fromkeys(keys.accounts)
                | {account.address: account for account in map(documents.account_from, found_accounts)},
                triangles=dict.fromkeys(keys.triangles)
                | {triangle.id: triangle for triangle in map(documents.triangle_from, triangles)},
                nonces=dict.fromkeys(keys.nonces) | {(nonce.account, nonce.nonce): nonce for nonce in nonces},
                expired_nonces=tuple(expired),
                in_ranges=() if keys.ranges is None else await self._triangles_in(session, keys.ranges),
            )

        return await self._read(work)

    async def batches(self, from_height: int, limit: int) -> Sequence[StoredBatch]:
        checks.require_limit(limit)

        async def work(session: Driver) -> Sequence[StoredBatch]:
            heights = {"_id": {"$gte": from_height, "$lt": from_height + limit}}
            found = map(documents.batch_from, await self._find(session, documents.BATCHES, heights))
            in_order = sorted(found, key=lambda batch: batch.height)
            # Consecutive from `from_height`: a caller below the first stored height gets none, not a gap.
            return tuple(batch for index, batch in enumerate(in_order) if batch.height == from_height + index)

        return await self._read_chain(work, last_height=from_height + limit - 1)

    async def receipts(self, proof_ids: Sequence[bytes]) -> Sequence[Receipt]:
        async def work(session: Driver) -> Sequence[Receipt]:
            return tuple(map(documents.receipt_from, await self._find_ids(session, documents.PROOFS, set(proof_ids))))

        return await self._read_chain(work)

    async def account(self, address: bytes) -> Account | None:
        return await self._read_chain(lambda session: accounts.read_account(self._database, session, address))

    async def account_rank(self, address: bytes) -> int | None:
        async def work(session: Driver) -> int | None:
            own = await accounts.read_account(self._database, session, address)
            return await accounts.read_rank(self._database, session, own)

        return await self._read_chain(work)

    async def account_page(self, address: bytes, *, limit: int) -> AccountPage:
        checks.require_limit(limit)
        return await self._read_chain(
            lambda session: accounts.read_account_page(self._database, session, address, limit=limit)
        )

    async def transactions(
        self, address: bytes, *, limit: int, before: Place | None = None, after: Place | None = None
    ) -> Sequence[Transaction]:
        page = MongoPage(limit, before, after)
        return await self._read_chain(
            lambda session: accounts.read_transactions(self._database, session, address, page),
            last_height=page.height_last,
        )

    async def operations(self, operation_ids: Sequence[bytes]) -> Sequence[FinalisedOperation]:
        return await self._read_chain(lambda session: accounts.read_operations(self._database, session, operation_ids))

    async def account_proofs(
        self, address: bytes, *, limit: int, before: Place | None = None, after: Place | None = None
    ) -> Sequence[FinalisedProof]:
        of: Document = {"account": address}
        return await self._read_page(
            documents.PROOFS, documents.finalised_proof_from, of, MongoPage(limit, before, after)
        )

    async def triangle_proofs(
        self, triangle_id: int, *, limit: int, before: Place | None = None, after: Place | None = None
    ) -> Sequence[FinalisedProof]:
        of: Document = {"triangle": triangle_id}
        return await self._read_page(
            documents.PROOFS, documents.finalised_proof_from, of, MongoPage(limit, before, after)
        )

    async def triangle(self, triangle_id: int) -> Triangle | None:
        async def work(session: Driver) -> Triangle | None:
            found = await self._find_ids(session, documents.TRIANGLES, [triangle_id], documents.WITHOUT_GEOMETRY)
            return documents.triangle_from(found[0]) if found else None

        return await self._read_chain(work)

    async def active_triangles(self, level: int, *, after: int, limit: int) -> Sequence[Triangle]:
        checks.require_limit(limit)
        # The state is named as it is in the index, which holds no others.
        which = {"level": level, "state": TriangleState.ACTIVE, "_id": {"$gt": after}}

        async def work(session: Driver) -> Sequence[Triangle]:
            return await self._triangles_by_id(session, which, limit)

        return await self._read_chain(work)

    async def level_counts(self) -> CountsByLevel:
        async def work(session: Driver) -> CountsByLevel:
            fields = {"height": True, "levels": True}
            return documents.level_counts_from(await self._read_chain_document(session, fields))

        return await self._read(work)

    async def leaderboard(self, *, limit: int) -> Sequence[Account]:
        checks.require_limit(limit)

        async def work(session: Driver) -> Sequence[Account]:
            by_rank = [("balance_ustep", DESCENDING), ("_id", ASCENDING)]
            cursor = self._database.collection(documents.ACCOUNTS).find({}, session=session).sort(by_rank).limit(limit)
            return tuple(map(documents.account_from, await settled(cursor.to_list(length=None))))

        return await self._read_chain(work)

    async def slashings(
        self, *, limit: int, before: Place | None = None, after: Place | None = None
    ) -> Sequence[Slashing]:
        return await self._read_page(documents.SLASHINGS, documents.slashing_from, {}, MongoPage(limit, before, after))

    async def validator_changes(
        self, *, limit: int, before: Place | None = None, after: Place | None = None
    ) -> Sequence[ValidatorChange]:
        read = documents.validator_change_from
        return await self._read_page(documents.VALIDATOR_CHANGES, read, {}, MongoPage(limit, before, after))

    async def _read_page(
        self, collection: str, entry_from: Callable[[Document], EntryT], of: Document, page: MongoPage
    ) -> Sequence[EntryT]:
        """A page of a history: of the entries that `of` selects."""

        async def work(session: Driver) -> Sequence[EntryT]:
            return tuple(map(entry_from, await page.find(self._database.collection(collection), of, session)))

        return await self._read_chain(work, last_height=page.height_last)

    async def first_height(self) -> int | None:
        async def work(session: Driver) -> int | None:
            batches = self._database.collection(documents.BATCHES)
            lowest = await settled(batches.find_one({}, {"_id": True}, sort=[("_id", ASCENDING)], session=session))
            return None if lowest is None else lowest["_id"]

        return await self._read_chain(work)

    async def kept(self) -> Kept:
        return await self._read_chain(self._read_kept)

    async def _read_kept(self, session: Driver) -> Kept:
        meta = self._database.collection(documents.META)
        return documents.kept_from(await settled(meta.find_one(documents.KEPT, session=session)))

    async def _read(self, work: Callable[[Driver], Awaitable[ResultT]]) -> ResultT:
        async with self._turns:
            return await self._thread.run(lambda: self._database.snapshot(work))

    async def _read_chain(
        self, work: Callable[[Driver], Awaitable[ResultT]], *, last_height: int | None = None
    ) -> ResultT:
        """As `_read`, in a store that holds a chain. Nothing above `last_height` is asked for; None: the head is."""

        async def checked(session: Driver) -> ResultT:
            await self._read_chain_document(session, {"height": True}, last_height=last_height)
            return await work(session)

        return await self._read(checked)

    async def _read_head(self, session: Driver) -> StateHead:
        chain = await self._read_chain_document(session)
        return documents.head_from(chain, await self._find(session, documents.VALIDATORS, {}))

    async def _read_chain_document(
        self, session: Driver, fields: Document | None = None, *, last_height: int | None = None
    ) -> Document:
        """The session's first read: it says of which height the session's moment is."""
        durable = self._database.durable.height
        found = await self._find_ids(session, documents.META, ["chain"], fields)
        if not found:
            raise checks.no_chain()
        wanted = durable if last_height is None else min(last_height, durable)
        self._database.require_height(found[0]["height"], wanted)
        return found[0]

    async def _find(
        self, session: Driver, collection: str, which: Document, fields: Document | None = None
    ) -> list[Document]:
        cursor = self._database.collection(collection).find(which, fields, session=session)
        found: list[Document] = await settled(cursor.to_list(length=None))
        return found

    async def _triangles_in(self, session: Driver, wanted: TriangleRanges) -> tuple[Triangle, ...]:
        """A chunk of ranges at a time: the server takes each for a branch of its plan."""
        found: list[Triangle] = []
        for start in range(0, len(wanted.ranges), RANGES_PER_QUERY):
            chunk = wanted.ranges[start : start + RANGES_PER_QUERY]
            within = {"$or": [{"_id": {"$gte": first, "$lte": last}} for first, last in chunk]}
            found += await self._triangles_by_id(session, within, wanted.records_max - len(found))
            if len(found) == wanted.records_max:
                break
        return tuple(found)

    async def _triangles_by_id(self, session: Driver, which: Document, limit: int) -> tuple[Triangle, ...]:
        """The first `limit`, at least one, of these triangles by rising id."""
        triangles = self._database.collection(documents.TRIANGLES)
        cursor = triangles.find(which, documents.WITHOUT_GEOMETRY, session=session).sort("_id", ASCENDING).limit(limit)
        return tuple(map(documents.triangle_from, await settled(cursor.to_list(length=None))))

    async def _oldest_nonces(self, session: Driver, expiry: NonceExpiry) -> list[NonceRecord]:
        older = {"timestamp_ms": {"$lt": expiry.before_ms}}
        cursor = self._database.collection(documents.NONCES).find(older, session=session)
        cursor = cursor.sort(documents.NONCES_BY_AGE).limit(expiry.nonces_max)
        return [documents.nonce_from(found) for found in await settled(cursor.to_list(length=None))]

    async def _find_ids(
        self, session: Driver, collection: str, ids: Iterable[object], fields: Document | None = None
    ) -> list[Document]:
        """The documents with these ids, in no particular order; no round trip for none."""
        wanted = list(ids)
        return await self._find(session, collection, {"_id": {"$in": wanted}}, fields) if wanted else []
