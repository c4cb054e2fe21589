"""The desk and its pool: what is taken, told, proposed, and forgotten."""

from __future__ import annotations

from dataclasses import replace

import pytest

from step_node.batch.batch import BatchContent, decode_batch, encode_batch
from step_node.chain.chain import Chain
from step_node.chain.judging import InvalidBatch
from step_node.mempool import operations as pool_module
from step_node.mempool.operations import OperationDesk, OperationPool
from step_node.operations.operation import Operation, OperationCode, decode_operation, encode_operation
from tests.support.chains import build, commit_for, make_genesis, open_chain, validator_names
from tests.support.clock import SetClock
from tests.support.operations import STAKE_USTEP, register, rotate, signed, unbond
from tests.support.proofs import START_MS, address, signed_proof

NAMES = validator_names(4)
GENESIS = make_genesis(4, allocations={"alice": 3 * STAKE_USTEP, "bob": STAKE_USTEP}, epoch_batches=1)


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
