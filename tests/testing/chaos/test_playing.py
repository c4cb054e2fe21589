"""One short scenario, played with real processes through proxies; `make chaos` plays those of the program."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from step_node.testing.chaos.run import play
from step_node.testing.chaos.scenario import Scenario

LONGEST_SECONDS = 240.0


@pytest.mark.long
async def test_a_partition_stops_the_chain_and_heals(tmp_path: Path) -> None:
    scenario = Scenario.model_validate(
        {
            "name": "short",
            "summary": "Two and two are apart for four seconds",
            "load": {"rate": 8, "tail_seconds": 2},
            "actions": [
                {"do": "cut", "groups": [[0, 1], [2, 3]], "how": "reset", "after_finalised": 10},
                {"do": "heal", "after_seconds": 4},
            ],
            "expect": {
                "longest_stall_seconds_min": 3,
                "longest_stall_seconds_max": 60,
                "finalised_min": 20,
            },
        }
    )
    with trio.fail_after(LONGEST_SECONDS):
        outcome = await play(scenario, tmp_path)
    assert outcome.problems == ()
    assert outcome.result == "passed"
    assert outcome.exactly_once
    assert outcome.roots_equal


@pytest.mark.long
async def test_a_scenario_that_does_not_hold_fails_and_says_why(tmp_path: Path) -> None:
    scenario = Scenario.model_validate(
        {
            "name": "hopeless",
            "summary": "Two of four stand still for longer than the chain may",
            "load": {"rate": 8, "tail_seconds": 1},
            "actions": [{"do": "pause", "nodes": [0, 1], "seconds": 4, "after_finalised": 5}],
            "expect": {"longest_stall_seconds_max": 1, "finalised_min": 10},
        }
    )
    with trio.fail_after(LONGEST_SECONDS):
        outcome = await play(scenario, tmp_path)
    assert outcome.result == "failed"
    assert [problem for problem in outcome.problems if "no batch was finalised for" in problem]
    assert outcome.exactly_once
    assert outcome.logs == str(tmp_path)
