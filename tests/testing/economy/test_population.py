"""Made-up people move as was measured of real ones, and are where they can be."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from step_node.testing.economy import movement
from step_node.testing.economy.movement import Floats
from step_node.testing.economy.population import GENESIS_MS, Attempts, populate
from step_node.testing.economy.scenario import AS_WRITTEN, DAY_MS, scenarios_in

DRAWN = 200_000
CLOSE = 0.006
"""Shares of so many draws are that near to what they should be: five deviations and more."""


def dice() -> np.random.Generator:
    return np.random.default_rng(13)


def attempts_of(group: dict[str, Any], *, days: int = 7, radius_km: float = 5.0) -> Attempts:
    content = {
        "title": "one group",
        "days": days,
        "cities": [{"name": "town", "lat": 47.0, "lon": 19.0, "radius_km": radius_km}],
        "groups": [{"name": "people", "city": "town"} | group],
    }
    return populate(scenarios_in(content, name="t", source="t")[AS_WRITTEN], dice())[1]


def metres_apart(lat: Floats, lon: Floats, other_lat: Floats | float, other_lon: Floats | float) -> Floats:
    """On a plane, which is near enough within a city."""
    north = (lat - other_lat) * movement.METRES_PER_DEGREE
    east = (lon - other_lon) * movement.METRES_PER_DEGREE * np.cos(np.radians(lat))
    return np.hypot(north, east)


@pytest.mark.parametrize("metres", [500.0, 5_000.0, 50_000.0])
def test_displacements_follow_the_truncated_power_law(metres: float) -> None:
    drawn = movement.tapered_power_law(dice(), DRAWN, offset_m=1_500.0, exponent=1.75, cutoff_m=80_000.0)
    beyond = ((metres + 1_500.0) / 1_500.0) ** -0.75 * math.exp(-metres / 80_000.0)
    assert float(np.mean(drawn > metres)) == pytest.approx(beyond, abs=CLOSE)


def test_the_second_place_is_visited_as_often_as_the_law_of_visits_says() -> None:
    ranks = movement.ranks_visited(dice(), DRAWN, 12)
    counts = np.bincount(ranks, minlength=12)
    assert counts[1] / counts[0] == pytest.approx(2**-1.2, abs=2 * CLOSE)
    assert counts[11] > 0


def test_cities_are_densest_in_the_middle_and_end_at_their_radius() -> None:
    north, east = movement.from_centre(dice(), DRAWN, 9_000.0)
    distances = np.hypot(north, east)
    assert distances.max() <= 9_000.001
    within_scale = (1 - 2 * math.exp(-1)) / (1 - 4 * math.exp(-3))
    assert float(np.mean(distances < 3_000.0)) == pytest.approx(within_scale, abs=CLOSE)


def test_walkers_walk() -> None:
    tried = attempts_of({"kind": "walkers", "accounts": 200, "proofs_per_day": 5.0, "proofs_per_walk": 5})
    order = np.lexsort((tried.timestamp_ms, tried.account))
    seconds = np.diff(tried.timestamp_ms[order]) / 1_000
    metres = metres_apart(tried.lat[order][1:], tried.lon[order][1:], tried.lat[order][:-1], tried.lon[order][:-1])
    on_a_walk = (np.diff(tried.account[order]) == 0) & (seconds < 900)
    speeds = metres[on_a_walk] / seconds[on_a_walk]
    assert np.count_nonzero(on_a_walk) > 2_000
    assert float(np.median(speeds)) == pytest.approx(movement.WALKING_MPS * movement.DETOUR_SHARE, rel=0.05)
    # Two walks of one day may be near in time; but those are few.
    assert float(np.mean(speeds > 2.0)) < 0.05


def test_commuters_ride_on_five_days_of_seven_and_are_at_home_on_the_others() -> None:
    tried = attempts_of({"kind": "commuters", "accounts": 300, "proofs_per_day": 10.0})
    day = (tried.timestamp_ms - GENESIS_MS) // DAY_MS
    hour = (tried.timestamp_ms - GENESIS_MS) % DAY_MS / 3_600_000
    homes = {
        account: (np.median(tried.lat[mine]), np.median(tried.lon[mine]))
        for account in np.unique(tried.account)
        for mine in [(tried.account == account) & (day >= 5)]
    }
    home_lat = np.array([homes[account][0] for account in tried.account])
    home_lon = np.array([homes[account][1] for account in tried.account])
    from_home = metres_apart(tried.lat, tried.lon, home_lat, home_lon)
    assert from_home[day >= 5].max() < 60.0
    at_work = (day < 5) & (hour > 11) & (hour < 13)
    assert float(np.mean(from_home[at_work] > 200.0)) > 0.75


def test_a_crowd_is_in_its_place_on_its_days_alone() -> None:
    tried = attempts_of(
        {"kind": "crowd", "accounts": 100, "proofs_per_day": 3.0, "every_days": 3, "radius_m": 50.0}, days=7
    )
    assert set(((tried.timestamp_ms - GENESIS_MS) // DAY_MS).tolist()) == {2, 5}
    assert metres_apart(tried.lat, tried.lon, 47.0, 19.0).max() < 50.0 + 10 * movement.GPS_DEVIATION_M


def test_invented_accounts_are_anywhere_and_wait_for_longer_than_anybody_is_compared() -> None:
    tried = attempts_of({"kind": "farmers", "accounts": 200, "proofs_per_day": 6.0})
    assert tried.lat.min() < -60 < 60 < tried.lat.max()
    # Equal areas: half of a sphere lies within 30 degrees of its equator.
    assert float(np.mean(np.abs(tried.lat) < 30)) == pytest.approx(0.5, abs=0.03)
    order = np.lexsort((tried.timestamp_ms, tried.account))
    same = np.diff(tried.account[order]) == 0
    hours = np.diff(tried.timestamp_ms[order])[same] / 3_600_000
    assert float(np.mean(hours > 1)) > 0.95


def test_tourists_see_the_same_sights() -> None:
    tried = attempts_of({"kind": "tourists", "accounts": 300, "proofs_per_day": 5.0, "sights": 4})
    spots = np.unique(np.round(np.stack([tried.lat, tried.lon]) * 300), axis=1)
    assert spots.shape[1] < 40
