"""What was simulated is told in words, and each figure in a sentence."""

from __future__ import annotations

import math

import pytest

from step_node.testing.economy.measuring import MEASURES
from step_node.testing.economy.results import Outcome, table, tables
from step_node.testing.economy.words import COLUMN_WORDS, MEASURE_WORDS, TABLE_WORDS, in_short, lasting, told


def test_every_measure_and_every_column_that_people_are_shown_has_words(outcomes: list[Outcome]) -> None:
    assert list(MEASURE_WORDS) == list(MEASURES)
    columns = {column for name in ("people", "cities") for column in table(name, outcomes).columns}
    assert set(COLUMN_WORDS) == columns
    assert list(TABLE_WORDS) == [one.name for one in tables(outcomes)]


def test_each_figure_is_told_in_a_sentence(outcomes: list[Outcome]) -> None:
    short = in_short(outcomes)
    assert short["exhaustion"].startswith(
        "Where half of those who try find nothing left within 8 days: square, from day"
    )
    assert "(invented there)" in short["pay"]
    assert "Most was paid to: people, " in short["emission"]
    assert short["emission"].endswith(" % (anywhere).")
    assert short["stakes"] == "The stakes in the end, in STEP: 100,000."
    assert short["validators"] == ("Validators in the end: 4. How many of them must act as one to stop the chain: 2.")
    assert short["velocity"].startswith("How often a STEP changes hands in a year, by the last week: 0")


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("invented_share", 0.96642, "96.64 %"),
        ("gini", math.nan, "-"),
        ("paid_step_per_day", 1234.5678, "1,235"),
        ("accounts", 24000, "24,000"),
        ("group", "people", "people"),
    ],
)
def test_shares_are_told_as_per_cent(name: str, value: float | str, text: str) -> None:
    assert told(name, value) == text


@pytest.mark.parametrize(
    ("years", "text"),
    [
        (math.nan, "never"),
        (1 / 365, "1 day"),
        (0.5, "180 days"),
        (3.26, "3.3 years"),
        (616_123.0, "620,000 years"),
        (4_234_000.0, "4.2 million years"),
    ],
)
def test_times_are_told_to_two_digits(years: float, text: str) -> None:
    assert lasting(years) == text
