"""Settlement: who is dropped after a batch, and that nobody is dropped whom a later batch could hold."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh import locate
from step_node.explanations.details import TryInstead
from step_node.ledger.apply import begin_execution, keys_of, nonce_expiry
from step_node.ledger.records import Account, NonceRecord, Triangle
from step_node.mempool.outcomes import Dropped, Finalised, Pending
from step_node.mempool.verdicts import refusal_for_good
from step_node.proofs.proof import Refusal, RefusalCode, SignedProof
from step_node.storage.interface import RestoredState
from step_node.storage.memory import MemoryStorage
from tests.mempool.parts import GatedStorage, Parts, break_journal, mend_journal, open_parts
from tests.storage.made_up_snapshot import Exported
from tests.support.chains import build, commit_for, finalise, make_genesis, open_chain, validator_names
from tests.support.clock import SetClock
from tests.support.proofs import START_MS, signed_proof

PLACES = ((47.3769, 8.5417), (47.3790, 8.5417), (47.4, 8.6))
"""The first two are 233 m apart, and lie in one triangle of level 4, as the third does."""

POOL = [
    signed_proof(name, lat=lat, lon=lon, level=level, timestamp_ms=START_MS + second * 1_000)
    for name in ("alice", "bob")
    for lat, lon in PLACES
    for level in (4, 5)
    for second in (-100, 0, 9, 10, 30, 110)
]


async def applicable(parts: Parts, proof: SignedProof, timestamp_ms: int) -> bool:
    """Whether a batch of this time, on top of the head, could hold the proof."""
    parameters = parts.chain.parameters
    keys = keys_of([proof], expiry=nonce_expiry(timestamp_ms, parameters))
    state = await parts.chain.load(keys)
    execution = begin_execution(state, timestamp_ms=timestamp_ms, signers=())
    return not isinstance(execution.try_proof(proof, 0), Refusal)


@settings(max_examples=100)
@given(
    batches=st.lists(
        st.tuples(st.lists(st.sampled_from(POOL), min_size=1, max_size=14, unique=True), st.integers(0, 200_000)),
        min_size=1,
        max_size=5,
    )
)
def test_what_is_refused_for_good_no_later_batch_can_hold_and_what_is_let_live_one_can(
    batches: list[tuple[list[SignedProof], int]],
) -> None:
    async def scenario() -> None:
        refused: set[bytes] = set()
        clock = SetClock(START_MS)
        genesis = make_genesis(seeded_level=4)
        async with open_parts(Path(folder), genesis=genesis, clock=clock, serving=False) as parts:
            for proofs, passing_ms in batches:
                clock.advance(passing_ms)
                candidates = sorted(proofs, key=lambda proof: proof.timestamp_ms)
                proposer = parts.chain.validators.proposer(parts.chain.next_height, 0).address
                if await parts.chain.build(candidates, round_number=0, proposer=proposer) is None:
                    continue
                judged = await parts.finalise(candidates)
                in_batch = {proof.proof_id for proof in judged.batch.proofs}
                assert not in_batch & refused
                head_ms = parts.chain.head.chain.timestamp_ms
                state = await parts.chain.load(keys_of(POOL))
                for proof in POOL:
                    refusal = refusal_for_good(proof, state)
                    if refusal is not None:
                        refused.add(proof.proof_id)
                    elif proof.triangle.level == 4:
                        assert await applicable(parts, proof, max(head_ms + 1, proof.timestamp_ms))
                    if proof.proof_id in refused:
                        for later_ms in (1, 5_000, 60_000, 290_000):
                            assert not await applicable(parts, proof, head_ms + later_ms)

    with tempfile.TemporaryDirectory() as folder:
        trio.run(scenario)


def promises_broken(parts: Parts) -> dict[str, float]:
    """By code, what the metric has counted."""
    return {
        sample.labels["code"]: sample.value
        for family in parts.metrics.collect()
        if family.name == "step_promises_broken"
        for sample in family.samples
        if sample.name.endswith("_total") and sample.value
    }


async def submit_all(parts: Parts, *proofs: SignedProof) -> None:
    for proof in proofs:
        assert await parts.admission.submit(proof, wait_ms=0, source="client") == Pending()


async def test_a_finalised_batch_settles_its_proofs_and_those_it_has_passed_by(tmp_path: Path) -> None:
    taken, passed = signed_proof("alice", timestamp_ms=START_MS + 10_000), signed_proof("alice")
    untouched = signed_proof("bob", lat=-33.0, lon=151.0)
    async with open_parts(tmp_path) as parts:
        await submit_all(parts, taken, passed, untouched)
        await parts.finalise([taken])
        outcomes = [await parts.admission.outcome(proof.proof_id) for proof in (taken, passed, untouched)]
        assert isinstance(outcomes[0], Finalised)
        assert isinstance(outcomes[1], Dropped)
        assert outcomes[2] == Pending()
        assert list(parts.mempool.ids()) == [untouched.proof_id]
        assert await parts.journal.waiting() == [untouched]
        assert sorted(parts.settled) == sorted([taken.proof_id, passed.proof_id])


async def test_the_click_that_subdivides_a_triangle_drops_who_waits_for_it(tmp_path: Path) -> None:
    clicks = [signed_proof(f"walker-{index}") for index in range(11)]
    late = signed_proof("late")
    async with open_parts(tmp_path) as parts:
        await submit_all(parts, *clicks[1:], late)
        await parts.finalise(clicks)
        dropped = await parts.admission.outcome(late.proof_id)
        assert isinstance(dropped, Dropped)
        assert dropped.refusal.code is RefusalCode.TRIANGLE_EXHAUSTED
        details = dropped.refusal.details
        assert (details.state, details.value, details.limit) == ("subdivided", 11, 11)
        largest = locate(late.lat, late.lon, 1)
        assert details.try_instead == TryInstead(largest.text, 1)
        # Who was told that it is accepted is counted; a peer's proof, of which nothing was promised, is not.
        assert promises_broken(parts) == {"TRIANGLE_EXHAUSTED": 1.0}
    async with open_parts(tmp_path) as parts:
        assert await parts.admission.outcome(late.proof_id) == dropped


async def test_what_a_peer_passed_on_is_dropped_without_a_promise_being_broken(tmp_path: Path) -> None:
    clicks = [signed_proof(f"walker-{index}") for index in range(11)]
    async with open_parts(tmp_path) as parts:
        assert await parts.admission.admit_from_peer([signed_proof("late")], "peer") == [None]
        await parts.finalise(clicks)
        assert len(parts.mempool) == 0
        assert promises_broken(parts) == {}


async def test_proofs_that_a_batch_has_left_behind_in_time_are_dropped(tmp_path: Path) -> None:
    clock = SetClock(START_MS)
    old = signed_proof("alice", lat=-33.0, lon=151.0)
    async with open_parts(tmp_path, clock=clock) as parts:
        await submit_all(parts, old)
        clock.advance(300_001)
        new = signed_proof("bob", timestamp_ms=clock.now_ms())
        await submit_all(parts, new)
        await parts.finalise([new])
        dropped = await parts.admission.outcome(old.proof_id)
        assert isinstance(dropped, Dropped)
        assert dropped.refusal.code is RefusalCode.CLOCK_DRIFT


async def test_a_proof_ahead_of_the_batch_is_dropped_when_another_gate_refuses_it_for_good(tmp_path: Path) -> None:
    """Its clock is fast: within the drift for this node, beyond it for the batch's proposer, whose clock is slow."""
    clock = SetClock(START_MS)
    ahead = signed_proof("alice", nonce="twice", timestamp_ms=START_MS + 119_000)
    async with open_parts(tmp_path, clock=clock) as parts:
        await submit_all(parts, ahead)
        clock.advance(-5_000)
        await parts.finalise([signed_proof("alice", nonce="twice", timestamp_ms=START_MS)])
        dropped = await parts.admission.outcome(ahead.proof_id)
        assert isinstance(dropped, Dropped)
        assert dropped.refusal.code is RefusalCode.NONCE_REPLAY


