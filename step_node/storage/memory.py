"""The store that lives in memory: a real implementation for tests, simulations and throw-away nodes.

Nothing here awaits, so every method is atomic under any event loop, and none needs a lock. `finalise` checks
everything before it changes anything, which is what a transaction is to the other engines. Nothing is bounded but by
the chain's length: it is not meant for a long-lived node.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from itertools import islice, takewhile
from typing import TypeVar

from mesh.triangle_id import LEVEL_MASK
from step_node.ledger.level_counts import (
    CountsByLevel,
    add_counts,
    counts_of_receipts,
    counts_of_triangles,
)
from step_node.ledger.offences import Slashing
from step_node.ledger.records import Account, NonceRecord, Triangle, TriangleState, nonce_age
from step_node.ledger.state import Changes, Receipt, StateHead, StateKeys, StateSlice, TriangleRanges
from step_node.ledger.validator_changes import ValidatorChange
from step_node.storage import checks
from step_node.storage.interface import (
    PRUNED_BATCHES_MAX,
    PRUNED_ENTRIES_MAX,
    RANK_MAX,
    AccountPage,
    FinalisedBatch,
    FinalisedOperation,
    FinalisedProof,
    History,
    HistoryEnds,
    InitialPages,
    Kept,
    LedgerTotals,
    Place,
    Prunable,
    RecordSink,
    RestoredState,
    Storage,
    StorageReads,
    StoredBatch,
    StoredRecord,
    Transaction,
    no_initial_pages,
)
from step_node.storage.transactions import place_of

EntryT = TypeVar("EntryT")
KeyT = TypeVar("KeyT")
AgedT = TypeVar("AgedT", bound=Transaction)


class MemoryStorage(Storage):
    """One chain's store in dictionaries. Its contents go with it."""

    def __init__(self) -> None:
        self._genesis_hash: bytes | None = None
        self._head: StateHead | None = None
        self._accounts: dict[bytes, Account] = {}
        self._triangles: dict[int, Triangle] = {}
        self._nonces: dict[tuple[bytes, str], NonceRecord] = {}
        self._batches: dict[int, StoredBatch] = {}
        self._proofs: dict[bytes, FinalisedProof] = {}
        self._histories: dict[bytes, list[FinalisedProof]] = {}
        self._operations: dict[bytes, FinalisedOperation] = {}
        self._transactions: dict[bytes, list[Transaction]] = {}
        self._triangle_proofs: dict[int, list[FinalisedProof]] = {}
        self._slashings: list[Slashing] = []
        self._level_counts: CountsByLevel = {}
        self._validator_changes: list[ValidatorChange] = []
        self._kept = Kept()

    def for_strangers(self) -> StorageReads:
        """This store: nobody waits for it."""
        return self

    async def initialise(
        self,
        genesis_hash: bytes,
        head: StateHead,
        accounts: Sequence[Account],
        initial_pages: InitialPages = no_initial_pages,
    ) -> None:
        checks.require_initial_state(genesis_hash, head, accounts)
        if self._genesis_hash is not None:
            checks.require_same_genesis(self._genesis_hash, genesis_hash)
            return
        self._take_state([accounts, *initial_pages()])
        self._genesis_hash = genesis_hash
        self._head = head

    async def head(self) -> StateHead:
        return self._required_head()

    async def load(self, keys: StateKeys) -> StateSlice:
        if keys.ranges is not None:
            checks.require_ranges(keys.ranges)
        expired: list[NonceRecord] = []
        if keys.expiry is not None:
            older = (one for one in self._nonces.values() if one.timestamp_ms < keys.expiry.before_ms)
            expired = heapq.nsmallest(keys.expiry.nonces_max, older, key=nonce_age)
        return StateSlice(
            head=self._required_head(),
            accounts={address: self._accounts.get(address) for address in keys.accounts},
            triangles={triangle_id: self._triangles.get(triangle_id) for triangle_id in keys.triangles},
            nonces={key: self._nonces.get(key) for key in keys.nonces},
            expired_nonces=tuple(expired),
            in_ranges=() if keys.ranges is None else self._in_ranges(keys.ranges),
        )

    def _in_ranges(self, wanted: TriangleRanges) -> tuple[Triangle, ...]:
        ids = sorted(self._triangles)
        within = (
            self._triangles[triangle_id]
            for first, last in wanted.ranges
            for triangle_id in ids[bisect_left(ids, first) : bisect_right(ids, last)]
        )
        return tuple(islice(within, wanted.records_max))

    async def finalise(self, finalised: FinalisedBatch) -> None:
        checks.require_consistent(finalised)
        stored = finalised.stored
        known = self._batches.get(stored.height)
        if checks.already_finalised(self._required_head().chain, None if known is None else known.batch_hash, stored):
            return
        self._require_no_conflict(finalised)
        self._batches[stored.height] = stored
        for operation in finalised.operations:
            self._add_operation(operation)
        for proof, receipt in zip(finalised.proofs, finalised.receipts, strict=True):
            self._add_proof(FinalisedProof(proof, receipt))
        self._slashings.extend(finalised.slashings)
        add_counts(self._level_counts, counts_of_receipts(finalised.receipts))
        self._validator_changes.extend(finalised.validator_changes)
        self._apply(finalised.changes)

    def _add_proof(self, entry: FinalisedProof) -> None:
        self._proofs[entry.proof.proof_id] = entry
        self._histories.setdefault(entry.proof.account, []).append(entry)
        self._transactions.setdefault(entry.proof.account, []).append(entry)
        self._triangle_proofs.setdefault(entry.receipt.triangle, []).append(entry)

    def _add_operation(self, operation: FinalisedOperation) -> None:
        self._operations[operation.operation_id] = operation
        for address in operation.accounts:
            self._transactions.setdefault(address, []).append(operation)

    def _require_no_conflict(self, finalised: FinalisedBatch) -> None:
        changes = finalised.changes
        removed = {(nonce.account, nonce.nonce) for nonce in changes.nonces_removed}
        if any(proof.proof_id in self._proofs for proof in finalised.proofs):
            raise ValueError(f"height {finalised.stored.height} holds a proof that is already finalised")
        if any(operation.operation_id in self._operations for operation in finalised.operations):
            raise ValueError(f"height {finalised.stored.height} holds an operation that is already applied")
        if not removed <= self._nonces.keys():
            raise ValueError(f"height {finalised.stored.height} removes a nonce that is not stored")
        if any(key in self._nonces and key not in removed for key in map(_nonce_key, changes.nonces_added)):
            raise ValueError(f"height {finalised.stored.height} adds a nonce that is already stored")

    def _apply(self, changes: Changes) -> None:
        # Removed before added: a nonce that has just left the window may be used again in the same batch.
        for nonce in changes.nonces_removed:
            del self._nonces[_nonce_key(nonce)]
        self._nonces.update((_nonce_key(nonce), nonce) for nonce in changes.nonces_added)
        self._accounts.update((account.address, account) for account in changes.accounts)
        self._triangles.update((triangle.id, triangle) for triangle in changes.triangles)
        self._head = changes.head

    async def batches(self, from_height: int, limit: int) -> Sequence[StoredBatch]:
        checks.require_limit(limit)
        self._required_head()
        heights = takewhile(self._batches.__contains__, range(from_height, from_height + limit))
        return tuple(self._batches[height] for height in heights)

    async def receipts(self, proof_ids: Sequence[bytes]) -> Sequence[Receipt]:
        self._required_head()
        return tuple(self._proofs[proof_id].receipt for proof_id in set(proof_ids) if proof_id in self._proofs)

    async def account(self, address: bytes) -> Account | None:
        self._required_head()
        return self._accounts.get(address)

    async def account_rank(self, address: bytes) -> int | None:
        self._required_head()
        if address not in self._accounts:
            return None
        own = _by_rank(self._accounts[address])
        rank = 1 + sum(_by_rank(other) < own for other in self._accounts.values())
        return rank if rank <= RANK_MAX else None

    async def account_page(self, address: bytes, *, limit: int) -> AccountPage:
        return AccountPage(
            await self.account(address),
            await self.account_rank(address),
            tuple(await self.transactions(address, limit=limit)),
        )

    async def transactions(
        self, address: bytes, *, limit: int, before: Place | None = None, after: Place | None = None
    ) -> Sequence[Transaction]:
        return self._page(self._transactions.get(address, []), place_of, limit, before, after)

    async def operations(self, operation_ids: Sequence[bytes]) -> Sequence[FinalisedOperation]:
        self._required_head()
        return tuple(self._operations[one] for one in set(operation_ids) if one in self._operations)

    async def account_proofs(
        self, address: bytes, *, limit: int, before: Place | None = None, after: Place | None = None
    ) -> Sequence[FinalisedProof]:
        return self._page(self._histories.get(address, []), _place_of_proof, limit, before, after)

    async def triangle_proofs(
        self, triangle_id: int, *, limit: int, before: Place | None = None, after: Place | None = None
    ) -> Sequence[FinalisedProof]:
        return self._page(self._triangle_proofs.get(triangle_id, []), _place_of_proof, limit, before, after)

    async def triangle(self, triangle_id: int) -> Triangle | None:
        self._required_head()
        return self._triangles.get(triangle_id)

    async def active_triangles(self, level: int, *, after: int, limit: int) -> Sequence[Triangle]:
        checks.require_limit(limit)
        self._required_head()
        found = (
            triangle
            for triangle in self._triangles.values()
            if triangle.id > after and triangle.id & LEVEL_MASK == level and triangle.state is TriangleState.ACTIVE
        )
        return tuple(heapq.nsmallest(limit, found, key=lambda triangle: triangle.id))

    async def level_counts(self) -> CountsByLevel:
        self._required_head()
        return deepcopy(self._level_counts)

    async def leaderboard(self, *, limit: int) -> Sequence[Account]:
        checks.require_limit(limit)
        self._required_head()
        return tuple(heapq.nsmallest(limit, self._accounts.values(), key=_by_rank))

    async def slashings(
        self, *, limit: int, before: Place | None = None, after: Place | None = None
    ) -> Sequence[Slashing]:
        return self._page(self._slashings, _place_of, limit, before, after)

    async def validator_changes(
        self, *, limit: int, before: Place | None = None, after: Place | None = None
    ) -> Sequence[ValidatorChange]:
        return self._page(self._validator_changes, _place_of, limit, before, after)

    def _page(
        self,
        oldest_first: Sequence[EntryT],
        place_of: Callable[[EntryT], Place],
        limit: int,
        before: Place | None,
        after: Place | None,
    ) -> Sequence[EntryT]:
        checks.require_limit(limit)
        self._required_head()
        start = 0 if after is None else bisect_right(oldest_first, after, key=place_of)
        if before is None and after is not None:
            return tuple(oldest_first[start : start + limit])
        end = len(oldest_first) if before is None else bisect_left(oldest_first, before, key=place_of)
        return tuple(reversed(oldest_first[max(start, end - limit) : max(start, end)]))

    async def totals(self) -> LedgerTotals:
        self._required_head()
        return LedgerTotals(
            balances_ustep=sum(account.balance_ustep for account in self._accounts.values()),
            accounts=len(self._accounts),
            triangles=len(self._triangles),
            proofs=len(self._proofs),
        )

    async def first_height(self) -> int | None:
        self._required_head()
        return min(self._batches, default=None)

    async def kept(self) -> Kept:
        self._required_head()
        return self._kept

    async def prune(self, what: Prunable, *, below: int, before_ms: int | None = None) -> bool:
        end = checks.prune_end(self._required_head().chain, self._kept, what, below)
        if what is Prunable.BATCHES:
            start, more = self._pruned_batches(end, before_ms)
            self._kept = replace(self._kept, batches_from=start)
        else:
            start, more = self._pruned_histories(end, before_ms)
            self._kept = replace(self._kept, histories_from=start)
        return more

    def _pruned_batches(self, end: int, before_ms: int | None) -> tuple[int, bool]:
        """From where on there are batches then, and whether there is more to prune."""
        height = self._kept.batches_from
        step_end = min(end, height + PRUNED_BATCHES_MAX)
        while height < step_end and checks.is_older(self._batches[height].timestamp_ms, before_ms):
            del self._batches[height]
            height += 1
        return height, step_end <= height < end

    def _pruned_histories(self, end: int, before_ms: int | None) -> tuple[int, bool]:
        """The same of histories."""
        entries: list[Transaction] = sorted([*self._proofs.values(), *self._operations.values()], key=_age_of)
        first_kept = next((one for one in entries if not checks.is_older(_age_of(one)[1], before_ms)), None)
        if first_kept is not None:
            end = min(end, _age_of(first_kept)[0])
        step_end = checks.step_end([_age_of(one)[0] for one in entries[: PRUNED_ENTRIES_MAX + 1]], end)
        _drop_below(self._histories, step_end)
        _drop_below(self._transactions, step_end)
        _drop_below(self._triangle_proofs, step_end)
        self._proofs = {key: one for key, one in self._proofs.items() if one.receipt.height >= step_end}
        self._operations = {key: one for key, one in self._operations.items() if one.height >= step_end}
        return step_end, step_end < end

    async def export(self, sink: RecordSink, *, share: float = 1.0) -> None:
        del share  # What is in memory is small, and handed over at once.
        head = self._required_head()
        sink.begin(head, self._batches.get(head.chain.height))
        sink.add([self._accounts[address] for address in sorted(self._accounts)])
        sink.add([self._triangles[triangle_id] for triangle_id in sorted(self._triangles)])
        sink.add([self._nonces[key] for key in sorted(self._nonces)])

    async def restore(self, restored: RestoredState) -> None:
        checks.require_restorable(restored.head, restored.base)
        if checks.already_restored(self._required_head().chain, restored.head):
            return
        self._take_state(restored.pages())
        self._batches[restored.base.height] = restored.base
        self._kept = checks.kept_after_restore(restored.base, restored.kept)
        self._head = restored.head

    def _take_state(self, pages: Iterable[Sequence[StoredRecord]]) -> None:
        """Make these records all that there are."""
        accounts: dict[bytes, Account] = {}
        triangles: dict[int, Triangle] = {}
        nonces: dict[tuple[bytes, str], NonceRecord] = {}
        for page in pages:
            for record in page:
                match record:
                    case Account():
                        accounts[record.address] = record
                    case Triangle():
                        triangles[record.id] = record
                    case NonceRecord():
                        nonces[_nonce_key(record)] = record
        self._accounts, self._triangles, self._nonces = accounts, triangles, nonces
        self._level_counts = counts_of_triangles(triangles.values())

    async def all_proofs(self, *, limit: int, after: bytes | None) -> Sequence[FinalisedProof]:
        checks.require_limit(limit)
        return _behind(self._proofs, after, limit)

    async def all_operations(self, *, limit: int, after: bytes | None) -> Sequence[FinalisedOperation]:
        checks.require_limit(limit)
        return _behind(self._operations, after, limit)

    async def history_ends(self) -> HistoryEnds:
        self._required_head()
        return HistoryEnds(
            batch=max(self._batches, default=None),
            proof_id=next(reversed(self._proofs), None),
            operation_id=next(reversed(self._operations), None),
            slashing=_place_of(self._slashings[-1]) if self._slashings else None,
            validator_change=_place_of(self._validator_changes[-1]) if self._validator_changes else None,
        )

    async def take_history(self, history: History) -> None:
        checks.require_beginning(self._required_head().chain)
        self._batches.update((batch.height, batch) for batch in history.batches)
        for entry in history.proofs:
            self._add_proof(entry)
        for operation in history.operations:
            self._add_operation(operation)
        for table in self._transactions.values():
            table.sort(key=place_of)
        self._slashings.extend(history.slashings)
        self._validator_changes.extend(history.validator_changes)

    async def close(self) -> None:
        """There is nothing to let go of: the contents stay readable for as long as the object lives."""

    def _required_head(self) -> StateHead:
        if self._head is None:
            raise checks.no_chain()
        return self._head


def _nonce_key(nonce: NonceRecord) -> tuple[bytes, str]:
    return nonce.account, nonce.nonce


def _behind(in_order: Mapping[bytes, EntryT], after: bytes | None, limit: int) -> Sequence[EntryT]:
    ids = list(in_order)
    start = 0 if after is None else ids.index(after) + 1
    return tuple(in_order[one] for one in ids[start : start + limit])


def _age_of(entry: Transaction) -> tuple[int, int]:
    """Its height, and the time of its batch."""
    if isinstance(entry, FinalisedProof):
        return entry.receipt.height, entry.receipt.processed_at_ms
    return entry.height, entry.timestamp_ms


def _drop_below(table: dict[KeyT, list[AgedT]], height: int) -> None:
    for key in list(table):
        table[key] = [entry for entry in table[key] if _age_of(entry)[0] >= height]
        if not table[key]:
            del table[key]


def _place_of(entry: Slashing | ValidatorChange) -> Place:
    return entry.height, entry.index


def _place_of_proof(entry: FinalisedProof) -> Place:
    return entry.receipt.height, entry.receipt.index


def _by_rank(account: Account) -> tuple[int, bytes]:
    return -account.balance_ustep, account.address
