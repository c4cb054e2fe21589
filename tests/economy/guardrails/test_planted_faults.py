"""Faults planted in the ledger, each found within one batch, by the guardrail that it breaks.

The world applies what the faulty ledger says, as a network of nodes would that all run it: nobody refuses anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from step_node.economy.guardrails.guardrail import OF_THE_LEDGER, Guardrail
from step_node.ledger import apply, execution, rules
from step_node.ledger.execution import LedgerExecution
from step_node.ledger.level_counts import counts_of_triangles
from step_node.ledger.records import ChainRecord
from step_node.ledger.rewards import rounded_reward_ustep, validator_rewards_ustep
from step_node.ledger.state_gates import clicks_max
from step_node.ledger.validators import ValidatorSheet
from tests.economy.guardrails.guarded_world import GuardedWorld
from tests.support.operations import STAKE_USTEP, register, transfer
from tests.support.proofs import address, signed_proof

Patch = pytest.MonkeyPatch


def _pays(patch: Patch, reward: Callable[[int, int], int]) -> None:
    patch.setattr(rules, "RULES", dict(rules.RULES) | {1: replace(rules.RULES[1], proof_reward_ustep=reward)})


def a_reward_one_too_high_at_one_level(patch: Patch) -> None:
    _pays(patch, lambda level, click: rounded_reward_ustep(level, click) + (level == 10))


def a_reward_one_too_low_at_one_level(patch: Patch) -> None:
    _pays(patch, lambda level, click: rounded_reward_ustep(level, click) - (level == 10))


def a_rounding_up(patch: Patch) -> None:
    _pays(patch, lambda level, _: -(-1_000_000 // (1 << (level - 1))))


def a_half_that_is_rounded_down(patch: Patch) -> None:
    # At level 8 it is 7,812.5; at most other levels nothing is otherwise.
    _pays(patch, lambda level, _: (2_000_000 + (1 << (level - 1)) - 1) // (2 << (level - 1)))


def a_validators_share_off_by_one(patch: Patch) -> None:
    def shares(paid: int, bps: int, signers: Any, proposer: bytes) -> dict[bytes, int]:
        found = validator_rewards_ustep(paid, bps, signers, proposer)
        return found | {proposer: found.get(proposer, 0) + 1} if found else found

    patch.setattr(apply, "validator_rewards_ustep", shares)


def a_share_that_goes_to_the_wrong_validator(patch: Patch) -> None:
    def shares(paid: int, bps: int, signers: Any, proposer: bytes) -> dict[bytes, int]:
        found = validator_rewards_ustep(paid, bps, signers, proposer)
        return {max(found): sum(found.values())} if found else found

    patch.setattr(apply, "validator_rewards_ustep", shares)


def _unconserved(patch: Patch) -> None:
    """The ledger's own check would stop the node, which is another promise."""
    patch.setattr(execution, "check_conservation", lambda _: None)


def _chain_records(patch: Patch, change: Callable[[ChainRecord, dict[str, Any]], None]) -> None:
    def record(**fields: Any) -> ChainRecord:
        made = ChainRecord(**fields)
        change(made, fields)
        return ChainRecord(**fields)

    patch.setattr(execution, "ChainRecord", record)


def a_supply_that_does_not_move(patch: Patch) -> None:
    _unconserved(patch)
    original = LedgerExecution.try_proof

    def try_proof(self: LedgerExecution, proof: Any, index: int) -> Any:
        before = self._minted_ustep
        outcome = original(self, proof, index)
        self._minted_ustep = before
        return outcome

    patch.setattr(LedgerExecution, "try_proof", try_proof)


def what_was_paid_told_too_high(patch: Patch) -> None:
    _chain_records(patch, lambda made, fields: fields.update(paid_ustep=made.paid_ustep + 20))


def a_sum_of_balances_that_forgets_something(patch: Patch) -> None:
    _unconserved(patch)
    _chain_records(patch, lambda made, fields: fields.update(balances_ustep=made.balances_ustep - 1))