async def test_a_proof_ahead_of_an_old_head_is_let_live(tmp_path: Path) -> None:
    storage, clock, proof = MemoryStorage(), SetClock(START_MS), signed_proof(timestamp_ms=START_MS + 10 * 86_400_000)
    clock.advance(10 * 86_400_000)
    async with open_parts(tmp_path, storage=storage, clock=clock) as parts:
        await submit_all(parts, proof)
    async with open_parts(tmp_path, storage=storage, clock=clock) as parts:
        assert list(parts.mempool.ids()) == [proof.proof_id]


async def test_settling_waits_for_a_store_that_does_not_answer(tmp_path: Path, autojump_clock: object) -> None:
    del autojump_clock
    storage = GatedStorage()
    taken, passed = signed_proof("alice", timestamp_ms=START_MS + 10_000), signed_proof("alice")
    async with open_parts(tmp_path, storage=storage, serving=False) as parts:
        parts.mempool.add(passed)
        await parts.journal.accept([passed], now_ms=START_MS)

        async def recover() -> None:
            await trio.sleep(20)
            storage.is_available = True

        async with trio.open_nursery() as nursery:
            judged = await finalise(parts.chain, [taken])
            storage.is_available = False
            nursery.start_soon(recover)
            await parts.settlement.after_batch(judged)
        assert isinstance(await parts.admission.outcome(passed.proof_id), Dropped)


