"""The simulator can fail: bugs that are planted in the shipped code are found, and found again at their seeds."""

from __future__ import annotations

import pytest

from tests.testing.simulator.planted_bugs import BUGS, SEEDS_MAX, PlantedBug, find

pytestmark = pytest.mark.costly

QUICK_SEEDS = 4
"""Bugs that this many seeds find are looked for in every test run; the others with `make simulate`."""

QUICK = [bug for bug in BUGS if bug.found_by <= QUICK_SEEDS]
OTHERS = [bug for bug in BUGS if bug.found_by > QUICK_SEEDS]


def test_there_are_at_least_ten_bugs_with_names_of_their_own() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 10
    assert len(QUICK) >= 8


@pytest.mark.parametrize("bug", QUICK, ids=lambda bug: bug.name)
def test_a_planted_bug_is_found_in_a_few_seeds(bug: PlantedBug) -> None:
    assert find(bug, range(3 * QUICK_SEEDS)) is not None


@pytest.mark.slow
@pytest.mark.simulate
@pytest.mark.parametrize("bug", OTHERS, ids=lambda bug: bug.name)
def test_a_planted_bug_is_found(bug: PlantedBug) -> None:
    assert find(bug, range(SEEDS_MAX)) is not None