def a_sum_and_a_supply_that_are_wrong_alike(patch: Patch) -> None:
    # So that the ledger's own check holds.
    _chain_records(
        patch,
        lambda made, fields: fields.update(balances_ustep=made.balances_ustep + 7, minted_ustep=made.minted_ustep + 7),
    )


def a_burnt_stake_that_is_not_burnt(patch: Patch) -> None:
    _chain_records(
        patch,
        lambda made, fields: fields.update(burnt_ustep=made.burnt_ustep + 5, minted_ustep=made.minted_ustep + 5),
    )


def a_balance_below_nothing(patch: Patch) -> None:
    original = LedgerExecution._send

    def send(self: LedgerExecution, sent: Any, balance_ustep: int) -> int:
        return original(self, sent, balance_ustep + 10**9) - 10**9

    patch.setattr(LedgerExecution, "_send", send)


def a_transfer_that_arrives_twice(patch: Patch) -> None:
    _unconserved(patch)
    original = LedgerExecution._send

    def send(self: LedgerExecution, sent: Any, balance_ustep: int) -> int:
        left_ustep = original(self, sent, balance_ustep)
        there = self._accounts[sent.to]
        self._accounts[sent.to] = replace(there, balance_ustep=there.balance_ustep + sent.amount_ustep)
        return left_ustep

    patch.setattr(LedgerExecution, "_send", send)


def a_stake_that_costs_less_than_it_is(patch: Patch) -> None:
    _unconserved(patch)
    original = ValidatorSheet._register
    patch.setattr(ValidatorSheet, "_register", lambda self, one, balance: original(self, one, balance) + 1)


def a_reward_for_the_wrong_account(patch: Patch) -> None:
    original = LedgerExecution.close

    def close(self: LedgerExecution, **named: Any) -> Any:
        mine, other = self._accounts[address("p0")], self._accounts[address("p1")]
        self._accounts[mine.address] = replace(mine, balance_ustep=mine.balance_ustep + 1)
        self._accounts[other.address] = replace(other, balance_ustep=other.balance_ustep - 1)
        return original(self, **named)

    patch.setattr(LedgerExecution, "close", close)


def clicks_that_are_not_counted(patch: Patch) -> None:
    original = LedgerExecution._click

    def click(self: LedgerExecution, proof: Any, triangle: Any) -> Any:
        return original(self, proof, replace(triangle, clicks=max(0, triangle.clicks - 1)))

    patch.setattr(LedgerExecution, "_click", click)


def a_triangle_that_takes_a_click_too_many(patch: Patch) -> None:
    patch.setattr(execution, "clicks_max", lambda level: clicks_max(level) + 1)


@dataclass(frozen=True)
class Planted:
    """A fault, and which guardrail of the ledger it breaks first of all."""

    plant: Callable[[Patch], None]
    breaks: set[Guardrail]


R, K, V, S, B, C = (
    Guardrail.REWARDS,
    Guardrail.CLICKS,
    Guardrail.VALIDATORS_SHARE,
    Guardrail.SUPPLY,
    Guardrail.BALANCES,
    Guardrail.CONSERVATION,
)

FAULTS = (
    Planted(a_reward_one_too_high_at_one_level, {R, S}),
    Planted(a_reward_one_too_low_at_one_level, {R, S}),
    Planted(a_rounding_up, {R, S}),
    Planted(a_half_that_is_rounded_down, {R, S}),
    Planted(a_validators_share_off_by_one, {V, S}),
    Planted(a_share_that_goes_to_the_wrong_validator, {V}),
    Planted(a_supply_that_does_not_move, {S, C}),
    Planted(what_was_paid_told_too_high, {S}),
    Planted(a_sum_of_balances_that_forgets_something, {C}),
    Planted(a_sum_and_a_supply_that_are_wrong_alike, {S, C}),
    Planted(a_burnt_stake_that_is_not_burnt, {S, C}),
    Planted(a_balance_below_nothing, {B}),
    Planted(a_transfer_that_arrives_twice, {B, C}),
    Planted(a_stake_that_costs_less_than_it_is, {B, C}),
    Planted(a_reward_for_the_wrong_account, {B}),
    Planted(clicks_that_are_not_counted, {K}),
    Planted(a_triangle_that_takes_a_click_too_many, {K}),
)


