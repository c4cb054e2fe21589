"""Making the points: for each of them a network of real processes on homes of its own, under an open-loop load.

How much a network finalises is seen while it is offered more than it keeps up with: what `_first_rate` says, and twice
as much until it is too much. How soon is asked at half of that, where what waits has not piled up; so points that reach
different rates are compared at the same distance from what they can do. Two curves are about loads themselves: of
waiting proofs and of offered rates both figures are those of one load.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Final

from step_node.parameters import Parameters
from step_node.testing.bench.curves.points import Curve, Point, Scale
from step_node.testing.bench.figures import rounded
from step_node.testing.bench.grown_homes import HomesPlan
from step_node.testing.bench.networks import BATCH, Network, batch_at, keeps_up, running_network
from step_node.testing.bench.plans import Workshop
from step_node.testing.bench.recovery import one_core_recoveries_per_second
from step_node.testing.load.engine import Load, Progress
from step_node.testing.load.report import LoadReport
from step_node.testing.machine import Conditions

ACCOUNTS: Final = 40_000
"""In the ledger where they are not what grows: as many as can prove at the highest rate without taking turns."""
VALIDATORS: Final = 4
RATE_MAX: Final = 4_000.0
"""Of a load, and what one validator is offered first; several have to share it, as they do the machine."""
BATCHES_PER_SECOND: Final = 5
"""About as many as a network decides: of small batches, so many full ones are offered first."""
SATURATED_SECONDS: Final = 8.0
CALM_SECONDS: Final = 8.0
CALM_SHARE: Final = 0.5
OFFERED_SHARES: Final = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0, 1.25, 1.5, 2.0, 3.0)
"""Of the rate that was found: from idle to three times of it."""
BATCH_SIZES: Final = (10, 30, 100, 300, 1_000)
VALIDATOR_COUNTS: Final = (1, 2, 4, 7)
ACCOUNT_COUNTS: Final = (1_000, 10_000, 100_000)
HISTORIES: Final = (1, 100, 1_000, 3_000)
"""In batches."""
WAITING_BOUNDS: Final = (100, 300, 1_000, 3_000)
"""Proofs that may wait; a node takes no more than some 3,000 in, whatever room it has (ADR 27)."""
PLACES_PER_WAITING: Final = 4 / 3
"""Accounts of the ledger may hold three quarters of a mempool's places."""
SAME_LOAD: Final = "Rate and finality are of one load."


@dataclass(frozen=True, slots=True)
class CurvePlan:
    """A curve that can be measured. `axis`, `scale` and `how` are those of `Curve`."""

    name: str
    title: str
    axis: str
    scale: Scale
    how: str
    measure: Callable[[Workshop], Awaitable[Sequence[Point]]]
    marks_found: bool = False
    """Whether the highest rate of its points is marked on its axis, which is of rates."""


async def measure_curve(plan: CurvePlan, workshop: Workshop, *, was_busy: bool) -> Curve:
    """All points of a curve, one after another."""
    points = tuple(await plan.measure(workshop))
    return Curve(
        name=plan.name,
        title=plan.title,
        axis=plan.axis,
        scale=plan.scale,
        how=plan.how,
        engine="SQLite",
        conditions=Conditions.now(was_busy=was_busy),
        points=points,
        found_per_second=max(point.final_per_second for point in points) if plan.marks_found else None,
    )


@dataclass(frozen=True, slots=True)
class Saturation:
    """The load that a network did not keep up with, and how many proofs waited in its second half, by median."""

    report: LoadReport
    waiting: float


async def saturate(network: Network) -> Saturation:
    """Offer twice as much until it is too much."""
    rate = _first_rate(network)
    while True:
        shown: list[Progress] = []
        settings = network.settings(rate, SATURATED_SECONDS, batch=batch_at(rate, BATCH))
        report = await Load(settings, progress=shown.append).run()
        if not keeps_up(report) or 2 * rate > RATE_MAX:
            later = [one.waiting for one in shown if SATURATED_SECONDS / 2 <= one.seconds <= SATURATED_SECONDS]
            return Saturation(report, median(later) if later else 0.0)
        rate *= 2


def _first_rate(network: Network) -> float:
    """Far too much would take as long again to become final."""
    full_batches = BATCHES_PER_SECOND * network.devnet.genesis.parameters.batch_max_proofs
    return min(RATE_MAX / len(network.devnet.nodes), float(full_batches))


async def measure_network(workshop: Workshop, at: float, plan: HomesPlan) -> Point:
    """What a network of this plan finalises, and how soon at half of that."""
    async with running_network(workshop, plan) as network:
        saturated = (await saturate(network)).report
        rate = max(1.0, CALM_SHARE * _final_per_second(saturated))
        calm = await network.load(rate, CALM_SECONDS, batch=batch_at(rate, BATCH))
    return _point(workshop, at, saturated, calm)


