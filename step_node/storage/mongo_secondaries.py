"""Answers to strangers from a secondary, wherever it has all that the question is about; else from the primary.

So an answer is never older than the primary's would have been, and nothing that is final is ever told to be missing. A
secondary that lags still answers for the history that it has, and none that is away keeps anybody from an answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from step_node.ledger.level_counts import CountsByLevel
from step_node.ledger.offences import Slashing
from step_node.ledger.records import Account, Triangle
from step_node.ledger.state import Receipt, StateHead, StateKeys, StateSlice
from step_node.ledger.validator_changes import ValidatorChange
from step_node.storage.interface import (
    AccountPage,
    FinalisedOperation,
    FinalisedProof,
    Kept,
    NoChain,
    Place,
    StorageReads,
    StorageUnavailable,
    StoredBatch,
    Transaction,
)

ResultT = TypeVar("ResultT")


class SecondariesFirst(StorageReads):
    """Asks `secondaries`, which gives up at once, and then `primary`: two readers of one store."""

    def __init__(self, secondaries: StorageReads, primary: StorageReads) -> None:
        self._secondaries = secondaries
        self._primary = primary

    async def _ask(self, question: Callable[[StorageReads], Awaitable[ResultT]]) -> ResultT:
        try:
            return await question(self._secondaries)
        except (StorageUnavailable, NoChain):
            return await question(self._primary)

    async def head(self) -> StateHead:
        return await self._ask(lambda store: store.head())

    async def load(self, keys: StateKeys) -> StateSlice:
        return await self._ask(lambda store: store.load(keys))

    async def batches(self, from_height: int, limit: int) -> Sequence[StoredBatch]:
        return await self._ask(lambda store: store.batches(from_height, limit))

    async def receipts(self, proof_ids: Sequence[bytes]) -> Sequence[Receipt]:
        return await self._ask(lambda store: store.receipts(proof_ids))

    async def account(self, address: bytes) -> Account | None:
        return await self._ask(lambda store: store.account(address))

    async def account_rank(self, address: bytes) -> int | None:
        return await self._ask(lambda store: store.account_rank(address))

    async def account_page(self, address: bytes, *, limit: int) -> AccountPage:
        return await self._ask(lambda store: store.account_page(address, limit=limit))

    async def transactions(
        self, address: bytes, *, limit: int, before: Place | None = None, after: Place | None = None
    ) -> Sequence[Transaction]:
        return await self._ask(lambda store: store.transactions(address, limit=limit, before=before, after=after))

    async def operations(self, operation_ids: Sequence[bytes]) -> Sequence[FinalisedOperation]:
        return await self._ask(lambda store: store.operations(operation_ids))

    async def account_proofs(
        self, address: bytes, *, limit: int, before: Place | None = None, after: Place | None = None
    ) -> Sequence[FinalisedProof]:
        return await self._ask(lambda store: store.account_proofs(address, limit=limit, before=before, after=after))

    async def triangle_proofs(
        self, triangle_id: int, *, limit: int, before: Place | None = None, after: Place | None = None
    ) -> Sequence[FinalisedProof]:
        return await self._ask(
            lambda store: store.triangle_proofs(triangle_id, limit=limit, before=before, after=after)
        )

    async def triangle(self, triangle_id: int) -> Triangle | None:
        return await self._ask(lambda store: store.triangle(triangle_id))

    async def active_triangles(self, level: int, *, after: int, limit: int) -> Sequence[Triangle]:
        return await self._ask(lambda store: store.active_triangles(level, after=after, limit=limit))

    async def level_counts(self) -> CountsByLevel:
        return await self._ask(lambda store: store.level_counts())

    async def leaderboard(self, *, limit: int) -> Sequence[Account]:
        return await self._ask(lambda store: store.leaderboard(limit=limit))

    async def slashings(
        self, *, limit: int, before: Place | None = None, after: Place | None = None
    ) -> Sequence[Slashing]:
        return await self._ask(lambda store: store.slashings(limit=limit, before=before, after=after))

    async def validator_changes(
        self, *, limit: int, before: Place | None = None, after: Place | None = None
    ) -> Sequence[ValidatorChange]:
        return await self._ask(lambda store: store.validator_changes(limit=limit, before=before, after=after))

    async def kept(self) -> Kept:
        return await self._ask(lambda store: store.kept())

    async def first_height(self) -> int | None:
        return await self._ask(lambda store: store.first_height())
