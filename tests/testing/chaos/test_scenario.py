"""Scenarios as data: the shipped ones are sound, and what is wrong in a file is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from step_node.testing.chaos.scenario import SCENARIOS, ScenarioError, load_scenario, load_scenarios

EXPECT = "[expect]\nlongest_stall_seconds_max = 10\n"

KINDS_ASKED_FOR = {
    "kill",
    "pause",
    "restart",
    "disconnect",
    "weather",
    "cut",
    "heal",
    "kill_store",
    "step_down_store",
    "fill_disk",
    "free_disk",
    "replace",
    "agree_on_upgrade",
    "await_end",
}


def load(folder: Path, text: str) -> str:
    """The error that this file gives; empty if there is none."""
    path = folder / "made-up.toml"
    path.write_text('summary = "made up"\n' + text)
    try:
        load_scenario(path)
    except ScenarioError as error:
        return str(error)
    return ""


def test_the_shipped_scenarios_are_sound_and_do_everything_there_is_to_do() -> None:
    scenarios = load_scenarios(SCENARIOS)
    assert {action.do for scenario in scenarios for action in scenario.actions} == KINDS_ASKED_FOR
    assert {kind.value for scenario in scenarios for kind in scenario.byzantine.values()} == {
        "double-sign",
        "invalid-batch",
        "silent",
    }
    assert any(node.clock_offset_seconds == 30 for scenario in scenarios for node in scenario.nodes)
    assert any(scenario.network.timeouts == "protocol" for scenario in scenarios)


def test_a_scenario_is_called_what_its_file_is_called(tmp_path: Path) -> None:
    assert load(tmp_path, EXPECT) == ""
    assert load_scenario(tmp_path / "made-up.toml").name == "made-up"
    assert "name" in load(tmp_path, 'name = "other"\n' + EXPECT)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "expect"),
        ("surprise = 1\n" + EXPECT, "surprise"),
        (EXPECT + "surprise = 1\n", "expect.surprise"),
        ('actions = [{ do = "dance", at_seconds = 1 }]\n' + EXPECT, "dance"),
        ('actions = [{ do = "heal" }]\n' + EXPECT, "at_seconds"),
        ('actions = [{ do = "heal", at_seconds = 1, after_height = 2 }]\n' + EXPECT, "at_seconds"),
        ('actions = [{ do = "restart", at_seconds = 1, nodes = [4] }]\n' + EXPECT, "no node 4"),
        ('actions = [{ do = "kill", at_seconds = 1, nodes = [0] }]\n' + EXPECT, "nodes are down"),
        ('actions = [{ do = "cut", at_seconds = 1, groups = [[0], [1]] }]\n' + EXPECT, "links are cut"),
        ('actions = [{ do = "cut", at_seconds = 1, groups = [[0]] }]\n' + EXPECT, "groups"),
        ('actions = [{ do = "kill_store", at_seconds = 1 }]\n' + EXPECT, "mongodb"),
        ('actions = [{ do = "fill_disk", at_seconds = 1, nodes = [0] }]\n' + EXPECT, "disk_mib"),
        ('actions = [{ do = "weather", at_seconds = 1, jitter_ms = 1 }]\n' + EXPECT, "jitter_ms"),
        ("nodes = [{ index = 0 }, { index = 0 }]\n" + EXPECT, "twice"),
        ('nodes = [{ index = 0, byzantine = "rude" }]\n' + EXPECT, "byzantine"),
        (EXPECT + "slashed = true\n", "Byzantine"),
        (EXPECT + "[network]\nparameters = { batch_interval_ms = 0 }\n", "batch_interval_ms"),
        (EXPECT + "[network]\nparameters = { nothing = 1 }\n", "nothing"),
        ("date = 2026-01-01\n" + EXPECT, "date"),
        ("= 1", "TOML"),
    ],
)
def test_what_is_wrong_is_named_with_the_file(tmp_path: Path, text: str, named: str) -> None:
    message = load(tmp_path, text)
    assert "made-up.toml" in message
    assert named in message


def test_a_node_that_was_killed_cannot_be_paused(tmp_path: Path) -> None:
    actions = """actions = [
      { do = "kill", at_seconds = 1, nodes = [0] },
      { do = "pause", at_seconds = 2, nodes = [0], seconds = 1 },
      { do = "restart", at_seconds = 3, nodes = [0] },
    ]
    """
    assert "actions.1" in load(tmp_path, actions + EXPECT)


def test_an_unknown_scenario_and_an_empty_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="partition"):
        load_scenarios(SCENARIOS, ["no-such"])
    with pytest.raises(ScenarioError, match="holds no scenarios"):
        load_scenarios(tmp_path)


def test_only_a_node_that_may_end_is_waited_for(tmp_path: Path) -> None:
    actions = """
    actions = [
      { after_height = 3, do = "await_end", nodes = [1], status = 5 },
      { after_seconds = 1, do = "replace", nodes = [1], release = "present" },
    ]
    """
    assert "must be one that may_end" in load(tmp_path, actions + EXPECT)
    assert load(tmp_path, 'nodes = [{ index = 1, release = "older", may_end = true }]' + actions + EXPECT) == ""
