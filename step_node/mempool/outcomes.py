"""What becomes of a proof, and waiting for it: the bridge from the chain back to the clients."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import trio

from step_node.ledger.state import Receipt
from step_node.mempool.journal import DroppedProof
from step_node.proofs.proof import Refusal

WAITERS_MAX = 20_000
"""Requests that wait for finality at once; one more is answered "pending" at once."""


@dataclass(frozen=True, slots=True)
class Pending:
    """Accepted, and not decided yet."""


@dataclass(frozen=True, slots=True)
class Finalised:
    """In the ledger for good."""

    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Dropped:
    """Accepted, but the chain moved past it; it will never be in the ledger."""

    refusal: Refusal


Outcome: TypeAlias = Pending | Finalised | Dropped


class OutcomeWaiters:
    """Requests that wait for a proof to be decided. Lives on the event loop."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, list[tuple[trio.Event, list[Outcome]]]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    async def wait(self, proof_id: bytes, *, timeout_ms: int) -> Outcome:
        """The proof's outcome, or `Pending` when the time is up (or too many wait already).

        Must be called, up to its first wait, in the same step of the event loop in which the caller found the proof
        undecided: then no decision falls in between.
        """
        if timeout_ms <= 0 or self._count >= WAITERS_MAX:
            return Pending()
        decided = trio.Event()
        slot: list[Outcome] = []
        entry = (decided, slot)
        self._waiting.setdefault(proof_id, []).append(entry)
        self._count += 1
        try:
            with trio.move_on_after(timeout_ms / 1000):
                await decided.wait()
        finally:
            self._count -= 1
            entries = self._waiting.get(proof_id)
            if entries is not None and entry in entries:
                entries.remove(entry)
                if not entries:
                    del self._waiting[proof_id]
        return slot[0] if slot else Pending()

    def announce(self, receipts: Sequence[Receipt], dropped: Iterable[DroppedProof]) -> None:
        """Wake everybody who waits for one of these."""
        for receipt in receipts:
            self._wake(receipt.proof_id, Finalised(receipt))
        for item in dropped:
            self._wake(item.proof_id, Dropped(item.refusal))

    def _wake(self, proof_id: bytes, outcome: Outcome) -> None:
        for decided, slot in self._waiting.pop(proof_id, ()):
            slot.append(outcome)
            decided.set()
