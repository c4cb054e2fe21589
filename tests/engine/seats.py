"""A validator's seat: its driver, over a real log, guard, chain and mempool; what is on disk outlives the driver.

Its peers are the test's: they sign for real, and say what the test, or `agreeing`, has them say. Time is trio's mock
clock and stands still, so that nothing happens but what the test does.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import trio
from prometheus_client import CollectorRegistry
from trio.testing import MockClock

from consensus.inputs import Input
from consensus.messages import Commit, Message, PreCommit, PreVote, ProofBatch, SignedMessage, TimeoutMessage
from consensus.state import Step
from step_node.batch.batch import encode_batch
from step_node.chain.chain import Chain
from step_node.chain.genesis import Genesis
from step_node.chain.judging import JudgedBatch
from step_node.crypto.eip191 import sign
from step_node.engine.driver import ConsensusDriver
from step_node.engine.hooks import ConsensusHooks
from step_node.engine.lock_file import LockFile
from step_node.engine.wal import WriteAheadLog
from step_node.mempool.pool import Mempool
from step_node.metrics import NodeMetrics
from step_node.proofs.proof import SignedProof
from step_node.signing.guard import SigningGuard
from step_node.signing.history import SigningKind
from step_node.signing.signer import ValidatorSigner
from step_node.storage.interface import FinalisedBatch, StorageUnavailable
from step_node.storage.memory import MemoryStorage
from step_node.storage.retry import StorageWatch
from tests.support.chains import CHAIN_ID, build, commit_for, make_genesis, open_chain, validator_names
from tests.support.clock import SetClock
from tests.support.outlook import SetOutlook
from tests.support.proofs import START_MS, address, private_key

LONGEST_SECONDS = 30.0
NAMES = validator_names(4)
PROPOSER, NEXT_PROPOSER, OTHER = NAMES[1], NAMES[2], NAMES[0]
"""Who proposes in round 0 of height 1, who in round 1 (and in round 0 of height 2), and one who does neither."""

Signed = TypeVar("Signed", ProofBatch, PreVote, PreCommit, TimeoutMessage)


class Crash(Exception):
    """The process dies here."""


@dataclass
class Points:
    """The boundaries between one effect and the next, in the order in which they are passed; one may be a crash."""

    passed: list[str] = field(default_factory=list)
    crash_at: int | None = None

    def at(self, name: str) -> None:
        self.passed.append(name)
        if len(self.passed) - 1 == self.crash_at:
            raise Crash(name)


class SpiedLog(WriteAheadLog):
    points: Points

    def append(self, event: Input) -> None:
        self.points.at("before append")
        super().append(event)

    def sync(self) -> None:
        self.points.at("before sync")
        super().sync()
        self.points.at("sync")

    def begin(self, height: int) -> None:
        self.points.at("before begin")
        super().begin(height)
        self.points.at("begin")


class SpiedSigner(ValidatorSigner):
    points: Points
    before_signing: Callable[[str], None] = staticmethod(lambda _kind: None)

    def sign(self, kind: SigningKind | str, height: int, round: int, value: bytes, line: str) -> bytes:  # noqa: A002
        self.points.at("before sign")
        self.before_signing(str(kind))
        signature = super().sign(kind, height, round, value, line)
        self.points.at("sign")
        return signature


class SpiedStorage(MemoryStorage):
    """Outlives crashes, as a disk does; it can be away, or hold its writers up."""

    def __init__(self) -> None:
        super().__init__()
        self.points = Points()
        self.is_away = False
        self.hold: trio.Event | None = None
        self.is_holding = False

    async def finalise(self, finalised: FinalisedBatch) -> None:
        if self.is_away:
            raise StorageUnavailable("the store is away")
        if self.hold is not None:
            self.is_holding = True
            await self.hold.wait()
        self.points.at("before finalise")
        await super().finalise(finalised)
        self.points.at("finalise")


@dataclass
class Running:
    """What of a seat is there while it runs."""

    seat: Seat
    driver: ConsensusDriver
    chain: Chain
    mempool: Mempool
    registry: CollectorRegistry
    watch: StorageWatch
    signer: SpiedSigner | None

    def deliver(self, *messages: Message) -> None:
        for message in messages:
            self.driver.deliver(message)

    def counted(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"step_{name}_total", labels) or 0.0

    async def work(self) -> None:
        """Let the time pass after which the driver looks for work."""
        await self.let_pass(0.06)

    async def let_pass(self, seconds: float) -> None:
        """Let time pass, once every task has come to rest."""
        await settle()
        self.seat.mock_clock.jump(seconds)

    async def reach(self, step: Step, *, round_number: int = 0) -> None:
        await until(lambda: (self.driver.state.step, self.driver.state.round) == (step, round_number))


@dataclass
class Seat:
    """One validator (or, without `name`, an observer) and all of it that a crash leaves."""

    home: Path
    mock_clock: MockClock
    name: str | None = PROPOSER
    genesis: Genesis = field(
        default_factory=lambda: make_genesis(
            4,
            batch_interval_ms=1,
            timeout_propose_ms=600_000,
            timeout_pre_vote_ms=600_000,
            timeout_pre_commit_ms=600_000,
        )
    )
    storage: SpiedStorage = field(default_factory=SpiedStorage)
    points: Points = field(default_factory=Points)
    said: list[Message] = field(default_factory=list)
    requested: list[tuple[int, bytes]] = field(default_factory=list)
    finalised: list[JudgedBatch] = field(default_factory=list)
    hears: Callable[[Running, Message], None] = lambda _running, _message: None
    clock: SetClock = field(default_factory=lambda: SetClock(START_MS))
    outlook: SetOutlook = field(default_factory=SetOutlook)

    @asynccontextmanager
    async def running(self, *proofs: SignedProof) -> AsyncIterator[Running]:
        """Start from what is on disk, with `proofs` waiting; leaving stops it as a crash does."""
        chain = await open_chain(self.genesis, storage=self.storage, clock=self.clock)
        mempool = Mempool()
        for proof in proofs:
            if not await self.storage.receipts([proof.proof_id]):
                mempool.add(proof)
        registry = CollectorRegistry()
        metrics = NodeMetrics(registry)
        watch = StorageWatch(metrics.storage_retried)
        log, replayed = SpiedLog.open(self.home / "consensus.log", chain_id=CHAIN_ID, height=chain.next_height)
        assert isinstance(log, SpiedLog)
        log.points = self.storage.points = self.points
        with self.open_guard() as guard:
            signer = None if self.name is None else SpiedSigner(private_key(self.name), guard)
            if signer is not None:
                signer.points = self.points

            async def broadcast(message: Message) -> None:
                self.points.at("before broadcast")
                self.said.append(message)
                self.points.at("broadcast")
                self.hears(running, message)

            async def finalised(judged: JudgedBatch) -> None:
                self.points.at("before settling")
                self.finalised.append(judged)
                for proof in judged.batch.proofs:
                    mempool.remove(proof.proof_id)

            driver = ConsensusDriver(
                chain=chain,
                mempool=mempool,
                signer=signer,
                wal=log,
                replayed=replayed,
                hooks=ConsensusHooks(
                    broadcast, finalised, lambda *wanted: self.requested.append(wanted), outlook=self.outlook
                ),
                locks=None if signer is None else self._lock_file(signer.address),
                metrics=metrics,
                storage_watch=watch,
            )
            running = Running(self, driver, chain, mempool, registry, watch, signer)
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(driver.run)
                    yield running
                    nursery.cancel_scope.cancel()
            finally:
                log.close()

    @property
    def history(self) -> Path:
        """The signing history of this seat's key."""
        return self.home / f"signing_history of {self.name}"

    def open_guard(self) -> SigningGuard:
        """Its guard."""
        return SigningGuard.open(self.history, chain_id=CHAIN_ID, validator=address(self.name or "nobody"))

    def _lock_file(self, validator: bytes) -> LockFile:
        return LockFile.open(self.home / "proof_of_lock", chain_id=CHAIN_ID, validator=validator)

    def signed_values(self) -> dict[tuple[str, int, int, str], set[object]]:
        """Everything this validator has ever said, by what it may say only once."""
        values: dict[tuple[str, int, int, str], set[object]] = {}
        for message in self.said:
            if isinstance(message, TimeoutMessage):
                values.setdefault((message.type, message.height, message.round, message.kind), set()).add("")
            elif isinstance(message, ProofBatch | PreVote | PreCommit) and message.signer == address(self.name or ""):
                value = (message.batch_hash, getattr(message, "valid_round", None))
                values.setdefault((message.type, message.height, message.round, ""), set()).add(value)
        return values

    def said_of(self, kind: type[Message], height: int = 1) -> list[SignedMessage]:
        return [message for message in self.said if type(message) is kind and message.height == height]  # type: ignore[union-attr, misc]  # never evidence


