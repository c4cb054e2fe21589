"""The desk and its pool: what is taken, told, proposed, and forgotten."""

from __future__ import annotations

from dataclasses import replace

import pytest

from step_node.batch.batch import OPERATIONS_MAX, BatchContent, decode_batch, encode_batch
from step_node.chain.chain import Chain
from step_node.chain.judging import InvalidBatch
from step_node.mempool import operations as pool_module
from step_node.mempool.operations import OperationDesk, OperationPool
from step_node.operations.operation import (
    Operation,
    OperationCode,
    OperationRefused,
    decode_operation,
    encode_operation,
)
from tests.support.chains import build, commit_for, make_genesis, open_chain, validator_names
from tests.support.clock import SetClock
from tests.support.operations import STAKE_USTEP, register, rotate, set_address, signed, transfer, unbond
from tests.support.proofs import START_MS, address, signed_proof

NAMES = validator_names(4)
GENESIS = make_genesis(4, allocations={"alice": 3 * STAKE_USTEP, "bob": STAKE_USTEP}, epoch_batches=1)
RICH = {"alice": 3 * STAKE_USTEP, **{f"dust-{number}": number + 1 for number in range(70)}}
CROWDED = make_genesis(4, allocations=RICH)


async def desk_of(chain: Chain) -> tuple[OperationDesk, OperationPool, list[Operation]]:
    told: list[Operation] = []

    async def publish(data: bytes) -> None:
        told.append(decode_operation(data))

    pool = OperationPool()
    return OperationDesk(chain=chain, pool=pool, publish=publish), pool, told


async def finalise_waiting(chain: Chain, pool: OperationPool) -> None:
    proposer = chain.validators.proposer(chain.next_height, 0).address
    built = await chain.build([], round_number=0, proposer=proposer, operations=pool.candidates())
    assert built is not None
    judged = await chain.judge(decode_batch(encode_batch(built.batch)), proposed_in_round=0, judge_clock=True)
    assert judged == built
    members = {validator.address for validator in chain.validators}
    await chain.finalise(judged, commit_for(judged.batch, [name for name in NAMES if address(name) in members]))


async def test_an_operation_is_accepted_told_proposed_and_forgotten() -> None:
    clock = SetClock(START_MS)
    chain = await open_chain(GENESIS, clock=clock)
    desk, pool, told = await desk_of(chain)
    operation = register("alice", "hot", 0)
    assert await desk.submit(operation) is None
    assert await desk.submit(operation) is None
    assert told == [operation, operation]
    assert pool.candidates() == (operation,)
    await desk.say_again()
    assert len(told) == 3
    await finalise_waiting(chain, pool)
    await desk.after_batch()
    assert len(pool) == 0
    refused = await desk.submit(operation)
    assert refused is not None
    assert refused.code is OperationCode.WRONG_SEQUENCE
    assert address("hot") in {record.address for record in chain.head.validators}


async def test_what_is_refused_is_neither_kept_nor_told() -> None:
    chain = await open_chain(GENESIS)
    desk, pool, told = await desk_of(chain)
    for operation, code in (
        (signed(register("alice", "hot", 0), cold="bob"), OperationCode.BAD_SIGNATURE),
        (register("alice", "hot", 1), OperationCode.WRONG_SEQUENCE),
        (register("bob", "hot", 0, stake_ustep=2 * STAKE_USTEP), OperationCode.INSUFFICIENT_BALANCE),
        (unbond("alice", NAMES[0], 0), OperationCode.NOT_THE_OWNER),
    ):
        refused = await desk.submit(operation)
        assert refused is not None
        assert refused.code is code
    assert told == []
    assert len(pool) == 0


