"""The parts between a client and the chain, wired as the node wires them, over a store and a journal of the test's."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio
from prometheus_client import CollectorRegistry

from step_node.chain.chain import Chain
from step_node.chain.genesis import Genesis
from step_node.chain.judging import JudgedBatch
from step_node.ledger.state import StateKeys, StateSlice
from step_node.mempool.admission import Admission
from step_node.mempool.backlog import Backlog
from step_node.mempool.journal import Journal, open_journal
from step_node.mempool.outcomes import OutcomeWaiters
from step_node.mempool.pool import Mempool
from step_node.mempool.settlement import Settlement
from step_node.metrics import NodeMetrics
from step_node.proofs.proof import SignedProof
from step_node.storage.interface import Storage, StorageUnavailable
from step_node.storage.memory import MemoryStorage
from step_node.storage.retry import StorageWatch
from tests.support.chains import build, commit_for, make_genesis, validator_names
from tests.support.clock import SetClock
from tests.support.proofs import START_MS


class GatedStorage(MemoryStorage):
    """A store whose reads can be held up or made to fail, for as long as the test wants."""

    def __init__(self) -> None:
        super().__init__()
        self.is_available = True
        self.hold_loads: trio.Event | None = None
        self.load_is_held = trio.Event()

    async def load(self, keys: StateKeys) -> StateSlice:
        if not self.is_available:
            raise StorageUnavailable("the store is away")
        state = await super().load(keys)
        if self.hold_loads is not None:
            # The snapshot has been taken; its reader hears of it only later.
            self.load_is_held.set()
            await self.hold_loads.wait()
        return state


@dataclass
class Parts:
    """One node without its network and its consensus: batches are built, committed and settled by `finalise`."""

    chain: Chain
    mempool: Mempool
    journal: Journal
    admission: Admission
    settlement: Settlement
    waiters: OutcomeWaiters
    backlog: Backlog
    clock: SetClock
    metrics: CollectorRegistry
    settled: list[bytes] = field(default_factory=list)

    async def finalise(self, proofs: Sequence[SignedProof]) -> JudgedBatch:
        """Finalise a batch of those proofs that can follow the head, as the driver does."""
        judged = await build(self.chain, proofs)
        await self.chain.finalise(judged, commit_for(judged.batch, validator_names(len(self.chain.validators))))
        await self.settlement.after_batch(judged)
        return judged


@asynccontextmanager
async def open_parts(
    home: Path,
    *,
    genesis: Genesis | None = None,
    storage: Storage | None = None,
    clock: SetClock | None = None,
    proofs_max: int = 4_000,
    serving: bool = True,
) -> AsyncIterator[Parts]:
    """Open them (again) in `home`, with restored proofs, and serve submissions until the end."""
    genesis = genesis or make_genesis()
    storage = storage or MemoryStorage()
    clock = clock or SetClock(START_MS)
    await storage.initialise(genesis.hash, genesis.head(), genesis.accounts())
    mempool = Mempool(proofs_max=proofs_max)
    chain = await Chain.open(genesis=genesis, storage=storage, clock=clock, known=mempool.get)
    waiters, backlog = OutcomeWaiters(), Backlog()
    settled: list[bytes] = []
    async with open_journal(home / "journal.sqlite", genesis.hash) as journal:
        registry = CollectorRegistry()
        metrics = NodeMetrics(registry)
        admission = Admission(
            chain=chain,
            mempool=mempool,
            backlog=backlog,
            journal=journal,
            waiters=waiters,
            clock=clock,
            metrics=metrics,
        )
        settlement = Settlement(
            chain=chain,
            mempool=mempool,
            backlog=backlog,
            journal=journal,
            waiters=waiters,
            note_settled=settled.extend,
            clock=clock,
            metrics=metrics,
            storage_watch=StorageWatch(metrics.storage_retried),
        )
        await admission.restore()
        async with trio.open_nursery() as nursery:
            if serving:
                nursery.start_soon(admission.run)
            yield Parts(chain, mempool, journal, admission, settlement, waiters, backlog, clock, registry, settled)
            nursery.cancel_scope.cancel()


def break_journal(home: Path) -> sqlite3.Connection:
    """Take the journal's table away, as a disk that fails would; `mend_journal` puts it back."""
    other = sqlite3.connect(home / "journal.sqlite")
    with other:
        other.execute("ALTER TABLE waiting RENAME TO elsewhere")
    return other


def mend_journal(other: sqlite3.Connection) -> None:
    with other:
        other.execute("ALTER TABLE elsewhere RENAME TO waiting")
    other.close()
