"""Real machines over a pretend network and pretend disks, driven by a seed: the consensus tests' own small simulator.

Each node has a driver in miniature: it logs inputs as bytes, syncs on `WriteAhead`, and does the effects. A crash
loses what was not synced; a restart replays the log through `apply` and carries out `resume`.
"""

import hashlib
from collections import deque
from dataclasses import replace
from random import Random
from typing import TypeVar

from consensus import effects as do
from consensus import inputs as event
from consensus.checkpoint import decode_entry, replay
from consensus.commit import verify_commit
from consensus.evidence import verify_contradiction
from consensus.lock import ProofOfLock, proof_of_lock
from consensus.machine import apply, own_messages, resume, wanted_batches
from consensus.messages import (
    Commit,
    Evidence,
    Message,
    PreCommit,
    PreVote,
    ProofBatch,
    SignedMessage,
    TimeoutMessage,
    decode_message,
    encode_message,
)
from consensus.state import ROUNDS_BEHIND_MAX, ConsensusState, own_key
from consensus.values import TimeoutKind, Timeouts, Validator, ValidatorSet

CHAIN_ID = "step-test"
HEIGHT = 5


def address(index: int) -> bytes:
    return bytes([index + 1]) * 20


def validator_set(count: int) -> ValidatorSet:
    return ValidatorSet.of(Validator(address(index), b"\x02" * 33, 100) for index in range(count))


def pretend_signature(signer: bytes, line: str) -> bytes:
    """65 bytes that only stand for a signature: the signer and a digest of the line."""
    return signer + hashlib.sha256(line.encode()).digest() + bytes(13)


def pretend_recover(line: str, signature: bytes) -> bytes:
    signer = signature[:20]
    if signature != pretend_signature(signer, line):
        raise ValueError("the signature is of another line")
    return signer


M = TypeVar("M", bound=SignedMessage)


def sign(message: M) -> M:
    return replace(message, signature=pretend_signature(message.signer, message.signing_line(CHAIN_ID)))


def batch_of(text: str) -> tuple[bytes, bytes]:
    """(hash, bytes) of a pretend batch."""
    return hashlib.sha256(text.encode()).digest(), text.encode()


