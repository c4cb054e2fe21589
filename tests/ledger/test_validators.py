"""Validators' lives and slashing: each rule in a small step, then anything in any order."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from step_node.ledger import validators
from step_node.ledger.apply import BatchRefused
from step_node.ledger.offences import Offence, OffenceKind
from step_node.ledger.records import ValidatorState
from step_node.ledger.validator_changes import ValidatorChangeKind
from step_node.ledger.validators import OFFLINE_BATCHES_MIN, validator_set
from step_node.operations.operation import Operation
from tests.ledger.world import World
from tests.support.chains import validator_names
from tests.support.operations import STAKE_USTEP, register, rotate, set_address, transfer, unbond, withdraw
from tests.support.proofs import START_MS, address, signed_proof

NAMES = validator_names(4)
ALICE = {"alice": 5 * STAKE_USTEP}


def world_of(validators: int = 4, **parameters: int) -> World:
    """Epochs of 5 batches, short waits, and alice, who can pay for five validators."""
    short = {"epoch_batches": 5, "unbonding_ms": 20_000, "jail_ms": 30_000}
    return World(validators, allocations=ALICE, **(short | parameters))


def go_to(world: World, height: int) -> None:
    while world.height < height:
        world.apply()


def double_sign(name: str, height: int) -> Offence:
    return Offence(OffenceKind.DOUBLE_SIGN, address(name), height, b"evidence")


# --- slashing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "share_bps"),
    [
        (OffenceKind.DOUBLE_SIGN, 5_000),
        (OffenceKind.CONFLICTING_PROPOSAL, 5_000),
        (OffenceKind.INVALID_PROPOSAL, 3_000),
        (OffenceKind.INVALID_VOTE, 3_000),
    ],
)
def test_a_culprit_loses_its_share_leaves_the_set_at_once_and_is_jailed(kind: OffenceKind, share_bps: int) -> None:
    world = world_of()
    go_to(world, 2)
    (slashing,) = world.apply(offences=[Offence(kind, address(NAMES[0]), 2, b"e")]).slashings
    burnt_ustep = STAKE_USTEP * share_bps // 10_000
    assert (slashing.kind, slashing.amount_ustep, slashing.height, slashing.offence_height) == (kind, burnt_ustep, 3, 2)
    record = world.validator(NAMES[0])
    assert record.stake_ustep == STAKE_USTEP - burnt_ustep
    assert (record.state, record.locked_until_ms) == (ValidatorState.JAILED, world.time_ms + 30_000)
    assert world.head.chain.burnt_ustep == burnt_ustep
    assert address(NAMES[0]) not in world.members()
    assert address(NAMES[0]) in world.members(3)
    world.check()


def test_evidence_is_applied_once() -> None:
    world = world_of()
    go_to(world, 2)
    with pytest.raises(BatchRefused, match=r"evidence 1: .* was slashed at height 3 already"):
        world.apply(offences=[double_sign(NAMES[0], 2), double_sign(NAMES[0], 1)])
    assert world.height == 2
    world.apply(offences=[double_sign(NAMES[0], 2)])
    for height, reason in ((1, "was slashed"), (2, "was slashed"), (3, "was slashed"), (4, "was not in the set")):
        with pytest.raises(BatchRefused, match=reason):
            world.apply(offences=[double_sign(NAMES[0], height)])


@pytest.mark.parametrize(
    ("offence", "reason"),
    [
        (double_sign("mallory", 1), "is no validator"),
        (double_sign(NAMES[0], 4), "is after this batch's, 3"),
        (double_sign(NAMES[0], 0), "too old"),
    ],
)
def test_evidence_that_convicts_nobody_makes_the_batch_invalid(offence: Offence, reason: str) -> None:
    world = world_of()
    go_to(world, 2)
    with pytest.raises(BatchRefused, match=f"evidence 0: .*{reason}"):
        world.apply(offences=[offence])


def test_evidence_older_than_unbonding_is_refused() -> None:
    world = world_of()
    go_to(world, 15)
    world.apply(at_ms=START_MS + 85_000)  # the mark of genesis is the floor, this height the next mark
    world.apply(at_ms=START_MS + 106_000)
    assert world.head.chain.evidence_floor_height > 1
    with pytest.raises(BatchRefused, match="too old: evidence must be above"):
        world.apply(offences=[double_sign(NAMES[0], world.head.chain.evidence_floor_height)])
    world.apply(offences=[double_sign(NAMES[0], world.head.chain.evidence_floor_height + 1)])


def test_the_last_validator_is_slashed_but_stays() -> None:
    world = world_of(1)
    (name,) = validator_names(1)
    go_to(world, 1)
    world.apply(offences=[double_sign(name, 1)], signers=[address(name)])
    record = world.validator(name)
    assert (record.state, record.stake_ustep) == (ValidatorState.ACTIVE, STAKE_USTEP // 2)
    world.check()
    with pytest.raises(BatchRefused, match="was slashed"):
        world.apply(offences=[double_sign(name, 1)], signers=[address(name)])


def test_all_but_one_can_be_removed_by_one_batch() -> None:
    world = world_of()
    go_to(world, 1)
    world.apply(offences=[double_sign(name, 1) for name in NAMES])
    assert world.members() == {address(NAMES[3])}
    assert world.head.chain.burnt_ustep == 4 * STAKE_USTEP // 2
    world.check()


def test_who_is_absent_from_every_commit_for_too_long_is_slashed() -> None:
    world = world_of(offline_ms=150_000, unbonding_ms=10_000_000)
    present = [address(name) for name in NAMES[:3]]
    world.apply()
    since_ms = world.time_ms + 1_000
    while not (slashings := world.apply(signers=present).slashings):
        assert world.validator(NAMES[3]).absent_since_ms == since_ms
    (slashing,) = slashings
    assert (slashing.kind, slashing.validator, slashing.evidence) == (OffenceKind.OFFLINE, address(NAMES[3]), b"")
    assert slashing.timestamp_ms == since_ms + 151_000
    assert slashing.amount_ustep == STAKE_USTEP // 10
    assert world.members() == set(present)
    world.check()


def test_one_commit_ends_an_absence_and_an_idle_day_is_none() -> None:
    world = world_of(offline_ms=50_000, unbonding_ms=10**9)
    everybody = [address(name) for name in NAMES]
    world.apply()
    for _ in range(OFFLINE_BATCHES_MIN - 1):
        assert not world.apply(signers=everybody[:3]).slashings
    assert world.validator(NAMES[3]).absent_batches == OFFLINE_BATCHES_MIN - 1
    world.apply(signers=everybody)
    assert world.validator(NAMES[3]).absent_batches == 0
    world.apply(signers=everybody[:3])
    assert not world.apply(signers=everybody[:3], at_ms=world.time_ms + 90_000_000).slashings
    world.check()


# --- operations -------------------------------------------------------------------------------------------------------


def test_a_newcomer_waits_for_a_whole_epoch() -> None:
    world = world_of()
    go_to(world, 6)
    world.apply(operations=[register("alice", "hot", 0)])  # in batch 7, of the epoch 6..10
    assert world.balance("alice") == 4 * STAKE_USTEP
    record = world.validator("hot")
    assert (record.state, record.owner, record.stake_ustep) == (ValidatorState.WAITING, address("alice"), STAKE_USTEP)
    world.check()
    go_to(world, 14)
    assert address("hot") not in world.members()
    world.apply()
    assert address("hot") in world.members()
    assert address("hot") not in world.members(15)
    world.check()


def test_rewards_go_to_the_owner() -> None:
    world = world_of()
    world.apply(operations=[register("alice", "hot", 0)])
    go_to(world, 10)
    everybody = world.members()
    world.apply(signed_proof("bob", level=10, timestamp_ms=world.time_ms), signers=everybody - {address("hot")})
    before_ustep = world.balance("alice")
    world.apply(signers=everybody)
    assert world.balance("alice") - before_ustep == 1_953 * 500 // 10_000 // 5
    assert world.balance("hot") == 0


def test_leaving_takes_effect_at_the_epochs_end_and_the_stake_comes_back_after_unbonding() -> None:
    world = world_of()
    name = NAMES[0]
    world.apply(operations=[unbond(name, name, 0)])
    assert world.validator(name).state is ValidatorState.LEAVING
    go_to(world, 4)
    assert address(name) in world.members()
    world.apply()
    record = world.validator(name)
    assert (record.state, record.locked_until_ms) == (ValidatorState.UNBONDING, world.time_ms + 20_000)
    assert address(name) not in world.members()
    with pytest.raises(BatchRefused, match=r"WRONG_STATE: .* locked until"):
        world.apply(operations=[withdraw(name, name, 1)], at_ms=record.locked_until_ms - 1)
    world.apply(operations=[withdraw(name, name, 1)], at_ms=record.locked_until_ms)
    assert address(name) not in {one.address for one in world.head.validators}
    assert world.balance(name) == STAKE_USTEP
    world.check()


def test_a_stake_that_unbonds_is_still_answerable() -> None:
    world = world_of()
    name = NAMES[0]
    world.apply(operations=[unbond(name, name, 0)])
    go_to(world, 5)
    world.apply(offences=[double_sign(name, 5)])
    record = world.validator(name)
    assert (record.state, record.stake_ustep) == (ValidatorState.JAILED, STAKE_USTEP // 2)
    world.check()
    with pytest.raises(BatchRefused, match="was not in the set of height 6"):
        world.apply(offences=[double_sign(name, 6)])


def test_a_culprit_cannot_withdraw_in_the_batch_that_convicts_it() -> None:
    world = world_of(unbonding_ms=1_000)
    name = NAMES[0]
    world.apply(operations=[unbond(name, name, 0)])
    go_to(world, 5)
    with pytest.raises(BatchRefused, match=r"operation 0: WRONG_STATE: .* is jailed"):
        world.apply(
            offences=[double_sign(name, 5)],
            operations=[withdraw(name, name, 1)],
            at_ms=world.validator(name).locked_until_ms,
        )


def test_the_last_one_stays_until_somebody_comes_after_it() -> None:
    world = world_of(1)
    (name,) = validator_names(1)
    world.apply(operations=[unbond(name, name, 0), register("alice", "hot", 0)])
    go_to(world, 5)
    assert world.members() == {address(name)}
    go_to(world, 10)
    assert world.members() == {address("hot")}
    world.check()


def test_who_has_been_in_jail_can_come_back_with_what_its_stake_lacks() -> None:
    world = world_of()
    world.apply(operations=[register("alice", "hot", 0)])
    go_to(world, 11)
    world.apply(offences=[double_sign("hot", 11)])
    record = world.validator("hot")
    again = register("alice", "hot", 1, stake_ustep=STAKE_USTEP // 2)
    with pytest.raises(BatchRefused, match="KEY_IN_USE"):
        world.apply(operations=[again])
    short = register("alice", "hot", 1, stake_ustep=STAKE_USTEP // 2 - 1)
    with pytest.raises(BatchRefused, match="STAKE_TOO_LOW"):
        world.apply(operations=[short], at_ms=record.locked_until_ms)
    world.apply(operations=[again], at_ms=record.locked_until_ms)
    record = world.validator("hot")
    assert (record.state, record.stake_ustep, record.slashed_ustep) == (ValidatorState.WAITING, STAKE_USTEP, 0)
    with pytest.raises(BatchRefused, match="was not in the set"):
        world.apply(offences=[double_sign("hot", 11)])
    go_to(world, record.active_from_height)
    assert address("hot") in world.members()
    world.check()


def test_a_key_is_replaced_at_the_epochs_end_and_its_stake_answers_for_the_old_one() -> None:
    world = world_of(unbonding_ms=60_000)
    name = NAMES[0]
    world.apply(operations=[rotate(name, name, "new", 0)])
    go_to(world, 4)
    assert address(name) in world.members()
    world.apply()
    assert address("new") in world.members()
    assert address(name) not in world.members()
    assert address(name) in world.members(5)
    assert world.validator(name).stake_ustep == 0
    assert world.validator("new").stake_ustep == STAKE_USTEP
    world.check()
    (slashing,) = world.apply(offences=[double_sign(name, 4)]).slashings
    assert (slashing.accused, slashing.validator) == (address(name), address("new"))
    assert world.validator("new").state is ValidatorState.JAILED
    for culprit, height in ((name, 3), ("new", 6)):
        with pytest.raises(BatchRefused, match="was slashed at height 6"):
            world.apply(offences=[double_sign(culprit, height)])
    world.check()


def test_a_replaced_key_is_forgotten_after_unbonding() -> None:
    world = world_of()
    name = NAMES[0]
    world.apply(operations=[rotate(name, name, "new", 0)])
    go_to(world, 5)
    world.apply(at_ms=world.time_ms + 60_000)
    go_to(world, 10)
    assert address(name) not in {record.address for record in world.head.validators}
    world.check()


def test_an_offence_before_the_epochs_end_stops_a_rotation() -> None:
    world = world_of()
    name = NAMES[0]
    world.apply(operations=[rotate(name, name, "new", 0)])
    world.apply(offences=[double_sign(name, 1)])
    go_to(world, 6)
    assert address("new") not in {record.address for record in world.head.validators}
    world.check()


def test_an_address_changes_at_once_and_nothing_else_does() -> None:
    world = world_of()
    name = NAMES[0]
    before, set_before = world.validator(name), validator_set(world.head.validators)
    world.apply(operations=[set_address(name, name, 0, "/dns4/moved.example/tcp/1")])
    assert world.validator(name) == replace(before, p2p_address="/dns4/moved.example/tcp/1")
    assert validator_set(world.head.validators).hash == set_before.hash
    world.apply(operations=[set_address(name, name, 1, "/memory/again"), set_address(name, name, 2, "/memory/more")])
    assert world.validator(name).p2p_address == "/memory/more"
    world.check()


def test_who_waits_or_is_about_to_leave_can_change_its_address_and_who_is_out_cannot() -> None:
    world = world_of(unbonding_ms=60_000)
    leaver, culprit = NAMES[0], NAMES[1]
    world.apply(operations=[register("alice", "hot", 0), unbond(leaver, leaver, 0)])
    world.apply(operations=[set_address("alice", "hot", 1), set_address(leaver, leaver, 1)])
    assert {world.validator(name).p2p_address for name in ("hot", leaver)} == {"/memory/moved"}
    world.apply(offences=[double_sign(culprit, 2)])
    go_to(world, 5)
    for name, sequence, state in ((leaver, 2, "unbonding"), (culprit, 0, "jailed")):
        with pytest.raises(BatchRefused, match=f"WRONG_STATE: .* is {state}: only one that is in the set, or waits"):
            world.apply(operations=[set_address(name, name, sequence, "/memory/elsewhere")])
    world.check()


def test_a_new_key_keeps_the_address_and_the_replaced_one_cannot_change_it() -> None:
    world = world_of(unbonding_ms=60_000)
    name = NAMES[0]
    world.apply(operations=[rotate(name, name, "new", 0), set_address(name, name, 1, "/memory/on-the-way")])
    assert world.validator(name).next_public_key
    go_to(world, 5)
    assert world.validator("new").p2p_address == "/memory/on-the-way"
    with pytest.raises(BatchRefused, match=r"WRONG_STATE: .* is rotated"):
        world.apply(operations=[set_address(name, name, 2)])
    world.apply(operations=[set_address(name, "new", 2)])
    assert (world.validator(name).p2p_address, world.validator("new").p2p_address) == (
        "/memory/on-the-way",
        "/memory/moved",
    )
    world.check()


REFUSED: dict[str, tuple[list[Operation], str]] = {
    "a sequence again": ([register("alice", "hot", 0), register("alice", "other", 0)], "1: WRONG_SEQUENCE"),
    "a sequence too far": ([register("alice", "hot", 1)], "0: WRONG_SEQUENCE"),
    "the same operation twice": ([register("alice", "hot", 0)] * 2, "1: WRONG_SEQUENCE"),
    "a key that is registered": ([register("alice", "hot", 0), register("alice", "hot", 1)], "1: KEY_IN_USE"),
    "a validator's key": ([register("alice", NAMES[0], 0)], "0: KEY_IN_USE"),
    "too low a stake": ([register("alice", "hot", 0, stake_ustep=STAKE_USTEP - 1)], "0: STAKE_TOO_LOW"),
    "more than the balance": ([register("alice", "hot", 0, stake_ustep=6 * STAKE_USTEP)], "0: INSUFFICIENT_BALANCE"),
    "a stake of nobody": ([register("bob", "hot", 0)], "0: INSUFFICIENT_BALANCE"),
    "another's validator": ([unbond("alice", NAMES[0], 0)], "0: NOT_THE_OWNER"),
    "a validator that is none": ([unbond("alice", "hot", 0)], "0: UNKNOWN_VALIDATOR"),
    "leaving twice": ([unbond(NAMES[0], NAMES[0], 0), unbond(NAMES[0], NAMES[0], 1)], "1: WRONG_STATE"),
    "taking an active stake": ([withdraw(NAMES[0], NAMES[0], 0)], "0: WRONG_STATE"),
    "two rotations at once": (
        [rotate(NAMES[0], NAMES[0], "new", 0), rotate(NAMES[0], NAMES[0], "newer", 1)],
        "1: WRONG_STATE",
    ),
    "another's address": ([set_address("alice", NAMES[0], 0)], "0: NOT_THE_OWNER"),
    "the address of nobody": ([set_address("alice", "hot", 0)], "0: UNKNOWN_VALIDATOR"),
    "an address that it has": (
        [set_address(NAMES[0], NAMES[0], 0), set_address(NAMES[0], NAMES[0], 1)],
        "1: WRONG_STATE",
    ),
    "a rotation to another's key": ([rotate(NAMES[0], NAMES[0], NAMES[1], 0)], "0: KEY_IN_USE"),
    "a rotation to a coming key": (
        [rotate(NAMES[0], NAMES[0], "new", 0), rotate(NAMES[1], NAMES[1], "new", 0)],
        "1: KEY_IN_USE",
    ),
    "registering a coming key": (
        [rotate(NAMES[0], NAMES[0], "new", 0), register("alice", "new", 0)],
        "1: KEY_IN_USE",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_operation_that_cannot_be_applied_makes_the_batch_invalid(case: str) -> None:
    operations, reason = REFUSED[case]
    world = world_of()
    head = world.head
    with pytest.raises(BatchRefused, match=f"operation {reason}"):
        world.apply(operations=operations)
    assert world.head is head


def test_there_is_a_largest_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validators, "SET_VALIDATORS_MAX", 5)
    world = world_of()
    world.apply(operations=[register("alice", "one", 0)])
    with pytest.raises(BatchRefused, match="NO_PLACE"):
        world.apply(operations=[register("alice", "two", 1)])


def test_a_key_can_be_replaced_a_few_times_before_the_first_is_forgotten() -> None:
    world = world_of(unbonding_ms=10_000_000, epoch_batches=1)
    key = owner = NAMES[0]
    for turn in range(validators.ROTATIONS_MAX):
        world.apply(operations=[rotate(owner, key, f"key-{turn}", turn)])
        key = f"key-{turn}"
        world.check()
    with pytest.raises(BatchRefused, match="WRONG_STATE"):
        world.apply(operations=[rotate(owner, key, "one-more", validators.ROTATIONS_MAX)])


# --- the gravest counts -----------------------------------------------------------------------------------------------

SHARES_BPS = {
    OffenceKind.DOUBLE_SIGN: 5_000,
    OffenceKind.CONFLICTING_PROPOSAL: 5_000,
    OffenceKind.INVALID_PROPOSAL: 3_000,
    OffenceKind.INVALID_VOTE: 3_000,
}


def test_two_lighter_accusations_do_not_make_a_double_sign_cheaper() -> None:
    world = world_of()
    go_to(world, 3)
    light = [Offence(OffenceKind.INVALID_VOTE, address(NAMES[0]), height, b"light") for height in (1, 2)]
    world.apply(offences=light[:1])
    with pytest.raises(BatchRefused, match="was slashed at height 4 already, for no less than INVALID_VOTE costs"):
        world.apply(offences=light[1:])
    first_lock_ms = world.validator(NAMES[0]).locked_until_ms
    (slashing,) = world.apply(offences=[double_sign(NAMES[0], 2)]).slashings
    assert slashing.amount_ustep == STAKE_USTEP * 2_000 // 10_000
    record = world.validator(NAMES[0])
    assert record.stake_ustep == record.slashed_ustep == STAKE_USTEP // 2
    assert record.locked_until_ms == first_lock_ms + 1_000
    world.check()


def test_what_the_last_one_does_after_its_slash_is_another_offence() -> None:
    world = world_of(1)
    (name,) = validator_names(1)
    go_to(world, 2)
    world.apply(offences=[Offence(OffenceKind.INVALID_VOTE, address(name), 2, b"e")])
    world.apply(offences=[double_sign(name, 1)])
    assert world.validator(name).stake_ustep == STAKE_USTEP // 2
    world.apply(offences=[double_sign(name, 4)])
    assert world.validator(name).stake_ustep == STAKE_USTEP // 4
    world.check()


def test_a_replaced_key_s_graver_offence_is_topped_up_too() -> None:
    world = world_of(unbonding_ms=60_000)
    name = NAMES[0]
    world.apply(operations=[rotate(name, name, "new", 0)])
    go_to(world, 6)
    world.apply(offences=[Offence(OffenceKind.INVALID_VOTE, address("new"), 6, b"e")])
    world.apply(offences=[double_sign(name, 4)])
    assert world.validator("new").stake_ustep == STAKE_USTEP // 2
    world.check()


@settings(max_examples=100, deadline=None)
@given(
    offences=st.lists(st.tuples(st.sampled_from(list(SHARES_BPS)), st.integers(1, 3)), min_size=1, max_size=4),
    data=st.data(),
)
def test_offences_cost_what_the_gravest_costs_in_whatever_order_and_batches_they_come(
    offences: list[tuple[OffenceKind, int]], data: st.DataObject
) -> None:
    world = world_of()
    go_to(world, 3)
    waiting = [Offence(kind, address(NAMES[0]), height, b"e") for kind, height in data.draw(st.permutations(offences))]
    gravest_at_ms = 0
    while waiting:
        together = data.draw(st.integers(1, len(waiting)))
        taken: list[Offence] = []
        for offence in waiting[:together]:
            if can_hold(world, [*taken, offence], [], world.time_ms + 1_000):
                taken.append(offence)
        world.apply(offences=taken)
        if taken:
            gravest_at_ms = world.time_ms
        waiting = waiting[together:]
    share_bps = max(SHARES_BPS[kind] for kind, _ in offences)
    assert world.head.chain.burnt_ustep == STAKE_USTEP * share_bps // 10_000
    assert world.validator(NAMES[0]).locked_until_ms == gravest_at_ms + 30_000
    world.check()


# --- anything in any order --------------------------------------------------------------------------------------------

KEYS = [*NAMES, "hot-0", "hot-1", "hot-2"]
OWNERS = [*NAMES, "alice"]
MOVES = st.one_of(
    st.tuples(st.just("register"), st.sampled_from(OWNERS), st.sampled_from(KEYS), st.sampled_from(KEYS)),
    st.tuples(
        st.sampled_from(["unbond", "withdraw", "rotate", "set-address", "transfer"]),
        st.sampled_from(OWNERS),
        st.sampled_from(KEYS),
        st.sampled_from(KEYS),
    ),
)


def copy_of(world: World) -> World:
    """A world that can be tried without touching this one."""
    copy = World.__new__(World)
    copy.__dict__.update(world.__dict__)
    copy.accounts, copy.triangles, copy.nonces = dict(world.accounts), dict(world.triangles), dict(world.nonces)
    return copy


def can_hold(world: World, offences: list[Offence], operations: list[Operation], at_ms: int) -> bool:
    try:
        copy_of(world).apply(offences=offences, operations=operations, at_ms=at_ms)
    except BatchRefused:
        return False
    return True


def operation_of(kind: str, owner: str, key: str, other: str, sequence: int) -> Operation:
    if kind == "register":
        return register(owner, key, sequence)
    if kind == "unbond":
        return unbond(owner, key, sequence)
    if kind == "withdraw":
        return withdraw(owner, key, sequence)
    if kind == "transfer":
        # To another owner, who may register with it, or to a validator's own address.
        return transfer(owner, other if other != owner else "alice", sequence, amount_ustep=STAKE_USTEP)
    if kind == "set-address":
        return set_address(owner, key, sequence, f"/memory/{other}")
    return rotate(owner, key, other, sequence)


@settings(max_examples=150, deadline=None)
@given(
    batches=st.lists(
        st.tuples(
            st.lists(MOVES, max_size=3),
            st.lists(st.tuples(st.sampled_from(KEYS), st.integers(0, 3), st.sampled_from(OffenceKind)), max_size=2),
            st.sampled_from([1, 1_000, 5_000, 40_000]),
            st.booleans(),
        ),
        max_size=25,
    )
)
def test_value_is_conserved_and_the_root_is_that_of_the_records_whatever_happens(
    batches: list[tuple[list[tuple[str, str, str, str]], list[tuple[str, int, OffenceKind]], int, bool]],
) -> None:
    world = world_of(epoch_batches=2)
    told_members = set(world.members())
    for moves, accusations, passing_ms, has_proof in batches:
        operations: list[Operation] = []
        offences: list[Offence] = []
        at_ms = world.time_ms + passing_ms
        for key, back, kind in accusations:
            offence = Offence(kind, address(key), world.height + 1 - back, b"e")
            if can_hold(world, [*offences, offence], [], at_ms):
                offences.append(offence)
        for move, owner, key, other in moves:
            known = world.accounts.get(address(owner))
            sequence = (known.operations if known else 0) + sum(one.owner == address(owner) for one in operations)
            operation = operation_of(move, owner, key, other, sequence)
            if can_hold(world, offences, [*operations, operation], at_ms):
                operations.append(operation)
        proofs = [signed_proof("bob", timestamp_ms=at_ms)] if has_proof and passing_ms >= 40_000 else []
        burnt_before_ustep = world.head.chain.burnt_ustep
        transition = world.apply(*proofs, offences=offences, operations=operations, at_ms=at_ms)
        slashed_ustep = sum(one.amount_ustep for one in transition.slashings)
        assert world.head.chain.burnt_ustep - burnt_before_ustep == slashed_ustep
        world.check()
        for change in transition.validator_changes:
            if change.kind is ValidatorChangeKind.JOINED:
                told_members.add(change.validator)
            elif change.kind is ValidatorChangeKind.KEY_REPLACED:
                told_members ^= {change.validator, change.successor}
            elif change.kind in (ValidatorChangeKind.LEFT, ValidatorChangeKind.JAILED):
                told_members.discard(change.validator)
        assert told_members == world.members()