async def test_one_operation_of_an_owner_waits_and_so_many_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "POOL_OPERATIONS_MAX", 2)
    chain = await open_chain(GENESIS)
    desk, pool, _ = await desk_of(chain)
    assert await desk.submit(register("alice", "hot", 0)) is None
    assert await desk.submit(unbond(NAMES[0], NAMES[0], 0)) is None
    for operation in (register("alice", "other", 0), register("bob", "hot-too", 0)):
        refused = await desk.submit(operation)
        assert refused is not None
        assert refused.code is OperationCode.POOL_FULL
    assert len(pool) == 2


async def test_an_owner_who_has_seen_the_last_one_applied_may_give_in_the_next_at_once() -> None:
    chain = await open_chain(GENESIS)
    desk, pool, _ = await desk_of(chain)
    assert await desk.submit(register("alice", "hot", 0)) is None
    await finalise_waiting(chain, pool)
    leaving = unbond("alice", "hot", 1)
    assert await desk.submit(leaving) is None  # Before `after_batch`.
    assert pool.waiting() == (leaving,)


async def test_what_another_has_overtaken_is_forgotten() -> None:
    clock = SetClock(START_MS)
    chain = await open_chain(GENESIS, clock=clock)
    desk, pool, _ = await desk_of(chain)
    assert await desk.submit(rotate(NAMES[0], NAMES[0], "hot", 0)) is None
    assert await desk.submit(register("alice", "hot", 0)) is None
    await finalise_waiting(chain, pool)
    await desk.after_batch()
    assert len(pool) == 0


async def test_operations_about_validators_go_before_transfers_and_these_as_they_came() -> None:
    chain = await open_chain(CROWDED)
    desk, pool, _ = await desk_of(chain)
    sent = [transfer(f"dust-{number}", "bob", 0) for number in range(70)]
    for operation in sent:
        assert await desk.submit(operation) is None
    moving, joining = set_address(NAMES[0], NAMES[0], 0), register("alice", "hot", 0)
    for about_validators in (moving, joining):
        assert await desk.submit(about_validators) is None
    assert pool.candidates() == (moving, joining, *sent[: OPERATIONS_MAX - 2])
    await finalise_waiting(chain, pool)
    await desk.after_batch()
    assert pool.candidates() == tuple(sent[OPERATIONS_MAX - 2 :])


async def test_transfers_leave_places_for_operations_about_validators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "POOL_TRANSFERS_MAX", 3)
    chain = await open_chain(CROWDED)
    desk, pool, _ = await desk_of(chain)
    for number in (5, 6, 7):
        assert await desk.submit(transfer(f"dust-{number}", "bob", 0)) is None
    refused = await desk.submit(transfer("dust-4", "bob", 0))
    assert refused is not None
    assert (refused.code, "3 transfers wait already" in refused.message) == (OperationCode.POOL_FULL, True)
    assert await desk.submit(register("alice", "hot", 0)) is None
    assert len(pool) == 4


async def test_of_transfers_without_a_place_the_one_gives_way_whose_owner_has_least(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool_module, "POOL_TRANSFERS_MAX", 3)
    chain = await open_chain(CROWDED)
    desk, pool, _ = await desk_of(chain)
    sent = {number: transfer(f"dust-{number}", "bob", 0) for number in (7, 5, 6)}
    for operation in sent.values():
        assert await desk.submit(operation) is None
    honest = transfer("alice", "bob", 0, amount_ustep=STAKE_USTEP)
    assert await desk.submit(honest) is None
    assert pool.candidates() == (sent[7], sent[6], honest)
    why = desk.why_dropped(desk.id_of(sent[5]))
    assert why is not None
    assert (why.code, "gave way" in why.message) == (OperationCode.POOL_FULL, True)
    # Who has as much as the poorest does not take its place: two equals would take turns for ever.
    assert await desk.submit(sent[5]) is not None
    assert desk.find_waiting(desk.id_of(sent[6])) == sent[6]


