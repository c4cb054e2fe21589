"""Every figure of docs/economy.md is what the code computes: none is written down without one."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from step_node.economy.figures import Economy, Figure, Table, figures, rounded, tables
from step_node.parameters import Parameters

PAGE = (Path(__file__).parents[2] / "docs" / "economy.md").read_text(encoding="utf-8")
MARKED = re.compile(r"([\d,]+(?:\.\d+)?)(?: %)?<!-- (-?)([\w.]+) -->")
"""`38,194,690.29<!-- supply.rounding.version1 -->`: a figure, and its name; a minus sign before it turns it about."""

TABLE = re.compile(r"<!-- table: (\w+) -->\n((?:\|.*\n)*)")
GIVEN = {"10,000", "2,185"}
"""How many accounts the examples have, and what was measured of a network: no formula gives them."""


def marked(page: str) -> list[tuple[str, str, str]]:
    return MARKED.findall(page)


def said_wrongly(page: str, known: dict[str, Figure]) -> list[str]:
    """What the page says otherwise than the code: as many places as are written are compared."""
    wrong = []
    for text, minus, name in marked(page):
        value = known[name].value * (-1 if minus else 1)
        right = rounded(value, len(text.partition(".")[2]))
        if text != right:
            wrong.append(f"{name} is {right}, and not {text}")
    return wrong


def as_markdown(table: Table) -> str:
    lines = [" | ".join(table.headings), "|".join(["---"] * len(table.headings)), *map(" | ".join, table.rows)]
    return "".join(f"| {line} |\n" if "---" not in line else f"|{line}|\n" for line in lines)


def test_every_figure_is_the_one_that_the_code_computes() -> None:
    assert len(marked(PAGE)) > 40
    assert said_wrongly(PAGE, figures(Economy())) == []


def test_every_table_is_the_one_that_the_code_computes() -> None:
    computed = {table.name: as_markdown(table) for table in tables(Economy())}
    assert dict(TABLE.findall(PAGE)) == computed


def test_no_figure_stands_there_unmarked() -> None:
    prose = MARKED.sub("", TABLE.sub("", PAGE))
    prose = re.sub(r"^```.*?^```", "", prose, flags=re.DOTALL | re.MULTILINE)
    prose = re.sub(r"`[^`]*`|\]\([^)]*\)", "", prose)
    found = {number.rstrip(".,") for number in re.findall(r"\d[\d,.]*", prose)}
    assert {number for number in found if len(number) > 2} == GIVEN


@pytest.mark.parametrize("digit", range(0, len(marked(PAGE)), 7))
def test_a_figure_that_is_changed_is_seen(digit: int) -> None:
    figure = list(MARKED.finditer(PAGE))[digit]
    end = figure.end(1)
    changed = PAGE[: end - 1] + str((int(PAGE[end - 1]) + 1) % 10) + PAGE[end:]
    assert len(said_wrongly(changed, figures(Economy()))) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"min_stake": 10_000},
        {"seeded_level": 9},
        {"validator_reward_bps": 400},
        {"moratorium_ms": 20_000},
        {"batch_interval_ms": 2_000},
        {"slash_double_sign_bps": 4_000},
        {"slash_invalid_bps": 2_000},
        {"slash_offline_bps": 100},
        {"speed_limit_mps": 20},
        {"speed_horizon_ms": 60_000},
    ],
)
def test_a_parameter_that_is_changed_makes_the_page_untrue(changed: dict[str, int]) -> None:
    changed_parameters = Parameters(**(Economy().parameters.model_dump() | changed))
    assert said_wrongly(PAGE, figures(replace(Economy(), parameters=changed_parameters)))


def test_figures_can_be_had_of_any_parameters() -> None:
    dear = Economy(
        Parameters(min_stake=10**9, validator_reward_bps=0, moratorium_ms=0, slash_offline_bps=0, seeded_level=21),
        version=1,
        validators=100,
    )
    found = figures(dear)
    assert found["stake.in_all"].value == 0
    assert "stake.years" not in found
    assert found["supply.all.version1"].value == found["supply.proofs.version1"].value
    assert all(row[-1] == "never" for table in tables(dear)[1:] for row in table.rows)


def test_numbers_are_rounded_half_to_even_with_commas() -> None:
    assert rounded(Fraction(-5, 2), 0) == "-2"
    assert rounded(Fraction(1_234_567, 1_000), 2) == "1,234.57"
