"""One validator's machine: its disk, its clock, its key, and the lives of the node on it, one after the other.

A life is the shipped `Node` with the shipped parts, opened as `step_node.node.opening.open_parts` does, but for the
store (`MemoryStorage`, which finalises in one step or not at all), the files (`Mount`), and the network. It ends when
it is killed, when its disk fails under it, or when it stops by itself; then what is on disk is all that the next life
gets.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TypeVar

import trio

from consensus.inputs import Input
from consensus.machine import Transition
from consensus.messages import Commit, Evidence, Message, ProofBatch
from consensus.state import ROUNDS_AHEAD_MAX, ROUNDS_BEHIND_MAX, ConsensusState, Phase
from consensus.wire import decode
from p2p.network import PeerId
from step_node.batch.batch import PROOFS_MAX
from step_node.chain.chain import COMMIT_BYTES_MAX
from step_node.chain.genesis import Genesis
from step_node.crypto.eip191 import address_of, public_key_of
from step_node.engine.doppelganger import DoppelgangerFound
from step_node.engine.wal import COMPACTED_AT_BYTES
from step_node.errors import StepNodeError, leaves
from step_node.home.config import SyncConfig
from step_node.home.paths import NodeHome
from step_node.ledger.records import ValidatorRecord
from step_node.ledger.rules import UnknownRules, rules_of
from step_node.ledger.state import StateHead
from step_node.mempool.journal import Journal
from step_node.network.protocols import consensus_topic
from step_node.node.assembly import assemble
from step_node.node.node import Node
from step_node.node.parts import NodeHooks
from step_node.node.signing_history import LOST_REASON
from step_node.node.succession import Succession, present_key
from step_node.offload import offload_of_task
from step_node.signing.guard import DoubleSignRefused, SigningGuard
from step_node.signing.history import NEVER_SIGNED, HistoryContent, SigningKind
from step_node.signing.signer import Signer, ValidatorSigner
from step_node.storage.interface import FinalisedBatch, RestoredState, StorageUnavailable, StoredBatch
from step_node.storage.memory import MemoryStorage
from step_node.testing.simulator.byzantine import ByzantineValidator, GuardlessSigner, forged
from step_node.testing.simulator.clock import SimulatedClock
from step_node.testing.simulator.coverage import Coverage
from step_node.testing.simulator.disk import Mount, NodeCrashed, SimulatedDisk
from step_node.testing.simulator.invariants import Invariants
from step_node.testing.simulator.network import Air, SimulatedNetwork, message_in
from step_node.testing.simulator.releases import NEWEST_RULES, newest_rules_of_task
from step_node.testing.simulator.schedules import Plot
from step_node.testing.simulator.settings import Tactic
from step_node.testing.simulator.trace import Trace

T = TypeVar("T")

HOME = NodeHome(Path("home"))

OUTLINED_FROM = 1
"""Proofs of a proposal that is sent in outline; batches are small in this world."""


class Word(Enum):
    """What an operator says at a start of a key without a history, as `node.signing_history.HistoryWord` has it."""

    NONE = "none"
    NEW = "new"
    LOST = "lost"


class NoWordSaid(StepNodeError):
    """The key has no history here, and the operator has not said what that means: the node does not start."""


class Host:
    """See the module's docstring. `tactics` is None for an honest validator."""

    def __init__(
        self,
        *,
        name: str,
        private_key: bytes | None,
        genesis: Genesis,
        air: Air,
        trace: Trace,
        invariants: Invariants,
        tactics: frozenset[Tactic] | None,
        rng: random.Random,
        on_finalised: Callable[[str, int], None],
        is_honest_peer: Callable[[str], bool],
        plot: Callable[[], Plot | None],
        others: frozenset[PeerId],
        sync: SyncConfig | None = None,
        coverage: Coverage | None = None,
        starts: bool = True,
        log_compacted_at_bytes: int = COMPACTED_AT_BYTES,
        outlines: bool = False,
    ) -> None:
        """With `outlines` every proposal is sent in outline; without, these small ones are whole."""
        self.name = name
        self._outlines = outlines
        self._others = others
        self.tactics = tactics
        self.clock = SimulatedClock()
        if tactics is None:
            invariants.honest_clocks.append(self.clock)
        self.disk = SimulatedDisk(rng, genesis.hash)
        self.storage = WatchedStorage(self)
        self.node: Node | None = None
        """The node of this life, while it runs."""
        self.promised: dict[bytes, float] = {}
        """Proofs that a client was told are accepted here, in that order, and when."""
        self._private_key = private_key
        self._next_key: bytes | None = None
        """What is in the place of the next key's keystore."""
        self._sync = sync
        self._log_compacted_at_bytes = log_compacted_at_bytes
        self._coverage = coverage
        self.genesis = genesis
        self._air = air
        self._trace = trace
        self.invariants = invariants
        self._rng = rng
        self.on_finalised = on_finalised
        self.is_honest_peer = is_honest_peer
        self._plot = plot
        self._lives = 0
        self._wired: Node | None = None
        self._shown_when_asked = 0
        """The height that was shown to be final when the blocking work that runs now was asked for."""
        self.mount = Mount(self.disk, rng)
        self._life = trio.CancelScope()
        self._network: SimulatedNetwork | None = None
        self._may_start = trio.Event()
        self._is_held = not starts
        if starts:
            self._may_start.set()
        self.ended = trio.Event()
        """Set while no life is being lived."""
        self.ended.set()
        self.word = Word.NEW
        """What its operator says of a key that has no history here."""
        self.refused_to_start = False
        """Whether the last start was refused for want of such a word."""
        self.has_old_history = False
        """Whether its operator has put back a history that lacks what the key has signed since."""
        self.has_lost_store = False
        """Whether what was final here may have to become so again."""
        self.is_misused = False
        """Whether its operator has done what nobody may do: from then on it is held to no promise about its key."""
        self.has_noticed = False
        """Whether it has stopped because somebody else signs with its key."""
        self.is_retired = False
        """Whether its operator has taken it away for good, as documented."""
        self.newest_rules = NEWEST_RULES
        """The newest version of the rules that the release knows which is installed; the next life runs it."""
        self.waits_for_release = False
        """Whether it has stopped before rules that its release does not know."""
        self.changed_at = 0.0
        """When its operator, or a fault, has last changed anything about the machine."""

    @property
    def address(self) -> bytes:
        """Its validator's; empty for an observer."""
        return b"" if self._private_key is None else address_of(public_key_of(self._private_key))

    @property
    def is_member(self) -> bool:
        """Whether its validator is in the set of the height that it is about."""
        return any(one.address == self.address and one.is_in_set for one in self.storage.records().validators)

    @property
    def lives(self) -> int:
        """How many times the node has been started."""
        return self._lives

    @property
    def takes_part(self) -> bool:
        """Whether the node runs, and signs or watches at the head."""
        return self.node is not None and self.node.driver.takes_part

    @property
    def is_locked(self) -> bool:
        """Whether its consensus machine is locked on a batch."""
        return self.node is not None and self.node.driver.state.locked_hash is not None

    @property
    def is_held(self) -> bool:
        """Whether its operator has stopped it, and not started it again."""
        return self._is_held

    @property
    def is_honest(self) -> bool:
        """Whether its node is the shipped one, with nothing bent."""
        return self.tactics is None

    @property
    def is_held_to_promises(self) -> bool:
        """Whether it is honest, and its operator as well."""
        return self.is_honest and not self.is_misused

    def note(self, what: str) -> None:
        """Write a line of the history."""
        self._trace.note(self.name, what)

    def crash(self, why: str) -> None:
        """Kill the node, now; `restart` lets it live again."""
        if self.mount.is_dead:
            return
        self.note(f"crashes ({why})")
        self._may_start = trio.Event()
        self._kill()

    def restart(self) -> None:
        """Let the node start again, as soon as its last life is over and its operator does not hold it."""
        if not self._is_held:
            self._may_start.set()

    # --- what its operator does ---------------------------------------------------------------------------------

    async def stop(self, why: str) -> None:
        """Stop the node for as long as its operator wants, whatever else happens; returns when it is down."""
        self.note(f"is stopped: {why}")
        self._is_held = True
        if self._may_start.is_set():
            self._may_start = trio.Event()
        self._kill()
        await self.ended.wait()

    def start(self) -> None:
        """Start it again."""
        self.note("is started")
        self._is_held = False
        self.changed_at = trio.current_time()
        self._may_start.set()

    def lose_consensus_log(self, *, with_proof_of_lock: bool) -> None:
        """Between two lives: the file is gone."""
        if self.mount.is_dead:
            self.disk.lose_file(HOME.consensus_log)
            if with_proof_of_lock:
                self.disk.lose_file(HOME.proof_of_lock)

    def rebuild(self) -> None:
        """Move the store away, and the consensus log with it, as docs/operators.md says."""
        self.lose_consensus_log(with_proof_of_lock=False)
        self.note(f"has lost its store of height {self.storage.height}")
        self.has_lost_store = True
        self.storage = WatchedStorage(self)

    def lose_all_but(self, kept: Sequence[Path]) -> None:
        """The machine is gone; a new one has the keys, and these files."""
        files = {path: self.disk.files[path] for path in kept if path in self.disk.files}
        self.note(f"has lost its machine, but for {len(files)} files")
        self.disk.wipe(self.genesis.hash)
        self.disk.files.update(files)
        self.promised.clear()
        self.storage = WatchedStorage(self)

    @property
    def history_path(self) -> Path:
        """Where the signing history of its key is."""
        return HOME.signing_history(self.address)

    def begin_history_of(self, address: bytes) -> None:
        """The home was another validator's before, and has that key's history still."""
        path = HOME.signing_history(address)
        files = OperatorsMount(self.disk, self._rng)
        SigningGuard.open(path, chain_id=self.genesis.chain_id, validator=address, files=files).close()

    def copy_from(self, original: Host) -> None:
        """Be the copy of a home whose node is stopped."""
        original.disk.copy_to(self.disk)
        self.storage = WatchedStorage(self)
        self.storage.copy_from(original.storage)
        for host in (self, original):
            host.is_misused = True
        self.invariants.honest.discard(self.address)

    def take_key(self, private_key: bytes) -> None:
        """Put another validator's keystore in the home, or its first one."""
        self._private_key = private_key
        self.word = Word.NEW
        self.note(f"has the key of 0x{self.address.hex()[:8]}")
        if self.is_honest:
            self.invariants.honest.add(self.address)

    def bring_next_key(self, private_key: bytes) -> None:
        """Make the next key in the home, with its history, whether the node runs or not: it goes on with it by itself
        once it counts. The disk must not be full."""
        address = address_of(public_key_of(private_key))
        self.begin_history_of(address)
        self._next_key = private_key
        self.note(f"has the next key, of 0x{address.hex()[:8]}")
        self.invariants.honest.add(address)

    def go_on_with_next_key(self) -> None:
        """The next key counts from here on: its keystore takes the place of the old one."""
        if self._next_key is not None:
            self._private_key, self._next_key = self._next_key, None
            self.note(f"goes on with the key of 0x{self.address.hex()[:8]}")

    def install(self) -> None:
        """Put the newest release on the machine. If the last one has ended for want of it, it is started again."""
        self.note("has the newest release")
        self.newest_rules = NEWEST_RULES
        if self.waits_for_release:
            self.waits_for_release = False
            self.changed_at = trio.current_time()
            self.restart()

    # --- its lives ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Live, again and again, until cancelled."""
        offload_of_task.set(self._offload)
        while True:
            await self._may_start.wait()
            while not self._may_start.is_set():  # Its operator was quicker.
                await self._may_start.wait()
            self.mount = Mount(self.disk, self._rng)
            self.ended = trio.Event()
            try:
                with trio.CancelScope() as self._life:
                    await self._live()
            except BaseExceptionGroup as group:
                # Cancelled can only be the world's own end here: it goes on.
                cancelled, others = group.split(trio.Cancelled)
                if others is not None:
                    self._died(list(leaves(others)))
                if cancelled is not None:
                    raise cancelled from None
            except (NodeCrashed, OSError, sqlite3.Error, StepNodeError) as error:
                self._died([error])
            finally:
                self.node = None
                self._kill()
                lost = self.disk.lose_unsynced()
                if lost:
                    self.note(f"loses {lost} bytes that were not synced")
                self.ended.set()
            if self._may_start.is_set():
                await trio.sleep(0.1 + self._rng.random())

    def _kill(self) -> None:
        self.mount.is_dead = True
        if self._network is not None:
            self._network.shut()
        self._life.cancel()

    async def _offload(self, work: Callable[[], T], /) -> T:
        shown = 0 if self._wired is None else self._wired.shown_height

        def run() -> T:
            self._shown_when_asked = shown
            return work()

        return await self.mount(run)

    def _died(self, errors: Sequence[BaseException]) -> None:
        unexpected = [error for error in errors if not self._is_expected(error)]
        if any(isinstance(error, NodeCrashed) for error in errors):
            self.note("is gone")
        for error in unexpected:
            self.note(f"stops: {type(error).__name__}: {error}")
            self.has_noticed |= isinstance(error, DoppelgangerFound)
            if isinstance(error, UnknownRules) and self._is_left_behind():
                # A service manager does not restart what ended so; with the right release it may.
                self.waits_for_release = self.newest_rules == newest_rules_of_task.get()
                if self.waits_for_release:
                    self._may_start = trio.Event()
            elif self.is_misused and isinstance(error, DoppelgangerFound):
                self._is_held = True
                self._may_start = trio.Event()
            elif isinstance(error, NoWordSaid):
                self.refused_to_start = self._is_held = True
                self._may_start = trio.Event()
            elif self.is_honest:
                self.invariants.broken("an honest node goes on", self.name, f"{type(error).__name__}: {error}")

    def _is_left_behind(self) -> bool:
        """Whether the release of this life does not know the rules of the next height."""
        return self.storage.records().protocol.version > newest_rules_of_task.get()

    def _is_expected(self, error: BaseException) -> bool:
        """A dead process, or a disk that is full: the operator starts it again."""
        return isinstance(error, NodeCrashed) or (self.disk.is_full and isinstance(error, OSError | StepNodeError))

    async def _live(self) -> None:
        genesis, mount = self.genesis, self.mount
        newest_rules_of_task.set(self.newest_rules)
        self.storage.forges = False
        await self.storage.initialise(genesis.hash, genesis.head(), genesis.accounts())
        rules_of(self.storage.records().protocol)
        network = self._network = SimulatedNetwork(self._air, self.name)
        network.banned = self._banned
        signer: ValidatorSigner | None = None
        succession: Succession | None = None
        if self.is_honest:
            if self._private_key is not None:
                # Replaced while the node was away: as `node.opening` has it.
                if self._is_next(present_key(self.address, self.storage.records().validators)):
                    self.go_on_with_next_key()
                signer = WatchedSigner(self._private_key, self._open_guard(), self)
                succession = WatchedSuccession(self)
            hooks = NodeHooks(taking_in=self._taking_in, applied=self._applied)
        else:
            signer = GuardlessSigner(self.key(), self._open_guard())
            hooks = NodeHooks(gives_proposals=Tactic.WITHHOLD not in (self.tactics or ()))
        parts = await assemble(
            HOME,
            genesis,
            storage=self.storage,
            journal=Journal(HOME.journal, self.disk.journal),
            network=network,
            signer=signer,
            clock=self.clock,
            sync=self._sync,
            keeps_snapshots=self._sync is not None,
            watches_for_doppelganger=self.is_honest,
            hooks=hooks,
            bootstrap=self._others,
            succession=succession,
            files=mount,
            log_compacted_at_bytes=self._log_compacted_at_bytes,
            # A liar bends whole proposals (`byzantine`).
            outlined_from=OUTLINED_FROM if self.is_honest and self._outlines else PROOFS_MAX + 1,
        )
        node = self._wired = Node(parts)
        self._lives += 1
        self.note(f"starts at height {parts.chain.next_height} with {len(parts.replayed)} logged inputs")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(network.serve_streams)
            if self.tactics is None:
                network.sent = self._before_sending
            else:
                liar = ByzantineValidator(
                    network=network,
                    node=node,
                    private_key=self.key(),
                    address=self.address,
                    chain_id=genesis.chain_id,
                    tactics=self.tactics,
                    rng=self._rng,
                    note=self.note,
                    plot=self._plot,
                    outlines=self._outlines,
                )
                self.storage.forges = Tactic.FORGE in self.tactics
                nursery.start_soon(liar.run)
            await nursery.start(node.run)
            self.node = node

    def key(self) -> bytes:
        """Its validator's private key."""
        if self._private_key is None:
            raise RuntimeError(f"{self.name} is an observer")
        return self._private_key

    def _open_guard(self) -> SigningGuard:
        """As `node.signing_history` does, whose home is on another disk."""
        path = self.history_path
        if not self.mount.exists(path) and self.word is Word.NONE:
            raise NoWordSaid(f"{path}: is not there")
        guard = SigningGuard.open(
            path,
            chain_id=self.genesis.chain_id,
            validator=self.address,
            begin_with=NEVER_SIGNED if self.word is Word.NEW else HistoryContent(doubt=LOST_REASON),
            files=self.mount,
        )
        if self.word is Word.LOST:
            guard.doubt(LOST_REASON)
        self.word = Word.NONE
        if self.is_held_to_promises and not self.has_old_history:
            self.invariants.opened(self.name, self.address, guard)
        return guard

    def _is_next(self, address: bytes) -> bool:
        return self._next_key is not None and address_of(public_key_of(self._next_key)) == address

    def next_signer(self, address: bytes) -> ValidatorSigner | None:
        """The signer of the next key, if it is the one of this address."""
        key = self._next_key
        if key is None or not self._is_next(address):
            return None
        guard = SigningGuard.open(
            HOME.signing_history(address), chain_id=self.genesis.chain_id, validator=address, files=self.mount
        )
        if self.is_held_to_promises:
            self.invariants.opened(self.name, address, guard)
        return WatchedSigner(key, guard, self)

    def refused(self, kind: str, round_number: int) -> None:
        """The guard has refused a signature."""
        self.note(f"is refused a signature: {kind} of round {round_number}")
        if self._coverage is not None:
            self._coverage.refused(kind, round_number)

    def _banned(self, peer_id: PeerId) -> None:
        self.note(f"bans {peer_id}")
        if self.is_honest and self.is_honest_peer(peer_id):
            self.invariants.banned(self.name, peer_id)

    def _applied(self, before: ConsensusState, item: Input, transition: Transition) -> None:
        if self._coverage is not None:
            self._coverage.applied(self.name, before, item, transition)

    def signed(self, address: bytes, kind: str, height: int, round_number: int, line: str) -> None:
        """The node has used its key, of that address."""
        if self.is_misused:
            return
        # What is shown while a slow disk writes the signature down comes too late to keep it back.
        shown = self._shown_when_asked
        self.invariants.signed(
            self.name,
            address,
            kind,
            height,
            round_number,
            line,
            shown=shown,
            newest_rules=newest_rules_of_task.get(),
        )

    @contextmanager
    def _taking_in(self, message: Message) -> Iterator[None]:
        """Tell `SlashingChecker` of every message that the node's consensus loop has dealt with to the end."""
        disk, life = self.disk, self._lives
        counts, times_full = self._wired is not None and _counts(message, self._wired.driver.state), disk.times_full
        counts = counts and not disk.is_full
        yield
        if counts and disk.times_full == times_full:
            self.invariants.slashing_checker.took_in(self.name, life, message)

    def _before_sending(self, topic: str, data: bytes) -> None:
        self.mount.act()
        if topic == consensus_topic(self.genesis.chain_id):
            message = message_in(data)
            if message is None:
                self.invariants.broken("messages are well-formed", self.name, data.hex())
                return
            self.note(f"sends {message!r:.120}")
            self.invariants.sent(self.name, self.address, message, self.disk.durable(HOME.consensus_log))


