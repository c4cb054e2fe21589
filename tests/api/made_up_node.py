"""A node without peers: the real chain, admission, mempool and journal, and one validator whose commit is a quorum.

Nothing is finalised until a test says so: `finalise` does what consensus and the driver do, in one call.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio
from prometheus_client import CollectorRegistry

from consensus.messages import Commit, CommitSignature, PreCommit
from mesh import TriangleId, locate
from step_node.api.events.places import StreamPlaces
from step_node.api.server.limits import EVENT_LIMITS, EventLimits
from step_node.api.server.quotas import Quotas
from step_node.api.services import ApiServices
from step_node.api.status.consensus import ConsensusStatus, VoterStatus
from step_node.api.status.health import Health
from step_node.api.status.node import NodeStatus, PeerStatus, ValidatorStatus
from step_node.api.submissions.breaker import BreakerSettings
from step_node.api.submissions.intake import Intake
from step_node.chain.chain import Chain
from step_node.chain.genesis import Genesis, GenesisValidator
from step_node.crypto import eip191
from step_node.economy.fairness.reporter import FairnessReporter
from step_node.economy.observatory import Observatory
from step_node.economy.side_file import EconomyFile
from step_node.economy.trends import Trends
from step_node.feed.feed import Feed
from step_node.home.switches import Switches
from step_node.ledger.state import Receipt
from step_node.mempool.admission import Admission
from step_node.mempool.backlog import Backlog
from step_node.mempool.journal import DroppedProof, Journal, open_journal
from step_node.mempool.operations import OperationDesk, OperationPool
from step_node.mempool.outcomes import OutcomeWaiters
from step_node.mempool.pool import Mempool
from step_node.metrics import NodeMetrics
from step_node.parameters import Parameters
from step_node.proofs.client_signing import SignedPayload, sign_payload
from step_node.proofs.proof import Refusal
from step_node.storage.interface import Storage
from step_node.storage.memory import MemoryStorage

START_MS = 1_767_225_600_000
CHAIN_ID = "step-test"
VALIDATOR_KEY = b"\x11" * 32
ZURICH = (47.3769, 8.5417)


class SetClock:
    """A clock that stands where a test puts it."""

    def __init__(self, now_ms: int) -> None:
        self.time_ms = now_ms

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch."""
        return self.time_ms


class Walker:
    """A client with a key of its own; its nonces count up."""

    def __init__(self, number: int) -> None:
        self.key = number.to_bytes(32, "big")
        self.address = eip191.address_of(eip191.public_key_of(self.key))
        self._nonces = 0

    @property
    def address_text(self) -> str:
        """0x and 40 hex digits."""
        return f"0x{self.address.hex()}"

    def proof(
        self,
        timestamp_ms: int,
        *,
        place: tuple[float, float] = ZURICH,
        level: int = 10,
        triangle: TriangleId | None = None,
        accuracy_m: float = 5.0,
        nonce: str | None = None,
    ) -> SignedPayload:
        """A signed submission from `place`, by default inside the triangle of `level` that holds it."""
        self._nonces += 1
        lat, lon = place
        return sign_payload(
            self.key,
            triangle or locate(lat, lon, level),
            lat,
            lon,
            accuracy_m,
            timestamp_ms,
            nonce or f"walk-{self._nonces}",
        )


