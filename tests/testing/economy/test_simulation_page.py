"""docs/economy-simulation.md and ADR 65 say what the shipped scenarios come to: their figures are simulated again."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scripts.economy import FIGURE
from scripts.economy_simulations import DIGITS, PAGES, as_written, names_on, page_of, simulated
from step_node.testing.economy import movement
from step_node.testing.economy.campaign import measured_run
from step_node.testing.economy.scenario import load_scenario
from tests.testing.economy.same_runs import same

TEXTS = [page.read_text(encoding="utf-8") for page in PAGES]
ADVICE = "run `python -m scripts.economy_simulations`, and look through the sentences around what it changes"


def test_every_simulated_figure_has_a_name_that_the_scenarios_give() -> None:
    assert min(len(names_on([text])) for text in TEXTS) > 20
    assert set(names_on(TEXTS)) <= set(simulated(runs=1, days=2))


@pytest.mark.long
def test_every_simulated_figure_is_what_the_scenarios_come_to() -> None:
    found = simulated()
    for text in TEXTS:
        for marked in FIGURE.finditer(text):
            if (name := marked["name"]) in found:
                # Sines differ by a bit between machines, and a place by a step: hardly ever in the third digit.
                is_near = np.isclose(float(marked["text"].replace(",", "")), found[name], rtol=0.006)
                assert is_near or as_written(found[name], marked["text"]) == marked["text"], (
                    f"{name} is {found[name]}, and not {marked['text']}: {ADVICE}"
                )


def test_the_page_says_how_people_move() -> None:
    told = {marked["name"]: marked for marked in FIGURE.finditer(TEXTS[0]) if marked["name"].startswith("people.")}
    assert len(told) > 10
    reach_m = 2_000 * 9.0  # As commuters of a city of 9 km radius have it.

    def beyond(metres: float) -> float:
        power: float = (metres / movement.DISPLACEMENT_OFFSET_M + 1) ** (1 - movement.DISPLACEMENT_EXPONENT)
        return power * math.exp(-metres / reach_m)

    assert float(told.pop("people.WORKS_5_TO_15_KM_AWAY")["text"]) == round(100 * (beyond(5_000) - beyond(15_000)))
    for name, marked in told.items():
        kilo = 1_000 if TEXTS[0][marked.end() :].startswith(" km") else 1
        assert float(marked["text"]) * kilo == getattr(movement, name.removeprefix("people.")), name


def test_a_figure_is_written_to_as_many_places_as_stood_there() -> None:
    page = "In 616,000<!-- a.years --> years 94.0<!-- a.share --> % of 4<!-- b --> and 1,234<!-- a.all -->."
    found = {"a.years": 598_765.0, "a.share": 3.14159, "a.all": 2_345.6}
    assert DIGITS == 3
    assert page_of(page, found) == (
        "In 599,000<!-- a.years --> years 3.1<!-- a.share --> % of 4<!-- b --> and 2,346<!-- a.all -->."
    )


@pytest.mark.parametrize("variant", ["seeded-1", "seeded-6", "seeded-14"])
def test_the_seeded_level_changes_nothing_of_a_run(variant: str) -> None:
    """As ADR 65 says of all of them."""
    runs = [
        measured_run(load_scenario("rewards")[name].model_copy(update={"days": 4}), 0, exact=False)
        for name in ("new-chain", variant)
    ]
    assert same(*runs)
