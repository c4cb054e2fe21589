"""The production engine: MongoDB, one transaction a batch, through a driver on an asyncio loop in a thread of its own.

Every method hands one piece of work over the bridge and gets its outcome back: one crossing a call. Writes are
durable on a majority before they return; reads see one moment of what a majority has, and no moment before a write
that has returned. Round trips are what costs (architecture.md, Storage), so a batch is a fixed dozen of them however
many proofs it holds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Literal, TypeAlias, TypeVar

import trio
from pymongo import DeleteMany, InsertOne, ReplaceOne, UpdateOne

from step_node.ledger.level_counts import CountsByLevel, add_counts, counts_of_receipts, counts_of_triangles
from step_node.ledger.records import Account, Triangle
from step_node.ledger.state import Changes, StateHead
from step_node.storage import checks
from step_node.storage import mongo_documents as documents
from step_node.storage.asyncio_bridge import AsyncioThread
from step_node.storage.interface import (
    STRANGERS_READS_MAX,
    EarlierSchema,
    FinalisedBatch,
    FinalisedOperation,
    FinalisedProof,
    History,
    HistoryEnds,
    InitialPages,
    LedgerTotals,
    Prunable,
    RecordSink,
    RestoredState,
    Storage,
    StorageReads,
    StoredRecord,
    no_initial_pages,
)
from step_node.storage.mongo_documents import Document
from step_node.storage.mongo_driver import CONNECTIONS_MAX, Driver, settled
from step_node.storage.mongo_history import documents_of, read_all_operations, read_all_proofs, read_history_ends
from step_node.storage.mongo_migration import migrate_database
from step_node.storage.mongo_pruning import prune_batches, prune_histories, write_kept
from step_node.storage.mongo_reads import MongoReads
from step_node.storage.mongo_secondaries import SecondariesFirst
from step_node.storage.mongo_session import RETRY_MAX_S, MongoDatabase
from step_node.storage.mongo_snapshot import clear_state, export_records, insert_records

OWN_READS_MAX = CONNECTIONS_MAX - STRANGERS_READS_MAX - 1
"""Reads of the node itself at the same time: the driver's connections, less those for strangers and for writing."""

AnswersFrom: TypeAlias = Literal["primary", "secondaries"]

ResultT = TypeVar("ResultT")


