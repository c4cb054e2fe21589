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
from step_node.api.status.consensus import ConsensusStatus
from step_node.api.status.node import NodeStatus
from step_node.api.submissions.intake import Intake
from step_node.api.web_app import WebApp
from step_node.batch.batch import Batch
from step_node.chain.judging import JudgedBatch
from step_node.economy.fairness.reporter import FairnessReporter
from step_node.economy.observatory import Observatory
from step_node.economy.trends import Trends
from step_node.engine.doppelganger import DoppelgangerWatch
from step_node.engine.driver import ConsensusDriver
from step_node.engine.hooks import ConsensusHooks
from step_node.errors import InvariantBroken
from step_node.feed.feed import Feed
from step_node.home.switches import Switch
from step_node.ledger.offences import Slashing
from step_node.mempool.admission import Admission
from step_node.mempool.backlog import Backlog
from step_node.mempool.operations import OperationDesk, OperationPool
from step_node.mempool.outcomes import OutcomeWaiters
from step_node.mempool.settlement import Settlement
from step_node.metrics import NodeMetrics
from step_node.network.backfill import Backfill
from step_node.network.consensus import ConsensusReader
from step_node.network.consensus_judge import ConsensusJudge, Refused
from step_node.network.discovery import Discovery
from step_node.network.gossip import consensus_gossip, operations_gossip, proofs_gossip
from step_node.network.outlook import NetworkOutlook
from step_node.network.peers import Peers
from step_node.network.proof_exchange import ProofExchange
from step_node.network.proposals import Proposals
from step_node.network.snapshots import SnapshotJoiner, SnapshotServer
from step_node.network.sync import Sync
from step_node.node.consensus_view import consensus_status
from step_node.node.fairness_gauges import FairnessGauges
from step_node.node.gauges import Gauges, Wellbeing
from step_node.node.guardrail_gauges import GuardrailGauges
from step_node.node.guardrail_watch import GuardrailWatch
from step_node.node.health.overview import HealthOverview
from step_node.node.health.round_diary import RoundDiary
from step_node.node.intake_gauges import IntakeGauges
from step_node.node.load_history import LoadHistory
from step_node.node.parts import NodeParts
from step_node.node.pruning import Pruner
from step_node.node.roles import RoleWatch
from step_node.node.status_view import node_status
from step_node.offload import run_blocking
from step_node.proofs.proof import SignedProof
from step_node.signing.signer import Signer
from step_node.snapshot.validator_sets import ValidatorSetLinks
from step_node.storage.retry import StorageWatch

EXPIRY_CHECK_MS = 10_000
"""How often an idle node looks for waiting proofs that have become too old, and any node whether a journal that failed
can be written again."""

HEAD_CHECK_MS = 100
"""How often a node that has just started looks whether it has caught up."""

GENESIS_CHECK_MS = 1_000
"""How often a node that waits for genesis looks at its clock."""

