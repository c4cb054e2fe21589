"""What validators far apart reach: whole nodes in simulated time, priced by what their work costs on this machine."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

import trio

from step_node.testing.bench.figures import Sample
from step_node.testing.bench.plans import RowPlan, Workshop
from step_node.testing.bench.recovery import one_core_recoveries_per_second
from step_node.testing.wan.costs import Costs
from step_node.testing.wan.gossip_costs import measured_gossip_costs
from step_node.testing.wan.measuring import measured_costs, measured_proof_costs
from step_node.testing.wan.search import Found, find_rate, simulate_at_rate
from step_node.testing.wan.world import WideReport, WideSettings

US_A_SECOND: Final = 1e6


@dataclass(frozen=True, slots=True)
class Plan:
    """A world, from whose rate on the highest is searched that it stands, in so many steps."""

    world: WideSettings
    steps_max: int


WORLDS: Final = (
    Plan(WideSettings(validators=4, proofs_per_second=2_000, seconds=5), 3),
    Plan(WideSettings(validators=16, proofs_per_second=2_000, seconds=4), 3),
    Plan(WideSettings(validators=50, proofs_per_second=1_000, seconds=3), 2),
    Plan(WideSettings(validators=100, proofs_per_second=400, seconds=3), 2),
)
"""The more validators, the fewer and shorter steps: what a second costs grows with their square."""


async def measure_wan(workshop: Workshop) -> Sample:
    """Proofs a second that four validators stand; figures for more of them, and what broke first beyond that."""

    def tell(line: str) -> None:
        trio.from_thread.run_sync(workshop.tell, line)

    workshop.tell("wan: what a node's work costs here")
    recoveries_per_second = one_core_recoveries_per_second(workshop)
    proof_costs = await measured_proof_costs(workshop, workshop.accounts)
    gossip = await measured_gossip_costs(US_A_SECOND / recoveries_per_second)
    sustained: dict[int, float] = {}
    figures: dict[str, float] = {}
    details: list[str] = []
    for plan in WORLDS:
        world = plan.world
        workshop.tell(f"wan: {world.validators} validators")
        costs = await measured_costs(proof_costs, world.validators, gossip)
        found = await trio.to_thread.run_sync(_find, plan, costs, tell)
        sustained[world.validators] = found.sustained.final_per_second if found.sustained else 0.0
        figures |= _figures(world.validators, found)
        details.append(_in_words(world.validators, found))
    figures |= {f"cost, {name}": value for name, value in costs.by_name().items()}
    return Sample(sustained[WORLDS[0].world.validators], recoveries_per_second, figures, details=tuple(details))


def _find(plan: Plan, costs: Costs, tell: Callable[[str], None]) -> Found:
    """In a process of its own: trio's schedule belongs to the world there, and its memory is gone afterwards."""
    world = plan.world
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:

        def run(rate: float) -> WideReport:
            report = pool.submit(simulate_at_rate, replace(world, proofs_per_second=rate), costs).result()
            p95_ms = report.finality_ms["p95"]
            told = f"offered {rate:,.0f}/s: final {report.final:,} of {report.offered:,}, p95 {p95_ms} ms"
            tell(f"wan: {world.validators} validators: {told}; {report.bottleneck}")
            return report

        return find_rate(run, world.proofs_per_second, steps_max=plan.steps_max)


def _figures(validators: int, found: Found) -> dict[str, float]:
    figures: dict[str, float] = {}
    if found.sustained is not None:
        report = found.sustained.report
        figures = {
            "proofs/s": found.sustained.final_per_second,
            "finality p50 ms": report.finality_ms["p50"] or 0.0,
            "finality p95 ms": report.finality_ms["p95"] or 0.0,
            "bytes sent a node a second": report.sent_bytes_per_second,
            "seconds a height": report.seconds_a_height,
        } | {f"{name} busy": share for name, share in report.busy.items()}
    if found.broken is not None:
        figures["broke at proofs/s"] = found.broken.proofs_per_second
    return {f"{validators} validators, {name}": value for name, value in figures.items()}


def _in_words(validators: int, found: Found) -> str:
    if found.broken is None:
        return f"{validators} validators: nothing broke up to the highest rate that was tried"
    report = found.broken.report
    return (
        f"{validators} validators: at {found.broken.proofs_per_second:,.0f} proofs/s {report.final:,} of"
        f" {report.offered:,} were final, p95 {report.finality_ms['p95']} ms; what broke first: {report.bottleneck}"
    )


PLANS = (
    RowPlan(
        "wan",
        "proofs/s that four validators stand, 100 ms apart, in simulated time; and 16, 50 and 100 of them",
        "proofs/s",
        measure_wan,
        runs=1,
        limit_is="bare recovery, on one core",
    ),
)
