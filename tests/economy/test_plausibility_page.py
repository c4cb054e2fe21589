"""The figures of docs/plausibility.md, computed again; and that people score low there, and careless farms high."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from step_node.economy.plausibility import IMPLAUSIBLE_BPS, SIGNALS, movement, newcomers, own
from step_node.economy.plausibility.grouping import BPS
from tests.economy.plausibility_figures import (
    account_table,
    farms_judged,
    honest_judged,
    rates,
    region_table,
)

PAGE = Path(__file__).parents[2] / "docs" / "plausibility.md"


def _rows(heading: str) -> list[str]:
    """The lines of the table whose heading begins so."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(heading)) + 2
    end = next(number for number in range(first, len(lines)) if not lines[number].startswith("|"))
    return lines[first:end]


def test_the_table_of_signals_has_their_weights_and_where_they_begin_and_are_complete() -> None:
    def of(bounds: tuple[int, int], unit: int, text: str) -> tuple[str, str]:
        return f"{bounds[0] // unit}{text}", f"{bounds[1] // unit}{text}"

    bounds = {
        "identical_accuracies": of(own._SAME_ACCURACY_BPS, 100, " %"),
        "machine_intervals": of(own._SAME_INTERVAL_BPS, 100, " %"),
        "no_rest": of(own._REST_MS, 3_600_000, " h"),
        "impossible_travel": ("0", "2 ways"),
        "proves_once": of(own._ONCE_MS, 3_600_000, " h"),
        "newcomer_pace": (f"{newcomers.COHORT_MIN} + {newcomers._USUAL_TIMES} times the usual", ""),
        "newcomer_accuracies": of(newcomers._SAME_ACCURACY_BPS, 100, " %"),
        "newcomer_intervals": of(newcomers._SAME_INTERVAL_BPS, 100, " %"),
        "far_from_history": ("1 account", ""),
        "co_movement": of(movement._COMPANIONS, 1, " others"),
    }
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in _rows("| signal |")]

    assert [(name.strip("`"), int(weight.replace(",", ""))) for name, weight, *_ in cells] == list(SIGNALS.items())
    assert {name.strip("`"): (begins, complete) for name, _, _, begins, complete in cells} == bounds


@pytest.mark.costly
def test_the_figures_of_the_page_are_those_that_the_signals_give() -> None:
    text = re.sub(r"\s+", " ", PAGE.read_text(encoding="utf-8"))

    assert _rows("| who |") == account_table()
    assert _rows("| where |") == region_table()
    assert [rate for rate in rates() if rate not in text] == []


@pytest.mark.costly
def test_people_score_low_and_farms_that_take_no_care_score_high() -> None:
    *people, automatic = honest_judged()
    burst, careful_burst, drip, sea, scripted, sleepless, jumping, phones, like_people = farms_judged()

    assert [one.name for one in people if one.implausible] == []
    assert automatic.median < IMPLAUSIBLE_BPS
    for farm in (burst, drip, scripted, sleepless, jumping, phones):
        assert farm.implausible * 100 >= 95 * len(farm.scores), farm.name
    # What the page says that is not found.
    assert max(careful_burst.median, sea.median, like_people.median) < IMPLAUSIBLE_BPS < BPS