def _world() -> GuardedWorld:
    """Where somebody has just proven something in a triangle that has one click left: whose validators are due."""
    world = GuardedWorld(allocations={"alice": 5_000_000, "rich": 2 * STAKE_USTEP}, moratorium_ms=0)
    for index in range(10):
        world.apply(signed_proof(f"early-{index}", timestamp_ms=world.time_ms))
    world.check()
    return world


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.plant.__name__)
def test_a_planted_fault_is_found_with_the_batch_that_it_is_in(fault: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    world = _world()
    too_much = 6_000_000 if fault.plant is a_balance_below_nothing else 1_000_000
    fault.plant(monkeypatch)
    world.apply(
        signed_proof("p0", timestamp_ms=world.time_ms),
        signed_proof("p1", lat=10.0, level=8, timestamp_ms=world.time_ms),
        operations=[transfer("alice", "bob", 0, amount_ustep=too_much), register("rich", "hot-0", 0)],
    )
    assert {breach.guardrail for breach in world.breaches} == fault.breaks
    assert {breach.height for breach in world.breaches} == {11}
    assert set(world.guardrails.broken) == fault.breaks <= OF_THE_LEDGER
    assert all(breach.message for breach in world.breaches)
    # Clicks are no amount, and would be shown as one.
    assert all((breach.figure is None) == (breach.guardrail is Guardrail.CLICKS) for breach in world.breaches)


def test_without_a_fault_the_same_batch_breaks_nothing() -> None:
    world = _world()
    world.apply(
        signed_proof("p0", timestamp_ms=world.time_ms),
        signed_proof("p1", lat=10.0, level=8, timestamp_ms=world.time_ms),
        operations=[transfer("alice", "bob", 0, amount_ustep=1_000_000), register("rich", "hot-0", 0)],
    )
    world.check()


def test_a_breach_is_told_once_and_stays_when_the_fault_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    world = _world()
    with monkeypatch.context() as patch:
        a_reward_one_too_high_at_one_level(patch)
        world.apply(signed_proof("p0", lat=10.0, timestamp_ms=world.time_ms))
        world.apply(signed_proof("p1", lat=10.0, timestamp_ms=world.time_ms))
        assert [breach.height for breach in world.breaches] == [11, 11]
    world.apply(signed_proof("p2", lat=10.0, timestamp_ms=world.time_ms))
    assert {broken.breach.height for broken in world.guardrails.broken.values()} == {11}
    for guardrail in list(world.guardrails.broken):
        assert world.guardrails.acknowledge(guardrail) is not None
    world.apply(signed_proof("p3", lat=10.0, timestamp_ms=world.time_ms))
    assert not world.guardrails.broken  # What was minted too much is known to be there.
    assert world.guardrails.checked_height == 14


def test_a_supply_that_is_outside_its_band_is_found_by_who_has_not_seen_the_batch_that_did_it() -> None:
    """A node that was restarted, or has joined, knows the clicks that there are: they say what was minted."""
    world = _world()
    counts = counts_of_triangles(world.triangles.values())
    chain = replace(
        world.head.chain,
        minted_ustep=world.head.chain.minted_ustep + 100,
        balances_ustep=world.head.chain.balances_ustep + 100,
    )
    world.head = replace(world.head, chain=chain)
    world.guardrails = type(world.guardrails)(world.guardrails._origin, world.head, counts)
    world.apply(signed_proof("p0", lat=10.0, timestamp_ms=world.time_ms))
    assert [breach.guardrail for breach in world.breaches] == [Guardrail.SUPPLY]
    assert "by the clicks that there are" in world.breaches[0].message
