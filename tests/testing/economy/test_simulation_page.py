"""docs/economy-simulation.md says what the shipped scenarios come to: its figures are simulated again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from step_node.testing.economy.campaign import run_all
from step_node.testing.economy.results import Outcome, spread, table
from step_node.testing.economy.scenario import load_scenario

PAGE = Path(__file__).parents[3] / "docs" / "economy-simulation.md"
RUNS = 5
FIGURE = re.compile(r"(\S+)<!-- (\S+) -->")


def simulated() -> Iterator[tuple[str, float]]:
    """The figures by the names that they have on the page."""
    for scenario in ("farmers", "staking", "stadium", "village"):
        for variant, of_variant in load_scenario(scenario).items():
            outcome = Outcome(variant, of_variant, run_all(of_variant, range(RUNS), exact=False, processes=1))
            name = f"{scenario}.{variant}"
            yield f"{name}.invented", 100 * spread(outcome.measure("invented_share")[:, -1])[2]
            yield f"{name}.validators", spread(outcome.measure("validators")[:, -1])[2]
            yield f"{name}.nakamoto", spread(outcome.measure("nakamoto")[:, -1])[2]
            for row in table("people", [outcome]).rows:
                yield f"{name}.{row[1]}.earned", float(row[3])
                yield f"{name}.{row[1]}.years", float(row[7])
            for row in table("cities", [outcome]).rows:
                yield f"{name}.exhausted", float(row[5])
                yield f"{name}.lasts", float(row[9])


@pytest.mark.long
def test_every_figure_of_the_page_is_what_the_scenarios_come_to() -> None:
    on_page = {name: text for text, name in FIGURE.findall(PAGE.read_text())}
    assert len(on_page) > 20
    found = dict(simulated())
    # Sines differ by a bit between machines, and a place by a step: hardly ever in the third digit.
    for name, text in on_page.items():
        assert np.isclose(float(text.replace(",", "")), found[name], rtol=0.006), f"{name}: {found[name]}"
