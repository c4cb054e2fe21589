"""The consensus reactor: reads the consensus topic, and hands each message to whom it concerns.

Messages of the present heights go to the driver; heights to `peers`; what the own key has signed, of any height, and
evidence to the doppelganger watch; evidence, and what two messages together prove, to the pool. A commit that
contradicts what is final here is noticed here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import structlog
import trio

from consensus.messages import Commit, Evidence, Message, PreCommit, ProofBatch, SignedMessage
from p2p.network import Fault, PeerId
from step_node.batch.batch import Batch, MalformedBatch
from step_node.chain.chain import Chain
from step_node.engine.doppelganger import DoppelgangerWatch
from step_node.engine.driver import ConsensusDriver
from step_node.engine.events import message_height
from step_node.engine.evidence_pool import EvidencePool
from step_node.engine.forks import Fork, fork_shown_by
from step_node.metrics import NodeMetrics
from step_node.network.consensus_judge import ConsensusGossipMessage
from step_node.network.gossip import Topic
from step_node.network.peers import Peers
from step_node.network.proposals import Proposals
from step_node.network.protocols import ProposalOutline
from step_node.storage.retry import StorageWatch

log = structlog.get_logger("gossip")


class ConsensusReader:
    """See the module's docstring. `run` reads until cancelled."""

    def __init__(
        self,
        *,
        topic: Topic[ConsensusGossipMessage],
        own_messages: trio.MemoryReceiveChannel[SignedMessage],
        chain: Chain,
        peers: Peers,
        driver: ConsensusDriver,
        evidence: EvidencePool,
        doppelganger: DoppelgangerWatch | None,
        metrics: NodeMetrics,
        storage_watch: StorageWatch,
        proposals: Proposals,
        proposal_heard: Callable[[ProofBatch, Batch], None],
        proposal_lacking: Callable[[int, bytes, PeerId], None],
    ) -> None:
        """`proposal_heard` is told of each proposal that a validator has signed, with its batch; `proposal_lacking` of
        one (height, batch hash) whose batch cannot be filled here, and of who has handed it over."""
        self._topic = topic
        self._own_messages = own_messages
        self._chain = chain
        self._peers = peers
        self._driver = driver
        self._evidence = evidence
        self._doppelganger = doppelganger
        self._metrics = metrics
        self._storage_watch = storage_watch
        self._proposals = proposals
        self._proposal_heard = proposal_heard
        self._proposal_lacking = proposal_lacking
        self._fork: Fork | None = None

    @property
    def fork(self) -> Fork | None:
        """The last commit heard that contradicts a batch which is final here; None while finality holds."""
        return self._fork

    async def run(self) -> None:
        """Read the topic until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_for_doppelganger)
            await self._read()

    async def _watch_for_doppelganger(self) -> None:
        async for message in self._own_messages:
            if self._doppelganger is not None:
                self._doppelganger.hear(message)

    async def _read(self) -> None:
        async for sender, item in self._topic:
            if isinstance(item.message, ProposalOutline):
                self._note_height(sender, item.message.height)
                await self._take_outline(item.message, sender)
                continue
            height = message_height(item.message)
            if isinstance(item.message, Commit):
                self._peers.note_shown(sender, height)
                await self._watch_for_fork(item.message)
            else:
                self._note_height(sender, height)
            if isinstance(item.message, Evidence):
                await self._take_evidence(item.message)
            elif isinstance(item.message, ProofBatch):
                await self._take_proposal(item.message)
            elif item.proven:
                self._driver.deliver(item.message)
                if isinstance(item.message, PreCommit):
                    contradicted = self._chain.late_contradiction(item.message)
                    if contradicted is not None:
                        await self._take_evidence(contradicted)

    def _note_height(self, sender: PeerId, height: int) -> None:
        """Who hands over a message of a later height than the next has come further, or says so."""
        if height > self._chain.next_height:
            self._peers.note_told(sender, height - 1)

    async def _take_proposal(self, proposal: ProofBatch) -> None:
        try:
            batch = await self._proposals.decoded(proposal)
        except MalformedBatch as error:
            self._unreadable(proposal.proposer, error)
        else:
            self._deliver_proposal(proposal, batch)

    async def _take_outline(self, message: ProposalOutline, sender: PeerId) -> None:
        found: tuple[ProofBatch, Batch] | None = None
        try:
            found = await self._proposals.filled(message)
        except MalformedBatch as error:
            self._unreadable(message.proposer, error)
        self._metrics.proposal_outlined("lacking" if found is None else "filled")
        if found is not None:
            self._deliver_proposal(*found)
        else:
            self._proposal_lacking(message.height, message.batch_hash, sender)

    def _deliver_proposal(self, proposal: ProofBatch, batch: Batch) -> None:
        self._proposal_heard(proposal, batch)
        self._driver.deliver(proposal, batch)

    def _unreadable(self, proposer: bytes, error: MalformedBatch) -> None:
        self._metrics.message_rejected(Fault.MALFORMED.value)
        log.warning("a proposal's batch cannot be read", proposer="0x" + proposer.hex(), reason=str(error))

    async def broadcast(self, message: Message) -> None:
        """Send a message to everybody."""
        await self._topic.publish(self._proposals.encoded(message))

    async def _watch_for_fork(self, commit: Commit) -> None:
        """A quorum has signed the commit, or the gossip would have refused it."""
        fork = await self._storage_watch.when_available(partial(fork_shown_by, commit, self._chain))
        if fork is None:
            return
        self._metrics.fork_seen()
        self._fork = fork
        log.critical(
            "a quorum has contradicted a batch that is final here: finality is broken; compare the nodes' chains",
            height=fork.height,
            own_batch=fork.own.batch_hash.hex(),
            own_round=fork.own.round,
            other_batch=fork.other.batch_hash.hex(),
            other_round=fork.other.round,
        )
        for evidence in fork.evidence():
            await self._take_evidence(evidence)

    async def _take_evidence(self, evidence: Evidence) -> None:
        if self._doppelganger is not None:
            self._doppelganger.hear(evidence)
        offence = self._chain.offence_in(evidence)
        if self._chain.offence_refusal(offence) is None:
            await self._evidence.add(evidence, offence, self._chain.parameters)
