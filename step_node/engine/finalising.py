"""Finalising: a batch that a quorum has committed goes into the store, and who waits for it is told.

Whether consensus here has decided it, or somebody else's answer has brought it, makes no difference to what is done.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog
import trio

from consensus.machine import ConsensusFault
from consensus.messages import Commit
from consensus.state import ConsensusState
from step_node.batch.batch import Batch
from step_node.chain.chain import Chain
from step_node.chain.judging import InvalidBatch
from step_node.engine.batches import Batches
from step_node.engine.events import Decided, Restored
from step_node.engine.hooks import ConsensusHooks
from step_node.errors import InvariantBroken
from step_node.ledger.rules import rules_of
from step_node.metrics import NodeMetrics
from step_node.storage.retry import StorageWatch

log = structlog.get_logger("consensus")


class Finaliser:
    """Belongs to the driver's task, whose state `begin_next_height` replaces when the head has moved."""

    def __init__(
        self,
        *,
        chain: Chain,
        batches: Batches,
        hooks: ConsensusHooks,
        metrics: NodeMetrics,
        storage_watch: StorageWatch,
        begin_next_height: Callable[[], None],
    ) -> None:
        self._chain = chain
        self._batches = batches
        self._hooks = hooks
        self._metrics = metrics
        self._storage_watch = storage_watch
        self._begin_next_height = begin_next_height
        self._height_finished = trio.Event()

    async def wait_for_height(self) -> None:
        """Wait until the present height is finalised."""
        await self._height_finished.wait()

    async def finalise_decided(self, decided: Decided, state: ConsensusState) -> None:
        """Finalise what others have, if it is of the height of `state`. Raises ConsensusFault if it contradicts it."""
        if decided.batch.header.height == state.height:
            known = state.commit
            if known is not None and known.batch_hash != decided.batch.hash:
                raise ConsensusFault(
                    f"height {state.height}: a quorum committed 0x{known.batch_hash.hex()} in round"
                    f" {known.round}, and a quorum committed 0x{decided.batch.hash.hex()} in round"
                    f" {decided.commit.round}"
                )
            await self.finalise(decided.batch, decided.commit, rounds=state.round + 1)
        decided.done.set()

    async def restore(self, snapshot: Restored) -> None:
        """Go on from a verified snapshot, unless the chain has left height 0. Raises UnknownRules."""
        if self._chain.head.chain.height == 0:
            try:
                await self._storage_watch.when_available(
                    lambda: self._chain.restore(snapshot.state), writes=True, is_quick=False
                )
            except OSError as error:
                snapshot.failures.append(error)
            else:
                self._begin_next_height()
                await self._hooks.restored()
                self._announce_height()
                rules_of(self._chain.head.protocol)
        snapshot.done.set()

    async def finalise(self, batch: Batch, commit: Commit, *, rounds: int) -> None:
        """Store the batch, which took so many rounds. Raises InvariantBroken if it is invalid: then states diverge.

        Raises UnknownRules, with the batch stored, where this release does not know those of the next height.
        """
        try:
            judged = await self._batches.judge_final(batch)
        except InvalidBatch as error:
            raise InvariantBroken(
                f"a quorum has finalised batch 0x{batch.hash.hex()} at height {batch.header.height}, which this"
                f" node finds invalid: {error}"
            ) from error
        began_at = trio.current_time()
        await self._storage_watch.when_available(lambda: self._chain.finalise(judged, commit), writes=True)
        self._metrics.store_written(trio.current_time() - began_at)
        self._begin_next_height()
        self._metrics.batch_finalised(judged.transition.receipts, rounds)
        log.info(
            "finalised a batch",
            height=batch.header.height,
            round=commit.round,
            proofs=len(batch.proofs),
            batch=batch.hash.hex()[:16],
        )
        await self._hooks.finalised(judged)
        self._announce_height()
        # Whoever does not know the rules of the next height stops here, whole: it has this batch, and signs no other.
        rules_of(self._chain.head.protocol)

    def _announce_height(self) -> None:
        self._height_finished.set()
        self._height_finished = trio.Event()
