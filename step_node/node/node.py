"""A running node: its parts, opened by somebody else, are wired together here and run in one nursery."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import structlog
import trio
from prometheus_client import CollectorRegistry

from consensus.inputs import Input
from consensus.machine import Transition
from consensus.messages import Message, ProofBatch
from consensus.state import ConsensusState
from p2p.network import Network, PeerId
from step_node.api.events.places import StreamPlaces
from step_node.api.server.limits import EVENT_LIMITS, EventLimits
from step_node.api.server.quotas import Quotas
from step_node.api.services import ApiServices
from step_node.api.status.node import NodeStatus
from step_node.api.submissions.intake import Intake
from step_node.api.web_app import WebApp
from step_node.batch.batch import Batch
from step_node.chain.judging import JudgedBatch
from step_node.engine.driver import ConsensusDriver
from step_node.engine.hooks import ConsensusHooks
from step_node.feed.feed import Feed
from step_node.mempool.admission import Admission
from step_node.mempool.backlog import Backlog
from step_node.mempool.operations import OperationDesk, OperationPool
from step_node.mempool.outcomes import OutcomeWaiters
from step_node.mempool.settlement import Settlement
from step_node.metrics import NodeMetrics
from step_node.network.consensus import ConsensusReader
from step_node.network.consensus_judge import ConsensusJudge, Refused
from step_node.network.discovery import Discovery
from step_node.network.gossip import consensus_gossip, operations_gossip, proofs_gossip
from step_node.network.operation_gossip import take_in_operations
from step_node.network.outlook import NetworkOutlook
from step_node.network.peers import Peers
from step_node.network.proof_exchange import ProofExchange
from step_node.network.proposals import Proposals
from step_node.network.sync import Sync
from step_node.node.economy_watch import EconomyWatch
from step_node.node.gauges import Gauges, Wellbeing
from step_node.node.health.overview import HealthOverview
from step_node.node.health.round_diary import RoundDiary
from step_node.node.intake_gauges import IntakeGauges
from step_node.node.load_history import LoadHistory
from step_node.node.own_key import OwnKey
from step_node.node.parts import NodeParts
from step_node.node.pruning import Pruner
from step_node.node.roles import RoleWatch
from step_node.node.snapshot_parts import snapshot_parts
from step_node.node.standing import Standing
from step_node.node.starting import await_genesis, listen_for_doppelganger
from step_node.node.upkeep import Upkeep
from step_node.node.validator_news import ValidatorNews
from step_node.proofs.proof import SignedProof
from step_node.snapshot.validator_sets import ValidatorSetLinks
from step_node.storage.retry import StorageWatch

log = structlog.get_logger("node")


class Node:
    """The parts wired together. `run` starts them all and returns only when cancelled or when one fails."""

    def __init__(self, parts: NodeParts) -> None:
        self._parts = parts
        self._network = parts.network
        self._chain = parts.chain
        self._mempool = parts.mempool
        self.registry = CollectorRegistry()
        self._metrics = NodeMetrics(self.registry)
        self._own = OwnKey(parts.chain, parts.signer, parts.succession, parts.doppelganger)
        self._diary = RoundDiary(parts.clock, self._metrics)
        self._storage_watch = StorageWatch(self._metrics.storage_retried)
        self._waiters = OutcomeWaiters()
        clock = parts.clock
        self.feed = Feed(name=parts.network.peer_id, began_ms=clock.now_ms(), height=parts.chain.head.chain.height)
        """What happens, for clients that follow it."""
        self.switches = parts.switches
        """What the operator can turn off while the node runs."""
        self.intake = Intake(parts.switches, parts.breaker)
        """The gate in front of what clients hand in."""
        backlog = Backlog()
        self.admission = Admission(
            chain=parts.chain,
            mempool=parts.mempool,
            backlog=backlog,
            journal=parts.journal,
            waiters=self._waiters,
            clock=parts.clock,
            metrics=self._metrics,
            tell_accepted=self._accepted,
            traces=parts.traces,
        )
        judge = ConsensusJudge(parts.chain, own_address=self._own.address)
        consensus_topic = consensus_gossip(parts.network, judge, parts.chain.chain_id, self._gossip_refused)
        self._operations_topic = operations_gossip(parts.network, parts.chain.chain_id, self._gossip_refused)
        self.evidence = parts.evidence
        """Evidence that waits for a batch."""
        self._set_links = parts.set_links or ValidatorSetLinks(None, parts.genesis)
        self._operation_pool = OperationPool()
        self.operations = OperationDesk(
            chain=parts.chain, pool=self._operation_pool, publish=self._operations_topic.publish
        )
        """Where operations are handed in."""
        self._exchange = ProofExchange(
            network=parts.network,
            topic=proofs_gossip(parts.network, parts.chain.chain_id, self._gossip_refused),
            mempool=parts.mempool,
            admission=self.admission,
            metrics=self._metrics,
            traces=parts.traces,
        )
        self._settlement = Settlement(
            chain=parts.chain,
            mempool=parts.mempool,
            backlog=backlog,
            journal=parts.journal,
            waiters=self._waiters,
            note_settled=self._exchange.note_settled,
            tell_dropped=lambda drops: self.feed.dropped(drops, clock.now_ms()),
            clock=parts.clock,
            metrics=self._metrics,
            storage_watch=self._storage_watch,
        )
        self._discovery = (
            Discovery(
                network=parts.network,
                records=lambda: parts.chain.head.validators,
                book=parts.address_book,
                external_addresses=parts.external_addresses,
                private_peers=parts.private_peers,
            )
            if parts.discovers
            else None
        )
        self._peers = Peers(
            parts.network,
            parts.chain,
            on_height=self._peer_height,
            validator=self._own.address,
            on_shared=self._metrics.p2p_key_shared,
        )
        outlook = NetworkOutlook(
            network=parts.network,
            peers=self._peers,
            is_catching_up=lambda: self._sync.active,
            trusted=parts.bootstrap,
        )
        self.driver = ConsensusDriver(
            chain=parts.chain,
            mempool=parts.mempool,
            signer=parts.signer,
            wal=parts.wal,
            replayed=parts.replayed,
            hooks=ConsensusHooks(
                broadcast=self._broadcast,
                finalised=self._finalised,
                request_batch=lambda height, batch_hash: self._sync.want_proposal(height, batch_hash),
                outlook=outlook,
                restored=self._restored,
                taking_in=parts.hooks.taking_in,
                gives_proposals=parts.hooks.gives_proposals,
                applied=self._applied,
                successor=self._own.successor,
            ),
            metrics=self._metrics,
            storage_watch=self._storage_watch,
            evidence=self.evidence,
            operations=self._operation_pool,
            locks=parts.locks,
            follows_first=parts.doppelganger is not None and parts.listen_first_seconds > 0,
        )
        proposals = Proposals(
            known=parts.mempool.get,
            batch_of=self.driver.judged_batch,
            is_fresh=self._exchange.is_fresh,
            outlined_from=parts.outlined_from,
        )
        self._consensus = ConsensusReader(
            topic=consensus_topic,
            own_messages=judge.own_messages,
            chain=parts.chain,
            peers=self._peers,
            driver=self.driver,
            evidence=parts.evidence,
            doppelganger=parts.doppelganger,
            metrics=self._metrics,
            storage_watch=self._storage_watch,
            proposals=proposals,
            proposal_heard=self._proposal_heard,
            proposal_lacking=lambda height, batch_hash, sender: self._sync.want_proposal(height, batch_hash, sender),
        )
        self._roles = RoleWatch(
            own=self._own.address,
            peer_id=parts.network.peer_id,
            signed_here=parts.signed_here,
            observes_on_purpose=parts.observes_on_purpose,
            has_next=lambda address: parts.succession is not None and parts.succession.is_ready(address),
            **({} if parts.succession is None else {"present": parts.succession.present}),
        )
        self.snapshot_server, joiner = snapshot_parts(
            parts,
            set_links=self._set_links,
            driver=self.driver,
            peers=self._peers,
            owes_answers=self.admission.owes_answers,
        )
        self._sync = Sync(
            network=parts.network,
            chain=parts.chain,
            driver=self.driver,
            peers=self._peers,
            proposals=proposals,
            metrics=self._metrics,
            joiner=joiner,
        )
        self.economy = EconomyWatch(
            parts,
            peers=self._peers,
            is_behind=lambda: self._sync.active,
            metrics=self._metrics,
            storage_watch=self._storage_watch,
        )
        """What is computed from final batches, and shown."""
        self.pruner = Pruner(parts.storage, parts.retention, needed_from=self._needed_from)
        """What lets go of the past, as the operator wants it."""
        self.standing = Standing(
            parts,
            own_key=self._own,
            driver=self.driver,
            peers=self._peers,
            operations=self._operation_pool,
            diary=self._diary,
            pruner=self.pruner,
            is_syncing=lambda: self._sync.active,
        )
        """Where the node stands."""
        self.overview = HealthOverview(
            own=self._own.address,
            chain=parts.chain,
            clock=parts.clock,
            driver=self.driver,
            peers=self._peers,
            roles=self._roles,
            journal=parts.journal,
            storage_watch=self._storage_watch,
            metrics=self._metrics,
            fork=lambda: self._consensus.fork,
            is_syncing=lambda: self._sync.active,
            waiting=self.standing.waiting,
            discovers=parts.discovers,
            intake=self.intake.state,
            guardrails=lambda: self.economy.guardrails.broken,
        )
        """Whether the node is well. Who runs the node runs its watching, too (`step_node.node.start`)."""
        for use_key in (judge.use_key, self._peers.use_key, self._roles.use_key, self.overview.use_key):
            self._own.follow(use_key)
        self._validator_news = ValidatorNews(self._own, self._metrics, lambda: self.overview.own_record)
        self._upkeep = Upkeep(
            parts,
            admission=self.admission,
            operations=self.operations,
            settlement=self._settlement,
            driver=self.driver,
            broadcast=self._broadcast,
            is_syncing=lambda: self._sync.active,
        )
        self.load = LoadHistory(self.registry, self.status, parts.clock)
        """What happened in the last hour; who runs the node runs it, too."""
        self.registry.register(IntakeGauges(self.intake.state, self.switches))
        self.economy.register(self.registry)
        wellbeing = partial(Wellbeing.of, self.overview, parts.chain)
        gauges = Gauges(parts.network, parts.mempool, parts.journal, parts.evidence, self.status, wellbeing)
        self.registry.register(gauges)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Start everything; `task_status` is told once the network listens and waiting proofs are restored."""
        restored = await self.admission.restore()
        if restored:
            log.info("accepted proofs wait again", proofs=restored)
        await self.evidence.drop_settled(self._chain.offence_refusal)
        await self._set_links.begin(self._chain.validators)
        await self.pruner.begin()
        await self.economy.begin()
        self._roles.look(self._chain.head.validators)
        async with trio.open_nursery() as nursery:
            if self._chain.begins_in_ms:
                nursery.start_soon(await_genesis, self._chain, self._parts.clock)
            nursery.start_soon(self.admission.run)
            nursery.start_soon(self._peers.run)
            await self._network.start()
            if self._discovery is not None:
                nursery.start_soon(self._discovery.run)
            nursery.start_soon(self._exchange.run)
            if self.snapshot_server is not None:
                nursery.start_soon(self.snapshot_server.run, self.driver.wait_for_height, lambda: self._sync.active)
            nursery.start_soon(self._consensus.run)
            nursery.start_soon(take_in_operations, self._operations_topic, self.operations, self._storage_watch)
            nursery.start_soon(self._upkeep.run)
            if self._parts.doppelganger is not None:
                nursery.start_soon(self._parts.doppelganger.run)
                listening = partial(listen_for_doppelganger, seconds=self._parts.listen_first_seconds)
                nursery.start_soon(listening, self._parts.doppelganger, self.driver, self._chain)
            task_status.started()
            nursery.start_soon(self._sync.run)
            nursery.start_soon(self.economy.run)
            nursery.start_soon(self.pruner.run)
            self._own.start(nursery, is_late=self.driver.look_around)
            nursery.start_soon(self.driver.run)

    def services(
        self,
        *,
        wait_ms_max: int,
        account_submissions_per_minute: int = 0,
        event_limits: EventLimits = EVENT_LIMITS,
        web_app: WebApp | None = None,
    ) -> ApiServices:
        """What the HTTP API needs. `wait_ms_max` bounds how long a request may wait for finality,
        `account_submissions_per_minute` how many submissions an account may make (0: no bound)."""
        return ApiServices(
            chain=self._chain,
            admission=self.admission,
            operations=self.operations,
            links_to=self._set_links.links_to,
            clock=self._parts.clock,
            status=self.status,
            health=self.overview.health,
            consensus=self.standing.consensus,
            metrics=self.registry,
            wait_ms_max=wait_ms_max,
            account_quotas=Quotas(account_submissions_per_minute),
            counters=self._metrics,
            feed=self.feed,
            event_places=StreamPlaces(event_limits),
            intake=self.intake,
            fairness=self.economy.fairness,
            switches=self.switches,
            traces=self._parts.traces,
            web_app=web_app or WebApp(),
            load=self.load.samples,
            guardrails=lambda: self.economy.guardrails.readings,
            trends=self.economy.trends,
        )

    @property
    def network(self) -> Network:
        """Its peers are found, and refused, there."""
        return self._network

    @property
    def shown_height(self) -> int:
        """The greatest height that this node knows to be final, wherever."""
        return self._peers.shown

    def status(self) -> NodeStatus:
        """Where the node stands, now."""
        return self.standing.status()

    def _needed_from(self) -> int | None:
        """Whoever joins from a snapshot of this node's fetches the batches after it; and some are still to be read."""
        snapshots = self._parts.snapshots
        heights = [] if snapshots is None else [one.height for one in snapshots.snapshots()]
        own = self.economy.needed_from
        return min([*heights, *([] if own is None else [own])], default=None)

    # --- what the parts tell one another --------------------------------------------------------------------------

    async def _broadcast(self, message: Message) -> None:
        if self._parts.traces is not None and isinstance(message, ProofBatch):
            own = self.driver.judged_batch(message.batch_hash)
            if own is not None:
                self._trace_proposal(message, own)
        for outgoing in self._parts.hooks.outgoing(message):
            await self._consensus.broadcast(outgoing)

    def _applied(self, before: ConsensusState, item: Input, transition: Transition) -> None:
        self._diary.applied(before, item, transition)
        self._parts.hooks.applied(before, item, transition)

    def _trace_proposal(self, proposal: ProofBatch, batch: Batch) -> None:
        if self._parts.traces is not None:
            proof_ids = [proof.proof_id for proof in batch.proofs]
            self._parts.traces.proposed(proof_ids, proposal.height, proposal.round)

    def _proposal_heard(self, proposal: ProofBatch, batch: Batch) -> None:
        self._trace_proposal(proposal, batch)
        self.overview.clock_watch.note(
            proposal.proposer,
            height=proposal.height,
            round_number=proposal.round,
            valid_round=proposal.valid_round,
            timestamp_ms=batch.header.timestamp_ms,
        )

    async def _restored(self) -> None:
        self._diary.height_begins()
        self.feed.jumped(self._chain.head.chain.height)
        self.economy.jumped()
        self._follow_set()
        await self._settlement.after_jump()
        await self._storage_watch.when_available(self.pruner.begin)
        await self._set_links.begin(self._chain.validators)
        self._roles.look(self._chain.head.validators)

    def _accepted(self, proofs: Sequence[SignedProof]) -> None:
        self._metrics.proofs_accepted(len(proofs))
        self.feed.accepted(proofs, self._parts.clock.now_ms())

    def _follow_set(self) -> None:
        if self._discovery is not None:
            self._discovery.follow_set()

    async def _finalised(self, judged: JudgedBatch) -> None:
        # Before all else: whatever fails, the guardrails have seen the batch.
        await self.economy.after_batch(judged)
        self._diary.height_begins()
        self.feed.finalised(judged)
        if self._parts.traces is not None:
            batch = judged.batch
            self._parts.traces.finalised([one.proof_id for one in batch.proofs], batch.header.height, batch.hash)
        if self._parts.doppelganger is not None and self._chain.last_commit is not None:
            self._parts.doppelganger.hear(self._chain.last_commit)
        self._follow_set()
        await self._settlement.after_batch(judged)
        await self.evidence.drop_settled(self._chain.offence_refusal)
        applied = frozenset(judged.batch.operations)
        await self._storage_watch.when_available(partial(self.operations.after_batch, applied))
        self._roles.look(self._chain.head.validators)
        self._validator_news.after_batch(judged)
        if self._chain.last_commit is not None:
            await self._set_links.after_batch(judged.batch, self._chain.last_commit, self._chain.validators)

    def _peer_height(self, _peer_id: PeerId, height: int) -> None:
        if height >= self._chain.next_height:
            self._sync.hint()

    def _gossip_refused(self, topic: str, sender: PeerId, refused: Refused) -> None:
        if refused.told_height:
            self._peers.note_told(sender, refused.told_height)
        self._metrics.message_rejected(refused.fault.value)
        log.debug("gossip is refused", topic=topic, reason=str(refused))
