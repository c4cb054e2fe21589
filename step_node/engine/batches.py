"""The batches of the present height: built from what waits, decoded, and judged against the chain's head.

Each is kept with what was found out about it, so that none is decoded or judged twice. Belongs to the driver's task
(step_node/engine/driver.py), which turns outcomes into inputs of the machine.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TypeVar

import trio

from consensus import effects as do
from consensus import inputs as event
from step_node.batch.batch import Batch, decode_batch, encode_batch
from step_node.chain.chain import Chain
from step_node.chain.judging import JudgedBatch
from step_node.engine.evidence_pool import EvidencePool
from step_node.errors import InvariantBroken
from step_node.mempool.operations import OperationPool
from step_node.mempool.pool import Mempool
from step_node.storage.retry import StorageWatch

BATCHES_KEPT_MAX = 8
"""Batches of this height that are kept decoded, with their outcome, or as condemned; the oldest goes first."""

NOTHING_BUILT_PAUSE_MS = 1_000
"""How long waiting proofs are no reason to propose after none of them could follow the head: something must change
first, and asking the store for all of them many times a second would change nothing."""

K = TypeVar("K")
T = TypeVar("T")


class Batches:
    """Builds and judges. `proposer` is this validator's address, or None for an observer."""

    def __init__(
        self,
        *,
        chain: Chain,
        mempool: Mempool,
        evidence: EvidencePool,
        operations: OperationPool,
        proposer: bytes | None,
        storage_watch: StorageWatch,
    ) -> None:
        self._chain = chain
        self._mempool = mempool
        self._evidence = evidence
        self._operations = operations
        self.proposer = proposer
        """This validator's address; None for an observer."""
        self._storage_watch = storage_watch
        self._decoded: OrderedDict[bytes, Batch] = OrderedDict()
        self._judged: OrderedDict[bytes, JudgedBatch] = OrderedDict()
        self._pauses_until = -math.inf

    def begin_height(self) -> None:
        """The head has moved: nothing that was found out about a batch holds any more."""
        self._pauses_until = -math.inf
        self._judged.clear()
        self._decoded.clear()

    def work_due_in_ms(self) -> int | None:
        """How long until a batch should be proposed for what waits; 0 is now, None if nothing waits."""
        if self._chain.begins_in_ms:
            return None  # No batch can have a time that others take yet.
        if len(self._evidence):
            return 0
        parameters = self._chain.parameters
        due_in_ms = (
            self._operations.work_due_in_ms(parameters.batch_interval_ms),
            self._mempool.work_due_in_ms(time_ms=self._chain.next_batch_time_ms, parameters=parameters),
        )
        return min((one for one in due_in_ms if one is not None), default=None)

    def wanted_in_ms(self) -> int | None:
        """The same, but None for a while after it was found that nothing of it can follow the head."""
        return None if trio.current_time() < self._pauses_until else self.work_due_in_ms()

    def keep_decoded(self, batch: Batch) -> None:
        """Spare decoding it again."""
        keep_newest(self._decoded, batch.hash, batch)

    def judged(self, batch_hash: bytes) -> Batch | None:
        """A batch of this height that was built or judged here; None if it was not."""
        judged = self._judged.get(batch_hash)
        return None if judged is None else judged.batch

    def decoded(self, batch_hash: bytes, encoded: bytes) -> Batch:
        """The batch of these bytes, whose hash is `batch_hash`. Raises `MalformedBatch`."""
        judged = self._judged.get(batch_hash)
        return judged.batch if judged else self._decoded.get(batch_hash) or decode_batch(encoded)

    async def build(self, round_number: int) -> event.BatchBuilt | event.BatchNotBuilt:
        """A batch of what waits, to propose in this round."""
        if self.proposer is None:
            raise InvariantBroken("an observer was asked to build a batch")
        proposer = self.proposer
        parameters = self._chain.parameters
        candidates = self._mempool.candidates(
            parameters.batch_max_proofs, time_ms=self._chain.next_batch_time_ms, parameters=parameters
        )
        evidence, operations = self._evidence.candidates(parameters), self._operations.candidates()
        if not (candidates or evidence or operations):
            return event.BatchNotBuilt(round_number)
        judged = await self._storage_watch.when_available(
            lambda: self._chain.build(
                candidates,
                round_number=round_number,
                proposer=proposer,
                evidence=evidence,
                operations=operations,
            )
        )
        if judged is None:
            self._pauses_until = trio.current_time() + NOTHING_BUILT_PAUSE_MS / 1000
            return event.BatchNotBuilt(round_number)
        keep_newest(self._judged, judged.batch.hash, judged)
        return event.BatchBuilt(round_number, judged.batch.hash, encode_batch(judged.batch))

    async def judge_proposed(self, effect: do.ValidateBatch) -> None:
        """Judge what somebody proposes. Raises `MalformedBatch` or `InvalidBatch`."""
        if not effect.judge_clock and effect.batch_hash in self._judged:
            return
        batch = self.decoded(effect.batch_hash, effect.batch)
        judged = await self._judge(batch, effect.round, judge_clock=effect.judge_clock)
        keep_newest(self._judged, effect.batch_hash, judged)

    async def judge_final(self, batch: Batch) -> JudgedBatch:
        """What a batch that a quorum has committed does to the ledger. Raises `InvalidBatch`."""
        return self._judged.get(batch.hash) or await self._judge(batch, None, judge_clock=False)

    async def _judge(self, batch: Batch, proposed_in_round: int | None, *, judge_clock: bool) -> JudgedBatch:
        return await self._storage_watch.when_available(
            lambda: self._chain.judge(batch, proposed_in_round=proposed_in_round, judge_clock=judge_clock)
        )


def keep_newest(kept: OrderedDict[K, T], key: K, value: T, *, kept_max: int = BATCHES_KEPT_MAX) -> None:
    """Put `value` in; of more than `kept_max`, the oldest goes."""
    kept[key] = value
    while len(kept) > kept_max:
        kept.popitem(last=False)
