"""What a node is made of, and where others may take hold of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from consensus.checkpoint import LogEntry
from consensus.inputs import Input
from consensus.machine import Transition
from consensus.messages import Message
from consensus.state import ConsensusState
from p2p.network import Network, PeerId
from step_node.api.submissions.breaker import BreakerSettings
from step_node.chain.chain import Chain
from step_node.chain.genesis import Genesis
from step_node.clock import Clock
from step_node.economy.side_file import EconomyFile
from step_node.engine.doppelganger import DoppelgangerWatch
from step_node.engine.evidence_pool import EvidencePool
from step_node.engine.lock_file import LockFile
from step_node.engine.wal import WriteAheadLog
from step_node.home.config import RetentionConfig, SyncConfig
from step_node.home.switches import Switches
from step_node.mempool.journal import Journal
from step_node.mempool.pool import Mempool
from step_node.network.address_book import AddressBook
from step_node.network.proposals import OUTLINED_PROOFS_MIN
from step_node.node.guardrail_file import GuardrailFile
from step_node.node.guardrail_watch import GuardrailSettings
from step_node.node.succession import Succession
from step_node.proof_traces import ProofTraces
from step_node.signing.signer import Signer
from step_node.snapshot.store import SnapshotStore
from step_node.snapshot.validator_sets import ValidatorSetLinks
from step_node.storage.interface import Storage


def _plainly(_message: Message) -> AbstractContextManager[None]:
    return nullcontext()


def _unseen(_before: ConsensusState, _item: Input, _transition: Transition) -> None: ...


def _just_that(message: Message) -> Sequence[Message]:
    return (message,)


@dataclass(frozen=True, slots=True)
class NodeHooks:
    """Where the simulator and the misbehaving validators of a devnet take hold of a node; a shipped one has the
    defaults.

    `outgoing` gives what is broadcast in a message's place; `taking_in` surrounds consensus' work on a message from a
    peer; without `gives_proposals` no peer is given a proposal that it asks for; `applied` is shown every step of
    consensus: the state before, the input, and what came of it.
    """

    outgoing: Callable[[Message], Sequence[Message]] = _just_that
    taking_in: Callable[[Message], AbstractContextManager[None]] = _plainly
    gives_proposals: bool = True
    applied: Callable[[ConsensusState, Input, Transition], None] = _unseen


@dataclass(frozen=True, slots=True)
class NodeParts:
    """What a node is made of, open and ready: a test may hand over others than `run_node` does."""

    genesis: Genesis
    storage: Storage
    journal: Journal
    network: Network
    signer: Signer | None
    clock: Clock
    mempool: Mempool
    chain: Chain
    address_book: AddressBook
    wal: WriteAheadLog
    replayed: list[LogEntry]
    economy_file: EconomyFile
    external_addresses: tuple[str, ...] = ()
    """Where others can dial this node, if not where it listens: full multiaddrs."""
    private_peers: frozenset[PeerId] = frozenset()
    """Whose addresses are told to no peer."""
    discovers: bool = True
    """Whether it finds peers by the chain and by other peers."""
    doppelganger: DoppelgangerWatch | None = None
    listen_first_seconds: float = 0.0
    """How long to listen for a doppelganger, at the head of the chain, before anything is signed."""
    evidence: EvidencePool = field(default_factory=EvidencePool)
    snapshots: SnapshotStore | None = None
    """None: the node neither gives snapshots nor joins from one."""
    set_links: ValidatorSetLinks | None = None
    """None: one that is not kept."""
    sync: SyncConfig = field(default_factory=SyncConfig)
    retention: RetentionConfig = field(default_factory=RetentionConfig)
    hooks: NodeHooks = field(default_factory=NodeHooks)
    locks: LockFile | None = None
    """None for an observer."""
    bootstrap: frozenset[PeerId] = frozenset()
    """Peers whose word on how far the chain has come is waited for, as that of members of the set is."""
    signed_here: frozenset[bytes] = frozenset()
    """The addresses of the keys that have a signing history in this home."""
    outlined_from: int = OUTLINED_PROOFS_MIN
    """Own proposals of so many proofs, or more, are sent in outline."""
    observes_on_purpose: bool = False
    """Whether the operator has said that the node shall only observe."""
    succession: Succession | None = None
    """Who looks for the key that takes over from this one; None: nobody does."""
    switches: Switches = field(default_factory=Switches)
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    guardrails: GuardrailSettings | None = None
    """None: as the settings' defaults."""
    guardrail_file: GuardrailFile | None = None
    """None: a restart forgets what the guardrails have found."""
    traces: ProofTraces | None = None
    """None: no proof is traced."""

    def close(self) -> None:
        """Close the files that `assemble` opened; store, journal and network are their openers'."""
        self.wal.close()
        self.economy_file.close()
        if self.succession is not None:
            self.succession.close()
        if self.signer is not None:
            self.signer.guard.close()
