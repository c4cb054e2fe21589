"""Putting a node's parts together over what its caller has opened: the one place where that is done.

The daemon, the simulator and the tests hand over a store, a journal, a network, a signer and a clock of their own; what
lies between, and which file of the home each part keeps, is the same for all of them.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import structlog

from p2p.network import Network, PeerId
from step_node.api.submissions.breaker import BreakerSettings
from step_node.chain.chain import Chain
from step_node.chain.genesis import Genesis
from step_node.clock import Clock
from step_node.durable.file_system import DISK, FileSystem
from step_node.economy.side_file import EconomyFile
from step_node.engine.doppelganger import DoppelgangerWatch
from step_node.engine.evidence_pool import EvidencePool
from step_node.engine.lock_file import LockFile
from step_node.engine.wal import COMPACTED_AT_BYTES, WriteAheadLog
from step_node.home.config import MempoolConfig, RetentionConfig, SyncConfig
from step_node.home.paths import NodeHome
from step_node.home.switches import Switches
from step_node.mempool.journal import Journal
from step_node.mempool.pool import Mempool
from step_node.network.address_book import AddressBook
from step_node.network.proposals import OUTLINED_PROOFS_MIN
from step_node.node.guardrail_file import GuardrailFile
from step_node.node.guardrail_watch import GuardrailSettings
from step_node.node.parts import NodeHooks, NodeParts
from step_node.node.succession import Succession
from step_node.proof_traces import ProofTraces
from step_node.signing.signer import Signer
from step_node.snapshot.store import SnapshotStore
from step_node.snapshot.validator_sets import ValidatorSetLinks
from step_node.storage.interface import Storage

log = structlog.get_logger("node")


async def assemble(
    home: NodeHome,
    genesis: Genesis,
    *,
    storage: Storage,
    journal: Journal,
    network: Network,
    signer: Signer | None,
    clock: Clock,
    address_book: AddressBook | None = None,
    external_addresses: Sequence[str] = (),
    private_peers: Iterable[PeerId] = (),
    discovers: bool = True,
    mempool: MempoolConfig | None = None,
    sync: SyncConfig | None = None,
    retention: RetentionConfig | None = None,
    keeps_snapshots: bool = True,
    watches_for_doppelganger: bool = True,
    listen_first_seconds: float = 0.0,
    hooks: NodeHooks | None = None,
    bootstrap: frozenset[PeerId] = frozenset(),
    signed_here: frozenset[bytes] = frozenset(),
    observes_on_purpose: bool = False,
    succession: Succession | None = None,
    files: FileSystem = DISK,
    log_compacted_at_bytes: int = COMPACTED_AT_BYTES,
    outlined_from: int = OUTLINED_PROOFS_MIN,
    switches: Switches | None = None,
    breaker: BreakerSettings | None = None,
    guardrails: GuardrailSettings | None = None,
    guardrail_file: GuardrailFile | None = None,
    traces: ProofTraces | None = None,
    economy_file: EconomyFile | None = None,
) -> NodeParts:
    """The parts of the node in `home`, over a store that has been initialised with `genesis`.

    `files` is the disk on which all of that lies; without `keeps_snapshots` no snapshots are given or joined from.
    `bootstrap` names the peers of the operator's choice. Without an `address_book` there is one that is not kept, whose
    chances are the same in each run, without `switches` they are at their defaults, and without an `economy_file` it is
    in memory. `NodeParts.close` closes it, and what was opened here.

    Raises `StepNodeError` for whatever the operator can do something about.
    """
    waiting = Mempool(proofs_max=(mempool or MempoolConfig()).proofs_max)
    chain = await Chain.open(genesis=genesis, storage=storage, clock=clock, known=waiting.get)
    snapshots, set_links = None, None
    if keeps_snapshots:
        try:
            snapshots = await SnapshotStore.open(home.snapshots, files=files)
        except OSError as error:
            log.error(
                "the folder of snapshots cannot be used: until a restart with one that can be, none is taken, given or"
                " joined from",
                folder=str(home.snapshots),
                reason=str(error),
            )
        set_links = await ValidatorSetLinks.open(home.validator_sets, genesis, files=files)
    wal, replayed = WriteAheadLog.open(
        home.consensus_log,
        chain_id=genesis.chain_id,
        height=chain.next_height,
        files=files,
        compacted_at_bytes=log_compacted_at_bytes,
    )
    tell_torn(home.consensus_log, wal.torn_bytes)
    watch = None
    if signer is not None and watches_for_doppelganger:
        watch = DoppelgangerWatch(address=signer.address, chain_id=genesis.chain_id, guard=signer.guard)
    return NodeParts(
        genesis=genesis,
        storage=storage,
        journal=journal,
        network=network,
        signer=signer,
        clock=clock,
        mempool=waiting,
        chain=chain,
        wal=wal,
        replayed=replayed,
        economy_file=economy_file or EconomyFile.open(None, genesis.hash),
        doppelganger=watch,
        listen_first_seconds=listen_first_seconds,
        address_book=address_book or AddressBook(clock, rng=random.Random(0)),
        external_addresses=tuple(external_addresses),
        private_peers=frozenset(private_peers),
        discovers=discovers,
        evidence=EvidencePool.open(home.evidence, chain_id=genesis.chain_id, parameters=chain.parameters, files=files),
        snapshots=snapshots,
        set_links=set_links,
        sync=sync or SyncConfig(),
        retention=retention or RetentionConfig(),
        hooks=hooks or NodeHooks(),
        locks=None
        if signer is None
        else LockFile.open(home.proof_of_lock, chain_id=genesis.chain_id, validator=signer.address, files=files),
        bootstrap=bootstrap,
        signed_here=signed_here,
        observes_on_purpose=observes_on_purpose,
        succession=succession,
        outlined_from=outlined_from,
        switches=switches or Switches(),
        breaker=breaker or BreakerSettings(),
        guardrails=guardrails,
        guardrail_file=guardrail_file,
        traces=traces,
    )


def tell_torn(path: Path, torn_bytes: int) -> None:
    """Warn of the half-written end that opening a log has cut off, if there was one."""
    if torn_bytes > 0:
        log.warning(
            "the end of a file was half written, as a crash leaves it, and is cut off; nobody was told of it",
            file=str(path),
            bytes=torn_bytes,
        )
