"""The rows that there are, how they are run, and what is written down."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from step_node.testing.bench.figures import Bar, Sample
from step_node.testing.bench.plans import RowPlan, Workshop
from step_node.testing.bench.suite import PLANS, results, run_rows, write_results

PAGE = (Path(__file__).parents[3] / "docs" / "benchmarks.md").read_text(encoding="utf-8")


def _counting(values: list[float]) -> RowPlan:
    remaining = iter(values)

    async def measure(_workshop: Workshop) -> Sample:
        return Sample(next(remaining), 10.0, {"side": 1.23456})

    return RowPlan("counting", "what is counted", "pieces", measure, Bar(at_least=2), runs=3)


async def test_a_row_is_run_as_often_as_it_is_planned_or_asked_for(tmp_path: Path) -> None:
    (row,) = await run_rows([_counting([1, 2, 3])], Workshop(tmp_path))
    assert (row.value, row.runs, row.meets_bar) == (2, 3, True)
    (row,) = await run_rows([_counting([7])], Workshop(tmp_path), runs=1)
    assert (row.value, row.runs) == (7, 1)


async def test_rows_are_told_as_they_are_done(tmp_path: Path) -> None:
    told: list[str] = []
    await run_rows(
        [_counting([1]), _counting([2])], Workshop(tmp_path), runs=1, on_row=lambda row: told.append(row.name)
    )
    assert told == ["counting", "counting"]


async def test_the_results_say_what_was_measured_and_where(tmp_path: Path) -> None:
    rows = await run_rows([_counting([1, 2, 3])], Workshop(tmp_path))
    path = tmp_path / "deep" / "results.json"
    await write_results(path, results(rows, accounts=5, was_busy=True))
    written = json.loads(path.read_text())
    assert (written["accounts"], written["was_busy"]) == (5, True)
    assert written["rows"] == [rows[0].as_json() | {"figures": {"side": 1.235}, "failures": [], "details": []}]


def test_every_row_is_described_in_its_order() -> None:
    table = PAGE.partition("\n## The rows\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [plan.name for plan in PLANS]


@pytest.mark.parametrize("plan", [plan for plan in PLANS if plan.bar is not None], ids=lambda plan: plan.name)
def test_every_bar_stands_on_the_page(plan: RowPlan) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{plan.name}` |"))
    assert str(plan.bar) in row
