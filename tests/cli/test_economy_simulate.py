"""`step-node economy simulate`, called as people call it; what is simulated is tests/testing/economy."""

from __future__ import annotations

import csv
import json
import shlex
import sys
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from step_node.cli.main import app
from step_node.testing.economy.measuring import MEASURES
from step_node.testing.economy.scenario import shipped_names
from step_node.testing.economy.words import MEASURE_WORDS, TABLE_WORDS
from tests.cli.conftest import Command
from tests.testing.economy.small_town import SMALL_TOWN

VARIANTS = """
payments_per_week = 14.0
[[variants]]
name = "new-chain"
[[variants]]
name = "rounded-each"
change = { "protocol_version" = 1 }
"""
MINE = f"batches_per_day = 2{SMALL_TOWN}{VARIANTS}"


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
    assert {"supply", "pay", "emission", "exhaustion", "velocity", "concentration", "time-to-a-stake", "stakes"} < {
        name.removesuffix(".svg") for name in exact
    }
    with (folders[0] / "days.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["variant"], row["day"], row["measure"]) for row in rows} == {
        (variant, str(day), measure)
        for variant in ("new-chain", "rounded-each")
        for day in range(1, 5)
        for measure in MEASURES
    }
    assert "a few people for four days" in exact["supply.svg"].decode()
    assert "How many STEP come into being?" in exact["supply.svg"].decode()
    # One group has nobody to be compared with.
    assert "by level of triangles" in exact["emission.svg"].decode()
    assert "by who made them" not in exact["emission.svg"].decode()


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
    assert [(row["rank"], row["stakeStepMean"]) for row in ended["stakes"]] == [(rank, 100_000) for rank in range(1, 5)]
    assert {"velocityPerYear", "gini", "top1PercentShare", "nakamoto"} < set(ended["measures"])


class Images(HTMLParser):
    """The pictures of a page, and whatever it would have to fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures = 0
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.pictures += tag == "svg"
        links = [value for name, value in attrs if name in ("src", "href", "xlink:href") and value]
        if tag == "a":
            self.links += links
            return
        self.fetched += [value for value in links if not value.startswith("#")] + [tag] * (tag == "script")

    def handle_data(self, data: str) -> None:
        self.text += data


@dataclass(frozen=True)
class Shown:
    """What a run has printed, and written."""

    scenario: Path
    out: Path
    lines: list[str]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    folder = tmp_path_factory.mktemp("shown")
    scenario, out = folder / "mine.toml", folder / "out"
    titled = MINE.replace('name = "rounded-each"', 'name = "rounded-each"\ntitle = "each proof rounded"')
    scenario.write_text(titled.replace("a few people for four days", "<b> & $1$"))
    options = ["economy", "simulate", str(scenario), "--runs", "2", "--jobs", "1", "--out", str(out)]
    result = CliRunner().invoke(app, options)
    assert result.exit_code == 0, result.output
    return Shown(scenario, out, [line.strip() for line in result.stdout.splitlines()])


def test_people_are_told_in_words_how_it_ended_and_what_to_look_at_next(command: Command, shown: Shown) -> None:
    for words in MEASURE_WORDS.values():
        assert any(line.startswith(words) for line in shown.lines)
    short = shown.lines[shown.lines.index("in short, of the middle run") + 1 :]
    assert [line.partition(":")[0] for line in short[:2]] == [
        "STEP made in 4 days",
        "What a person's proof is paid on the last day, in millionths of a STEP",
    ]
    after = shown.lines[shown.lines.index("what to look at next") + 1 :]
    assert after[0] == f"{shown.out / 'report.html'}: all figures, with what each of them says"
    assert [line.partition(":")[0] for line in after[1:-1]] == [str(shown.out / f"{name}.csv") for name in TABLE_WORDS]
    again = after[-1].partition(": ")[2]
    assert again == f"step-node economy simulate {shown.scenario} --only new-chain --runs 1 --seed 0 --exact"
    alone = command(*shlex.split(again)[1:])
    assert f"tables and figures: step-node economy simulate {shown.scenario} --out DIRECTORY" in alone.stdout


def test_one_page_shows_all_figures_with_what_each_of_them_says(shown: Shown) -> None:
    page = Images()
    page.feed((shown.out / "report.html").read_text())
    assert page.pictures == len(list(shown.out.glob("*.svg"))) > 7
    assert page.fetched == []
    assert all((shown.out / link).is_file() for link in page.links)
    assert len(page.links) == len(TABLE_WORDS)
    for words in ("<b> & $1$", "How long until a place is used up?", "The stakes in the end, in STEP: 100,000."):
        assert words in page.text
    assert "each proof rounded" in page.text


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


def test_a_run_that_fails_is_told_with_the_command_that_has_it_again(command: Command, mine: Path) -> None:
    fault = '[[faults]]\nday = 1\nvalidator = {}\nwhat = "offline"\n'
    mine.write_text(MINE + fault.format(0) + fault.format(1))
    failed = command("economy", "simulate", mine, "--runs", 2, "--seed", 5, "--jobs", 1, "--no-plots", "--exact")
    assert failed.exit_code == 1
    again = f"step-node economy simulate {mine} --only new-chain --runs 1 --seed 5 --exact"
    assert failed.stderr.startswith(f"error: {mine}: variant new-chain, seed 5: faults: on day 1 2 of the validators")
    assert failed.stderr.endswith(f"; that run alone is {again}\n")
    alone = command(*shlex.split(again)[1:])
    assert (alone.exit_code, alone.stderr) == (1, failed.stderr)


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
