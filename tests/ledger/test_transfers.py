"""Transfers: what moves, what is refused and then changes nothing, and that nothing is made or lost by any of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from step_node.ledger.apply import BatchRefused, keys_of
from step_node.ledger.records import ValidatorState
from step_node.operations.operation import Operation
from tests.ledger.world import World
from tests.support.operations import STAKE_USTEP, register, transfer, unbond, withdraw
from tests.support.proofs import address, signed_proof

ALICE_USTEP = 5_000_000


def world_of(**allocations: int) -> World:
    return World(4, allocations=allocations or {"alice": ALICE_USTEP}, epoch_batches=5, unbonding_ms=20_000)


def test_what_one_sends_the_other_has_and_an_account_comes_into_being() -> None:
    world = world_of()
    assert address("bob") not in world.accounts
    world.apply(operations=[transfer("alice", "bob", 0, amount_ustep=1_500_000, memo="rent")])
    assert (world.balance("alice"), world.balance("bob")) == (ALICE_USTEP - 1_500_000, 1_500_000)
    bob = world.accounts[address("bob")]
    assert (bob.operations, bob.proofs, bob.last_proof) == (0, 0, None)
    assert world.accounts[address("alice")].operations == 1
    assert world.head.chain.minted_ustep == ALICE_USTEP + 4 * STAKE_USTEP
    world.check()


def test_the_whole_balance_can_be_sent_and_the_empty_account_stays() -> None:
    world = world_of()
    world.apply(operations=[transfer("alice", "bob", 0, amount_ustep=ALICE_USTEP)])
    assert (world.balance("alice"), world.accounts[address("alice")].operations) == (0, 1)
    with pytest.raises(BatchRefused, match=r"operation 0: INSUFFICIENT_BALANCE: amount: the owner's balance is 0\.0"):
        world.apply(operations=[transfer("alice", "bob", 1)])
    world.check()


def test_a_batch_may_hold_what_its_earlier_operations_make_possible() -> None:
    world = world_of()
    chained = [
        transfer("alice", "bob", 0, amount_ustep=ALICE_USTEP),
        transfer("bob", "carol", 0, amount_ustep=ALICE_USTEP),
        transfer("carol", "alice", 0, amount_ustep=3),
        transfer("alice", "bob", 1, amount_ustep=1),
    ]
    with pytest.raises(BatchRefused, match="operation 0: INSUFFICIENT_BALANCE"):
        world.apply(operations=[chained[1], chained[0]])
    world.apply(operations=chained)
    assert [world.balance(name) for name in ("alice", "bob", "carol")] == [2, 1, ALICE_USTEP - 3]
    world.check()


def test_what_a_proof_earns_can_be_sent_from_the_next_batch_on() -> None:
    world = world_of()
    earning = signed_proof("walker", timestamp_ms=world.time_ms + 1_000, level=1)
    with pytest.raises(BatchRefused, match="INSUFFICIENT_BALANCE"):
        world.apply(earning, operations=[transfer("walker", "bob", 0)])
    world.apply(earning)
    world.apply(operations=[transfer("walker", "bob", 0, amount_ustep=1_000_000)])
    walker = world.accounts[address("walker")]
    assert (walker.balance_ustep, walker.proofs, walker.operations) == (0, 1, 1)
    assert walker.last_proof is not None
    world.check()


@pytest.mark.parametrize("sequence", [0, 2, 2**63 - 1])
def test_a_transfer_is_applied_once_and_in_its_turn(sequence: int) -> None:
    world = world_of()
    world.apply(operations=[transfer("alice", "bob", 0)])
    with pytest.raises(BatchRefused, match="WRONG_SEQUENCE: sequence: the owner's next is 1"):
        world.apply(operations=[transfer("alice", "bob", sequence)])
    assert world.balance("bob") == 1


def test_transfers_and_operations_about_validators_share_one_sequence() -> None:
    world = world_of(alice=2 * STAKE_USTEP)
    world.apply(operations=[register("alice", "hot", 0), transfer("alice", "bob", 1), unbond("alice", "hot", 2)])
    assert world.validator("hot").state is ValidatorState.UNBONDING
    assert world.accounts[address("alice")].operations == 3
    world.check()


def test_the_records_of_a_transfer_are_its_owner_s_and_its_recipient_s() -> None:
    operations: list[Operation] = [transfer("alice", "bob", 0), unbond("carol", "hot", 0)]
    keys = keys_of((), operations=operations)
    assert keys.accounts == {address("alice"), address("bob"), address("carol")}


def test_a_stake_that_no_account_has_is_gathered_from_several_and_registered() -> None:
    shares = dict.fromkeys(("ann", "ben", "cid", "dan"), STAKE_USTEP // 4)
    world = world_of(**shares)
    with pytest.raises(BatchRefused, match="INSUFFICIENT_BALANCE"):
        world.apply(operations=[register("ann", "hot", 0)])
    world.apply(operations=[transfer(name, "ann", 0, amount_ustep=STAKE_USTEP // 4) for name in ("ben", "cid", "dan")])
    world.apply(operations=[register("ann", "hot", 0)])
    assert world.balance("ann") == 0
    while world.validator("hot").state is not ValidatorState.ACTIVE:
        world.apply()
    assert world.validator("hot").stake_ustep == STAKE_USTEP
    # And back to those it came from, once it is free.
    world.apply(operations=[unbond("ann", "hot", 1)])
    while world.validator("hot").state is not ValidatorState.UNBONDING:
        world.apply()
    world.apply(
        at_ms=world.validator("hot").locked_until_ms,
        operations=[withdraw("ann", "hot", 2), transfer("ann", "ben", 3, amount_ustep=STAKE_USTEP // 4)],
    )
    assert world.balance("ben") == STAKE_USTEP // 4
    world.check()


NAMES = ["alice", "bob", "carol", "dave"]


@settings(max_examples=100, deadline=None)
@given(
    batches=st.lists(
        st.lists(
            st.tuples(
                st.sampled_from(NAMES),
                st.sampled_from(NAMES),
                st.one_of(st.integers(1, 10), st.integers(1, 2 * ALICE_USTEP)),
                st.sampled_from([0, 0, 0, 1]),
            ),
            max_size=6,
        ),
        max_size=8,
    )
)
def test_balances_are_those_of_a_plain_book_whatever_is_sent(
    batches: list[list[tuple[str, str, int, int]]],
) -> None:
    world = world_of(alice=ALICE_USTEP, bob=7)
    book = {name: world.balance(name) for name in NAMES}
    sequences = dict.fromkeys(NAMES, 0)
    for moves in batches:
        operations: list[Operation] = []
        for sender, recipient, amount_ustep, too_late in moves:
            if sender == recipient:
                continue
            operation = transfer(sender, recipient, sequences[sender] + too_late, amount_ustep=amount_ustep)
            if too_late or book[sender] < amount_ustep:
                refused = "WRONG_SEQUENCE" if too_late else "INSUFFICIENT_BALANCE"
                with pytest.raises(BatchRefused, match=refused):
                    world.apply(operations=[*operations, operation])
                continue
            operations.append(operation)
            book[sender] -= amount_ustep
            book[recipient] += amount_ustep
            sequences[sender] += 1
        world.apply(operations=operations)
        assert {name: world.balance(name) for name in NAMES} == book
        world.check()