async def measure_waiting(workshop: Workshop, bound: int) -> Point:
    """What a network finalises while about `bound` proofs wait, and how soon: its mempools have no more places."""
    places = {"STEP_MEMPOOL__PROOFS_MAX": str(round(PLACES_PER_WAITING * bound))}
    plan = HomesPlan(VALIDATORS, workshop.accounts)
    async with running_network(workshop, plan, environment=places) as network:
        saturated = await saturate(network)
    return _point(workshop, saturated.waiting, saturated.report, saturated.report)


async def measure_offered(workshop: Workshop) -> list[Point]:
    """One network under one load after another, each a part, or a multiple, of what it was found to finalise."""
    points: list[Point] = []
    async with running_network(workshop, HomesPlan(VALIDATORS, workshop.accounts)) as network:
        found = _final_per_second((await saturate(network)).report)
        for share in OFFERED_SHARES:
            rate = min(RATE_MAX, max(1.0, share * found))
            report = await network.load(rate, CALM_SECONDS, batch=batch_at(rate, BATCH))
            points.append(_point(workshop, report.offered_per_second, report, report))
    return points


async def _networks(plans: Callable[[Workshop], dict[int, HomesPlan]], workshop: Workshop) -> list[Point]:
    return [await measure_network(workshop, at, plan) for at, plan in plans(workshop).items()]


async def _waiting(workshop: Workshop) -> list[Point]:
    return [await measure_waiting(workshop, bound) for bound in WAITING_BOUNDS]


def _by_batch_size(workshop: Workshop) -> dict[int, HomesPlan]:
    sizes = {size: Parameters(batch_target_proofs=size, batch_max_proofs=size) for size in BATCH_SIZES}
    return {size: HomesPlan(VALIDATORS, workshop.accounts, parameters=parameters) for size, parameters in sizes.items()}


def _by_validators(workshop: Workshop) -> dict[int, HomesPlan]:
    return {count: HomesPlan(count, workshop.accounts) for count in VALIDATOR_COUNTS}


def _by_accounts(_workshop: Workshop) -> dict[int, HomesPlan]:
    return {count: HomesPlan(VALIDATORS, count, prove=False) for count in ACCOUNT_COUNTS}


def _by_history(workshop: Workshop) -> dict[int, HomesPlan]:
    return {batches: HomesPlan(VALIDATORS, workshop.accounts, batches=batches) for batches in HISTORIES}


def _final_per_second(report: LoadReport) -> float:
    """What is kept up with becomes final as it is offered: in a load of seconds the last latency counts for much."""
    if keeps_up(report):
        return report.offered_per_second * report.final / report.offered
    return report.final_per_second


def _point(workshop: Workshop, at: float, full: LoadReport, calm: LoadReport) -> Point:
    point = Point(
        at=rounded(at),
        offered_per_second=rounded(full.offered_per_second),
        final_per_second=rounded(_final_per_second(full)),
        calm_per_second=rounded(calm.offered_per_second),
        finality_p50_ms=calm.finality_ms["p50"],
        finality_p95_ms=calm.finality_ms["p95"],
        lost=full.lost + (0 if calm is full else calm.lost),
        recoveries_per_second=rounded(one_core_recoveries_per_second(workshop)),
    )
    workshop.tell(
        f"at {point.at:,g}: {point.final_per_second:,g} final a second of {point.offered_per_second:,g} offered;"
        f" of {point.calm_per_second:,g} a second final after {point.finality_p50_ms} ms (p50),"
        f" {point.finality_p95_ms} ms (p95)"
    )
    return point


CURVES: Final = (
    CurvePlan(
        "batch_size",
        "Batches of another size",
        "proofs in a batch at most",
        "log",
        f"{VALIDATORS} validators, whose genesis has this size as batch_target_proofs and batch_max_proofs.",
        partial(_networks, _by_batch_size),
    ),
    CurvePlan(
        "validators",
        "More validators on the same cores",
        "validators",
        "linear",
        "Each is a process of its own, and all share the cores of one machine.",
        partial(_networks, _by_validators),
    ),
    CurvePlan(
        "accounts",
        "A larger ledger",
        "accounts in the ledger, as many touched triangles, and as many nonces",
        "log",
        f"{VALIDATORS} validators. The load comes from new accounts, the same at every size.",
        partial(_networks, _by_accounts),
    ),
    CurvePlan(
        "waiting",
        "More proofs that wait",
        "proofs waiting (accepted and not final), median",
        "log",
        f"{VALIDATORS} validators whose mempools have places for so many, and a load that keeps them full. {SAME_LOAD}",
        _waiting,
    ),
    CurvePlan(
        "history",
        "A longer history",
        "batches in the chain before the load",
        "log",
        f"{VALIDATORS} validators; batches of ten proofs before the load, full ones in it.",
        partial(_networks, _by_history),
    ),
    CurvePlan(
        "load",
        "From idle through saturation",
        "offered, proofs/s",
        "linear",
        f"{VALIDATORS} validators, one load after another. {SAME_LOAD}",
        measure_offered,
        marks_found=True,
    ),
)
