"""Nothing that the ledger's own tests do to it is a breach: rewards, slashes, registrations, withdrawals, upgrades."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from tests.economy.guardrails.guarded_world import GuardedWorld
from tests.ledger import test_apply, test_transfers, test_upgrades, test_validator_changes, test_validators

MODULES = (test_apply, test_transfers, test_upgrades, test_validator_changes, test_validators)

LEFT_OUT = {
    # It puts stakes into the head that no batch has brought there.
    "test_two_thirds_of_the_stake_are_not_enough_without_a_quorum_nor_a_quorum_without_the_stake",
    # These take seconds, and what they try is in the others.
    "test_a_stored_record_comes_back_as_it_was",
    "test_balances_are_those_of_a_plain_book_whatever_is_sent",
    "test_whatever_is_approved_and_taken_back_the_state_is_sound",
    "test_offences_cost_what_the_gravest_costs_in_whatever_order_and_batches_they_come",
    "test_nonces_leave_oldest_first_twice_as_fast_as_they_can_come_and_none_stays_for_ever",
}


def _tests() -> Iterator[Any]:
    for module in MODULES:
        for name, function in inspect.getmembers(module, inspect.isfunction):
            is_plain = not inspect.signature(function).parameters or hasattr(function, "hypothesis")
            if (
                name.startswith("test_")
                and name not in LEFT_OUT
                and is_plain
                and not getattr(function, "pytestmark", ())
            ):
                yield pytest.param(module, function, id=f"{module.__name__.rsplit('.', 1)[1]}-{name}")


@pytest.mark.parametrize(("module", "function"), list(_tests()))
def test_the_ledger_s_own_tests_break_no_guardrail(
    module: ModuleType, function: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    worlds: list[GuardedWorld] = []

    class Listed(GuardedWorld):
        def __init__(self, *arguments: Any, **parameters: Any) -> None:
            super().__init__(*arguments, **parameters)
            worlds.append(self)

    monkeypatch.setattr(module, "World", Listed)
    function()
    for world in worlds:
        assert world.breaches == []
        assert world.guardrails.checked_height == world.guardrails.head.chain.height