class OperatorsMount(Mount):
    """The disk as a command has it that an operator runs beside the node: whoever dies is the node."""

    def act(self) -> None:
        """See `Mount.act`."""


class WatchedSigner(ValidatorSigner):
    """The shipped signer, with somebody who looks at what it signs."""

    def __init__(self, private_key: bytes, guard: SigningGuard, host: Host) -> None:
        super().__init__(private_key, guard)
        self._host = host

    def sign(self, kind: SigningKind | str, height: int, round: int, value: bytes, line: str) -> bytes:  # noqa: A002
        """See `ValidatorSigner.sign`."""
        try:
            signature = super().sign(kind, height, round, value, line)
        except DoubleSignRefused:
            self._host.refused(str(kind), round)
            raise
        self._host.signed(self.address, str(kind), height, round, line)
        return signature


class WatchedSuccession(Succession):
    """The shipped one, over a home whose keystores are the host's."""

    def __init__(self, host: Host) -> None:
        super().__init__(host.next_signer)
        self._host = host

    def take(self, own: bytes, records: Sequence[ValidatorRecord]) -> Signer | None:
        """See `Succession.take`."""
        signer = super().take(own, records)
        if signer is not None:
            self._host.go_on_with_next_key()
        return signer


class WatchedStorage(MemoryStorage):
    """The shipped store in memory, on a disk that may be slow, full, or gone."""

    def __init__(self, host: Host) -> None:
        super().__init__()
        self._host = host
        self.forges = False
        """Whether other batches are served than those that were finalised."""

    async def finalise(self, finalised: FinalisedBatch) -> None:
        """See `Storage.finalise`."""
        host = self._host
        await host.mount.take_time()
        host.mount.act()
        if host.disk.is_full:
            raise StorageUnavailable("no space left on device")
        is_new = self._head is not None and finalised.stored.height > self._head.chain.height
        await super().finalise(finalised)
        if is_new and host.is_honest:
            host.invariants.finalised(host.name, finalised, self, newest_rules=newest_rules_of_task.get())
        host.on_finalised(host.name, finalised.stored.height)
        host.mount.act()

    def copy_from(self, other: WatchedStorage) -> None:
        """Hold what another store holds."""
        self._genesis_hash, self._head = other._genesis_hash, other._head
        for name in ("_accounts", "_triangles", "_nonces", "_batches", "_proofs"):
            setattr(self, name, dict(getattr(other, name)))
        self._histories = {address: list(proofs) for address, proofs in other._histories.items()}
        self._triangle_proofs = {triangle: list(proofs) for triangle, proofs in other._triangle_proofs.items()}
        self._slashings = list(other._slashings)
        self._validator_changes = list(other._validator_changes)

    def last_signed_by(self, validator: bytes) -> int:
        """The greatest height whose commit, as it is kept, has a signature of this validator; 0 if none has."""
        for height in sorted(self._batches, reverse=True):
            commit = decode(Commit, self._batches[height].commit, bytes_max=COMMIT_BYTES_MAX)
            if any(one.validator == validator for one in commit.signatures):
                return height
        return 0

    async def restore(self, restored: RestoredState) -> None:
        """See `Storage.restore`."""
        host = self._host
        await host.mount.take_time()
        host.mount.act()
        await super().restore(restored)
        if host.is_honest:
            host.invariants.restored(host.name, restored.head)
            # Who joins from a snapshot has no receipts from before it, as docs/operators.md says.
            for proof_id in host.invariants.agreed_proofs(height_max=restored.head.chain.height):
                host.promised.pop(proof_id, None)
        host.mount.act()

    def records(self) -> StateHead:
        """The head, for those who only look."""
        return self._host.genesis.head() if self._head is None else self._head

    def operations_of(self, owner: bytes) -> int:
        """How many operations an account has signed."""
        account = self._accounts.get(owner)
        return 0 if account is None else account.operations

    @property
    def height(self) -> int:
        """The height of the last finalised batch."""
        return 0 if self._head is None else self._head.chain.height

    @property
    def proof_ids(self) -> Collection[bytes]:
        """The ids of all finalised proofs."""
        return self._proofs.keys()

    async def batches(self, from_height: int, limit: int) -> Sequence[StoredBatch]:
        """See `Storage.batches`."""
        batches = await super().batches(from_height, limit)
        return [forged(stored) for stored in batches] if self.forges else batches


def _counts(message: Message, state: ConsensusState) -> bool:
    """Whether a correct node in this state must remember what the message says; see `slashing_checker.py`."""
    if isinstance(message, Commit | Evidence) or message.height != state.height or state.phase is Phase.DECIDED:
        return False
    here = max(state.round, 0)
    is_near = here - ROUNDS_BEHIND_MAX <= message.round <= here + ROUNDS_AHEAD_MAX
    if message.signer not in state.validators or not is_near:
        return False
    if not isinstance(message, ProofBatch):
        return True
    proposer = state.validators.proposer(message.height, message.round).address
    return message.valid_round < message.round and message.signer == proposer and bool(message.batch)
