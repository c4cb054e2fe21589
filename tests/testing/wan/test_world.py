"""What a world of validators reaches follows from its settings, its seed and its costs, and from nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from step_node.testing.wan.costs import Costs
from step_node.testing.wan.search import MadeProofs, find_rate
from step_node.testing.wan.world import WideReport, WideSettings, simulate_wide_area
from tests.testing.wan.fixed_costs import FIXED

pytestmark = pytest.mark.costly

WORLD = WideSettings(validators=4, proofs_per_second=40, seconds=4)
PROOFS = MadeProofs()


def simulated(settings: WideSettings, costs: Costs = FIXED) -> WideReport:
    return simulate_wide_area(settings, costs, PROOFS.first(330))


def test_the_same_seed_and_costs_give_the_same_report() -> None:
    first = simulated(WORLD)
    assert simulated(WORLD) == first
    assert first.keeps_up
    assert (first.final, first.refused, first.rounds_failed) == (first.offered, {}, 0)
    assert simulated(replace(WORLD, seed=1)) != first


def test_finality_takes_as_long_as_messages_travel() -> None:
    near, far = (simulated(replace(WORLD, delay_ms=delay_ms)).finality_ms["p50"] for delay_ms in (10.0, 300.0))
    assert near is not None
    assert far is not None
    # Proposal, pre-votes, pre-commits: three times over a link.
    assert far - near > 3 * (300 - 10) * 0.9


def test_dearer_checking_makes_the_processor_the_bottleneck() -> None:
    dear = replace(FIXED, check_us=20_000)
    twice = replace(dear, check_us=2 * dear.check_us)
    assert simulated(WORLD, dear).keeps_up
    broken = simulated(WORLD, twice)
    assert not broken.keeps_up
    assert broken.busy["processor"] > 1
    assert broken.bottleneck.startswith("processor")


def test_half_as_quick_a_line_makes_the_line_the_bottleneck() -> None:
    narrow = replace(WORLD, megabits_per_second=0.3)
    assert simulated(narrow).keeps_up
    broken = simulated(replace(narrow, megabits_per_second=0.1))
    assert not broken.keeps_up
    assert broken.bottleneck.startswith("uplink")


def test_the_rate_that_is_found_is_lower_where_checking_is_dearer() -> None:
    def sustained(check_us: float) -> float:
        costs = replace(FIXED, check_us=check_us)
        found = find_rate(lambda rate: simulated(replace(WORLD, proofs_per_second=rate), costs), 20.0, steps_max=2)
        return found.sustained.proofs_per_second if found.sustained else 0.0

    assert sustained(60_000) < sustained(20_000)


def test_what_was_sent_is_counted_at_each_node() -> None:
    report, more = simulated(WORLD), simulated(replace(WORLD, proofs_per_second=80))
    # Each node hands a quarter of the proofs, of some 180 bytes, to three others.
    assert more.sent_bytes_per_second - report.sent_bytes_per_second > 40 / 4 * 3 * 150


def test_more_proofs_than_there_are_cannot_be_offered() -> None:
    with pytest.raises(ValueError, match="160 are offered, and there are 10"):
        simulate_wide_area(WORLD, FIXED, PROOFS.first(10))
