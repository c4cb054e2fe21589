"""What is told of validators' lives: each kind of change once, when it happens."""

from __future__ import annotations

from collections.abc import Iterable

from step_node.ledger.apply import LedgerTransition
from step_node.ledger.offences import Offence, OffenceKind
from step_node.ledger.validator_changes import ValidatorChange, ValidatorChangeKind
from tests.ledger.world import World
from tests.support.chains import validator_names
from tests.support.operations import STAKE_USTEP, register, rotate, set_address, unbond, withdraw
from tests.support.proofs import address

NAMES = validator_names(4)


def world_of(**parameters: int) -> World:
    short = {"epoch_batches": 5, "unbonding_ms": 20_000, "jail_ms": 30_000}
    return World(4, allocations={"alice": 5 * STAKE_USTEP}, **(short | parameters))


def told(transitions: Iterable[LedgerTransition]) -> list[tuple[int, str, bytes]]:
    return [(one.height, one.kind.value, one.validator) for each in transitions for one in each.validator_changes]


def go_on(world: World, height: int) -> list[LedgerTransition]:
    return [world.apply() for _ in range(height - world.height)]


def test_a_validator_registers_joins_asks_to_leave_leaves_and_is_withdrawn() -> None:
    world = world_of()
    went = [world.apply(operations=[register("alice", "hot", 0)]), *go_on(world, 11)]
    went += [world.apply(operations=[unbond("alice", "hot", 1)]), *go_on(world, 15)]
    free_ms = world.validator("hot").locked_until_ms
    went.append(world.apply(operations=[withdraw("alice", "hot", 2)], at_ms=free_ms))
    kinds = ((1, "registered"), (10, "joined"), (12, "leaving"), (15, "left"), (16, "withdrawn"))
    assert told(went) == [(height, kind, address("hot")) for height, kind in kinds]
    (last,) = went[-1].validator_changes
    assert last == ValidatorChange(16, 0, ValidatorChangeKind.WITHDRAWN, address("hot"), address("alice"), STAKE_USTEP)


def test_who_is_slashed_is_jailed_and_may_register_again() -> None:
    world = world_of()
    went = [world.apply(operations=[register("alice", "hot", 0)]), *go_on(world, 11)]
    offence = Offence(OffenceKind.DOUBLE_SIGN, address("hot"), 11, b"evidence")
    went.append(world.apply(offences=[offence]))
    again = register("alice", "hot", 1, stake_ustep=STAKE_USTEP // 2)
    went.append(world.apply(operations=[again], at_ms=world.validator("hot").locked_until_ms))
    assert [(height, kind) for height, kind, _ in told(went)] == [
        (1, "registered"),
        (10, "joined"),
        (12, "jailed"),
        (13, "registered"),
    ]


def test_a_replaced_key_names_its_successor_and_nobody_joins_by_it() -> None:
    world = world_of()
    went = [world.apply(operations=[rotate(NAMES[0], NAMES[0], "new", 0)]), *go_on(world, 5)]
    assert told(went) == [(5, "key_replaced", address(NAMES[0]))]
    (change,) = went[-1].validator_changes
    assert (change.successor, change.stake_ustep) == (address("new"), STAKE_USTEP)
    # What is forgotten later is the key alone.
    assert told(go_on(world, 40)) == []
    assert address(NAMES[0]) not in {record.address for record in world.head.validators}


def test_a_new_address_is_told_and_a_batch_that_changes_nothing_tells_nothing() -> None:
    world = world_of()
    assert world.apply().validator_changes == ()
    moved = world.apply(operations=[set_address(NAMES[1], NAMES[1], 0, "/memory/elsewhere")])
    assert told([moved]) == [(2, "moved", address(NAMES[1]))]
