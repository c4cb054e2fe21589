"""All that is wrong with a node: gathered when somebody asks, and looked at every second for log and counters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import trio

from step_node.api.status.health import Health, HealthCode, HealthReason
from step_node.api.status.node import PeerStatus
from step_node.api.submissions.intake import IntakeState
from step_node.chain.chain import Chain
from step_node.clock import Clock
from step_node.economy.guardrails.guardrails import Broken
from step_node.engine.driver import ConsensusDriver
from step_node.engine.forks import Fork
from step_node.ledger.records import ValidatorRecord
from step_node.mempool.journal import Journal
from step_node.metrics import NodeMetrics
from step_node.network.peers import Peers
from step_node.node.health.clock_watch import ClockWatch
from step_node.node.health.guardrail_reasons import economy_drifts, intake_limited, ledger_unsound
from step_node.node.health.intake_reasons import intake_paused, intake_shed
from step_node.node.health.loop_lag import measure_lag
from step_node.node.health.peer_log import PeerLog
from step_node.node.health.progress import ProgressWatch, patience_seconds
from step_node.node.health.reach import reach_of
from step_node.node.health.reason_log import ReasonLog
from step_node.node.health.store_probe import STORE_HANGS_SECONDS, StoreProbe
from step_node.node.health.upgrade_watch import UpgradeWatch
from step_node.node.roles import RoleWatch
from step_node.storage.retry import StorageWatch

LOOK_INTERVAL_MS: Final = 1_000

ROUNDS_FAILED_MAX: Final = 1
"""Failed rounds of one height that are nobody's business: with one validator away, its turns fail."""

ABSENT_BATCHES_MAX: Final = 9
"""Commits in a row without the own vote that may be the network's doing; more are a reason to look."""

HEIGHTS_BEHIND_MAX: Final = 1
"""One height that is shown and not here yet is consensus at work."""