class Node:
    """A machine with a log, timers and a queue of effects to do."""

    def __init__(self, network: "Network", index: int) -> None:
        self.network = network
        self.index = index
        self.log: list[bytes] = []
        self.synced = 0
        self.started = False
        self.finalised: Commit | None = None
        self.said: dict[tuple[int, str], str] = {}
        self.signed: dict[tuple[int, str], SignedMessage] = {}
        """The signing history: it outlives the log, as the proof of lock does."""
        self.lock: ProofOfLock | None = None
        self._begin()

    def _begin(self) -> None:
        network = self.network
        self.state = ConsensusState.begin(CHAIN_ID, HEIGHT, network.validators, address(self.index), Timeouts())
        self.timers: list[tuple[TimeoutKind, int]] = []
        self.effects: deque[do.Effect] = deque()

    def crash(self, random: Random) -> None:
        """Lose the queue and, of what was not synced, the end; replay the rest and resume."""
        self.log = self.log[: random.randint(self.synced, len(self.log))]
        self.synced = len(self.log)
        self._begin()
        for entry in self.log:
            self.state = replay(self.state, decode_entry(entry)).state
        self.effects.extend(resume(self.state))

    def lose_log(self, *, with_proof: bool) -> None:
        """A restart from the signing history alone, or with the proof of lock beside it."""
        self.log, self.synced = [], 0
        self._begin()
        signed = sorted(self.signed.values(), key=lambda message: message.round)
        latest = signed[-1].round if signed else 0
        locking = [one for one in signed if isinstance(one, PreCommit) and one.batch_hash is not None][-1:]
        near = [one for one in signed if one.round >= latest - ROUNDS_BEHIND_MAX]
        kept = (*(one for one in locking if one not in near), *near)
        self.give(event.OwnMessagesRecovered(kept, self.lock if with_proof else None))
        self.synced = len(self.log)

    def give(self, item: event.Input) -> None:
        transition = apply(self.state, item)
        if transition.ignored is not None:
            assert transition.state is self.state
            assert transition.effects == ()
            return
        self.log.append(event.encode_input(item))
        self.state = transition.state
        self.effects.extend(transition.effects)

    def work(self) -> None:
        """Do one effect."""
        effect = self.effects.popleft()
        if isinstance(effect, do.WriteAhead):
            self.log.append(event.encode_input(event.LogWritten(effect.entry)))
            self.synced = len(self.log)
            transition = apply(self.state, event.LogWritten(effect.entry))
            self.state = transition.state
            self.effects.extend(transition.effects)
        elif isinstance(effect, do.Sign):
            self._sign(effect.message)
        elif isinstance(effect, do.Broadcast):
            self.network.send(self.index, effect.message)
        elif isinstance(effect, do.SetTimer):
            self.timers.append((effect.kind, effect.round))
        elif isinstance(effect, do.BuildBatch):
            self._build(effect)
        elif isinstance(effect, do.ValidateBatch):
            valid = not effect.batch.startswith(b"bad")
            if effect.judge_clock and self.network.random.random() < self.network.clock_trouble:
                valid = False
            self.give(event.BatchValidated(effect.batch_hash, effect.round, valid))
        elif isinstance(effect, do.RequestBatch):
            self.network.answer(self.index, effect.batch_hash)
        elif isinstance(effect, do.ReportEvidence):
            convicted = verify_contradiction(effect.evidence, chain_id=CHAIN_ID, recover=pretend_recover)
            assert convicted in self.network.byzantine_addresses
        else:
            self._finalise(effect)

    def _sign(self, message: SignedMessage) -> None:
        assert event.encode_input(event.LogWritten(message)) in self.log[: self.synced], "signed before it was logged"
        if isinstance(message, PreCommit) and message.batch_hash is not None:
            self.lock = proof_of_lock(self.state, message) or self.lock
        line = message.signing_line(CHAIN_ID)
        said_before = self.said.setdefault((message.round, own_key(message)), line)
        assert said_before == line, "a validator contradicts itself"
        signed = sign(message)
        self.signed[message.round, own_key(message)] = signed
        self.give(event.Signed(signed))

    def _build(self, effect: do.BuildBatch) -> None:
        if self.network.random.random() < self.network.build_trouble:
            self.give(event.BatchNotBuilt(effect.round))
            return
        batch_hash, batch = batch_of(f"batch of {self.index} in {effect.round}")
        self.give(event.BatchBuilt(effect.round, batch_hash, batch))

    def _finalise(self, effect: do.Finalise) -> None:
        commit = effect.commit
        verify_commit(
            commit,
            chain_id=CHAIN_ID,
            height=HEIGHT,
            batch_hash=hashlib.sha256(effect.batch).digest(),
            validators=self.network.validators,
            recover=pretend_recover,
        )
        self.finalised = commit
        self.network.decisions.add(commit.batch_hash)
        assert len(self.network.decisions) == 1, "two batches are final at one height"


