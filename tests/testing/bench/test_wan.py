"""The row `wan`, in small: costs are measured, worlds are searched, and what broke is told."""

from __future__ import annotations

from pathlib import Path

import pytest

import step_node.testing.bench.wan as wan_module
import step_node.testing.wan.gossip_costs as gossip_costs_module
from step_node.testing.bench.growth import BATCH_PROOFS
from step_node.testing.bench.plans import Workshop
from step_node.testing.wan.search import Found, Step
from step_node.testing.wan.world import WideSettings
from tests.testing.wan.test_search import report


@pytest.mark.long
@pytest.mark.slow
async def test_the_row_says_what_a_world_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gossip_costs_module, "SMALL_MESSAGES", 30)
    monkeypatch.setattr(gossip_costs_module, "LARGE_MESSAGES", 5)
    world = WideSettings(validators=4, proofs_per_second=40, seconds=2)
    monkeypatch.setattr(wan_module, "WORLDS", (wan_module.Plan(world, 1),))
    told = list[str]()
    sample = await wan_module.measure_wan(Workshop(tmp_path, 2 * BATCH_PROOFS, tell=told.append))
    assert 20 < sample.value <= 40
    assert sample.figures["4 validators, proofs/s"] == sample.value
    assert sample.figures["4 validators, finality p50 ms"] > 300
    assert sample.figures["4 validators, bytes sent a node a second"] > 1_000
    assert sample.figures["cost, check_us"] > 0
    assert sample.details == ("4 validators: nothing broke up to the highest rate that was tried",)
    assert any("offered 40/s: final 80 of 80" in line for line in told)


def test_what_broke_is_told_in_words_and_figures() -> None:
    found = Found(sustained=Step(100.0, report(100.0, 150.0)), broken=Step(200.0, report(200.0, 150.0)))
    assert wan_module._figures(4, found)["4 validators, broke at proofs/s"] == 200.0
    words = wan_module._in_words(4, found)
    assert words.startswith(
        "4 validators: at 200 proofs/s 100 of 100 were final, p95 9000.0 ms; what broke first: time"
    )


def test_a_world_that_stood_no_rate_has_no_figures_but_what_broke() -> None:
    found = Found(sustained=None, broken=Step(200.0, report(200.0, 150.0)))
    assert wan_module._figures(4, found) == {"4 validators, broke at proofs/s": 200.0}
