"""Evidence that a node finds itself: kept for a batch, and told to everybody.

The machine finds contradictions. Who has proposed, or voted for, a batch that anybody can see to be invalid is found
here: when the batch is judged, and with every later message that speaks for it (docs/adr/0006-batch-identity.md).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable

import structlog

from consensus.messages import Evidence, Exhibit, Message, PreCommit, PreVote, ProofBatch
from consensus.state import ConsensusState, without_batch
from step_node.batch.batch import Batch, exhibit_of
from step_node.chain.chain import Chain
from step_node.engine.batches import keep_newest
from step_node.engine.evidence_pool import EvidencePool
from step_node.ledger.evidence import accuse_of_invalid_batch

log = structlog.get_logger("consensus")


class Accuser:
    """Accuses whom this node has caught at the present height. Belongs to the driver's task."""

    def __init__(self, *, chain: Chain, pool: EvidencePool, broadcast: Callable[[Message], Awaitable[None]]) -> None:
        self._chain = chain
        self._pool = pool
        self._broadcast = broadcast
        self._condemned: OrderedDict[bytes, Exhibit] = OrderedDict()

    def begin_height(self) -> None:
        """No batch of the new height is condemned yet."""
        self._condemned.clear()

    async def accuse(self, evidence: Evidence) -> None:
        """Keep it for a batch, and tell everybody; unless nobody can be punished for it any more."""
        offence = self._chain.offence_in(evidence)
        if self._chain.offence_refusal(offence) is None and await self._pool.add(
            evidence, offence, self._chain.parameters
        ):
            log.warning("a validator is accused", kind=evidence.kind, signer=evidence.first.signer.hex())
            await self._broadcast(evidence)

    async def condemn(self, batch: Batch, bad_proof: int, state: ConsensusState) -> None:
        """Anybody can see that the batch is invalid: accuse who has proposed it, and who has voted for it."""
        exhibit = exhibit_of(batch, bad_proof)
        keep_newest(self._condemned, batch.hash, exhibit)
        for round_state in state.rounds.values():
            messages: list[Message] = [
                *round_state.proposals,
                *round_state.pre_votes.votes_for(batch.hash),
                *round_state.pre_commits.votes_for(batch.hash),
            ]
            for message in messages:
                await self.accuse_if_condemned(message, state)

    async def accuse_if_condemned(self, message: Message, state: ConsensusState) -> None:
        """Accuse the signer of a message of the present height that speaks for a condemned batch."""
        if not isinstance(message, ProofBatch | PreVote | PreCommit) or message.height != state.height:
            return
        exhibit = None if message.batch_hash is None else self._condemned.get(message.batch_hash)
        if exhibit is None or message.signer == state.own_address:
            return
        accusation = without_batch(message) if isinstance(message, ProofBatch) else message
        await self.accuse(accuse_of_invalid_batch(accusation, exhibit))
