"""The signals over people with whom they were not made: those of the simulated economy (step_node.testing.economy)."""

from __future__ import annotations

import numpy as np
import pytest

from step_node.economy.columns import WINDOW_MS, Integers, ProofColumns
from step_node.economy.plausibility import IMPLAUSIBLE_BPS, account_signals
from step_node.testing.economy.population import People, populate
from step_node.testing.economy.scenario import Farmers, Scenario, load_scenario
from tests.economy.populations import World, address_keys

TIMES = 10
"""As many people as the scenario has."""


def _last_two_days(scenario: Scenario, seed: int) -> tuple[People, ProofColumns]:
    """All that is tried there in the last 48 hours; the simulation knows no accuracies, so they are as of phones."""
    people, tried = populate(scenario, np.random.default_rng(seed))
    kept = tried.where(tried.timestamp_ms > tried.timestamp_ms.max() - WINDOW_MS)
    accuracy_m, phones = np.zeros(len(kept.account)), World(seed)
    for account in np.unique(kept.account):
        of_account = np.flatnonzero(kept.account == account)
        accuracy_m[of_account] = phones.receiver(len(of_account))
    seconds = kept.timestamp_ms // 1_000 + 1
    address = np.zeros((len(kept.account), 20), dtype=np.uint8)
    address[:, :8] = address_keys(kept.account).astype(">u8").view(np.uint8).reshape(-1, 8)
    triangle = kept.triangle.astype(np.uint64)
    return people, ProofColumns(
        seconds, seconds * 1_000, kept.timestamp_ms, triangle, kept.lat, kept.lon, accuracy_m, address
    )


def _scores(name: str, *, spread: str | None = None) -> tuple[Integers, Integers]:
    """Of people, and of invented accounts."""
    scenario = next(iter(load_scenario(name).values()))
    groups = tuple(
        group.model_copy(
            update={"accounts": TIMES * group.accounts}
            | ({"spread": spread} if spread is not None and isinstance(group, Farmers) else {})
        )
        for group in scenario.groups
    )
    scenario = scenario.model_copy(update={"days": 4, "groups": groups})
    people, columns = _last_two_days(scenario, seed=64)
    signals = account_signals(columns)
    farmers = [number for number, group in enumerate(groups) if isinstance(group, Farmers)]
    invented = address_keys(np.flatnonzero(np.isin(people.group, farmers)).astype(np.int64))
    is_invented = np.isin(signals.keys, invented)
    return signals.implausibility_bps[~is_invented], signals.implausibility_bps[is_invented]


@pytest.mark.costly
def test_nobody_in_a_city_with_everybody_is_implausible_but_who_is_invented_all_over_the_world() -> None:
    people, invented = _scores("everyday")

    assert len(people) > 2_000
    assert np.count_nonzero(people >= IMPLAUSIBLE_BPS) == 0
    assert np.count_nonzero(invented >= IMPLAUSIBLE_BPS) >= 0.99 * len(invented)


@pytest.mark.costly
def test_half_of_those_who_are_invented_within_one_city_are_found() -> None:
    people, invented = _scores("everyday", spread="city")

    assert np.count_nonzero(people >= IMPLAUSIBLE_BPS) == 0
    assert 0.4 * len(invented) < np.count_nonzero(invented >= IMPLAUSIBLE_BPS) < 0.6 * len(invented)
