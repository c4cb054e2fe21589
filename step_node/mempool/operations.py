"""Operations that wait for a batch: taken in from the API and from gossip, offered to the proposer, said again.

One operation of an owner waits at a time: the next has a sequence number that the ledger does not know yet. The pool
is in memory. An operation is rare and its owner at hand, so it needs no journal: whoever gave it in asks what became of
it, and gives it in again if it was lost with a crash, which its sequence number makes harmless.

A transfer costs its sender nothing, and a thousand accounts can be made of one STEP. So transfers have places of their
own, and go into a batch after what owners do with their validators, which nobody can do without a stake; and where all
places of transfers are taken, the one whose owner has the least gives way to one whose owner has more. To keep the
places, an attacker must hold more in each of as many accounts than those have whom it wants to keep out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from typing import NamedTuple

import structlog

from step_node.batch.batch import OPERATIONS_MAX
from step_node.chain.chain import Chain
from step_node.clock import monotonic_ms
from step_node.explanations.details import Details
from step_node.ledger.state import StateKeys
from step_node.offload import run_blocking
from step_node.operations.operation import (
    Operation,
    OperationCode,
    OperationRefused,
    Transfer,
    encode_operation,
    operation_id,
    verify_operation,
)

POOL_OPERATIONS_MAX = 256
"""Operations about validators that wait at once; one more is refused (POOL_FULL)."""

POOL_TRANSFERS_MAX = 256
"""Transfers that wait at once; one more is refused (POOL_FULL), or another gives way to it."""

DROPPED_MAX = 1_024
"""Operations that waited here in vain and of which it is remembered why; the oldest is forgotten."""

log = structlog.get_logger("operations")


class _Waiting(NamedTuple):
    """An operation, its owner's balance (micro-STEP) when it came, and when that was (`monotonic_ms`)."""

    operation: Operation
    operation_id: bytes
    balance_ustep: int
    arrived_at_ms: int


class OperationPool:
    """Waiting operations, by owner. Lives on the event loop; waiting is measured by `monotonic_ms`."""

    def __init__(self, *, monotonic_ms: Callable[[], int] = monotonic_ms) -> None:
        self._monotonic_ms = monotonic_ms
        self._validator_operations: dict[bytes, _Waiting] = {}
        self._transfers: dict[bytes, _Waiting] = {}
        """Both in the order of arrival; an owner is in one of them."""
        self._by_id: dict[bytes, Operation] = {}
        self._dropped: OrderedDict[bytes, OperationRefused] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_id)

    def waiting(self) -> tuple[Operation, ...]:
        """All of them, sorted by owner."""
        return tuple(sorted(self._by_id.values(), key=lambda operation: operation.owner))

    def get(self, wanted_id: bytes) -> Operation | None:
        """The waiting operation with this id."""
        return self._by_id.get(wanted_id)

    def why_dropped(self, dropped_id: bytes) -> OperationRefused | None:
        """Why an operation that waited here will not be applied, if it is one of the last `DROPPED_MAX`."""
        return self._dropped.get(dropped_id)

    def candidates(self) -> tuple[Operation, ...]:
        """For a proposer: at most `OPERATIONS_MAX`, those about validators first, and what waits longest before others.

        Without a stake nobody has an operation about a validator, so these do not keep transfers out.
        """
        in_order = (*self._validator_operations.values(), *self._transfers.values())
        return tuple(waiting.operation for waiting in in_order[:OPERATIONS_MAX])

    def work_due_in_ms(self, batch_interval_ms: int) -> int | None:
        """How long until a batch should be proposed; 0 is now, None while nothing waits.

        Transfers wait as proofs do, for a batch full of them or for the interval: they cost nothing, and whoever sends
        them one by one must not have the chain make a batch for each.
        """
        if self._validator_operations or len(self._transfers) >= OPERATIONS_MAX:
            return 0
        if not self._transfers:
            return None
        longest_waiting = next(iter(self._transfers.values()))
        return max(0, batch_interval_ms - (self._monotonic_ms() - longest_waiting.arrived_at_ms))

    def add(self, operation: Operation, new_id: bytes, *, balance_ustep: int) -> OperationRefused | None:
        """Take in an operation that the ledger would take next; or why not: POOL_FULL.

        `balance_ustep` is its owner's. Its owner may have seen its last one applied before this node has looked through
        what waits: that the ledger would take a later one says that the one waiting is overtaken.
        """
        known = self._validator_operations.get(operation.owner) or self._transfers.get(operation.owner)
        if known is not None and known.operation == operation:
            return None
        if known is not None and known.operation.sequence < operation.sequence:
            self.remove(known.operation)
        elif known is not None:
            return OperationRefused(
                OperationCode.POOL_FULL,
                f"owner: an operation of sequence {known.operation.sequence} waits already",
                Details(gate="owner_place", value=1, limit=1, unit="operations", expected=known.operation.sequence),
            )
        refused = self._make_place(operation, balance_ustep)
        if refused is not None:
            return refused
        self._kin(operation)[operation.owner] = _Waiting(operation, new_id, balance_ustep, self._monotonic_ms())
        self._by_id[new_id] = operation
        self._dropped.pop(new_id, None)
        return None

    def remove(self, operation: Operation) -> None:
        """Forget it, if it still waits."""
        waiting = self._kin(operation).get(operation.owner)
        if waiting is not None and waiting.operation == operation:
            del self._kin(operation)[operation.owner]
            del self._by_id[waiting.operation_id]

    def drop(self, operation: Operation, why: OperationRefused) -> None:
        """Forget it, and remember why."""
        waiting = self._kin(operation).get(operation.owner)
        if waiting is None or waiting.operation != operation:
            return
        self.remove(operation)
        self._dropped[waiting.operation_id] = why
        while len(self._dropped) > DROPPED_MAX:
            self._dropped.popitem(last=False)

    def _kin(self, operation: Operation) -> dict[bytes, _Waiting]:
        return self._transfers if isinstance(operation, Transfer) else self._validator_operations

    def _make_place(self, operation: Operation, balance_ustep: int) -> OperationRefused | None:
        if not isinstance(operation, Transfer):
            if len(self._validator_operations) < POOL_OPERATIONS_MAX:
                return None
            return OperationRefused(
                OperationCode.POOL_FULL,
                f"{POOL_OPERATIONS_MAX} operations wait already",
                Details(value=len(self._validator_operations), limit=POOL_OPERATIONS_MAX, unit="operations"),
            )
        if len(self._transfers) < POOL_TRANSFERS_MAX:
            return None
        poorest = min(self._transfers.values(), key=lambda waiting: waiting.balance_ustep)
        if poorest.balance_ustep >= balance_ustep:
            return OperationRefused(
                OperationCode.POOL_FULL,
                f"{POOL_TRANSFERS_MAX} transfers wait already, each of an owner who has no less; try again in a second",
                Details(value=len(self._transfers), limit=POOL_TRANSFERS_MAX, unit="transfers"),
            )
        why = OperationRefused(
            OperationCode.POOL_FULL,
            "it gave way to a transfer of an owner who has more; submit it again",
            Details(value=len(self._transfers), limit=POOL_TRANSFERS_MAX, unit="transfers"),
        )
        self.drop(poorest.operation, why)
        return None


