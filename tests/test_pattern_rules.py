"""Nobody is shown a regular expression: every pattern that text is validated by has a sentence."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from step_node.errors import PATTERN_RULES
from step_node.operations.json_form import STEP_PATTERN

ROOT = Path(__file__).parents[1]


def patterns() -> Iterator[tuple[str, str]]:
    """Where each `pattern=` stands, and what it is."""
    for path in sorted((ROOT / "step_node").rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            if not isinstance(call, ast.Call):
                continue
            for keyword in call.keywords:
                if keyword.arg == "pattern":
                    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
                    yield f"{path.relative_to(ROOT)}:{call.lineno}", eval(ast.unparse(keyword.value), vars(module))


FOUND = dict(patterns())


@pytest.mark.parametrize("place", FOUND)
def test_every_pattern_has_a_sentence(place: str) -> None:
    rule = PATTERN_RULES.get(FOUND[place])
    assert rule is not None, f"{place}: {FOUND[place]} would be shown to people; say what it means in PATTERN_RULES"
    assert rule.startswith("must be ")


def test_no_sentence_is_for_a_pattern_that_is_gone() -> None:
    assert set(PATTERN_RULES) == set(FOUND.values())
    assert STEP_PATTERN in PATTERN_RULES
