"""A running node: everything is opened, wired and started here, in one nursery, and stopped in reverse order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import structlog
import trio
from prometheus_client import CollectorRegistry

from consensus.inputs import Input
from consensus.messages import Commit, Evidence, Message, PreCommit
from p2p.errors import AddressInUse, NetworkError
from p2p.libp2p_network import Libp2pSettings, open_libp2p_network
from p2p.network import Network, PeerId
from step_node import __version__
from step_node.admission import Admission
from step_node.api.app import create_app
from step_node.api.server import serve_api
from step_node.api.services import ApiServices
from step_node.bft.doppelganger import DoppelgangerWatch
from step_node.bft.driver import ConsensusDriver, ConsensusHooks, message_height
from step_node.bft.input_log import InputLog
from step_node.chain import Chain, JudgedBatch
from step_node.clock import Clock, SystemClock
from step_node.config import NodeConfig, StorageConfig, SyncConfig
from step_node.crypto.eip191 import address_of, public_key_of
from step_node.durable.home_lock import HomeLock
from step_node.errors import StepNodeError
from step_node.evidence import EvidencePool
from step_node.genesis import Genesis
from step_node.home import NodeHome
from step_node.journal import Journal, open_journal
from step_node.ledger.commitment import state_root
from step_node.mempool import Mempool
from step_node.metrics import NodeMetrics
from step_node.network.gossip import Refused, broadcast, consensus_gossip, operations_gossip, proofs_gossip
from step_node.network.peers import Peers
from step_node.network.proof_exchange import ProofExchange
from step_node.network.snapshots import SnapshotJoiner, SnapshotServer
from step_node.network.sync import Sync
from step_node.operations.pool import OperationDesk, OperationPool
from step_node.outcomes import OutcomeWaiters
from step_node.settlement import Settlement
from step_node.signing.guard import SigningGuard
from step_node.signing.signer import ValidatorSigner
from step_node.snapshot.shelf import SnapshotShelf
from step_node.status import Health, HealthLevel, NodeStatus, PeerStatus, ValidatorStatus
from step_node.storage.interface import Storage, StorageMismatch
from step_node.storage.open import MongoSettings, SqliteSettings, StorageSettings, open_storage
from step_node.storage.retry import StorageWatch

EXPIRY_CHECK_MS = 10_000
"""How often an idle node looks for waiting proofs that have become too old, and any node whether a journal that failed
can be written again."""

SAY_AGAIN_MS = 2_000
"""How often evidence and operations that wait are sent again, since gossip loses some."""

log = structlog.get_logger("node")


@dataclass(frozen=True, slots=True)
class NodeKeys:
    """A node's private keys, 32 bytes each. Without a validator's key the node only observes."""

    validator: bytes | None
    p2p: bytes


@dataclass(frozen=True, slots=True)
class StartOptions:
    """What an operator may ask of one start.

    `listen_first_seconds`: listen for so long whether somebody else signs with this validator's key, before signing.
    `new_signing_history`: begin an empty signing history although this home has run before.
    """

    listen_first_seconds: float = 0.0
    new_signing_history: bool = False


@dataclass(frozen=True, slots=True)
class NodeStarted:
    """What a node that serves tells whoever started it."""

    api_url: str
    status: NodeStatus


@dataclass(frozen=True, slots=True)
class NodeParts:
    """What a node is made of, open and ready: a test may hand over others than `run_node` does."""

    genesis: Genesis
    storage: Storage
    journal: Journal
    network: Network
    signer: ValidatorSigner | None
    clock: Clock
    mempool: Mempool
    chain: Chain
    input_log: InputLog
    replayed: list[Input]
    doppelganger: DoppelgangerWatch | None = None
    listen_first_seconds: float = 0.0
    """How long to listen for a doppelganger before anything is signed."""
    evidence: EvidencePool = field(default_factory=EvidencePool)
    snapshots: SnapshotShelf | None = None
    """None: the node neither gives snapshots nor joins from one."""
    sync: SyncConfig = field(default_factory=SyncConfig)


class Node:
    """The parts wired together. `run` starts them all and returns only when cancelled or when one fails."""

    def __init__(self, parts: NodeParts) -> None:
        self._parts = parts
        self._network = parts.network
        self._chain = parts.chain
        self._mempool = parts.mempool
        self.registry = CollectorRegistry()
        self._metrics = NodeMetrics(self.registry)
        self._storage_watch = StorageWatch(self._metrics.storage_retried)
        self._waiters = OutcomeWaiters()
        self.admission = Admission(
            chain=parts.chain,
            mempool=parts.mempool,
            journal=parts.journal,
            waiters=self._waiters,
            clock=parts.clock,
            metrics=self._metrics,
        )
        self._consensus_topic = consensus_gossip(parts.network, parts.chain, self._gossip_refused)
        self._operations_topic = operations_gossip(parts.network, parts.chain.chain_id, self._gossip_refused)
        self._evidence = parts.evidence
        self._operation_pool = OperationPool()
        self.operations = OperationDesk(
            chain=parts.chain, pool=self._operation_pool, publish=self._operations_topic.publish
        )
        """Where validator operations are handed in."""
        self._exchange = ProofExchange(
            network=parts.network,
            topic=proofs_gossip(parts.network, parts.chain.chain_id, self._gossip_refused),
            mempool=parts.mempool,
            admission=self.admission,
            metrics=self._metrics,
        )
        self._settlement = Settlement(
            chain=parts.chain,
            mempool=parts.mempool,
            journal=parts.journal,
            admission=self.admission,
            waiters=self._waiters,
            note_settled=self._exchange.note_settled,
            clock=parts.clock,
            metrics=self._metrics,
            storage_watch=self._storage_watch,
        )
        self._peers = Peers(parts.network, parts.chain, on_height=self._peer_height)
        self.driver = ConsensusDriver(
            chain=parts.chain,
            mempool=parts.mempool,
            signer=parts.signer,
            input_log=parts.input_log,
            replayed=parts.replayed,
            hooks=ConsensusHooks(
                broadcast=self._broadcast,
                finalised=self._finalised,
                request_batch=lambda height, batch_hash: self._sync.want_proposal(height, batch_hash),
                restored=self._settlement.after_jump,
            ),
            clock=parts.clock,
            metrics=self._metrics,
            storage_watch=self._storage_watch,
            evidence=self._evidence,
            operations=self._operation_pool,
        )
        self._snapshot_server, joiner = self._snapshots()
        self._sync = Sync(
            network=parts.network,
            chain=parts.chain,
            driver=self.driver,
            peers=self._peers,
            metrics=self._metrics,
            joiner=joiner,
        )
        self._metrics.watch(parts.network, parts.mempool, self.status)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Start everything; `task_status` is told once the network listens and waiting proofs are restored."""
        restored = await self.admission.restore()
        if restored:
            log.info("accepted proofs wait again", proofs=restored)
        await self._evidence.drop_settled(self._chain.offence_refusal)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.admission.run)
            nursery.start_soon(self._peers.run)
            await self._network.start()
            nursery.start_soon(self._exchange.run)
            if self._snapshot_server is not None:
                nursery.start_soon(self._snapshot_server.run, self.driver.wait_for_height, lambda: self._sync.active)
            nursery.start_soon(self._read_consensus)
            nursery.start_soon(self._read_operations)
            nursery.start_soon(self._say_again)
            task_status.started()
            if self._parts.doppelganger is not None and self._parts.listen_first_seconds > 0:
                log.info("listening for a doppelganger", seconds=self._parts.listen_first_seconds)
                await trio.sleep(self._parts.listen_first_seconds)
            nursery.start_soon(self._sync.run)
            nursery.start_soon(self._expire)
            nursery.start_soon(self.driver.run)

    def waiting_evidence(self) -> tuple[Evidence, ...]:
        """Evidence that waits for a batch."""
        return self._evidence.pieces()

    def services(self, *, wait_ms_max: int) -> ApiServices:
        """What the HTTP API needs. `wait_ms_max` bounds how long a submission may wait for finality."""
        return ApiServices(
            chain=self._chain,
            admission=self.admission,
            operations=self.operations,
            clock=self._parts.clock,
            status=self.status,
            health=self.health,
            metrics=self.registry,
            wait_ms_max=wait_ms_max,
            counters=self._metrics,
        )

    def status(self) -> NodeStatus:
        """Where the node stands, now."""
        head = self._chain.head
        signer, members = self._parts.signer, self._chain.validators
        own_address = None if signer is None or signer.address not in members else signer.address
        return NodeStatus(
            version=__version__,
            chain_id=self._chain.chain_id,
            genesis_hash=self._chain.genesis.hash,
            peer_id=self._network.peer_id,
            p2p_addresses=self._network.listen_addresses,
            validator_address=own_address,
            height=head.chain.height,
            batch_hash=head.chain.batch_hash,
            state_root=state_root(head.lanes),
            batch_timestamp_ms=head.chain.timestamp_ms,
            round=max(self.driver.state.round, 0),
            state=self.driver.state.step.value,
            syncing=self._sync.active,
            mempool_proofs=len(self._mempool),
            peers=tuple(PeerStatus(peer_id, self._peers.height(peer_id)) for peer_id in self._network.peers()),
            validators=tuple(
                ValidatorStatus(validator.address, validator.stake_ustep, validator.address == own_address)
                for validator in members
            ),
        )

    def health(self) -> Health:
        """`down` while the store does not answer; `degraded` while the node cannot take part as it should."""
        if self._storage_watch.trouble is not None:
            return Health(HealthLevel.DOWN, (f"the store does not answer: {self._storage_watch.trouble}",))
        reasons = []
        if self._parts.journal.trouble is not None:
            reasons.append(f"the journal of accepted proofs fails: {self._parts.journal.trouble}")
        validators = self._chain.validators
        others_needed = validators.quorum - 1
        peers = len(self._network.peers())
        if peers < others_needed:
            reasons.append(f"{peers} peers are connected; a quorum needs {others_needed} other validators")
        if self._sync.active:
            reasons.append("catching up with peers that are ahead")
        if self.driver.state.round > 0:
            reasons.append(f"height {self.driver.state.height} is in round {self.driver.state.round}")
        return Health(HealthLevel.DEGRADED if reasons else HealthLevel.OK, tuple(reasons))

    def _snapshots(self) -> tuple[SnapshotServer | None, SnapshotJoiner | None]:
        parts = self._parts
        if parts.snapshots is None:
            return None, None
        server = SnapshotServer(
            network=parts.network,
            chain=parts.chain,
            shelf=parts.snapshots,
            every_batches=parts.sync.snapshot_every_batches,
        )
        if not parts.sync.snapshot:
            return server, None
        joiner = SnapshotJoiner(
            network=parts.network,
            chain=parts.chain,
            driver=self.driver,
            shelf=parts.snapshots,
            distance_batches=parts.sync.snapshot_distance_batches,
            owes_answers=self.admission.owes_answers,
        )
        return server, joiner

    # --- what the parts tell one another --------------------------------------------------------------------------

    async def _broadcast(self, message: Message) -> None:
        await broadcast(self._consensus_topic, message)

    async def _finalised(self, judged: JudgedBatch) -> None:
        await self._settlement.after_batch(judged)
        await self._evidence.drop_settled(self._chain.offence_refusal)
        await self._storage_watch.when_available(self.operations.after_batch)
        for slashing in judged.transition.slashings:
            log.warning(
                "a validator is slashed",
                kind=slashing.kind.value,
                validator="0x" + slashing.validator.hex(),
                burnt_ustep=slashing.amount_ustep,
            )

    def _peer_height(self, _peer_id: PeerId, height: int) -> None:
        if height >= self._chain.next_height:
            self._sync.hint()

    def _gossip_refused(self, topic: str, refused: Refused) -> None:
        self._metrics.message_rejected(refused.fault.value)
        log.debug("gossip is refused", topic=topic, reason=str(refused))

    async def _read_consensus(self) -> None:
        async for sender, item in self._consensus_topic:
            height = message_height(item.message)
            if self._parts.doppelganger is not None:
                self._parts.doppelganger.hear(item.message)
            if isinstance(item.message, Commit):
                self._peers.note_height(sender, height)
            elif height > self._chain.next_height:
                self._peers.note_height(sender, height - 1)
            if isinstance(item.message, Evidence):
                await self._take_evidence(item.message)
            elif item.proven:
                self.driver.deliver(item.message, item.batch)
                if isinstance(item.message, PreCommit):
                    contradicted = self._chain.late_contradiction(item.message)
                    if contradicted is not None:
                        await self._take_evidence(contradicted)

    async def _take_evidence(self, evidence: Evidence) -> None:
        offence = self._chain.offence_in(evidence)
        if self._chain.offence_refusal(offence) is None:
            await self._evidence.add(evidence, offence)

    async def _read_operations(self) -> None:
        async for _, operation in self._operations_topic:
            take = partial(self.operations.take, operation)
            refused = await self._storage_watch.when_available(take)
            if refused is not None:
                log.debug("an operation is not taken", kind=operation.type, reason=str(refused))

    async def _say_again(self) -> None:
        while True:
            await trio.sleep(SAY_AGAIN_MS / 1000)
            for evidence in self._evidence.pieces():
                await self._broadcast(evidence)
            await self.operations.say_again()

    def _hears_a_quorum(self) -> bool:
        return len(self._network.peers()) >= self._chain.validators.quorum - 1

    async def _expire(self) -> None:
        while True:
            await trio.sleep(EXPIRY_CHECK_MS / 1000)
            await self._parts.journal.try_again()
            if self.driver.is_idle and not self._sync.active and self._hears_a_quorum():
                await self._settlement.drop_expired()


