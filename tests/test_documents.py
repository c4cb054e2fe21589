"""What the documents say about the code, as far as it can be checked."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

from p2p.penalties import PENALTY_POINTS

ROOT = Path(__file__).parents[1]
THREATS = (ROOT / "docs" / "threat-model.md").read_text()


def test_every_test_that_the_threat_model_names_exists() -> None:
    sources = {path: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    functions = set(re.findall(r"def (test_\w+)", "\n".join(sources.values())))
    paths = set(re.findall(r"`(tests/[\w/.]+)`", THREATS))
    names = set(re.findall(r"`(test_\w+)`", THREATS))
    assert paths
    assert names
    assert {path for path in paths if not (ROOT / path).exists()} == set()
    assert names - functions == set()


def test_every_attack_has_a_test_or_is_a_known_limit() -> None:
    lines = THREATS.splitlines()
    heads = {line for line, below in pairwise(lines) if below.startswith("|---")}
    rows = [line for line in lines if line.startswith("| ") and line not in heads]
    assert len(rows) > 25
    assert [row for row in rows if "test" not in row.split("|")[3] and "*known limit*" not in row] == []


def test_the_fault_table_for_operators_is_that_of_the_code() -> None:
    text = (ROOT / "docs" / "operators.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", text, re.MULTILINE)
    assert {name: float(points) for name, points in rows} == {str(key): value for key, value in PENALTY_POINTS.items()}
