"""Finding the rate that a world stands, in few steps: a simulated second costs real ones.

The rate is doubled until the world does not keep up, or halved until it does; then once more something in between is
tried. What is found is the highest rate that it kept up with, and what broke at the lowest that it did not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from step_node.api.submissions.single import parse_submission
from step_node.parameters import Parameters
from step_node.proofs.proof import SignedProof
from step_node.testing.load.material import Order, sign_orders
from step_node.testing.load.provers import Provers
from step_node.testing.simulator.clock import START_MS
from step_node.testing.wan.costs import Costs
from step_node.testing.wan.work import SharedAnswers
from step_node.testing.wan.world import WideReport, WideSettings, simulate_wide_area

SEED = b"step wide area!!"


@dataclass(frozen=True, slots=True)
class Step:
    """A rate that was offered, proofs a second, and what became of it."""

    proofs_per_second: float
    report: WideReport

    @property
    def final_per_second(self) -> float:
        """What was offered, or, where that has piled up for a few seconds, what was finalised meanwhile."""
        return min(self.proofs_per_second, self.report.final_per_second)


@dataclass(frozen=True, slots=True)
class Found:
    """`sustained` is None where no rate was kept up with, `broken` where every one was."""

    sustained: Step | None
    broken: Step | None


def find_rate(run: Callable[[float], WideReport], first: float, *, steps_max: int) -> Found:
    """Try at most `steps_max` rates, from `first` on."""
    sustained: Step | None = None
    broken: Step | None = None
    rate = first
    for _ in range(steps_max):
        step = Step(rate, run(rate))
        is_between = sustained is not None and broken is not None
        if step.report.keeps_up:
            sustained = step
        else:
            broken = step
        if is_between:
            break
        if sustained is None:
            rate = rate / 2
        elif broken is None:
            rate = rate * 2
        else:
            rate = math.sqrt(sustained.proofs_per_second * broken.proofs_per_second)
    return Found(sustained, broken)


class MadeProofs:
    """Really signed proofs, each by another account in a place of its own, good when a simulated chain begins."""

    def __init__(self) -> None:
        self._provers = Provers(SEED, Parameters().seeded_level)
        self._proofs: list[SignedProof] = []

    def first(self, count: int) -> list[SignedProof]:
        """The first `count`, made as they are needed."""
        orders = [Order(number, START_MS) for number in range(len(self._proofs), count)]
        signed = sign_orders(self._provers, orders, f"n{len(self._proofs)}")
        self._proofs += [parse_submission(one.body) for one in signed]
        return self._proofs[:count]


@cache
def _material() -> tuple[MadeProofs, SharedAnswers]:
    """What the worlds of one process share: proofs, and what is known of them."""
    return MadeProofs(), SharedAnswers()


def simulate_at_rate(settings: WideSettings, costs: Costs) -> WideReport:
    """`simulate_wide_area`; every world of this process has the same proofs."""
    made, shared = _material()
    count = math.ceil(settings.proofs_per_second * settings.seconds) + 1
    return simulate_wide_area(settings, costs, made.first(count), shared)
