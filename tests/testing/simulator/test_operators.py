"""Operators at work in the simulated world: each procedure comes to its end, and breaks no promise."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import pytest

from step_node.testing.simulator.campaign import quiet
from step_node.testing.simulator.settings import OPERATORS_ACTS, FaultKind, RunKind, SimulationSettings
from step_node.testing.simulator.world import History, simulate_seed

pytestmark = pytest.mark.long

LIVENESS_SEEDS = (1, 3, 5)
"""Odd seeds are liveness runs: whatever an operator has begun must end in them."""


LEAVING_SEED = 9
"""One in which a validator leaves."""


@cache
def on_a_good_day(act: FaultKind, seeds: Sequence[int] = LIVENESS_SEEDS) -> Sequence[History]:
    """Histories in which nothing goes wrong but what operators do by themselves."""
    settings = SimulationSettings(faults=frozenset(), acts=frozenset({act}))
    with quiet():
        return [simulate_seed(seed, settings, keep_lines=True) for seed in seeds]


@pytest.mark.parametrize("act", sorted(OPERATORS_ACTS))
def test_a_procedure_comes_to_its_end_on_a_good_day(act: FaultKind) -> None:
    found = on_a_good_day(act)
    assert [(one.violations, one.stuck) for one in found] == [((), None)] * len(found)
    assert all(one.plan.kind is RunKind.LIVENESS for one in found)
    assert sum(one.procedures for one in found) > 0


def test_a_validator_leaves_and_takes_its_stake_along_and_another_joins() -> None:
    lines = [line for one in on_a_good_day(FaultKind.MEMBERSHIP, (LEAVING_SEED,)) for line in one.lines]
    assert any("is done: to leave" in line for line in lines)
    assert any("has sent on some of its stake" in line for line in lines)
    assert any("is done: to become a validator" in line for line in lines)


def test_a_node_restored_from_keys_alone_starts_only_with_a_word_and_signs_again() -> None:
    lines = [line for one in on_a_good_day(FaultKind.RESTORE) for line in one.lines]
    assert any("NoWordSaid" in line for line in lines)
    assert any("is done: to restore from keys alone" in line for line in lines)


def test_whoever_is_away_for_long_is_jailed_and_comes_back() -> None:
    lines = [line for one in on_a_good_day(FaultKind.ABSENCE) for line in one.lines]
    assert any("is done: to come back from jail" in line for line in lines)


def test_a_newcomer_joins_from_a_snapshot_on_the_simulated_disk() -> None:
    lines = [line for one in on_a_good_day(FaultKind.JOIN) for line in one.lines]
    assert any("from a snapshot" in line for line in lines)


def test_a_node_that_runs_goes_on_with_its_next_key_by_itself() -> None:
    lines = [line for one in on_a_good_day(FaultKind.ROTATION) for line in one.lines]
    assert any("is done: to change its key while it runs" in line for line in lines)


def test_rules_change_and_a_node_that_was_left_behind_goes_on_with_the_new_release() -> None:
    lines = [line for one in on_a_good_day(FaultKind.UPGRADE) for line in one.lines]
    assert any("stops: UnknownRules" in line for line in lines)
    assert any("all operators are done: to come to other rules; version 2 is in force" in line for line in lines)


CALLED_OFF_SEEDS = (2, 6)
"""Those in which an agreed upgrade is called off."""


def test_an_upgrade_is_called_off_and_agreed_on_again() -> None:
    lines = [line for one in on_a_good_day(FaultKind.UPGRADE, CALLED_OFF_SEEDS) for line in one.lines]
    assert sum("is proposed from height" in line for line in lines) > len(CALLED_OFF_SEEDS)
    assert any("the upgrade is called off" in line for line in lines)
