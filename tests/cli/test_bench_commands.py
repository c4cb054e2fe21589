"""`step-node bench` and `step-node load`, called as people and programs call them."""

from __future__ import annotations

import json
from pathlib import Path

from step_node.testing.bench.suite import PLANS
from tests.cli.conftest import Command


def test_the_rows_are_listed_and_others_are_refused(command: Command) -> None:
    listed = command("bench", "--list")
    assert listed.exit_code == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()] == [plan.name for plan in PLANS]
    refused = command("bench", "--only", "speed")
    assert refused.exit_code == 2
    assert "no row" in refused.output


def test_the_last_line_is_the_row_and_the_file_has_more(command: Command, tmp_path: Path) -> None:
    out = tmp_path / "bench" / "results.json"
    result = command("bench", "--only", "contains", "--runs", "1", "--json", "--out", out)
    assert result.exit_code == 0
    row = json.loads(result.stdout.splitlines()[-1])
    assert list(row) == ["name", "value", "unit", "limit", "ratio", "bar", "meets_bar", "runs", "spread"]
    assert (row["name"], row["unit"], row["bar"], row["runs"]) == ("contains", "µs/point", 0.7, 1)
    assert json.loads(out.read_text())["rows"][0]["figures"].keys() == {"level 21"}


def test_a_load_on_nobody_is_one_line(command: Command) -> None:
    result = command("load", "--url", "http://127.0.0.1:1", "--rate", "1", "--seconds", "1")
    assert result.exit_code == 1
    assert "is a node running there" in result.output


def test_a_load_wants_an_address(command: Command) -> None:
    result = command("load", "--url", "127.0.0.1:8600", "--rate", "1", "--seconds", "1")
    assert result.exit_code == 1
    assert "must be an address such as" in result.output
