"""Operations that wait for a batch: taken in from the API and from gossip, offered to the proposer, said again.

One operation of an owner waits at a time: the next has a sequence number that the ledger does not know yet. The pool
is in memory. An operation is rare and its owner at hand, so it needs no journal: whoever gave it in asks for the
validator's record, and gives it in again if it was lost with a crash, which its sequence number makes harmless.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog

from step_node.batch.batch import OPERATIONS_MAX
from step_node.chain.chain import Chain
from step_node.offload import run_blocking
from step_node.operations.operation import (
    Operation,
    OperationCode,
    OperationRefused,
    encode_operation,
    verify_operation,
)

POOL_OPERATIONS_MAX = 256
"""Operations that wait at once; one more is refused (POOL_FULL)."""

log = structlog.get_logger("operations")


class OperationPool:
    """Waiting operations, by owner. Lives on the event loop."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, Operation] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def waiting(self) -> tuple[Operation, ...]:
        """All of them, sorted by owner."""
        return tuple(self._waiting[owner] for owner in sorted(self._waiting))

    def candidates(self) -> tuple[Operation, ...]:
        """For a proposer: those that wait longest, at most `OPERATIONS_MAX`."""
        return tuple(self._waiting.values())[:OPERATIONS_MAX]

    def add(self, operation: Operation) -> OperationRefused | None:
        """Take in an operation that the ledger would take next; or why not: POOL_FULL.

        Its owner may have seen its last one applied before this node has looked through what waits: that the ledger
        would take a later one says that the one waiting is overtaken.
        """
        known = self._waiting.get(operation.owner)
        if known == operation:
            return None
        if known is not None and known.sequence < operation.sequence:
            self.remove(known)
        elif known is not None:
            return OperationRefused(
                OperationCode.POOL_FULL, f"owner: an operation of sequence {known.sequence} waits already"
            )
        if len(self._waiting) >= POOL_OPERATIONS_MAX:
            return OperationRefused(OperationCode.POOL_FULL, f"{POOL_OPERATIONS_MAX} operations wait already")
        self._waiting[operation.owner] = operation
        return None

    def remove(self, operation: Operation) -> None:
        """Forget it, if it still waits."""
        if self._waiting.get(operation.owner) == operation:
            del self._waiting[operation.owner]


class OperationDesk:
    """Where operations are handed in. `publish` sends an encoded one to everybody."""

    def __init__(self, *, chain: Chain, pool: OperationPool, publish: Callable[[bytes], Awaitable[None]]) -> None:
        self._chain = chain
        self._pool = pool
        self._publish = publish

    async def submit(self, operation: Operation) -> OperationRefused | None:
        """Accept an operation, tell everybody, and have it proposed; or say why it is refused.

        Accepted means: it could be in the next batch. Whether it was is seen from the validator's record. Handing in
        one that waits already is accepted again. Raises `StorageUnavailable`.
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
        return refused or self._pool.add(operation)

    async def after_batch(self) -> None:
        """Forget what the head's successor cannot hold: applied, or overtaken. Raises `StorageUnavailable`."""
        waiting = self._pool.waiting()
        if not waiting:
            return
        for operation, refused in zip(waiting, await self._chain.operation_refusals(waiting), strict=True):
            if refused is not None:
                self._pool.remove(operation)
                log.info("an operation is settled", kind=operation.type, owner="0x" + operation.owner.hex())

    async def say_again(self) -> None:
        """Send everything that waits to everybody: gossip loses messages."""
        for operation in self._pool.waiting():
            await self._publish(encode_operation(operation))
