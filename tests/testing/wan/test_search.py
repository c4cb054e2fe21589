"""The highest rate that a world stands is found in few steps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from step_node.testing.wan.search import Step, find_rate
from step_node.testing.wan.world import WideReport


def report(rate: float, stands: float) -> WideReport:
    keeps_up = rate <= stands
    return WideReport(
        offered=100,
        final=100,
        refused={},
        finality_ms={"p50": 500.0, "p95": 1_000.0 if keeps_up else 9_000.0},
        final_per_second=rate,
        sent_bytes_per_second=1_000.0,
        busy={"processor": 0.5, "uplink": 0.1, "downlink": 0.1},
        batches=10,
        full_batches=0,
        rounds_failed=0,
        seconds_a_height=1.0,
        gossip_dropped=0,
    )


@pytest.mark.parametrize(
    ("stands", "tried", "sustained", "broken"),
    [
        (150.0, [100, 200, 141], 141, 200),
        (110.0, [100, 200, 141], 100, 141),
        (60.0, [100, 50, 70], 50, 70),
        (30.0, [100, 50, 25, 35], 25, 35),
        (1e9, [100, 200, 400, 800], 800, None),
        (1.0, [100, 50, 25, 12], None, 12),
    ],
)
def test_a_rate_is_doubled_or_halved_and_then_one_between_is_tried(
    stands: float, tried: list[int], sustained: int | None, broken: int | None
) -> None:
    rates = list[float]()

    def run(rate: float) -> WideReport:
        rates.append(rate)
        return report(rate, stands)

    found = find_rate(run, 100.0, steps_max=4)
    assert [int(rate) for rate in rates] == tried
    assert (found.sustained and int(found.sustained.proofs_per_second)) == sustained
    assert (found.broken and int(found.broken.proofs_per_second)) == broken


def test_a_world_keeps_up_if_nearly_all_is_final_and_soon() -> None:
    good = report(1.0, 2.0)
    assert good.keeps_up
    assert not replace(good, final=94).keeps_up
    assert not replace(good, finality_ms={"p50": 1.0, "p95": 3_001.0}).keeps_up
    assert not replace(good, final=0, finality_ms={"p50": None, "p95": None}).keeps_up


def test_what_piles_up_for_a_few_seconds_is_not_counted_as_finalised() -> None:
    assert Step(100.0, report(80.0, 100.0)).final_per_second == 80.0
    assert Step(100.0, report(120.0, 100.0)).final_per_second == 100.0


def test_what_breaks_first_is_what_was_counted() -> None:
    calm = report(1.0, 2.0)
    assert replace(calm, busy={"processor": 0.97, "uplink": 0.5}).bottleneck == "processor (97% busy)"
    assert replace(calm, busy={"processor": 0.3, "uplink": 0.95}).bottleneck == "uplink (95% busy)"
    assert replace(calm, rounds_failed=6).bottleneck == "rounds (6 failed at 10 heights)"
    assert replace(calm, full_batches=5).bottleneck == "batches (5 of 10 full, one after another)"
    assert replace(calm, gossip_dropped=3).bottleneck == "shares of gossip (3 messages dropped)"
    assert replace(calm, refused={"MEMPOOL_FULL": 7}).bottleneck == "room in the mempool (7 proofs refused)"
    assert calm.bottleneck == "time of a height (processor 50% busy)"