@dataclass
class MadeUpNode:
    """The parts of a node that the API sees. `health` is the test's to set."""

    clock: SetClock
    storage: Storage
    chain: Chain
    mempool: Mempool
    journal: Journal
    waiters: OutcomeWaiters
    admission: Admission
    registry: CollectorRegistry
    metrics: NodeMetrics
    operation_pool: OperationPool
    published: list[bytes]
    feed: Feed
    fairness: FairnessReporter
    observatory: Observatory
    trends: Trends
    health: Health = field(default_factory=Health)
    switches: Switches = field(default_factory=Switches)
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    seconds: float = 0.0
    """By which the breaker counts."""

    def services(
        self,
        *,
        wait_ms_max: int = 30_000,
        account_submissions_per_minute: int = 0,
        event_limits: EventLimits = EVENT_LIMITS,
    ) -> ApiServices:
        """What `create_app` takes."""
        return ApiServices(
            chain=self.chain,
            admission=self.admission,
            clock=self.clock,
            status=self.status,
            health=lambda: self.health,
            consensus=self.consensus,
            metrics=self.registry,
            wait_ms_max=wait_ms_max,
            account_quotas=Quotas(account_submissions_per_minute),
            counters=self.metrics,
            links_to=lambda _validator_set_hash: (),
            feed=self.feed,
            trends=self.trends,
            event_places=StreamPlaces(event_limits),
            intake=Intake(self.switches, self.breaker, now=lambda: self.seconds),
            switches=self.switches,
            fairness=self.fairness,
            operations=OperationDesk(chain=self.chain, pool=self.operation_pool, publish=self._publish),
        )

    async def _publish(self, data: bytes) -> None:
        self.published.append(data)

    def status(self) -> NodeStatus:
        """A status with a peer that has said hello, one that has not, and this node as the only validator."""
        chain = self.chain.head.chain
        validator = eip191.address_of(eip191.public_key_of(VALIDATOR_KEY))
        return NodeStatus(
            version="0.1.0",
            commit="0123456789ab",
            protocol_version=1,
            known_protocol_versions=(1, 2),
            chain_id=CHAIN_ID,
            genesis_hash=self.chain.genesis.hash,
            peer_id="16Uiu2self",
            p2p_addresses=("/ip4/127.0.0.1/tcp/26600/p2p/16Uiu2self",),
            validator_address=validator,
            height=chain.height,
            batch_hash=chain.batch_hash,
            state_root=bytes(32),
            batch_timestamp_ms=chain.timestamp_ms,
            round=0,
            state="IDLE",
            syncing=False,
            mempool_proofs=len(self.mempool),
            earliest_height=1,
            histories_from=1,
            peers=(
                PeerStatus("16Uiu2one", "/ip4/192.0.2.1/tcp/26600", True, "0.1.0", 3, b"\x01" * 20, (1, 2)),
                PeerStatus("16Uiu2two", "/ip4/192.0.2.2/tcp/40000", False, None, None, None),
            ),
            validators=(ValidatorStatus(validator, 100_000_000_000, True, "16Uiu2self"),),
            switches=self.switches.states(),
        )

    def consensus(self) -> ConsensusStatus:
        """A round in which this node has pre-voted, and another validator is silent."""
        validator = eip191.address_of(eip191.public_key_of(VALIDATOR_KEY))
        return ConsensusStatus(
            height=self.chain.next_height,
            round=1,
            step="PRE_VOTE",
            height_since_ms=START_MS - 9_000,
            step_since_ms=START_MS - 500,
            proposer=b"\x02" * 20,
            proposal=b"\xaa" * 32,
            quorum=2,
            locked_round=0,
            locked_hash=b"\xbb" * 32,
            valid_round=-1,
            valid_hash=None,
            takes_part=True,
            waiting_proofs=3,
            waiting_operations=0,
            waiting_evidence=1,
            voters=(
                VoterStatus(validator, is_self=True, is_connected=True, pre_vote=b"", pre_commit=b"\xaa" * 32),
                VoterStatus(b"\x02" * 20, is_self=False, is_connected=False, pre_vote=None, pre_commit=None),
            ),
        )

    async def finalise(self) -> tuple[Receipt, ...]:
        """Build a batch of what waits, commit it, write it, and tell whoever waits; the receipts."""
        candidates = self.mempool.candidates(
            self.chain.parameters.batch_max_proofs, time_ms=self.clock.now_ms(), parameters=self.chain.parameters
        )
        proposer = self.chain.validators.proposer(self.chain.next_height, 0).address
        operations = self.operation_pool.candidates()
        judged = await self.chain.build(candidates, round_number=0, proposer=proposer, operations=operations)
        assert judged is not None, "nothing waits that could be finalised"
        vote = PreCommit(self.chain.next_height, 0, judged.batch.hash, proposer)
        signature = CommitSignature(proposer, eip191.sign(vote.signing_line(CHAIN_ID), VALIDATOR_KEY))
        commit = Commit(self.chain.next_height, 0, judged.batch.hash, (signature,))
        self.chain.check_commit(commit, height=self.chain.next_height, batch_hash=judged.batch.hash)
        await self.chain.finalise(judged, commit)
        self.feed.finalised(judged)
        self.fairness.after_batch(judged)
        self.observatory.finalised(judged.batch)
        receipts = judged.transition.receipts
        for receipt in receipts:
            self.mempool.remove(receipt.proof_id)
        await self.journal.settle(
            finalised=[receipt.proof_id for receipt in receipts], dropped=[], now_ms=self.clock.now_ms()
        )
        self.waiters.announce(receipts, [])
        for operation in operations:
            self.operation_pool.remove(operation)
        return receipts

    async def until_trending(self) -> None:
        """Wait until what trends at the present height is known."""
        with trio.fail_after(30):
            while (at := self.trends.now()) is None or at.height != self.chain.head.chain.height:
                await trio.sleep(0.01)

    async def until_followed(self) -> None:
        """Wait until what follows the chain has caught up, and reads nothing more of the store."""
        await self.until_trending()
        with trio.fail_after(30):
            while self.fairness.height != self.chain.head.chain.height:
                await trio.sleep(0.01)

    async def drop(self, proof_id: bytes, refusal: Refusal) -> None:
        """Let the chain have moved past a waiting proof."""
        proof = self.mempool.remove(proof_id)
        dropped = DroppedProof(proof_id, refusal)
        await self.journal.settle(finalised=[], dropped=[dropped], now_ms=self.clock.now_ms())
        self.waiters.announce([], [dropped])
        if proof is not None:
            self.feed.dropped([(proof, refusal)], self.clock.now_ms())


