"""Settlement: what a finalised batch means for the proofs that wait, and for the clients that wait for them.

Finalised proofs leave the mempool and the journal. Waiting ones whose account or triangle the batch has touched, or
that it has left behind in time, are judged against the new state; those that no later batch can hold are dropped, with
the code of the gate, and their clients are told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import structlog
import trio

from step_node.chain.chain import Chain
from step_node.chain.judging import JudgedBatch
from step_node.clock import Clock
from step_node.explanations.details import Details
from step_node.ledger.apply import keys_of
from step_node.ledger.state import StateKeys, StateSlice
from step_node.mempool.backlog import Backlog
from step_node.mempool.journal import DroppedProof, Journal
from step_node.mempool.outcomes import OutcomeWaiters
from step_node.mempool.pool import Mempool
from step_node.mempool.try_instead import with_triangles
from step_node.mempool.verdicts import refusal_for_good
from step_node.metrics import NodeMetrics
from step_node.proofs.proof import Refusal, RefusalCode, SignedProof
from step_node.storage.retry import StorageWatch

JUDGED_AT_ONCE_MAX = 500
"""Waiting proofs judged, some 10 µs each, before other tasks have their turn: a batch may touch a crowded triangle."""

log = structlog.get_logger("settlement")


class Settlement:
    """See the module's docstring. `note_settled` is told the ids that need not be fetched from peers any more,
    `tell_dropped` the waiting proofs that never will be final.
    """

    def __init__(
        self,
        *,
        chain: Chain,
        mempool: Mempool,
        backlog: Backlog,
        journal: Journal,
        waiters: OutcomeWaiters,
        note_settled: Callable[[Sequence[bytes]], None],
        tell_dropped: Callable[[Sequence[tuple[SignedProof, Refusal]]], None] = lambda _: None,
        clock: Clock,
        metrics: NodeMetrics,
        storage_watch: StorageWatch,
    ) -> None:
        self._chain = chain
        self._mempool = mempool
        self._backlog = backlog
        self._journal = journal
        self._waiters = waiters
        self._note_settled = note_settled
        self._tell_dropped = tell_dropped
        self._clock = clock
        self._metrics = metrics
        self._storage_watch = storage_watch

    async def after_batch(self, judged: JudgedBatch) -> None:
        """Settle after `judged` has been stored and the head has moved."""
        receipts = judged.transition.receipts
        finalised = [receipt.proof_id for receipt in receipts]
        for proof_id in finalised:
            waited_ms = self._mempool.waited_ms(proof_id)
            if waited_ms is not None:
                self._metrics.proof_final_after(waited_ms)
                self._mempool.remove(proof_id)
        self._backlog.note_finalised(len(receipts))
        self._mempool.note_history(receipt.account for receipt in receipts)
        self._waiters.announce(receipts, ())
        changes = judged.transition.changes
        timestamp_ms = judged.batch.header.timestamp_ms
        doubtful = self._mempool.touching(
            (account.address for account in changes.accounts), (triangle.id for triangle in changes.triangles)
        ) + self._mempool.older_than(timestamp_ms - self._chain.parameters.proof_max_age_ms)
        await self._drop(await self._passed_by(doubtful), finalised)

    async def after_jump(self) -> None:
        """Settle after the node has joined from a snapshot.

        A proof that waited here may have been finalised in a batch that this node will never see. Its nonce is in the
        snapshot then, or it is too old: either way it is dropped, and its client told where to ask.
        """
        waiting = [proof for proof_id in self._mempool.ids() if (proof := self._mempool.get(proof_id)) is not None]
        height = self._chain.head.chain.height
        passed_by = [
            DroppedProof(
                item.proof_id,
                Refusal(
                    item.refusal.code,
                    f"{item.refusal.message} (this node knows the chain from height {height} on; whether the proof was"
                    " finalised before, another node can tell)",
                    item.refusal.details,
                ),
            )
            for item in await self._passed_by(waiting)
        ]
        await self._drop(passed_by, [])

    async def drop_expired(self) -> None:
        """Drop proofs that are too old for any batch that could still be proposed, while the chain stands idle.

        A fresh batch's timestamp is within `clock_drift_ms` of an honest clock, and so is this node's clock: twice that
        beyond the window no validator takes the proof any more. Must not be called while a batch is under way: one that
        is locked may be finalised at any later time.
        """
        parameters = self._chain.parameters
        now_ms = self._clock.now_ms()
        horizon_ms = now_ms - parameters.proof_max_age_ms - 2 * parameters.clock_drift_ms

        def expired(proof: SignedProof) -> Refusal:
            age_ms = now_ms - proof.timestamp_ms
            return Refusal(
                RefusalCode.CLOCK_DRIFT,
                f"timestamp: no batch was finalised within {parameters.proof_max_age_ms} ms of it",
                Details(value=age_ms, limit=parameters.proof_max_age_ms, unit="ms", drift_ms=-age_ms),
            )

        await self._drop(
            [DroppedProof(proof.proof_id, expired(proof)) for proof in self._mempool.older_than(horizon_ms)], []
        )

    async def _passed_by(self, doubtful: Sequence[SignedProof]) -> list[DroppedProof]:
        proofs = list({proof.proof_id: proof for proof in doubtful}.values())
        refused: list[tuple[SignedProof, Refusal]] = []
        for start in range(0, len(proofs), JUDGED_AT_ONCE_MAX):
            await trio.lowlevel.checkpoint()  # The head stays where it is meanwhile: only the caller moves it.
            chunk = proofs[start : start + JUDGED_AT_ONCE_MAX]
            keys = keys_of(chunk)
            state = await self._load(keys)
            for proof in chunk:
                refusal = refusal_for_good(proof, state)
                if refusal is not None:
                    refused.append((proof, refusal))
        explained = await with_triangles(refused, load=self._load, waiting_in=self._mempool.waiting_in)
        return [DroppedProof(proof.proof_id, refusal) for (proof, _), refusal in zip(refused, explained, strict=True)]

    async def _load(self, keys: StateKeys) -> StateSlice:
        return await self._storage_watch.when_available(partial(self._chain.load, keys))

    async def _drop(self, dropped: Sequence[DroppedProof], finalised: Sequence[bytes]) -> None:
        gone: list[tuple[SignedProof, Refusal]] = []
        for item in dropped:
            proof = self._mempool.remove(item.proof_id)
            if proof is not None:
                gone.append((proof, item.refusal))
            self._metrics.proof_dropped(item.refusal.code)
            if self._journal.holds(item.proof_id):
                self._metrics.promise_broken(item.refusal.code)
            log.debug("a waiting proof is dropped", proof_id=item.proof_id.hex(), code=item.refusal.code)
        if dropped:
            log.info("waiting proofs are dropped", codes=dict(Counter(item.refusal.code.value for item in dropped)))
        self._note_settled([*finalised, *(item.proof_id for item in dropped)])
        await self._journal.settle(finalised=finalised, dropped=dropped, now_ms=self._clock.now_ms())
        # Whoever is told "dropped" can ask again after a crash, and hears the same; while the journal fails, at least
        # the same as long as this process lives, and after that what the gates say.
        self._waiters.announce((), dropped)
        if gone:
            self._tell_dropped(gone)
