"""Whatever number of what the ledger made of a batch is another: it is found, and what finds it does not stop at it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from step_node.chain.judging import JudgedBatch
from step_node.economy.guardrails.checking import check_batch
from step_node.ledger.apply import LedgerTransition
from step_node.ledger.offences import Offence, OffenceKind
from step_node.ledger.state import StateHead
from step_node.operations.operation import Operation
from tests.economy.guardrails.guarded_world import judged
from tests.ledger.world import World
from tests.support.chains import validator_names
from tests.support.operations import STAKE_USTEP, register, transfer, withdraw
from tests.support.proofs import address, signed_proof

Change: TypeAlias = Callable[[LedgerTransition, int, int], LedgerTransition]
"""Another transition: by the place that is changed, and by how much."""


@cache
def a_batch() -> tuple[StateHead, JudgedBatch]:
    """Proofs, transfers, a registration, a stake that comes back and one that is slashed; validators are due."""
    world = World(allocations={"alice": 5_000_000, "rich": 2 * STAKE_USTEP}, jail_ms=1_000, unbonding_ms=100_000)
    first, second, *_ = validator_names(4)
    world.apply(*(signed_proof(f"p-{n}", lat=n, timestamp_ms=world.time_ms) for n in range(5)))
    world.apply(offences=[Offence(OffenceKind.DOUBLE_SIGN, address(first), 1, b"e")])
    world.apply(signed_proof("q", timestamp_ms=world.time_ms))
    before, signers = world.head, sorted(world.members(world.height))
    proofs = tuple(signed_proof(f"r-{n}", lat=n, level=8 + n % 3, timestamp_ms=world.time_ms) for n in range(8))
    operations: list[Operation] = [
        transfer("alice", "bob", 0, amount_ustep=7),
        transfer("bob", "alice", 0, amount_ustep=3),
        register("rich", "hot-0", 0),
        withdraw(first, first, 0),
    ]
    transition = world.apply(
        *proofs,
        at_ms=world.time_ms + 10_000,
        operations=operations,
        offences=[Offence(OffenceKind.DOUBLE_SIGN, address(second), 2, b"e")],
        signers=signers,
    )
    world.check()
    return before, judged(before, transition, proofs, operations, signers)


def _receipt(field: str) -> Change:
    def change(transition: LedgerTransition, place: int, by: int) -> LedgerTransition:
        receipts = list(transition.receipts)
        one = receipts[place % len(receipts)]
        receipts[place % len(receipts)] = one._replace(**{field: getattr(one, field) + by})
        return replace(transition, receipts=tuple(receipts))

    return change


def _operation_receipt(transition: LedgerTransition, place: int, by: int) -> LedgerTransition:
    receipts = list(transition.operation_receipts)
    one = receipts[place % len(receipts)]
    receipts[place % len(receipts)] = one._replace(balance_ustep=one.balance_ustep + by)
    return replace(transition, operation_receipts=tuple(receipts))


def _account(transition: LedgerTransition, place: int, by: int) -> LedgerTransition:
    accounts = list(transition.changes.accounts)
    one = accounts[place % len(accounts)]
    accounts[place % len(accounts)] = replace(one, balance_ustep=one.balance_ustep + by)
    return replace(transition, changes=replace(transition.changes, accounts=tuple(accounts)))


def _head(field: str) -> Change:
    def change(transition: LedgerTransition, _: int, by: int) -> LedgerTransition:
        head = transition.changes.head
        chain = replace(head.chain, **{field: getattr(head.chain, field) + by})
        return replace(transition, changes=replace(transition.changes, head=replace(head, chain=chain)))

    return change


def _stake(transition: LedgerTransition, place: int, by: int) -> LedgerTransition:
    head = transition.changes.head
    records = list(head.validators)
    one = records[place % len(records)]
    records[place % len(records)] = replace(one, stake_ustep=one.stake_ustep + by)
    return replace(transition, changes=replace(transition.changes, head=replace(head, validators=tuple(records))))


def _share(transition: LedgerTransition, place: int, by: int) -> LedgerTransition:
    shares = dict(transition.validator_rewards_ustep)
    key = sorted(shares)[place % len(shares)]
    return replace(transition, validator_rewards_ustep=shares | {key: shares[key] + by})


def _slashing(transition: LedgerTransition, place: int, by: int) -> LedgerTransition:
    slashings = list(transition.slashings)
    one = slashings[place % len(slashings)]
    slashings[place % len(slashings)] = replace(one, amount_ustep=one.amount_ustep + by)
    return replace(transition, slashings=tuple(slashings))


def _without(field: str) -> Change:
    def change(transition: LedgerTransition, place: int, _: int) -> LedgerTransition:
        found = list(getattr(transition, field))
        del found[place % len(found)]
        left: Any = {field: tuple(found)}
        return replace(transition, **left)

    return change


def _account_left_out(transition: LedgerTransition, place: int, _: int) -> LedgerTransition:
    accounts = list(transition.changes.accounts)
    del accounts[place % len(accounts)]
    return replace(transition, changes=replace(transition.changes, accounts=tuple(accounts)))


CHANGES: dict[str, Change] = {
    **{f"a receipt's {field}": _receipt(field) for field in ("reward_ustep", "clicks", "balance_ustep", "triangle")},
    "a receipt's state": _receipt("triangle_state"),
    "an operation's receipt": _operation_receipt,
    "an account": _account,
    **{
        f"the chain's {field}": _head(field)
        for field in ("paid_ustep", "minted_ustep", "balances_ustep", "stakes_ustep", "burnt_ustep")
    },
    "a stake": _stake,
    "a validator's share": _share,
    "a slashing": _slashing,
    "a receipt left out": _without("receipts"),
    "an operation's receipt left out": _without("operation_receipts"),
    "a slashing left out": _without("slashings"),
    "an account left out": _account_left_out,
}


def test_the_batch_itself_breaks_nothing() -> None:
    before, batch = a_batch()
    assert check_batch(before, batch).breaches == {}


@pytest.mark.parametrize("name", CHANGES)
@settings(max_examples=15, deadline=None)
@given(
    place=st.integers(0, 20),
    by=st.one_of(st.sampled_from([-1, 1]), st.integers(-(2**70), 2**70)).filter(bool),
)
def test_a_number_that_is_another_is_found(name: str, place: int, by: int) -> None:
    before, batch = a_batch()
    changed = CHANGES[name](batch.transition, place, by)
    found = check_batch(before, replace(batch, transition=changed)).breaches
    assert found
    assert all(breach.message for breach in found.values())


def test_a_share_that_is_what_another_batch_before_would_have_given_is_found() -> None:
    before, batch = a_batch()
    assert check_batch(before, batch, last_paid_ustep=before.chain.paid_ustep + 1_000).breaches


def test_a_field_that_nobody_thought_of_here_is_no_number() -> None:
    """Should the ledger's transition get another part, somebody must say whether the guardrails look at it."""
    looked_at: set[str] = {
        "changes",
        "receipts",
        "slashings",
        "operation_receipts",
        "validator_rewards_ustep",
        "balances_before_ustep",
        "clicks_before",
    }
    told_only: set[str] = {"validator_changes"}
    fields: Any = LedgerTransition.__dataclass_fields__
    assert set(fields) == looked_at | told_only