def made_up_genesis(parameters: Parameters) -> Genesis:
    """A chain of one validator."""
    public_key = eip191.public_key_of(VALIDATOR_KEY)
    validator = GenesisValidator(
        address=f"0x{eip191.address_of(public_key).hex()}",
        public_key=f"0x{public_key.hex()}",
        stake_ustep=parameters.min_stake * 1_000_000,
        p2p_address="/ip4/127.0.0.1/tcp/26600",
    )
    return Genesis(chain_id=CHAIN_ID, genesis_time_ms=START_MS - 1_000, parameters=parameters, validators=(validator,))


@asynccontextmanager
async def economy_file_in_memory(genesis: Genesis) -> AsyncIterator[EconomyFile]:
    """One that is closed when nobody uses it any more."""
    file = EconomyFile.open(None, genesis.hash)
    try:
        yield file
    finally:
        file.close()


@asynccontextmanager
async def open_node(
    journal_path: Path, *, storage: Storage | None = None, protocol_version: int | None = None, **parameters: int
) -> AsyncIterator[MadeUpNode]:
    """A running node; `parameters` replace the chain's defaults."""
    genesis = made_up_genesis(Parameters(**parameters)).model_copy(update={"protocol_version": protocol_version})
    clock = SetClock(START_MS)
    storage = storage or MemoryStorage()
    await storage.initialise(genesis.hash, genesis.head(), genesis.accounts())
    mempool, backlog, waiters = Mempool(), Backlog(), OutcomeWaiters()
    chain = await Chain.open(genesis=genesis, storage=storage, clock=clock, known=mempool.get)
    async with (
        economy_file_in_memory(genesis) as economy_file,
        open_journal(journal_path, genesis.hash) as journal,
        trio.open_nursery() as nursery,
    ):
        registry = CollectorRegistry()
        metrics = NodeMetrics(registry)
        feed = Feed(name=journal_path.name, began_ms=clock.now_ms(), height=chain.head.chain.height)
        admission = Admission(
            chain=chain,
            mempool=mempool,
            backlog=backlog,
            journal=journal,
            waiters=waiters,
            clock=clock,
            metrics=metrics,
            tell_accepted=lambda proofs: feed.accepted(proofs, clock.now_ms()),
        )
        nursery.start_soon(admission.run)
        fairness = FairnessReporter(chain, economy_file)
        nursery.start_soon(fairness.run)
        observatory = Observatory(storage=storage, file=economy_file, height=lambda: chain.head.chain.height)
        trends = Trends(observatory)
        nursery.start_soon(observatory.run)
        nursery.start_soon(trends.run)
        yield MadeUpNode(
            clock,
            storage,
            chain,
            mempool,
            journal,
            waiters,
            admission,
            registry,
            metrics,
            OperationPool(),
            [],
            feed,
            fairness,
            observatory,
            trends,
        )
        nursery.cancel_scope.cancel()
