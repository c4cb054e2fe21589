"""What becomes of a proof, and waiting for it: the bridge from the chain back to the clients."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import trio

from step_node.ledger.state import Receipt
from step_node.mempool.journal import DroppedProof
from step_node.mempool.requests import RequestsOfProofs
from step_node.proofs.proof import Refusal

WAITERS_MAX = 20_000
"""Proofs that requests wait for at once; a request for more is answered "pending" at once."""


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


@dataclass(eq=False, slots=True)
class _Wait:
    """One request's wait. `outcomes` has a `Pending` for each proof that is not decided yet, `undecided` of them."""

    outcomes: dict[bytes, Outcome]
    undecided: int
    all_decided: trio.Event = field(default_factory=trio.Event)

    def decide(self, proof_id: bytes, outcome: Outcome) -> None:
        self.outcomes[proof_id] = outcome
        self.undecided -= 1
        if self.undecided == 0:
            self.all_decided.set()


class OutcomeWaiters:
    """Requests that wait for proofs to be decided. Lives on the event loop."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, list[_Wait]] = {}
        self._count = 0
        self.requests = RequestsOfProofs()
        """For the log alone."""

    def __len__(self) -> int:
        return self._count

    async def wait(self, proof_ids: Collection[bytes], *, timeout_ms: int) -> dict[bytes, Outcome]:
        """What became of each of these until all are decided, or the time is up (at once if too many are waited for).

        Must be called, up to its first wait, in the same step of the event loop in which the caller found the proofs
        undecided: then no decision falls in between.
        """
        outcomes: dict[bytes, Outcome] = dict.fromkeys(proof_ids, Pending())
        if not outcomes or timeout_ms <= 0 or self._count + len(outcomes) > WAITERS_MAX:
            return outcomes
        wait = _Wait(outcomes, len(outcomes))
        for proof_id in outcomes:
            self._waiting.setdefault(proof_id, []).append(wait)
        self._count += len(outcomes)
        try:
            with trio.move_on_after(timeout_ms / 1000):
                await wait.all_decided.wait()
        finally:
            self._count -= len(outcomes)
            for proof_id in outcomes:
                waits = self._waiting.get(proof_id)
                if waits is not None and wait in waits:
                    waits.remove(wait)
                    if not waits:
                        del self._waiting[proof_id]
        return outcomes

    def announce(self, receipts: Sequence[Receipt], dropped: Iterable[DroppedProof]) -> None:
        """Tell everybody who waits for one of these."""
        dropped = list(dropped)
        self.requests.decided(receipts, dropped)
        for receipt in receipts:
            self._decide(receipt.proof_id, Finalised(receipt))
        for item in dropped:
            self._decide(item.proof_id, Dropped(item.refusal))

    def _decide(self, proof_id: bytes, outcome: Outcome) -> None:
        for wait in self._waiting.pop(proof_id, ()):
            wait.decide(proof_id, outcome)
