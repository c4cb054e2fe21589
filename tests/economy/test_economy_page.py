"""Every figure of docs/economy.md and of ADR 65 is what the code computes: none is written down without one."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from scripts.economy import DECISION, FIGURE, PAGE, PAGES, TABLE, examples, figure_text, known_figures, page_of
from scripts.economy_simulations import names_on
from step_node.economy.figures import Economy, Figure, figures, rounded, tables
from step_node.parameters import Parameters

TEXT = PAGE.read_text(encoding="utf-8")
GIVEN = {
    # How many accounts the examples have, and what was measured of a network: no formula gives them.
    PAGE: {"10,000", "2,185"},
    # The parameters, and what the scenarios and examples have.
    DECISION: {
        *("100,000", "10,000", "5,000", "3,000", "1,000", "500", "100"),
        *("120,000", "24,000", "450", "300", "200"),
    },
}

ADVICE = "run `python -m scripts.economy`, and look through the sentences around what it changes"


def said_wrongly(page: str, known: dict[str, Figure]) -> list[str]:
    """What the page says otherwise than the code."""
    return [
        f"{marked['name']} is {right}, and not {marked['text']}"
        for marked in FIGURE.finditer(page)
        if (right := figure_text(marked, known)) != marked["text"]
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_figure_and_table_is_the_one_that_the_code_computes(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    computed = {marked["name"] for marked in FIGURE.finditer(text)} - set(names_on([text]))
    assert len(computed) > 20
    assert computed <= set(known_figures())
    assert said_wrongly(text, known_figures()) == [], ADVICE
    assert page_of(text) == text, ADVICE


def test_every_table_is_on_the_page() -> None:
    assert {found["name"] for found in TABLE.finditer(TEXT)} == {table.name for table in tables(Economy())}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_figure_stands_there_unmarked(page: Path) -> None:
    prose = FIGURE.sub("", TABLE.sub("", page.read_text(encoding="utf-8")))
    prose = re.sub(r"^```.*?^```", "", prose, flags=re.DOTALL | re.MULTILINE)
    prose = re.sub(r"`[^`]*`|\]\([^)]*\)", "", prose)
    found = {number.rstrip(".,") for number in re.findall(r"\d[\d,.]*", prose)}
    assert {number for number in found if len(number) > 2} == GIVEN[page]


@pytest.mark.parametrize("place", range(0, len(FIGURE.findall(TEXT)), 7))
def test_a_figure_that_is_changed_is_seen(place: int) -> None:
    end = list(FIGURE.finditer(TEXT))[place].end("text")
    changed = TEXT[: end - 1] + str((int(TEXT[end - 1]) + 1) % 10) + TEXT[end:]
    assert len(said_wrongly(changed, figures(Economy()))) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"min_stake": 10_000},
        {"seeded_level": 9},
        {"validator_reward_bps": 400},
        {"moratorium_ms": 20_000},
        {"batch_interval_ms": 2_000},
        {"batch_max_proofs": 500},
        {"slash_double_sign_bps": 4_000},
        {"slash_invalid_bps": 2_000},
        {"slash_offline_bps": 1_001},
        {"speed_limit_mps": 20},
        {"speed_horizon_ms": 60_000},
    ],
)
def test_a_parameter_that_is_changed_makes_the_page_untrue(changed: dict[str, int]) -> None:
    parameters = Parameters(**(Economy().parameters.model_dump() | changed))
    assert said_wrongly(TEXT, figures(replace(Economy(), parameters=parameters)))


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


def test_the_examples_of_genesis_are_what_the_code_says() -> None:
    for path, text in examples().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: {ADVICE}"