class HealthOverview:
    """See the module's docstring. `reasons` may be asked at any time; `run` watches."""

    def __init__(
        self,
        *,
        own: bytes | None,
        chain: Chain,
        clock: Clock,
        driver: ConsensusDriver,
        peers: Peers,
        roles: RoleWatch,
        journal: Journal,
        storage_watch: StorageWatch,
        metrics: NodeMetrics,
        fork: Callable[[], Fork | None],
        is_syncing: Callable[[], bool],
        waiting: Callable[[], tuple[int, int, int]],
        discovers: bool,
        intake: Callable[[], IntakeState],
        guardrails: Callable[[], Sequence[Broken]] = tuple,
    ) -> None:
        """`waiting` counts proofs, operations and pieces of evidence; `discovers` is whether the node dials the
        validators, and not only peers of the operator's choice, which pass on what validators say."""
        self._own = own
        self._chain = chain
        self._clock = clock
        self._driver = driver
        self._peers = peers
        self._roles = roles
        self._journal = journal
        self._storage_watch = storage_watch
        self._metrics = metrics
        self._fork = fork
        self._is_syncing = is_syncing
        self._waiting = waiting
        self._discovers = discovers
        self._intake = intake
        self._guardrails = guardrails
        self._probe = StoreProbe(chain.storage, metrics.store_answered)
        self._progress = ProgressWatch(driver)
        self._peer_log = PeerLog()
        self.upgrades = UpgradeWatch(chain)
        """What rules come next."""
        self._reason_log = ReasonLog(self._reason_said)
        metrics.expect_health_reasons(HealthCode)
        self.clock_watch = ClockWatch(chain, clock, own=own)
        """To be told of each proposal."""

    def use_key(self, address: bytes) -> None:
        """The node signs with this key (its address) from now on."""
        self._own = address
        self.clock_watch.use_key(address)

    async def run(self) -> None:
        """Watch until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._probe.run)
            nursery.start_soon(measure_lag, self._metrics)
            while True:
                self.look()
                await trio.sleep(LOOK_INTERVAL_MS / 1000)

    def look(self) -> None:
        """Take in how things are now, and say what has changed."""
        self._progress.look()
        self.upgrades.look()
        members = frozenset(validator.address for validator in self._chain.validators)
        self._peer_log.look(self._peers.statuses(), members)
        self._reason_log.look(self.health().reasons)

    def _reason_said(self, code: HealthCode) -> None:
        self._metrics.health_reason_came(code.value)
        if code is HealthCode.HEIGHT_UNDECIDED:
            self._metrics.halted()

    def health(self) -> Health:
        """All that is wrong now, the gravest first."""
        return Health(tuple(self._reasons()))

    @property
    def undecided_seconds(self) -> float:
        """How long something has waited at the present height; 0 while nothing does."""
        return self._progress.undecided_seconds

    @property
    def own_record(self) -> ValidatorRecord | None:
        """The own key's, if it is a validator's, in or out of the set."""
        records = self._chain.head.validators
        return next((record for record in records if record.address == self._own), None)

    def _reasons(self) -> Iterator[HealthReason]:
        broken = self._guardrails()
        yield from ledger_unsound(broken)
        yield from self._of_store()
        yield from intake_paused(self._intake())
        yield from self._of_chain()
        if self.upgrades.reason is not None:
            yield self.upgrades.reason
        yield from self._of_peers()
        yield from intake_shed(self._intake())
        yield from intake_limited(self._intake())
        yield from economy_drifts(broken)
        yield from self._of_progress()
        yield from self._of_own_key()
        yield from self._of_clock()

    def _of_store(self) -> Iterator[HealthReason]:
        reads = self._probe.trouble or self._storage_watch.trouble_of(writes=False)
        if reads is not None:
            message = f"the store does not answer questions: {reads}. Look at the database, its disk and the way to it"
            yield HealthReason(HealthCode.STORE_READS_FAIL, message, {"silent_seconds": self._probe.silent_seconds})
        writes, seconds = self._storage_watch.trouble_of(writes=True), int(self._storage_watch.write_seconds())
        if writes is None and seconds >= STORE_HANGS_SECONDS:
            writes = f"it has not taken it for {seconds} s"
        if writes is not None:
            message = (
                f"the store does not take the batch of height {self._chain.next_height}: {writes}. Nothing becomes"
                " final here meanwhile. Look at the database, its disk and, with MongoDB, whether a majority of the set"
                " is there"
            )
            yield HealthReason(HealthCode.STORE_WRITES_FAIL, message, {"waiting_seconds": seconds})
        if self._journal.trouble is not None:
            message = (
                f"the journal of accepted proofs fails: {self._journal.trouble}. Nothing is accepted from clients until"
                " it can be written"
            )
            yield HealthReason(HealthCode.JOURNAL_FAILS, message)

    def _of_chain(self) -> Iterator[HealthReason]:
        fork = self._fork()
        if fork is not None:
            message = (
                f"a quorum has contradicted the batch that is final here at height {fork.height}: finality is broken."
                " Compare the nodes' chains, and talk to the other operators"
            )
            yield HealthReason(HealthCode.FINALITY_BROKEN, message, {"height": fork.height})
        waits = None
        if self._chain.head.chain.height == 0:
            waits = self._chain.genesis.told_to_wait(self._clock.now_ms())
        if waits is not None:
            message = f"{waits}: nothing is proposed or accepted until then. If that is wrong, set the clock right"
            yield HealthReason(HealthCode.GENESIS_AHEAD, message, {"begins_in_ms": self._chain.begins_in_ms})
        height, shown = self._chain.head.chain.height, self._peers.shown
        if self._is_syncing() or shown - height > HEIGHTS_BEHIND_MAX:
            missing = max(shown - height, 0)
            message = (
                f"catching up: height {height} is final here, and height {shown} elsewhere. That needs nothing of you"
                " while the first number grows"
            )
            figures = {"height": height, "shown_height": shown, "heights_missing": missing}
            yield HealthReason(HealthCode.BEHIND, message, figures)

    def _of_peers(self) -> Iterator[HealthReason]:
        peers = self._peers.statuses()
        validators = self._chain.validators
        is_alone = len(validators) == 1 and self._own in validators
        if self._own in validators and self._discovers:
            yield from self._of_reach(peers)
        elif not peers and not is_alone:
            message = "no peer is connected: nothing is heard of the chain. Look at p2p.bootstrap, and at the firewall"
            yield HealthReason(HealthCode.NO_PEERS, message, {"peers": 0})
        told_by = self._peers.shared.told_by()
        if told_by:
            message = (
                f"another process uses this node's p2p key, say {told_by} peers. Find it, and stop it or give it a key"
                " of its own"
            )
            yield HealthReason(HealthCode.P2P_KEY_SHARED, message, {"peers": told_by})

    def _of_reach(self, peers: tuple[PeerStatus, ...]) -> Iterator[HealthReason]:
        records, quorum = self._chain.head.validators, self._chain.validators.quorum
        reach = reach_of(records, peers, own=self._own, quorum=quorum)
        if reach.is_enough:
            return
        missing = ", ".join(f"0x{address.hex()}" for address in reach.missing[:3])
        more = ", …" if len(reach.missing) > 3 else ""
        message = (
            f"{reach.reached} of {reach.members} validators are within reach, this node among them, and {quorum} make a"
            f" quorum: nothing can become final. Missing: {missing or 'unknown ones'}{more}. Look at the network, and"
            " talk to their operators"
        )
        figures = {"reached": reach.reached, "members": reach.members, "quorum": quorum, "peers": len(peers)}
        yield HealthReason(HealthCode.NO_QUORUM, message, figures)

    def _of_progress(self) -> Iterator[HealthReason]:
        state, seconds = self._driver.state, self._progress.undecided_seconds
        proofs, operations, evidence = self._waiting()
        if seconds > patience_seconds(self._chain.parameters):
            message = (
                f"height {state.height} has been undecided for {int(seconds)} s, with {proofs} proofs, {operations}"
                f" operations and {evidence} pieces of evidence waiting: in round {max(state.round, 0)}"
                f" {state.current.pre_votes.voters} of {len(state.validators)} validators have pre-voted, and"
                f" {state.validators.quorum} make a quorum. `step-node consensus` says whose votes are missing"
            )
            figures = {
                "height": state.height,
                "undecided_seconds": int(seconds),
                "proofs": proofs,
                "operations": operations,
                "evidence": evidence,
                "pre_votes": state.current.pre_votes.voters,
                "quorum": state.validators.quorum,
            }
            yield HealthReason(HealthCode.HEIGHT_UNDECIDED, message, figures)
        if state.round > ROUNDS_FAILED_MAX:
            message = (
                f"height {state.height} is in round {state.round}: validators are away, slow, or their clocks are"
                " wrong. `step-node consensus` says whose votes are missing"
            )
            figures = {"height": state.height, "round": state.round}
            yield HealthReason(HealthCode.ROUNDS_FAIL, message, figures)

    def _of_own_key(self) -> Iterator[HealthReason]:
        if self._roles.reason is not None:
            yield self._roles.reason
        signer_absence = self._driver.signer_absence
        if signer_absence is not None:
            message = f"this validator signs nothing: {signer_absence}. Look at the signer's log, and the way to it"
            yield HealthReason(HealthCode.SIGNER_AWAY, message)
        elif self._driver.absence is not None:
            yield HealthReason(HealthCode.NOT_SIGNING, self._driver.absence)
        if self._driver.refusal is not None:
            yield HealthReason(HealthCode.SIGNATURE_REFUSED, self._driver.refusal)
        record = self.own_record
        if record is not None and record.is_in_set and record.absent_batches > ABSENT_BATCHES_MAX:
            message = (
                f"the last {record.absent_batches} commits have no vote of this validator. It loses rewards, and in the"
                " end its place. Look at the other reasons, the clock, the network, and how busy the machine is"
            )
            yield HealthReason(HealthCode.VOTES_MISSING, message, {"absent_batches": record.absent_batches})

    def _of_clock(self) -> Iterator[HealthReason]:
        ahead_ms = self._chain.parameters.batch_ahead_ms
        fast_ms, slow_ms = self.clock_watch.fast_ms, self.clock_watch.slow_ms
        if fast_ms > ahead_ms:
            message = (
                f"the batches of other validators are {fast_ms / 1000:.1f} s old when they arrive: this machine's clock"
                f" is fast, or it is that far behind with its work. Batches more than {ahead_ms / 1000:g} s ahead are"
                " refused, so this validator proposes in vain. Set the clock right (NTP)"
            )
            yield HealthReason(HealthCode.CLOCK_FAST, message, {"fast_ms": fast_ms, "batch_ahead_ms": ahead_ms})
        if slow_ms > ahead_ms:
            message = (
                f"the batches of other validators are {slow_ms / 1000:.1f} s ahead of this machine's clock when they"
                f" arrive: it is slow. Batches more than {ahead_ms / 1000:g} s ahead are refused here, so this node"
                " votes against what others find right. Set the clock right (NTP)"
            )
            yield HealthReason(HealthCode.CLOCK_SLOW, message, {"slow_ms": slow_ms, "batch_ahead_ms": ahead_ms})