async def run_node(
    home: NodeHome,
    config: NodeConfig,
    genesis: Genesis,
    keys: NodeKeys,
    *,
    options: StartOptions = StartOptions(),  # immutable
    make_node: Callable[[NodeParts], Node] = Node,
    task_status: trio.TaskStatus[NodeStarted] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run the node in `home` until cancelled. `task_status` is told once it serves.

    `make_node` wires the parts together; a devnet's misbehaving validator has one of its own.

    Raises `StepNodeError` for whatever the operator can do something about.
    """
    try:
        async with _open_parts(home, config, genesis, keys, options) as parts, trio.open_nursery() as nursery:
            node = make_node(parts)
            await nursery.start(node.run)
            port = await nursery.start(
                serve_api,
                create_app(node.services(wait_ms_max=config.api.wait_ms_max)),
                config.api.host,
                config.api.port,
            )
            started = NodeStarted(f"http://{config.api.host}:{port}", node.status())
            log.info("serving", api=started.api_url, peer_id=started.status.peer_id, height=started.status.height)
            task_status.started(started)
    except BaseExceptionGroup as group:
        raise _operators_error(group) or group from group


@asynccontextmanager
async def _open_parts(
    home: NodeHome, config: NodeConfig, genesis: Genesis, keys: NodeKeys, options: StartOptions
) -> AsyncIterator[NodeParts]:
    clock = SystemClock()
    try:
        home.data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StepNodeError(f"{home.data}: cannot be made: {error}") from error
    with HomeLock(home.root):
        async with (
            open_storage(_storage_settings(home, config.storage)) as storage,
            open_journal(home.journal, genesis.hash) as journal,
            open_libp2p_network(_network_settings(config, keys)) as network,
        ):
            await storage.initialise(genesis.hash, genesis.head(), genesis.accounts())
            mempool = Mempool(proofs_max=config.mempool.proofs_max)
            chain = await Chain.open(genesis=genesis, storage=storage, clock=clock, known=mempool.get)
            await _check_totals(storage, chain)
            _check_history_is_there(home, keys, chain, options)
            try:
                snapshots = await SnapshotShelf.open(home.snapshots)
            except OSError as error:
                raise StepNodeError(f"{home.snapshots}: cannot be used: {error}") from error
            guard = SigningGuard.open(home.signing_history, genesis.chain_id)
            _tell_torn(home.signing_history, guard.torn_bytes)
            signer = _signer(keys, guard, chain)
            input_log, replayed = InputLog.open(home.consensus_log, chain_id=genesis.chain_id, height=chain.next_height)
            _tell_torn(home.consensus_log, input_log.torn_bytes)
            try:
                yield NodeParts(
                    genesis=genesis,
                    storage=storage,
                    journal=journal,
                    network=network,
                    signer=signer,
                    clock=clock,
                    mempool=mempool,
                    chain=chain,
                    input_log=input_log,
                    replayed=replayed,
                    doppelganger=None
                    if signer is None
                    else DoppelgangerWatch(address=signer.address, chain_id=genesis.chain_id, guard=guard),
                    listen_first_seconds=options.listen_first_seconds,
                    evidence=EvidencePool.open(home.evidence, chain_id=genesis.chain_id, parameters=chain.parameters),
                    snapshots=snapshots,
                    sync=config.sync,
                )
            finally:
                input_log.close()
                guard.close()


def _tell_torn(path: Path, torn_bytes: int) -> None:
    if torn_bytes > 0:
        log.warning(
            "the end of a file was half written, as a crash leaves it, and is cut off; nobody was told of it",
            file=str(path),
            bytes=torn_bytes,
        )


def _signer(keys: NodeKeys, guard: SigningGuard, chain: Chain) -> ValidatorSigner | None:
    if keys.validator is None:
        return None
    address = address_of(public_key_of(keys.validator))
    if address not in chain.validators:
        log.warning("this key is not a validator's: the node only observes until it is", address="0x" + address.hex())
    return ValidatorSigner(keys.validator, guard)


def _check_history_is_there(home: NodeHome, keys: NodeKeys, chain: Chain, options: StartOptions) -> None:
    """A validator that has run here before must not begin an empty history: it may have signed what is not in it."""
    if keys.validator is None or home.signing_history.exists() or options.new_signing_history:
        return
    if chain.head.chain.height > 0 or home.consensus_log.exists():
        raise StepNodeError(
            f"{home.signing_history}: the signing history is not there, but this home is at height"
            f" {chain.head.chain.height}. Put it back with `step-node keys import-history`. Only if this key has never"
            " signed on this chain, begin a new one: `step-node start --new-signing-history`."
        )


async def _check_totals(storage: Storage, chain: Chain) -> None:
    """Conservation over every stored record, once at start: later it is checked batch by batch."""
    totals = await storage.totals()
    stakes_ustep = sum(validator.stake_ustep for validator in chain.head.validators)
    found_ustep = (totals.balances_ustep, stakes_ustep)
    expected_ustep = (chain.head.chain.balances_ustep, chain.head.chain.stakes_ustep)
    if found_ustep != expected_ustep:
        raise StorageMismatch(
            f"the stored accounts and stakes hold {found_ustep} µSTEP, but the ledger's head says {expected_ustep}:"
            " the store has been changed from outside. Restore it from a backup, or remove it and sync anew."
        )


def _storage_settings(home: NodeHome, config: StorageConfig) -> StorageSettings:
    if config.engine == "mongodb" and config.mongodb_uri is not None:
        return MongoSettings(config.mongodb_uri, config.mongodb_database)
    return SqliteSettings(home.ledger)


def _network_settings(config: NodeConfig, keys: NodeKeys) -> Libp2pSettings:
    try:
        return Libp2pSettings(
            private_key=keys.p2p,
            listen_addresses=config.p2p.listen,
            bootstrap_addresses=config.p2p.bootstrap,
            mdns=config.p2p.mdns,
            connections_max=config.p2p.connections_max,
        )
    except ValueError as error:
        raise StepNodeError(f"config.toml: p2p: {error}") from error


def _operators_error(group: BaseExceptionGroup[BaseException]) -> StepNodeError | None:
    """The one error to tell the operator, where a group holds nothing but such errors."""
    leaves: list[BaseException] = []
    pending: list[BaseException] = [group]
    while pending:
        error = pending.pop()
        if isinstance(error, BaseExceptionGroup):
            pending.extend(error.exceptions)
        else:
            leaves.append(error)
    first = leaves[0]
    if isinstance(first, AddressInUse):
        return StepNodeError(f"{first}; stop what uses it, or choose another in config.toml, p2p.listen")
    if all(isinstance(error, StepNodeError | NetworkError) for error in leaves):
        return first if isinstance(first, StepNodeError) else StepNodeError(str(first))
    return None