async def test_a_transfer_that_waits_is_found_by_its_id_and_one_overtaken_says_why() -> None:
    chain = await open_chain(GENESIS)
    desk, pool, _ = await desk_of(chain)
    first, other = transfer("alice", "bob", 0), transfer("alice", "carol", 0)
    assert await desk.submit(first) is None
    assert desk.find_waiting(desk.id_of(first)) == first
    assert (desk.find_waiting(desk.id_of(other)), desk.why_dropped(desk.id_of(other))) == (None, None)
    refused = await desk.submit(other)
    assert refused is not None
    assert refused.code is OperationCode.POOL_FULL
    # Another node had taken the other one, and that one is final.
    proposer = chain.validators.proposer(chain.next_height, 0).address
    built = await chain.build([], round_number=0, proposer=proposer, operations=[other])
    assert built is not None
    await chain.finalise(built, commit_for(built.batch, list(NAMES)))
    await desk.after_batch(frozenset(built.batch.operations))
    why = desk.why_dropped(desk.id_of(first))
    assert why is not None
    assert (why.code, len(pool)) == (OperationCode.WRONG_SEQUENCE, 0)


async def test_of_what_was_applied_no_drop_is_told() -> None:
    chain = await open_chain(GENESIS)
    desk, pool, _ = await desk_of(chain)
    operation = transfer("alice", "bob", 0)
    assert await desk.submit(operation) is None
    await finalise_waiting(chain, pool)
    await desk.after_batch(frozenset({encode_operation(operation)}))
    assert (len(pool), desk.why_dropped(desk.id_of(operation))) == (0, None)


async def test_so_many_drops_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "DROPPED_MAX", 2)
    pool, why = OperationPool(), OperationRefused(OperationCode.WRONG_SEQUENCE, "sequence: too late")
    for number in range(3):
        operation = transfer(f"owner-{number}", "bob", 0)
        assert pool.add(operation, bytes([number]), balance_ustep=1) is None
        pool.drop(operation, why)
    assert [pool.why_dropped(bytes([number])) for number in range(3)] == [None, why, why]


def test_transfers_wait_for_a_full_batch_or_the_interval_and_the_rest_for_nothing() -> None:
    now_ms = 5_000
    pool = OperationPool(monotonic_ms=lambda: now_ms)
    assert pool.work_due_in_ms(1_000) is None
    pool.add(transfer("dust-0", "bob", 0), b"0", balance_ustep=1)
    assert pool.work_due_in_ms(1_000) == 1_000
    now_ms += 400
    pool.add(transfer("dust-1", "bob", 0), b"1", balance_ustep=1)
    assert pool.work_due_in_ms(1_000) == 600
    now_ms += 600
    assert pool.work_due_in_ms(1_000) == 0
    for number in range(2, OPERATIONS_MAX):
        pool.add(transfer(f"dust-{number}", "bob", 0), bytes([number, 0]), balance_ustep=1)
    pool.remove(transfer("dust-0", "bob", 0))
    assert pool.work_due_in_ms(10_000) == 9_400
    pool.add(transfer("dust-x", "bob", 0), b"x", balance_ustep=1)
    assert pool.work_due_in_ms(10_000) == 0
    one = OperationPool(monotonic_ms=lambda: now_ms)
    one.add(register("alice", "hot", 0), b"r", balance_ustep=1)
    assert one.work_due_in_ms(10_000) == 0


async def test_a_forged_operation_makes_a_batch_invalid() -> None:
    chain = await open_chain(GENESIS)
    batch = (await build(chain, [signed_proof("carol")])).batch
    forged = signed(register("alice", "hot", 0), cold="bob")
    content = BatchContent(batch.proofs, batch.last_commit, (), (encode_operation(forged),))
    _, _, body_hash = content.roots()
    with pytest.raises(InvalidBatch, match="operations: operation 0: BAD_SIGNATURE"):
        await chain.judge(
            content.with_header(replace(batch.header, body_hash=body_hash)), proposed_in_round=0, judge_clock=True
        )