class MongoStorage(MongoReads, Storage):
    """One chain's store in one database. Made by `MongoStorage.open`; after `close` it cannot be used."""

    def __init__(self, thread: AsyncioThread, database: MongoDatabase, *, answers_from: AnswersFrom) -> None:
        super().__init__(thread, database, reads_max=OWN_READS_MAX)
        self._strangers: StorageReads = MongoReads(thread, database, reads_max=STRANGERS_READS_MAX)
        if answers_from == "secondaries":
            secondaries = MongoReads(thread, database.on_secondaries(), reads_max=STRANGERS_READS_MAX)
            self._strangers = SecondariesFirst(secondaries, self._strangers)

    def for_strangers(self) -> StorageReads:
        """As the interface says: so few at a time that the driver's pool always has connections for the node."""
        return self._strangers

    @classmethod
    async def open(
        cls,
        uri: str,
        database: str,
        *,
        alone: bool = False,
        only_reads: bool = False,
        retry_max_s: float = RETRY_MAX_S,
        answers_from: AnswersFrom = "primary",
    ) -> MongoStorage:
        """Connect to the replica set at `uri`, and, unless `only_reads`, make the indexes where there are none, and
        write down the release.

        `answers_from` is where `for_strangers` reads.

        Raises `StorageMismatch` for a standalone server, a set that has not been initiated, another schema version (of
        earlier ones see `open_storage`) or an unusable URI; `StorageUnavailable` when there is no primary.
        """
        thread = AsyncioThread()
        opened: MongoDatabase | None = None
        ready = False

        async def begin() -> MongoDatabase:
            return MongoDatabase(uri, database, retry_max_s)

        try:
            opened = await thread.run(begin)
            try:
                await thread.run(partial(opened.prepare, alone=alone, only_reads=only_reads))
            except EarlierSchema:
                if not alone:
                    raise
                # This connection is a node's, and there must be none of those.
                await thread.run(opened.close)
                await thread.run(lambda: migrate_database(uri, database))
                opened = await thread.run(begin)
                await thread.run(partial(opened.prepare, alone=alone))
            ready = True
        finally:
            if not ready:
                await _end(thread, opened)
        return cls(thread, opened, answers_from=answers_from)

    async def initialise(
        self,
        genesis_hash: bytes,
        head: StateHead,
        accounts: Sequence[Account],
        initial_pages: InitialPages = no_initial_pages,
    ) -> None:
        """As the interface says. An initial state goes in as a restored one does: under a mark, before the head."""
        checks.require_initial_state(genesis_hash, head, accounts)
        counts: CountsByLevel = {}

        async def find_chain(session: Driver) -> Document | None:
            meta = self._database.collection(documents.META)
            stored: Document | None = await settled(meta.find_one({"_id": "chain"}, session=session))
            if stored is not None:
                checks.require_same_genesis(stored["genesis_hash"], genesis_hash)
                self._database.durable.note(stored["height"])
            return stored

        async def must_be_filled(session: Driver) -> bool:
            if await self._is_marked(session):
                await find_chain(session)
                return True
            if await find_chain(session) is not None or initial_pages is no_initial_pages:
                return False
            await self._insert(session, documents.META, [{**documents.RESTORING, "height": 0}])
            return True

        async def fill() -> None:
            await self._replace_records(initial_pages(), counts)

        async def work(session: Driver) -> None:
            stored = await find_chain(session)
            if stored is not None and not await self._is_marked(session):
                return
            meta = self._database.collection(documents.META)
            if stored is None:
                levels = {"levels": documents.level_counts_document(counts)} if counts else {}
                chain = {"_id": "chain", "genesis_hash": genesis_hash} | documents.head_document(head) | levels
                await settled(meta.insert_one(chain, session=session))
                await self._insert(session, documents.VALIDATORS, map(documents.validator_document, head.validators))
            await self._insert(session, documents.ACCOUNTS, map(documents.account_document, accounts))
            await settled(meta.delete_one(documents.RESTORING, session=session))

        # In a transaction: a snapshot may be of a moment before the mark was set.
        if await self._write(must_be_filled):
            await self._thread.run(lambda: self._database.retried(fill))
        await self._write(work)

    async def finalise(self, finalised: FinalisedBatch) -> None:
        """As the interface says. `StorageUnavailable` may leave the outcome unknown: finalise again settles it."""
        checks.require_consistent(finalised)
        stored, changes = finalised.stored, finalised.changes

        async def work(session: Driver) -> None:
            head = await self._read_head(session)
            known = await self._find_ids(session, documents.BATCHES, [stored.height], {"batch_hash": True})
            if checks.already_finalised(head.chain, known[0]["batch_hash"] if known else None, stored):
                return
            # The head first: a second opener that finalises this height at the same time is in conflict at once.
            meta = self._database.collection(documents.META)
            growth = documents.level_growth(counts_of_receipts(finalised.receipts))
            await settled(
                meta.update_one({"_id": "chain"}, documents.head_update(changes.head, growth), session=session)
            )
            await self._insert(session, documents.BATCHES, [documents.batch_document(stored)])
            proofs = map(documents.proof_document, finalised.proofs, finalised.receipts)
            await self._insert(session, documents.PROOFS, proofs)
            operations = map(documents.operation_document, finalised.operations)
            await self._insert(session, documents.OPERATIONS, operations)
            slashings = map(documents.slashing_document, finalised.slashings)
            await self._insert(session, documents.SLASHINGS, slashings)
            lives = map(documents.validator_change_document, finalised.validator_changes)
            await self._insert(session, documents.VALIDATOR_CHANGES, lives)
            await self._write_changes(session, changes, validators_changed=head.validators != changes.head.validators)

        await self._write(work)
        self._database.durable.note(stored.height)

    async def prune(self, what: Prunable, *, below: int, before_ms: int | None = None) -> bool:
        step = prune_batches if what is Prunable.BATCHES else prune_histories

        async def work(session: Driver) -> bool:
            head, kept = await self._read_head(session), await self._read_kept(session)
            return await step(self._database, session, kept, checks.prune_end(head.chain, kept, what, below), before_ms)

        return await self._write(work)

    async def totals(self) -> LedgerTotals:
        async def work(session: Driver) -> LedgerTotals:
            total = [{"$group": {"_id": None, "ustep": {"$sum": "$balance_ustep"}}}]
            accounts = self._database.collection(documents.ACCOUNTS)
            cursor = await settled(accounts.aggregate(total, session=session))
            sums = await settled(cursor.to_list(length=None))
            return LedgerTotals(
                balances_ustep=sums[0]["ustep"] if sums else 0,
                accounts=await self._count(session, documents.ACCOUNTS, {}),
                triangles=await self._count(session, documents.TRIANGLES, {}),
                proofs=await self._count(session, documents.PROOFS, {}),
            )

        return await self._read_chain(work)

    async def export(self, sink: RecordSink, *, share: float = 1.0) -> None:
        """As the interface says. It must end within the server's `minSnapshotHistoryWindowInSeconds` (300)."""

        async def work(session: Driver) -> None:
            head = await self._read_head(session)
            if await self._is_marked(session):
                raise checks.half_filled()
            base = await self._find_ids(session, documents.BATCHES, [head.chain.height])
            sink.begin(head, documents.batch_from(base[0]) if base else None)
            await export_records(self._database, session, sink, share)

        await self._read(work)

    async def restore(self, restored: RestoredState) -> None:
        """As the interface says.

        A state is too large for one transaction of MongoDB. So a mark is set first; then the records are written; and
        one transaction moves the head and takes the mark away. `initialise` clears what it finds under a mark.
        """
        checks.require_restorable(restored.head, restored.base)
        counts: CountsByLevel = {}

        async def is_done(session: Driver) -> bool:
            return checks.already_restored((await self._read_head(session)).chain, restored.head)

        async def fill() -> None:
            meta = self._database.collection(documents.META)
            await settled(meta.update_one(documents.RESTORING, {"$set": {"height": restored.base.height}}, upsert=True))
            await self._replace_records(restored.pages(), counts)

        async def move_head(session: Driver) -> None:
            if await is_done(session):
                return
            meta = self._database.collection(documents.META)
            levels = {"levels": documents.level_counts_document(counts)}
            update = {"$set": documents.head_document(restored.head) | levels}
            await settled(meta.update_one({"_id": "chain"}, update, session=session))
            await self._insert(session, documents.BATCHES, [documents.batch_document(restored.base)])
            await write_kept(self._database, session, checks.kept_after_restore(restored.base, restored.kept))
            await self._replace_validators(session, restored.head)
            await settled(meta.delete_one(documents.RESTORING, session=session))

        if not await self._read(is_done):
            await self._thread.run(lambda: self._database.retried(fill))
            await self._write(move_head)
            self._database.durable.note(restored.base.height)

    async def all_proofs(self, *, limit: int, after: bytes | None) -> Sequence[FinalisedProof]:
        checks.require_limit(limit)
        return await self._read_chain(lambda session: read_all_proofs(self._database, session, limit, after))

    async def all_operations(self, *, limit: int, after: bytes | None) -> Sequence[FinalisedOperation]:
        checks.require_limit(limit)
        return await self._read_chain(lambda session: read_all_operations(self._database, session, limit, after))

    async def history_ends(self) -> HistoryEnds:
        return await self._read_chain(lambda session: read_history_ends(self._database, session))

    async def take_history(self, history: History) -> None:
        """As the interface says. In one transaction, so the part must be small: `PAGE_MAX` of each kind is."""

        async def work(session: Driver) -> None:
            checks.require_beginning((await self._read_head(session)).chain)
            for collection, new in documents_of(history).items():
                known = await self._find_ids(session, collection, [one["_id"] for one in new if "_id" in one], {})
                # There already where a commit's outcome was unknown, and the work is done again.
                if not known:
                    await self._insert(session, collection, new)

        await self._write(work)

    async def close(self) -> None:
        """End the connections. Calls under way are cut short, and raise `trio.ClosedResourceError`."""
        await _end(self._thread, self._database)

    async def _write(self, work: Callable[[Driver], Awaitable[ResultT]]) -> ResultT:
        return await self._thread.run(lambda: self._database.transaction(work))

    async def _replace_records(self, pages: Iterable[Sequence[StoredRecord]], counts: CountsByLevel) -> None:
        """Make these records all that there are, and `counts` those of their levels. Outside of any transaction."""
        await clear_state(self._database)
        counts.clear()
        for page in pages:
            await insert_records(self._database, page)
            add_counts(counts, counts_of_triangles(one for one in page if isinstance(one, Triangle)))

    async def _is_marked(self, session: Driver) -> bool:
        meta = self._database.collection(documents.META)
        return await settled(meta.find_one(documents.RESTORING, session=session)) is not None

    async def _write_changes(self, session: Driver, changes: Changes, *, validators_changed: bool) -> None:
        if validators_changed:
            await self._replace_validators(session, changes.head)
        await self._write_nonces(session, changes)
        account_documents = map(documents.account_document, changes.accounts)
        accounts = [ReplaceOne({"_id": one["_id"]}, one, upsert=True) for one in account_documents]
        if accounts:
            collection = self._database.collection(documents.ACCOUNTS)
            await settled(collection.bulk_write(accounts, ordered=False, session=session))
        triangles = [
            UpdateOne(
                {"_id": triangle.id},
                {
                    "$set": documents.triangle_fields(triangle),
                    "$setOnInsert": documents.triangle_place(triangle.id),
                },
                upsert=True,
            )
            for triangle in changes.triangles
        ]
        if triangles:
            collection = self._database.collection(documents.TRIANGLES)
            await settled(collection.bulk_write(triangles, ordered=False, session=session))

    async def _replace_validators(self, session: Driver, head: StateHead) -> None:
        await settled(self._database.collection(documents.VALIDATORS).delete_many({}, session=session))
        await self._insert(session, documents.VALIDATORS, map(documents.validator_document, head.validators))

    async def _write_nonces(self, session: Driver, changes: Changes) -> None:
        # Removed before added: a nonce that has just left the window may be used again in the same batch.
        removed = [documents.nonce_key(nonce.account, nonce.nonce) for nonce in changes.nonces_removed]
        writes: list[DeleteMany | InsertOne[Document]] = [DeleteMany({"_id": {"$in": removed}})] if removed else []
        writes += [InsertOne(documents.nonce_document(nonce)) for nonce in changes.nonces_added]
        if not writes:
            return
        nonces = self._database.collection(documents.NONCES)
        result = await settled(nonces.bulk_write(writes, ordered=True, session=session))
        if result.deleted_count != len(removed):
            raise ValueError("one of the nonces to remove is not stored")

    async def _insert(self, session: Driver, collection: str, new: Iterable[Document]) -> None:
        if inserted := list(new):
            await settled(self._database.collection(collection).insert_many(inserted, ordered=True, session=session))

    async def _count(self, session: Driver, collection: str, which: Document) -> int:
        count: int = await settled(self._database.collection(collection).count_documents(which, session=session))
        return count


async def _end(thread: AsyncioThread, database: MongoDatabase | None) -> None:
    with trio.CancelScope(shield=True):
        if database is not None:
            await thread.cancel_all()
            await thread.run(database.close)
        await thread.close()