def by(name: str, message: Signed) -> Signed:
    """The message, signed by `name`."""
    return replace(message, signature=sign(message.signing_line(CHAIN_ID), private_key(name)))


def pre_votes(
    names: Sequence[str], batch_hash: bytes | None, *, height: int = 1, round_number: int = 0
) -> list[Message]:
    return [by(name, PreVote(height, round_number, batch_hash, address(name))) for name in names]


def pre_commits(
    names: Sequence[str], batch_hash: bytes | None, *, height: int = 1, round_number: int = 0
) -> list[Message]:
    return [by(name, PreCommit(height, round_number, batch_hash, address(name))) for name in names]


def peers_of(name: str | None) -> list[str]:
    return [peer for peer in NAMES if peer != name]


async def proposal_of(chain: Chain, *proofs: SignedProof) -> tuple[ProofBatch, JudgedBatch]:
    """What the proposer of round 0 of the chain's next height proposes."""
    judged = await build(chain, proofs)
    header = judged.batch.header
    (name,) = (name for name in NAMES if address(name) == header.proposer)
    return by(
        name, ProofBatch(header.height, 0, -1, judged.batch.hash, encode_batch(judged.batch), header.proposer)
    ), judged


def commit_of_all(judged: JudgedBatch) -> Commit:
    return commit_for(judged.batch, NAMES)


def agreeing(running: Running, message: Message) -> None:
    """Peers that vote as this validator does, each time it says so."""
    peers = peers_of(running.seat.name)[:2]
    if isinstance(message, PreVote):
        running.deliver(*pre_votes(peers, message.batch_hash, height=message.height, round_number=message.round))
    elif isinstance(message, PreCommit):
        running.deliver(*pre_commits(peers, message.batch_hash, height=message.height, round_number=message.round))


async def until(condition: Callable[[], bool]) -> None:
    """Wait, while trio's time stands still, for a condition that nothing signals."""
    last = time.monotonic() + LONGEST_SECONDS
    while not condition():
        assert time.monotonic() < last, "it never came about"
        await trio.lowlevel.checkpoint()


async def settle() -> None:
    """Let every task come to rest. What runs on threads is not waited for."""
    await trio.testing.wait_all_tasks_blocked()
