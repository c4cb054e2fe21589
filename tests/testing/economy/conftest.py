"""A square that is used up within days, simulated for those who look at what is said and drawn of it."""

from __future__ import annotations

import pytest

from step_node.testing.economy.campaign import run_all
from step_node.testing.economy.results import Outcome
from step_node.testing.economy.scenario import scenarios_in

SQUARE = {
    "title": "a square that is used up, with and without somebody who invents accounts",
    "days": 8,
    "batches_per_day": 2,
    "cities": [{"name": "square", "lat": 47.0, "lon": 19.0, "radius_km": 0.02}],
    "groups": [
        {"kind": "crowd", "name": "people", "city": "square", "accounts": 200, "proofs_per_day": 20.0}
        | {"every_days": 1, "radius_m": 5.0, "attendance": 1.0},
        {"kind": "farmers", "name": "invented", "city": "square", "accounts": 1, "proofs_per_day": 8.0},
    ],
    "variants": [
        {"name": "somewhere", "title": "invented there", "change": {"groups.invented.spread": "city"}},
        {"name": "anywhere"},
    ],
}


@pytest.fixture(scope="package")
def outcomes() -> list[Outcome]:
    """Three runs of each variant."""
    return [
        Outcome(name, scenario, run_all(scenario, range(3), exact=False, processes=1))
        for name, scenario in scenarios_in(SQUARE, name="square", source="test").items()
    ]