class Network:
    """Nodes, and the messages between them. The first `byzantine` of the validators lie; they have no machine."""

    def __init__(self, seed: int, count: int, byzantine: int) -> None:
        self.random = Random(seed)
        self.validators = validator_set(count)
        self.byzantine_addresses = {address(index) for index in range(byzantine)}
        self.byzantine = byzantine
        self.count = count
        self.pending: list[tuple[int, bytes]] = []
        self.proposals: dict[bytes, ProofBatch] = {}
        self.decisions: set[bytes] = set()
        self.clock_trouble = 0.1
        self.build_trouble = 0.1
        self.log_trouble = 0.0
        self.is_good = False
        self.nodes = {index: Node(self, index) for index in range(byzantine, count)}

    def send(self, sender: int, message: Message) -> None:
        if isinstance(message, Commit) and not self.is_good and self.random.random() < 0.9:
            return
        for receiver in self.nodes:
            if receiver != sender:
                self.send_one(receiver, message)

    def send_one(self, receiver: int, message: Message) -> None:
        if isinstance(message, ProofBatch):
            self.proposals[message.batch_hash] = message
        self.pending.append((receiver, encode_message(message)))

    def answer(self, receiver: int, batch_hash: bytes) -> None:
        """Some peer has the batch that `receiver` asks for."""
        if batch_hash in self.proposals:
            self.send_one(receiver, self.proposals[batch_hash])

    def deliver(self, place: int, *, keep: bool = False) -> None:
        receiver, data = self.pending[place]
        if not keep:
            self.pending[place] = self.pending[-1]
            self.pending.pop()
        message = decode_message(data)
        if isinstance(message, Evidence):
            return
        self.nodes[receiver].give(event.MessageReceived(message))

    def chaos(self, steps: int) -> None:
        """Anything may happen, in any order; nodes are cut off for a while, and news of a decision travels badly."""
        random = self.random
        cut_off: set[int] = set()
        for step in range(steps):
            if step % 100 == 0:
                cut_off = {index for index in self.nodes if random.random() < 0.3}
            dice = random.random()
            node = self.nodes[random.choice(list(self.nodes))]
            if dice < 0.45 and self.pending:
                place = random.randrange(len(self.pending))
                if self.pending[place][0] not in cut_off:
                    self.deliver(place, keep=random.random() < 0.1)
            elif dice < 0.80 and node.effects:
                node.work()
            elif dice < 0.83 and node.timers:
                kind, number = node.timers.pop(random.randrange(len(node.timers)))
                node.give(event.TimerFired(kind, number))
            elif dice < 0.85 and self.pending:
                self.pending.pop(random.randrange(len(self.pending)))
            elif dice < 0.857:
                if random.random() < self.log_trouble:
                    node.lose_log(with_proof=random.random() < 0.8)
                else:
                    node.crash(random)
            elif dice < 0.87:
                self.repeat(node)
            elif dice < 0.97 and self.byzantine:
                self.lie()
            elif not node.started:
                node.started = True
                node.give(event.WorkAvailable())

    def repeat(self, node: Node) -> None:
        for message in own_messages(node.state):
            self.send(node.index, message)
        for batch_hash, _ in wanted_batches(node.state):
            self.answer(node.index, batch_hash)

    def lie(self) -> None:
        """A faulty validator tells one node what suits it there: another story for everybody."""
        random = self.random
        liar = address(random.randrange(self.byzantine))
        receiver = random.choice(list(self.nodes))
        state = self.nodes[receiver].state
        number = max(0, state.round + random.choice([0, 0, 0, 0, 0, 0, -1, 1]))
        stories: list[bytes | None] = [proposal.batch_hash for proposal in state.round_state(number).proposals]
        value = random.choice([*stories * 4, None, *self.proposals])
        message: Message
        dice = random.random()
        if self.validators.proposer(HEIGHT, number).address == liar and dice < 0.5:
            batch_hash, batch = batch_of(random.choice([f"good for {receiver}", "other", "bad"]))
            valid_round = random.choice([-1, -1, random.randint(-1, number - 1)])
            message = sign(ProofBatch(HEIGHT, number, valid_round, batch_hash, batch, liar))
        elif dice < 0.48:
            message = sign(PreVote(HEIGHT, number, value, liar))
        elif dice < 0.96:
            message = sign(PreCommit(HEIGHT, number, value, liar))
        else:
            message = sign(TimeoutMessage(HEIGHT, number, random.choice(list(TimeoutKind)), liar))
        self.send_one(receiver, message)

    def settle(self) -> None:
        """Deliver everything and do everything that there is to do."""
        while self.pending or any(node.effects for node in self.nodes.values()):
            while self.pending:
                self.deliver(len(self.pending) - 1)
            for node in self.nodes.values():
                while node.effects:
                    node.work()

    def become_good(self, rounds_max: int) -> None:
        """From now on everything arrives before any timer fires, and whoever proposes has something to propose."""
        self.clock_trouble = self.build_trouble = 0.0
        self.is_good = True
        for node in self.nodes.values():
            node.give(event.WorkAvailable())
        for _ in range(rounds_max):
            for node in self.nodes.values():
                self.repeat(node)
            self.settle()
            if all(node.finalised for node in self.nodes.values()):
                return
            for node in self.nodes.values():
                due, node.timers = node.timers, []
                for kind, number in due:
                    node.give(event.TimerFired(kind, number))
            self.settle()
