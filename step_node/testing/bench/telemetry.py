"""What it costs the intake of a proof to be traced: the processor's time without traces and with every proof traced.

Proofs of clients go through the door that the node has, `Admission`, with a store in memory and a journal on disk. With
traces the three spans are made that a node tells of a proof that it takes in, handed to OpenTelemetry's SDK, and sent
to a receiver in a process of its own. Beside it stands what making them costs alone, with nobody to tell them to.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Final

import trio
from prometheus_client import CollectorRegistry

from step_node.api.submissions.single import parse_submission
from step_node.chain.chain import Chain
from step_node.home.config import TelemetryConfig
from step_node.mempool.admission import CHUNK_PROOFS_MAX, Admission
from step_node.mempool.backlog import Backlog
from step_node.mempool.journal import open_journal
from step_node.mempool.outcomes import OutcomeWaiters, Pending
from step_node.mempool.pool import Mempool
from step_node.metrics import NodeMetrics
from step_node.node.trace_export import open_traces
from step_node.proof_traces import ProofTraces
from step_node.proofs.proof import SignedProof
from step_node.storage.memory import MemoryStorage
from step_node.testing.bench.discarding_receiver import discarding_receiver
from step_node.testing.bench.figures import Sample
from step_node.testing.bench.grown_chain import ManualClock, bench_genesis
from step_node.testing.bench.plans import RowPlan, Workshop
from step_node.testing.load.material import sign_for_now

PROOFS: Final = 8 * CHUNK_PROOFS_MAX
VALIDATOR_KEY: Final = bytes(31) + b"\x01"
GENESIS_MS: Final = 60_000
"""The chain has begun so long before the proofs."""

Traces = AbstractAsyncContextManager[ProofTraces | None]


async def measure_admission(workshop: Workshop) -> Sample:
    """Microseconds a proof: traced and told, beside not traced. All three in turn, after one that warms up."""
    proofs = [parse_submission(one.body) for one in sign_for_now(PROOFS)]
    with discarding_receiver() as url:
        told = TelemetryConfig(traces_endpoint=url, traces_ratio=1.0)
        await _microseconds(workshop, proofs, _told(told))
        off = await _microseconds(workshop, proofs, nullcontext())
        made = await _microseconds(workshop, proofs, nullcontext(_untold()))
        on = await _microseconds(workshop, proofs, _told(told))
    return Sample(on, off, {"spans made and told to nobody, µs": made})


def _told(settings: TelemetryConfig) -> Traces:
    return open_traces(settings, peer_id="bench", chain_id="bench")


def _untold() -> ProofTraces:
    return ProofTraces(lambda _span: None, ratio=1.0, now_ns=time.time_ns)


async def _microseconds(workshop: Workshop, proofs: Sequence[SignedProof], opened: Traces) -> float:
    """Of the processor, on all threads, until the last span is sent."""
    async with opened as traces, _admission(workshop, proofs[0].timestamp_ms, traces) as admission:
        began_ns = time.process_time_ns()
        for start in range(0, len(proofs), CHUNK_PROOFS_MAX):
            await _take_in(admission, proofs[start : start + CHUNK_PROOFS_MAX], traces)
    # The spans that still wait have been sent as the traces ended.
    return (time.process_time_ns() - began_ns) / len(proofs) / 1000


async def _take_in(admission: Admission, chunk: Sequence[SignedProof], traces: ProofTraces | None) -> None:
    began_ns = 0 if traces is None else traces.now_ns()
    answers = await admission.submit_many(chunk, wait_ms=0, source="bench")
    if not all(isinstance(answer, Pending) for answer in answers):
        raise RuntimeError("a good proof is not taken in")
    if traces is not None:
        proof_ids = [proof.proof_id for proof in chunk]
        traces.sent(proof_ids)
        traces.submitted(proof_ids, began_ns)


@asynccontextmanager
async def _admission(workshop: Workshop, time_ms: int, traces: ProofTraces | None) -> AsyncIterator[Admission]:
    genesis = bench_genesis([VALIDATOR_KEY], time_ms - GENESIS_MS)
    storage, clock, mempool = MemoryStorage(), ManualClock(time_ms), Mempool()
    await storage.initialise(genesis.hash, genesis.head(), genesis.accounts())
    chain = await Chain.open(genesis=genesis, storage=storage, clock=clock, known=mempool.get)
    folder = workshop.fresh_folder()
    folder.mkdir()
    async with open_journal(folder / "journal.sqlite", genesis.hash) as journal, trio.open_nursery() as nursery:
        admission = Admission(
            chain=chain,
            mempool=mempool,
            backlog=Backlog(),
            journal=journal,
            waiters=OutcomeWaiters(),
            clock=clock,
            metrics=NodeMetrics(CollectorRegistry()),
            traces=traces,
        )
        nursery.start_soon(admission.run)
        yield admission
        nursery.cancel_scope.cancel()


PLANS: Final = (
    RowPlan(
        "telemetry",
        "the processor's time that taking in a proof of a client costs, with every proof traced and its spans told",
        "µs",
        measure_admission,
        limit_is="the same without traces",
    ),
)