class OperationDesk:
    """Where operations are handed in. `publish` sends an encoded one to everybody."""

    def __init__(self, *, chain: Chain, pool: OperationPool, publish: Callable[[bytes], Awaitable[None]]) -> None:
        self._chain = chain
        self._pool = pool
        self._publish = publish

    async def submit(self, operation: Operation) -> OperationRefused | None:
        """Accept an operation, tell everybody, and have it proposed; or say why it is refused.

        Accepted means: it could be in the next batch. Whether it was is told by its id. Handing in one that waits
        already is accepted again. Raises `StorageUnavailable`.
        """
        try:
            await run_blocking(verify_operation, operation, self._chain.chain_id)
        except OperationRefused as refused:
            return refused
        refused_now = await self.take(operation)
        if refused_now is None:
            await self._publish(encode_operation(operation))
        return refused_now

    async def take(self, operation: Operation) -> OperationRefused | None:
        """Take in an operation whose signatures have been checked; or why not. Raises `StorageUnavailable`."""
        (refused,) = await self._chain.operation_refusals([operation])
        if refused is not None:
            return refused
        state = await self._chain.load(StateKeys(accounts=frozenset({operation.owner})))
        owner = state.accounts[operation.owner]
        balance_ustep = 0 if owner is None else owner.balance_ustep
        return self._pool.add(operation, self.id_of(operation), balance_ustep=balance_ustep)

    def id_of(self, operation: Operation) -> bytes:
        """The id by which its owner asks what became of it."""
        return operation_id(operation, self._chain.chain_id)

    def find_waiting(self, wanted_id: bytes) -> Operation | None:
        """The operation with this id, if it waits here."""
        return self._pool.get(wanted_id)

    def why_dropped(self, dropped_id: bytes) -> OperationRefused | None:
        """Why an operation that waited here will not be applied, if that is still remembered."""
        return self._pool.why_dropped(dropped_id)

    async def after_batch(self, applied: Collection[bytes] = ()) -> None:
        """Forget what the head's successor cannot hold. Raises `StorageUnavailable`.

        `applied` are the batch's operations, encoded: what is refused now and was not among them is overtaken.
        """
        waiting = self._pool.waiting()
        if not waiting:
            return
        for operation, refused in zip(waiting, await self._chain.operation_refusals(waiting), strict=True):
            if refused is None:
                continue
            if encode_operation(operation) in applied:
                self._pool.remove(operation)
            else:
                self._pool.drop(operation, refused)
            log.info("an operation is settled", kind=operation.type, owner="0x" + operation.owner.hex())

    async def say_again(self) -> None:
        """Send what the next batch could hold to everybody: gossip loses messages."""
        for operation in self._pool.candidates():
            await self._publish(encode_operation(operation))
