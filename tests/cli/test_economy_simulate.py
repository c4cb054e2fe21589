"""`step-node economy simulate`, called as people call it; what is simulated is tests/testing/economy."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

from step_node.testing.economy.measuring import MEASURES
from step_node.testing.economy.scenario import shipped_names
from tests.cli.conftest import Command

MINE = """
title = "a few people for four days"
days = 4
batches_per_day = 2
[[cities]]
name = "town"
lat = 47.0
lon = 19.0
radius_km = 1.0
[[groups]]
kind = "walkers"
name = "people"
city = "town"
accounts = 12
proofs_per_day = 5.0
payments_per_week = 14.0
[[variants]]
name = "new-chain"
[[variants]]
name = "rounded-each"
change = { "protocol_version" = 1 }
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(MINE)
    return path


def test_the_scenarios_are_listed_with_their_variants(command: Command) -> None:
    listed = json.loads(command("economy", "simulate", "--list", "--json").stdout)
    assert sorted(listed) == shipped_names()
    assert "stake-10" in listed["staking"]
    lines = command("economy", "simulate", "--list").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == shipped_names()


def test_tables_and_figures_are_written_the_same_by_both_modes(command: Command, mine: Path, tmp_path: Path) -> None:
    folders = tmp_path / "exact", tmp_path / "arrays"
    for folder, mode in zip(folders, (["--exact"], []), strict=True):
        result = command("economy", "simulate", mine, "--runs", 3, "--jobs", 1, "--out", folder, *mode)
        assert result.exit_code == 0, result.output
        assert "rounded-each: 100 %" in result.stderr
    exact, arrays = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    assert exact == arrays
    assert {"supply.svg", "pay.svg", "velocity.svg", "concentration.svg", "emission.svg", "stakes.svg"} < set(exact)
    with (folders[0] / "days.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["variant"], row["day"], row["measure"]) for row in rows} == {
        (variant, str(day), measure)
        for variant in ("new-chain", "rounded-each")
        for day in range(1, 5)
        for measure in MEASURES
    }
    assert "a few people for four days" in exact["supply.svg"].decode()
    assert "STEP made since the chain began" in exact["supply.svg"].decode()


def test_programs_are_told_how_each_variant_ended(command: Command, mine: Path) -> None:
    result = command(
        "economy", "simulate", mine, "--runs", 2, "--seed", 9, "--jobs", 1, "--json", "--only", "new-chain"
    )
    answer = json.loads(result.stdout)
    assert (answer["exact"], answer["firstSeed"], list(answer["variants"])) == (False, 9, ["new-chain"])
    ended = answer["variants"]["new-chain"]
    assert len(ended["measures"]) == len(MEASURES)
    proofs = ended["measures"]["proofsPerDay"]
    assert 0 < proofs["p5"] <= proofs["p50"] <= proofs["p95"]
    (people,) = ended["people"]
    assert people["group"] == "people"
    assert people["earnedStepPerAccount"] > 0
    (town,) = ended["cities"]
    assert town["exhaustedDayP50"] is None
    assert town["yearsToExhaustionAtThisPace"] > 1
    assert [row["name"] for row in ended["emission"]] == [*map(str, range(1, 22)), "town", "elsewhere"]
    assert [row["validator"] for row in ended["validators"]] == [0, 1, 2, 3]


def test_an_unknown_variant_is_refused_before_anything_is_simulated(command: Command, mine: Path) -> None:
    refused = command("economy", "simulate", mine, "--only", "nothing")
    assert refused.exit_code == 2
    assert "no variant; there are: new-chain, rounded-each" in " ".join(refused.output.replace("│", " ").split())


def test_where_nothing_can_be_written_it_is_told_before_anything_is_simulated(command: Command, mine: Path) -> None:
    result = command("economy", "simulate", mine, "--no-plots", "--out", mine)
    assert (result.exit_code, result.stderr) == (1, f"error: {mine}: File exists\n")


def test_a_scenario_that_is_none_is_an_error_that_names_the_key(command: Command, mine: Path) -> None:
    mine.write_text(MINE.replace("days = 4", "days = 4\nhours = 1"))
    result = command("economy", "simulate", mine)
    assert result.exit_code == 1
    assert f"error: {mine}: hours: unknown key" in result.output


def test_without_matplotlib_it_says_what_to_install_before_anything_is_simulated(
    command: Command, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "step_node.testing.economy.plots", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    refused = command("economy", "simulate", mine, "--out", tmp_path / "out")
    assert refused.exit_code == 1
    assert "pip install 'step-node[plots]', or give --no-plots" in refused.output
    assert not (tmp_path / "out").exists()
    written = command("economy", "simulate", mine, "--out", tmp_path / "out", "--no-plots", "--runs", 1)
    assert written.exit_code == 0
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".csv"}
