"""Waiting for what becomes of a proof: everybody is told once, and nobody waits longer than asked for."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from step_node.ledger.records import TriangleState
from step_node.ledger.state import Receipt
from step_node.mempool import outcomes
from step_node.mempool.journal import DroppedProof
from step_node.mempool.outcomes import Dropped, Finalised, Outcome, OutcomeWaiters, Pending
from step_node.proofs.proof import Refusal, RefusalCode

PROOF_ID, OTHER_ID = b"\x01" * 32, b"\x02" * 32
RECEIPT = Receipt(PROOF_ID, 1, 0, bytes(20), 0, 1_953, 1, TriangleState.ACTIVE, 1_953, 0)
DROPPED = DroppedProof(OTHER_ID, Refusal(RefusalCode.TOO_FAST, "lat, lon: too far"))


async def test_everybody_who_waits_for_a_proof_is_told(autojump_clock: object) -> None:
    del autojump_clock
    waiters = OutcomeWaiters()
    told: list[tuple[bytes, Outcome]] = []

    async def wait(proof_id: bytes) -> None:
        told.append((proof_id, (await waiters.wait([proof_id], timeout_ms=5_000))[proof_id]))

    async with trio.open_nursery() as nursery:
        for proof_id in (PROOF_ID, PROOF_ID, OTHER_ID):
            nursery.start_soon(wait, proof_id)
        await trio.testing.wait_all_tasks_blocked()
        assert len(waiters) == 3
        waiters.announce([RECEIPT], [DROPPED])
    assert sorted(told, key=lambda one: one[0]) == [
        (PROOF_ID, Finalised(RECEIPT)),
        (PROOF_ID, Finalised(RECEIPT)),
        (OTHER_ID, Dropped(DROPPED.refusal)),
    ]
    assert len(waiters) == 0


async def test_when_the_time_is_up_it_is_pending_and_nothing_is_left(autojump_clock: trio.testing.MockClock) -> None:
    waiters = OutcomeWaiters()
    before = autojump_clock.current_time()
    assert await waiters.wait([PROOF_ID], timeout_ms=5_000) == {PROOF_ID: Pending()}
    assert autojump_clock.current_time() - before == pytest.approx(5.0)
    assert await waiters.wait([PROOF_ID], timeout_ms=0) == {PROOF_ID: Pending()}
    assert len(waiters) == 0
    waiters.announce([RECEIPT], [])


async def test_one_who_leaves_does_not_take_the_others_along() -> None:
    waiters = OutcomeWaiters()
    told: list[Outcome] = []

    async def wait() -> None:
        told.append((await waiters.wait([PROOF_ID], timeout_ms=60_000))[PROOF_ID])

    async def wait_and_leave(leaving: trio.CancelScope) -> None:
        with leaving:
            await wait()

    leaving = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        nursery.start_soon(wait_and_leave, leaving)
        await trio.testing.wait_all_tasks_blocked()
        leaving.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert len(waiters) == 1
        waiters.announce([RECEIPT], [])
    assert told == [Finalised(RECEIPT)]


async def test_who_comes_when_too_many_wait_is_answered_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "WAITERS_MAX", 1)
    waiters = OutcomeWaiters()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: waiters.wait([PROOF_ID], timeout_ms=60_000))
        await trio.testing.wait_all_tasks_blocked()
        assert await waiters.wait([OTHER_ID], timeout_ms=60_000) == {OTHER_ID: Pending()}
        nursery.cancel_scope.cancel()


async def test_who_waits_for_many_is_told_when_the_last_is_decided_and_of_all() -> None:
    waiters = OutcomeWaiters()
    told: list[dict[bytes, Outcome]] = []

    async def wait() -> None:
        told.append(await waiters.wait([PROOF_ID, OTHER_ID], timeout_ms=60_000))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        waiters.announce([RECEIPT], [])
        await trio.testing.wait_all_tasks_blocked()
        assert told == []
        waiters.announce([], [DROPPED])
    assert told == [{PROOF_ID: Finalised(RECEIPT), OTHER_ID: Dropped(DROPPED.refusal)}]
    assert len(waiters) == 0


async def test_what_was_decided_when_the_time_is_up_is_told(autojump_clock: object) -> None:
    del autojump_clock
    waiters = OutcomeWaiters()
    told: list[dict[bytes, Outcome]] = []

    async def wait() -> None:
        told.append(await waiters.wait([PROOF_ID, OTHER_ID], timeout_ms=5_000))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        waiters.announce([RECEIPT], [])
    assert told == [{PROOF_ID: Finalised(RECEIPT), OTHER_ID: Pending()}]
    assert len(waiters) == 0