SAY_AGAIN_MS = 2_000
"""How often evidence and operations that wait are sent again, since gossip loses some."""

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
        self._own = None if parts.signer is None else parts.signer.address
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
        self.guardrails = GuardrailWatch(
            chain=parts.chain,
            switches=parts.switches,
            clock=clock,
            metrics=self._metrics,
            settings=parts.guardrails,
            file=parts.guardrail_file,
        )
        """What goes over each batch a second time."""
        self._signer = parts.signer
        self._tasks: trio.Nursery | None = None
        judge = self._judge = ConsensusJudge(parts.chain, own_address=self._own)
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
            validator=self._own,
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
                successor=self._successor,
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
            own=self._own,
            peer_id=parts.network.peer_id,
            signed_here=parts.signed_here,
            observes_on_purpose=parts.observes_on_purpose,
            has_next=lambda address: parts.succession is not None and parts.succession.is_ready(address),
            **({} if parts.succession is None else {"present": parts.succession.present}),
        )
        self.snapshot_server, joiner = self._snapshots()
        self._sync = Sync(
            network=parts.network,
            chain=parts.chain,
            driver=self.driver,
            peers=self._peers,
            proposals=proposals,
            metrics=self._metrics,
            joiner=joiner,
        )
        self.observatory = Observatory(
            storage=parts.storage, file=parts.economy_file, height=lambda: parts.chain.head.chain.height
        )
        """The proofs of the last two days."""
        self.trends = Trends(self.observatory, is_on=lambda: parts.switches.is_on(Switch.TRENDING))
        """What is made of them."""
        self._backfill = Backfill(
            network=parts.network,
            peers=self._peers,
            earlier=self.observatory,
            is_behind=lambda: self._sync.active,
        )
        self.fairness = FairnessReporter(
            parts.chain, parts.economy_file, is_on=lambda: parts.switches.is_on(Switch.FAIRNESS)
        )
        """Who got how much in each epoch."""
        self.pruner = Pruner(parts.storage, parts.retention, needed_from=self._needed_from)
        """What lets go of the past, as the operator wants it."""
        self.overview = HealthOverview(
            own=self._own,
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
            waiting=self._waiting,
            discovers=parts.discovers,
            intake=self.intake.state,
            guardrails=lambda: self.guardrails.broken,
        )
        """Whether the node is well. Who runs the node runs its watching, too (`step_node.node.start`)."""
        self.load = LoadHistory(self.registry, self.status, parts.clock)
        """What happened in the last hour; who runs the node runs it, too."""
        self.registry.register(FairnessGauges(self.fairness))
        self.registry.register(IntakeGauges(self.intake.state, self.switches))
        self.registry.register(GuardrailGauges(self.guardrails, self.switches))
        self.registry.register(
            Gauges(parts.network, parts.mempool, parts.journal, parts.evidence, self.status, self._wellbeing)
        )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Start everything; `task_status` is told once the network listens and waiting proofs are restored."""
        restored = await self.admission.restore()
        if restored:
            log.info("accepted proofs wait again", proofs=restored)
        await self.evidence.drop_settled(self._chain.offence_refusal)
        await self._set_links.begin(self._chain.validators)
        await self.pruner.begin()
        await self.guardrails.begin()
        self._roles.look(self._chain.head.validators)
        async with trio.open_nursery() as nursery:
            self._tasks = nursery
            if self._chain.begins_in_ms:
                nursery.start_soon(self._await_genesis)
            nursery.start_soon(self.admission.run)
            nursery.start_soon(self._peers.run)
            await self._network.start()
            if self._discovery is not None:
                nursery.start_soon(self._discovery.run)
            nursery.start_soon(self._exchange.run)
            if self.snapshot_server is not None:
                nursery.start_soon(self.snapshot_server.run, self.driver.wait_for_height, lambda: self._sync.active)
            nursery.start_soon(self._consensus.run)
            nursery.start_soon(self._read_operations)
            nursery.start_soon(self._say_again)
            if self._parts.doppelganger is not None:
                nursery.start_soon(self._parts.doppelganger.run)
                nursery.start_soon(self._listen, self._parts.doppelganger)
            task_status.started()
            nursery.start_soon(self._sync.run)
            nursery.start_soon(self._expire)
            nursery.start_soon(self.fairness.run)
            nursery.start_soon(self.observatory.run)
            nursery.start_soon(self.trends.run)
            nursery.start_soon(self._backfill.run)
            nursery.start_soon(self._hint_backfill)
            nursery.start_soon(self.pruner.run)
            nursery.start_soon(self.guardrails.run)
            if self._parts.signer is not None:
                nursery.start_soon(self._parts.signer.run)
            if self._parts.succession is not None:
                succession = partial(self._parts.succession.run, is_late=self.driver.look_around)
                nursery.start_soon(succession, self._own_key, lambda: self._chain.head.validators)
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
            consensus=self.consensus,
            metrics=self.registry,
            wait_ms_max=wait_ms_max,
            account_quotas=Quotas(account_submissions_per_minute),
            counters=self._metrics,
            feed=self.feed,
            event_places=StreamPlaces(event_limits),
            intake=self.intake,
            fairness=self.fairness,
            switches=self.switches,
            traces=self._parts.traces,
            web_app=web_app or WebApp(),
            load=self.load.samples,
            guardrails=lambda: self.guardrails.readings,
            trends=self.trends,
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
        return node_status(
            self._chain,
            self._network,
            self._peers,
            self.driver.state,
            own=self._own,
            syncing=self._sync.active,
            mempool_proofs=len(self._mempool),
            kept=self.pruner.kept,
            switches=self.switches.states(),
        )

    def consensus(self) -> ConsensusStatus:
        """Where the height that is being decided stands, now."""
        return consensus_status(
            self.driver.state,
            self._diary,
            takes_part=self.driver.takes_part,
            own=self._own,
            connected={peer.validator for peer in self._peers.statuses() if peer.validator is not None},
            waiting=self._waiting(),
        )

    def _waiting(self) -> tuple[int, int, int]:
        return len(self._mempool), len(self._operation_pool), len(self.evidence)

    def _wellbeing(self) -> Wellbeing:
        health = self.overview
        return Wellbeing(
            health.health(),
            health.undecided_seconds,
            health.own_record,
            members=tuple(record for record in self._chain.head.validators if record.is_in_set),
            clock_ahead_ms=health.clock_watch.fast_ms - health.clock_watch.slow_ms,
        )

    def _snapshots(self) -> tuple[SnapshotServer | None, SnapshotJoiner | None]:
        parts = self._parts
        if parts.snapshots is None:
            return None, None
        server = SnapshotServer(
            network=parts.network,
            chain=parts.chain,
            snapshot_store=parts.snapshots,
            set_links=self._set_links,
            every_batches=parts.sync.snapshot_every_batches,
            is_served=lambda: self.switches.is_on(Switch.SNAPSHOTS),
        )
        if not parts.sync.snapshot:
            return server, None
        joiner = SnapshotJoiner(
            network=parts.network,
            chain=parts.chain,
            driver=self.driver,
            snapshot_store=parts.snapshots,
            set_links=self._set_links,
            distance_batches=parts.sync.snapshot_distance_batches,
            owes_answers=self.admission.owes_answers,
            records=self._peers.records,
        )
        return server, joiner

    def _needed_from(self) -> int | None:
        """Whoever joins from a snapshot of this node's fetches the batches after it; and some are still to be read."""
        snapshots = self._parts.snapshots
        heights = [] if snapshots is None else [one.height for one in snapshots.snapshots()]
        own = [self.fairness.needed_from(), self.observatory.needed_from]
        return min([*heights, *(height for height in own if height is not None)], default=None)

    async def _listen(self, watch: DoppelgangerWatch) -> None:
        """Begin to watch at the head, and let the driver sign once the operator's time of listening is over.

        While the history is doubtful, what it lacks may be of this very process: then nobody can be accused.
        """
        while not self.driver.is_at_head or watch.is_doubtful:
            await trio.sleep(HEAD_CHECK_MS / 1000)
        height = self._chain.head.chain.height
        watch.begin(height)
        seconds = self._parts.listen_first_seconds
        if seconds > 0:
            log.info("listening for a doppelganger before anything is signed", height=height, seconds=seconds)
            await trio.sleep(seconds)
            log.info("no doppelganger was heard", height=self._chain.head.chain.height)
        self.driver.take_part()

    def _own_key(self) -> bytes:
        if self._own is None:
            raise InvariantBroken("the successor of no key was asked for")
        return self._own

    def _successor(self) -> Signer | None:
        """The signer that takes over at this height, with all that goes by the own key told of it."""
        succession, own = self._parts.succession, self._own
        if succession is None or own is None:
            return None
        head = self._chain.head
        signer = succession.take(own, head.validators)
        if signer is None:
            return None
        address = self._own = signer.address
        log.warning(
            "the next key takes over: this node signs with it from here on",
            height=self._chain.next_height,
            validator=f"0x{address.hex()}",
            before=f"0x{own.hex()}",
        )
        self._judge.use_key(address)
        self._peers.use_key(address)
        self._roles.use_key(address)
        self.overview.use_key(address)
        if self._parts.doppelganger is not None:
            self._parts.doppelganger.follow(address, signer.guard, known_height=head.chain.height)
        if self._tasks is not None:
            self._tasks.start_soon(signer.run)
            self._tasks.start_soon(succession.kept, address)
            if self._signer is not None:
                self._tasks.start_soon(run_blocking, self._signer.guard.close)
        self._signer = signer
        return signer

    def _told_to_wait(self) -> str | None:
        if self._chain.head.chain.height > 0:
            return None
        return self._chain.genesis.told_to_wait(self._parts.clock.now_ms())

    async def _await_genesis(self) -> None:
        """Say that the chain has not begun, and when it does."""
        log.warning("the node waits for genesis", reason=self._told_to_wait())
        while self._chain.begins_in_ms:
            # The wall clock may be set meanwhile.
            await trio.sleep(min(self._chain.begins_in_ms, GENESIS_CHECK_MS) / 1000)
        log.info("the chain begins", chain_id=self._chain.chain_id)

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
        self.fairness.jumped()
        self.observatory.jumped()
        self._follow_set()
        await self._settlement.after_jump()
        await self._storage_watch.when_available(self.pruner.begin)
        await self._set_links.begin(self._chain.validators)
        self._roles.look(self._chain.head.validators)

    def _accepted(self, proofs: Sequence[SignedProof]) -> None:
        self._metrics.proofs_accepted(len(proofs))
        self.feed.accepted(proofs, self._parts.clock.now_ms())

    async def _hint_backfill(self) -> None:
        while True:
            self._backfill.hint()
            await self.observatory.wait_for_change()

    def _follow_set(self) -> None:
        if self._discovery is not None:
            self._discovery.follow_set()

    def _slashed(self, slashing: Slashing) -> None:
        self._metrics.validator_slashed(slashing.kind.value, slashing.amount_ustep)
        is_own = self._own in (slashing.validator, slashing.accused)
        say = log.warning if is_own else log.info
        say(
            "this node's validator is slashed" if is_own else "a validator is slashed",
            kind=slashing.kind.value,
            validator="0x" + slashing.validator.hex(),
            burnt_ustep=slashing.amount_ustep,
            evidence_height=slashing.offence_height,
        )

    async def _finalised(self, judged: JudgedBatch) -> None:
        self._diary.height_begins()
        self.feed.finalised(judged)
        self.fairness.after_batch(judged)
        self.observatory.finalised(judged.batch)
        await self._storage_watch.when_available(partial(self.guardrails.after_batch, judged))
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
        for slashing in judged.transition.slashings:
            self._slashed(slashing)
        self._roles.look(self._chain.head.validators)
        own = self.overview.own_record
        if own is not None:
            self._metrics.own_validator_earned(judged.transition.validator_rewards_ustep.get(own.address, 0))
            if own.is_in_set and own.absent_batches > 0:
                self._metrics.own_vote_missed()
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

    async def _read_operations(self) -> None:
        async for _, operation in self._operations_topic:
            take = partial(self.operations.take, operation)
            refused = await self._storage_watch.when_available(take)
            if refused is not None:
                log.debug("an operation is not taken", kind=operation.type, reason=str(refused))

    async def _say_again(self) -> None:
        while True:
            await trio.sleep(SAY_AGAIN_MS / 1000)
            for evidence in self.evidence.pieces():
                await self._broadcast(evidence)
            await self.operations.say_again()

    def _hears_a_quorum(self) -> bool:
        return len(self._network.peers()) >= self._chain.validators.quorum - 1

    async def _mend_journal(self) -> None:
        """Tell the journal what it is owed, and let in what it holds if that could not be read yet."""
        journal = self._parts.journal
        await journal.mend(self._parts.clock.now_ms())
        if not journal.is_read:
            await self.admission.restore()

    async def _expire(self) -> None:
        while True:
            await trio.sleep(EXPIRY_CHECK_MS / 1000)
            await self._mend_journal()
            if self.driver.is_idle and not self._sync.active and self._hears_a_quorum():
                await self._settlement.drop_expired()
