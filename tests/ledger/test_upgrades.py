"""What rules come next: approvals, the agreement, its end, and the change at its height (protocol.md §6)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from step_node.ledger.apply import BatchRefused
from step_node.ledger.offences import Offence, OffenceKind
from step_node.ledger.protocol_record import ProtocolRecord, Upgrade, UpgradeVote, protocol_record_from
from step_node.ledger.records import record_bytes
from step_node.ledger.rewards import exact_reward_ustep, rounded_reward_ustep
from step_node.ledger.rules import RULES, UnknownRules, known_versions, rules_of
from step_node.ledger.upgrades import first_possible_height
from step_node.operations.operation import Operation
from tests.ledger.world import World
from tests.support.chains import validator_names
from tests.support.operations import STAKE_USTEP, approve_upgrade, cancel_upgrade, register, rotate, unbond
from tests.support.proofs import address, signed_proof

NAMES = validator_names(4)
EPOCH = 5
AT = 11
"""The first height from which on rules can hold that are agreed on in the first epoch."""


def world_of(validators: int = 4) -> World:
    return World(validators, allocations={"alice": 9 * STAKE_USTEP}, epoch_batches=EPOCH, unbonding_ms=20_000)


def approve(world: World, name: str, *, version: int = 2, height: int = AT, release: str = "0.2.0") -> Operation:
    sequence = account.operations if (account := world.accounts.get(address(name))) else 0
    return approve_upgrade(name, name, sequence, version=version, height=height, release=release)


def cancel(world: World, name: str) -> Operation:
    return cancel_upgrade(name, name, world.accounts[address(name)].operations)


def agree(world: World, names: list[str], *, version: int = 2, height: int = AT) -> None:
    for name in names:
        world.apply(operations=[approve(world, name, version=version, height=height)])


def agreed_in(world: World) -> Upgrade | None:
    return world.head.protocol.agreed


def go_to(world: World, height: int) -> None:
    while world.height < height:
        world.apply()


def refusal(world: World, *operations: Operation) -> str:
    with pytest.raises(BatchRefused) as refused:
        world.apply(operations=operations)
    return str(refused.value)


def test_a_quorum_agrees_and_the_rules_change_at_the_height_and_not_before() -> None:
    world = world_of()
    agree(world, NAMES[:2])
    assert agreed_in(world) is None
    agree(world, NAMES[2:3])
    assert agreed_in(world) == Upgrade(2, AT, "0.2.0")
    for height in range(4, AT):
        assert world.head.protocol.version == 1, height
        world.apply()
    # The record is of the next batch, as the set is.
    assert world.height == AT - 1
    assert world.head.protocol == ProtocolRecord(Upgrade(2, AT, "0.2.0"))
    world.check()


def test_a_reward_is_that_of_the_rules_in_force() -> None:
    """Level 8 pays 7,812.5 µSTEP: version 1 rounds each proof up, version 2 every second one."""
    world = world_of()
    agree(world, NAMES[:3])
    paid: list[int] = []
    for number in range(1, 12):
        proof = signed_proof(f"client-{number}", level=8, timestamp_ms=world.time_ms + 1_000)
        (receipt,) = world.apply(proof).receipts
        paid.append(receipt.reward_ustep)
        assert receipt.height == 3 + number
    # Heights 4 to 10 by version 1; 11 to 14 are clicks 8 to 11 by version 2.
    assert paid == [7_813] * 7 + [7_813, 7_812, 7_813, 7_812]
    world.check()


def test_two_thirds_of_the_stake_are_not_enough_without_a_quorum_nor_a_quorum_without_the_stake() -> None:
    world = world_of()
    rich = address(NAMES[0])
    records = tuple(
        replace(one, stake_ustep=20 * one.stake_ustep) if one.address == rich else one for one in world.head.validators
    )
    world.head = replace(world.head, validators=records)
    agree(world, NAMES[1:])
    assert agreed_in(world) is None, "three of four, with 3/23 of the stake"
    world.apply(operations=[cancel(world, NAMES[1]), cancel(world, NAMES[2]), approve(world, NAMES[0])])
    assert agreed_in(world) is None, "two of four, with 21/23 of the stake"


def test_an_upgrade_is_off_when_too_few_are_left_and_can_be_agreed_on_again() -> None:
    world = world_of()
    agree(world, NAMES)
    world.apply(operations=[cancel(world, NAMES[0])])
    assert agreed_in(world) is not None, "three of four are enough"
    again = AT + EPOCH
    world.apply(operations=[cancel(world, NAMES[1])])
    assert agreed_in(world) is None
    agree(world, NAMES[:3], height=again)
    go_to(world, again - 1)
    assert world.head.protocol.in_force == Upgrade(2, again, "0.2.0")
    world.check()


def test_it_can_be_cancelled_until_the_last_batch_before_its_height() -> None:
    world = world_of()
    agree(world, NAMES[:3])
    go_to(world, AT - 2)
    world.apply(operations=[cancel(world, NAMES[0])])
    assert world.head.protocol.version == 1
    assert agreed_in(world) is None


def test_what_cannot_be_approved_is_refused_and_says_why() -> None:
    world = world_of()
    for height in (1, AT - 1, AT + 1, AT - EPOCH):
        assert "must be the first height of an epoch, 11" in refusal(world, approve(world, NAMES[0], height=height))
    assert "above the one in force, 1" in refusal(world, approve(world, NAMES[0], version=1))
    assert "nothing to take back" in refusal(world, cancel_upgrade(NAMES[0], NAMES[0], 0))
    agree(world, NAMES[:3])
    assert "approved it already" in refusal(world, approve(world, NAMES[0]))
    assert "have it cancelled first" in refusal(world, approve(world, NAMES[3], version=3))
    assert "have it cancelled first" in refusal(world, approve(world, NAMES[3], release="0.3.0"))
    assert world.height == 3


def test_only_members_of_the_set_are_asked() -> None:
    world = world_of()
    world.apply(operations=[register("alice", "hot", 0)])
    assert "only a member of the set" in refusal(world, approve_upgrade("alice", "hot", 1, height=AT))
    stranger = approve_upgrade("alice", NAMES[0], 1, height=AT)
    assert "NOT_THE_OWNER" in refusal(world, stranger)


def test_after_an_epoch_without_agreement_approvals_are_forgotten() -> None:
    world = world_of()
    agree(world, NAMES[:2])
    go_to(world, EPOCH - 1)
    assert len(world.head.protocol.votes) == 2
    world.apply()
    assert world.head.protocol == ProtocolRecord()
    world.check()


def test_an_approval_follows_a_key_that_is_replaced_and_goes_with_a_validator_that_leaves() -> None:
    world = world_of()
    agree(world, NAMES[:3], height=AT + EPOCH)
    world.apply(operations=[rotate(NAMES[0], NAMES[0], "new", 1)])
    world.apply(operations=[unbond(NAMES[1], NAMES[1], 1)])
    assert world.height == EPOCH
    voters = {vote.validator for vote in world.head.protocol.votes}
    assert voters == {address("new"), address(NAMES[2])}
    assert agreed_in(world) is not None, "what is agreed on stays so while the set changes"
    world.check()


def test_a_slashed_validator_has_no_say() -> None:
    world = world_of()
    agree(world, NAMES[:2])
    world.apply(offences=[Offence(OffenceKind.DOUBLE_SIGN, address(NAMES[0]), 1, b"e")])
    agree(world, NAMES[2:3])
    # Two of three that are left are a quorum, and have two thirds of the stake, which is not more than two thirds.
    assert agreed_in(world) is None
    agree(world, NAMES[3:])
    assert agreed_in(world) is not None


def test_a_batch_cannot_be_applied_by_rules_that_are_not_known() -> None:
    world = world_of()
    agree(world, NAMES[:3], version=max(RULES) + 1)
    go_to(world, AT - 1)
    before = world.head
    with pytest.raises(UnknownRules, match=r"protocol version 3 is in force from height 11 on.*release 0\.2\.0"):
        world.apply()
    assert world.head == before
    with pytest.raises(UnknownRules):
        rules_of(before.protocol)


@given(st.integers(1, 10**6), st.integers(1, 10**4))
def test_a_whole_epoch_lies_between_the_agreement_and_the_change(agreed_at: int, epoch_batches: int) -> None:
    first = first_possible_height(agreed_at, epoch_batches)
    assert (first - 1) % epoch_batches == 0
    assert epoch_batches < first - agreed_at <= 2 * epoch_batches


@given(st.integers(1, 21), st.integers(1, 28))
def test_exact_rewards_add_up_to_the_exact_share_rounded_down(level: int, clicks: int) -> None:
    paid = sum(exact_reward_ustep(level, click) for click in range(1, clicks + 1))
    assert paid == clicks * 10**6 // 2 ** (level - 1)
    assert exact_reward_ustep(level, clicks) <= rounded_reward_ustep(level, clicks) + 1


def test_rounded_rewards_pay_more_than_the_share_where_most_of_the_value_is() -> None:
    assert [rounded_reward_ustep(level, 1) for level in (18, 19, 20, 21)] == [8, 4, 2, 1]
    assert sum(exact_reward_ustep(21, click) for click in range(1, 29)) == 26


def test_the_versions_are_numbered_without_a_gap() -> None:
    assert known_versions() == tuple(range(1, len(RULES) + 1))
    assert all(rules.version == version for version, rules in RULES.items())


@given(
    st.builds(
        ProtocolRecord,
        upgrade := st.builds(Upgrade, st.integers(1, 65_535), st.integers(1, 2**53 - 1), st.text(max_size=32)),
        st.none() | upgrade,
        st.lists(st.builds(UpgradeVote, st.binary(min_size=20, max_size=20), upgrade), max_size=5).map(tuple),
    )
)
def test_a_stored_record_comes_back_as_it_was(record: ProtocolRecord) -> None:
    assert protocol_record_from(record_bytes(record)) == record


@settings(max_examples=40)
@given(st.data())
def test_whatever_is_approved_and_taken_back_the_state_is_sound(data: st.DataObject) -> None:
    """Conservation and the root from scratch after each batch; one vote a validator; nothing agreed on too late."""
    world = world_of()
    for _ in range(data.draw(st.integers(1, 12))):
        name = data.draw(st.sampled_from(NAMES))
        sequence = account.operations if (account := world.accounts.get(address(name))) else 0
        choices: list[Operation] = [cancel_upgrade(name, name, sequence)]
        for version, height in ((2, AT), (3, AT), (2, AT + EPOCH), (3, AT + EPOCH)):
            choices.append(approve_upgrade(name, name, sequence, version=version, height=height))
        operation = data.draw(st.sampled_from(choices))
        was_agreed = world.head.protocol.agreed
        try:
            world.apply(operations=[operation])
        except BatchRefused:
            world.apply()
        except UnknownRules:
            assert world.head.protocol.version == 3
            return
        protocol = world.head.protocol
        if protocol.agreed is not None and protocol.agreed != was_agreed:
            assert protocol.agreed.activation_height >= first_possible_height(world.height, EPOCH)
        voters = [vote.validator for vote in protocol.votes]
        assert voters == sorted(set(voters))
        world.check()
