"""What readers do to a network that is at work, and how long they wait: maps and wallets beside proofs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import trio

from step_node.testing.bench.figures import Bar, Sample
from step_node.testing.bench.grown_homes import HomesPlan
from step_node.testing.bench.networks import BATCH, Network, batch_at, running_network
from step_node.testing.bench.plans import RowPlan, Workshop
from step_node.testing.load.readers import Readers, ReadReport, Surroundings, questions
from step_node.testing.load.report import LoadReport, percentile

VALIDATORS: Final = 4
PROOFS_PER_SECOND: Final = 500.0
READS_PER_SECOND: Final = 200.0
SECONDS: Final = 30.0
READ_P95_MS_MAX: Final = 250.0
SLOWER_SHARE: Final = 1.1
"""Finality with readers, over finality without them, that is still no worse."""
SEED: Final = 10


async def measure_reads(workshop: Workshop) -> Sample:
    """p95 of questions beside proofs; and finality of those proofs, beside that of as many without questions."""
    async with running_network(workshop, HomesPlan(VALIDATORS, workshop.accounts)) as network:
        batch = batch_at(PROOFS_PER_SECOND, BATCH)
        alone = await network.load(PROOFS_PER_SECOND, SECONDS, batch=batch)
        workshop.tell(f"without readers: finality {alone.finality_ms} ms")
        reads, beside = await _both(network, batch, _surroundings(network))
        workshop.tell(
            f"with readers: finality {beside.finality_ms} ms; answers {reads.latency_ms} ms, {reads.statuses}"
        )
    return Sample(
        reads.latency_ms["p95"] or 0.0,
        figures={
            "answers p50 ms": reads.latency_ms["p50"] or 0.0,
            "answers p99 ms": reads.latency_ms["p99"] or 0.0,
            "not answered with 200": float(reads.failed),
            "finality p50 ms without readers": alone.finality_ms["p50"] or 0.0,
            "finality p50 ms": beside.finality_ms["p50"] or 0.0,
            "finality p95 ms without readers": alone.finality_ms["p95"] or 0.0,
            "finality p95 ms": beside.finality_ms["p95"] or 0.0,
            "final/s without readers": alone.final_per_second,
            "final/s": beside.final_per_second,
        },
        failures=_failures(reads, alone, beside),
        details=_by_kind(reads),
    )


async def _both(network: Network, batch: int, there: Surroundings) -> tuple[ReadReport, LoadReport]:
    readers = Readers(network.devnet.urls, READS_PER_SECOND, SECONDS, questions(SEED, there))
    found: list[ReadReport] = []

    async def read() -> None:
        found.append(await readers.run())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        beside = await network.load(PROOFS_PER_SECOND, SECONDS, batch=batch)
    return found[0], beside


def _surroundings(network: Network) -> Surroundings:
    if network.known is None:
        raise RuntimeError("there is nothing to ask for on a chain that has not grown")
    return Surroundings(network.known.provers, network.known.count)


def _failures(reads: ReadReport, alone: LoadReport, beside: LoadReport) -> tuple[str, ...]:
    failures = []
    if reads.failed:
        failures.append(f"{reads.failed} of {reads.asked} questions were not answered: {dict(reads.statuses)}")
    for name in ("p50", "p95"):
        before_ms, after_ms = alone.finality_ms[name], beside.finality_ms[name]
        if before_ms is None or after_ms is None or after_ms > SLOWER_SHARE * before_ms:
            failures.append(f"finality {name} is worse by more than a tenth: {before_ms} ms, then {after_ms} ms")
    if beside.lost:
        failures.append(f"{beside.lost} accepted proofs were lost")
    return tuple(failures)


def _by_kind(reads: ReadReport) -> tuple[str, ...]:
    return tuple(
        f"{kind}: {_p95_ms(seconds)} ms p95 of {len(seconds)}" for kind, seconds in sorted(reads.kinds.items())
    )


def _p95_ms(seconds: Sequence[float]) -> float | None:
    return percentile(sorted(one * 1000 for one in seconds), 95)


PLANS = (
    RowPlan(
        "reads",
        f"answers to {READS_PER_SECOND:g} questions a second beside {PROOFS_PER_SECOND:g} proofs a second on four"
        " validators, p95 from when they were due",
        "ms",
        measure_reads,
        Bar(at_most=READ_P95_MS_MAX),
        runs=1,
    ),
)