async def test_a_journal_that_fails_while_settling_is_told_later_and_nobody_hears_of_it(tmp_path: Path) -> None:
    storage = MemoryStorage()
    taken, passed = signed_proof("alice", timestamp_ms=START_MS + 10_000), signed_proof("alice")
    async with open_parts(tmp_path, storage=storage) as parts:
        await submit_all(parts, taken, passed)
        other = break_journal(tmp_path)
        await parts.finalise([taken])
        assert parts.journal.trouble is not None
        assert isinstance(await parts.admission.outcome(taken.proof_id), Finalised)
        assert isinstance(await parts.admission.outcome(passed.proof_id), Dropped)
        mend_journal(other)
        await parts.journal.write_owed(START_MS)
        assert parts.journal.trouble is None


async def test_a_journal_that_has_not_been_told_is_told_by_a_restart(tmp_path: Path) -> None:
    storage = MemoryStorage()
    taken, passed = signed_proof("alice", timestamp_ms=START_MS + 10_000), signed_proof("alice")
    async with open_parts(tmp_path, storage=storage) as parts:
        await submit_all(parts, taken, passed)
        other = break_journal(tmp_path)
        await parts.finalise([taken])
    mend_journal(other)
    async with open_parts(tmp_path, storage=storage) as parts:
        assert isinstance(await parts.admission.outcome(taken.proof_id), Finalised)
        assert isinstance(await parts.admission.outcome(passed.proof_id), Dropped)
        assert await parts.journal.waiting() == []


async def test_a_crowded_triangle_is_settled_in_portions_between_which_others_have_their_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("step_node.mempool.settlement.JUDGED_AT_ONCE_MAX", 1)
    crowd = [signed_proof(f"crowd-{index}") for index in range(11 + 10)]
    turns = 0

    async def other_task() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with open_parts(tmp_path) as parts, trio.open_nursery() as nursery:
        for proof in crowd:
            parts.mempool.add(proof)
        judged = await build(parts.chain, crowd)
        await parts.chain.finalise(judged, commit_for(judged.batch, validator_names(1)))
        # What is on threads gives turns too; here they are counted until the journal is asked.
        turns_until_settled: list[int] = []
        settle = parts.journal.settle

        async def settling(**what: Any) -> None:
            turns_until_settled.append(turns)
            await settle(**what)

        monkeypatch.setattr(parts.journal, "settle", settling)
        nursery.start_soon(other_task)
        await parts.settlement.after_batch(judged)
        nursery.cancel_scope.cancel()
    assert len(judged.batch.proofs) == 11  # the eleventh click subdivides it
    assert len(parts.mempool) == 0
    assert turns_until_settled[0] >= 5


async def test_after_a_jump_what_the_snapshot_has_moved_past_is_dropped_with_where_to_ask(tmp_path: Path) -> None:
    """A node accepts proofs while it joins; one was finalised before the snapshot, one lies behind it."""
    genesis, late_ms = make_genesis(), START_MS + 60_000
    finalised_before = signed_proof("alice", nonce="used")
    outrun = signed_proof("bob", timestamp_ms=START_MS)
    waits = signed_proof("carol", timestamp_ms=late_ms)
    other = await open_chain(genesis)
    await finalise(other, [finalised_before])
    other_later = signed_proof("bob", lat=10.0, lon=10.0, timestamp_ms=START_MS + 1_000)
    await finalise(other, [other_later])
    async with open_parts(tmp_path, genesis=genesis, clock=SetClock(late_ms)) as parts:
        for proof in (finalised_before, outrun, waits):
            assert isinstance(await parts.admission.submit(proof, wait_ms=0, source="client"), Pending)
        (base,) = await other.storage.batches(2, 1)
        exported = Exported()
        await other.storage.export(exported)
        records = [one for one in exported.records if isinstance(one, Account | Triangle | NonceRecord)]
        await parts.chain.restore(RestoredState(other.head, base, lambda: [records]))
        await parts.settlement.after_jump()
        for proof, code in ((finalised_before, RefusalCode.NONCE_REPLAY), (outrun, RefusalCode.MORATORIUM)):
            outcome = await parts.admission.outcome(proof.proof_id)
            assert isinstance(outcome, Dropped)
            assert outcome.refusal.code in (code, RefusalCode.TOO_FAST)
            assert "from height 2 on" in outcome.refusal.message
        assert await parts.admission.outcome(waits.proof_id) == Pending()
        assert parts.admission.owes_answers()
