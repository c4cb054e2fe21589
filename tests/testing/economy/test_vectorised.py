"""The vectorised ledger is the shipped one: on random histories, to the last micro-STEP (ADR 67)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from step_node.testing.economy.conduct import NoQuorum
from step_node.testing.economy.scenario import AS_WRITTEN, DAY_MS, load_scenario, scenarios_in, shipped_names
from step_node.testing.economy.work import EXHAUSTED, REFUSED, Leave, Payment, Stake, TakeBack
from tests.testing.economy.histories import Played, play, random_scenario

HISTORIES = 1_000
HISTORIES_IN_EVERY_CHECK = 24
SHIPPED_DAYS = 9


def require_equal(exact: Played, vectorised: Played) -> None:
    """The same of every proof, operation and slashing, and the same state in the end, record by record."""
    for shipped, arrays in zip(exact[1], vectorised[1], strict=True):
        assert np.array_equal(shipped.levels, arrays.levels)
        assert np.array_equal(shipped.rewards_ustep, arrays.rewards_ustep)
        assert shipped.applied == arrays.applied
        assert shipped.slashings == arrays.slashings
    assert exact[0].chain == vectorised[0].chain
    assert exact[0].validators == vectorised[0].validators
    assert exact[0].accounts == vectorised[0].accounts
    assert exact[0].triangles == vectorised[0].triangles


def compare(seeds: Iterable[int]) -> list[Played]:
    """Play each over both ledgers; what they agree on, without histories in which the chain stands still."""
    played: list[Played] = []
    for seed in seeds:
        scenario = random_scenario(seed)
        try:
            exact = play(scenario, seed, exact=True)
        except NoQuorum:
            with pytest.raises(NoQuorum):
                play(scenario, seed, exact=False)
            continue
        require_equal(exact, play(scenario, seed, exact=False))
        played.append(exact)
    return played


@pytest.mark.costly
def test_both_ledgers_give_the_same_to_the_last_micro_step() -> None:
    played = compare(range(HISTORIES_IN_EVERY_CHECK))
    require_eventful(played)


def test_both_ledgers_give_the_same_where_a_limit_is_as_high_and_a_pause_as_long_as_they_can_be() -> None:
    farmers = {"kind": "farmers", "name": "f", "city": "town", "accounts": 20, "proofs_per_day": 0.003}
    content = {
        "title": "all that genesis allows",
        "days": 1_200,
        "batches_per_day": 1,
        "parameters": {"speed_limit_mps": 300_000_000, "speed_horizon_ms": 10 * 365 * DAY_MS},
        "cities": [{"name": "town", "lat": 46.0, "lon": 20.0, "radius_km": 1.0}],
        "groups": [farmers],
    }
    scenario = scenarios_in(content, name="most", source="here")[AS_WRITTEN]
    require_equal(play(scenario, 1, exact=True), play(scenario, 1, exact=False))


@pytest.mark.long
def test_both_ledgers_give_the_same_on_a_thousand_random_histories() -> None:
    played = compare(range(HISTORIES))
    assert len(played) > HISTORIES * 9 // 10
    require_eventful(played)


@pytest.mark.long
@pytest.mark.parametrize("name", shipped_names())
def test_both_ledgers_give_the_same_on_the_beginning_of_every_shipped_scenario(name: str) -> None:
    for scenario in load_scenario(name).values():
        beginning = scenario.model_copy(update={"days": SHIPPED_DAYS})
        require_equal(play(beginning, 1, exact=True), play(beginning, 1, exact=False))


def require_eventful(played: list[Played]) -> None:
    """What the histories are there for has happened in them: else they would compare nothing with nothing."""
    days = [day for _, row in played for day in row]
    levels = np.concatenate([day.levels for day in days])
    assert set(range(1, 22)) | {REFUSED, EXHAUSTED} == set(levels.tolist())
    assert {type(action) for day in days for action in day.applied} == {Payment, Stake, Leave, TakeBack}
    kinds = {slashing.kind.value for day in days for slashing in day.slashings}
    assert {"DOUBLE_SIGN", "INVALID_PROPOSAL", "OFFLINE"} <= kinds
    assert any(state.chain.burnt_ustep for state, _ in played)
