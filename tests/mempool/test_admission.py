"""Admission: what a client is told, what is on disk by then, and what becomes of it, across races and restarts."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio
import trio.testing

from mesh import locate
from step_node.ledger.apply import keys_of
from step_node.ledger.state import Receipt
from step_node.mempool import backlog
from step_node.mempool import journal as journal_module
from step_node.mempool.admission import QUEUE_SUBMISSIONS_MAX
from step_node.mempool.outcomes import Dropped, Finalised, Pending
from step_node.proofs.proof import Refusal, RefusalCode, SignedProof
from step_node.storage.memory import MemoryStorage
from tests.mempool.parts import GatedStorage, Parts, break_journal, mend_journal, open_parts
from tests.support.chains import finalise
from tests.support.clock import SetClock
from tests.support.proofs import START_MS, signed_proof


def with_bad_signature(proof: SignedProof) -> SignedProof:
    return proof._replace(signature=signed_proof("mallory").signature)


def code_of(answer: object) -> RefusalCode:
    assert isinstance(answer, Refusal)
    return answer.code


async def test_an_accepted_proof_is_on_disk_before_the_answer(tmp_path: Path) -> None:
    proof = signed_proof()
    async with open_parts(tmp_path) as parts:
        assert await parts.admission.submit(proof, wait_ms=0, source="client") == Pending()
        assert await parts.journal.waiting() == [proof]
        assert await parts.admission.outcome(proof.proof_id) == Pending()
        assert parts.admission.accepted.receive_nowait() == (proof,)


async def test_a_proof_that_a_peer_brought_is_promised_too_once_a_client_submits_it(tmp_path: Path) -> None:
    proof = signed_proof()
    storage = MemoryStorage()
    async with open_parts(tmp_path, storage=storage) as parts:
        assert await parts.admission.admit_from_peer([proof], "friend") == [None]
        assert await parts.journal.waiting() == [], "each node answers for its own promises only"
        # The copy with a bad signature has the same id, and must not get into the journal in place of the good one.
        assert await parts.admission.submit(with_bad_signature(proof), wait_ms=0, source="client") == Pending()
        assert await parts.journal.waiting() == [proof]
    async with open_parts(tmp_path, storage=storage) as parts:
        assert await parts.admission.outcome(proof.proof_id) == Pending()


async def test_submitting_again_gives_the_outcome(tmp_path: Path) -> None:
    first = signed_proof(timestamp_ms=START_MS)
    second = signed_proof(timestamp_ms=START_MS + 20_000)
    async with open_parts(tmp_path) as parts:
        for proof in (first, second):
            assert await parts.admission.submit(proof, wait_ms=0, source="client") == Pending()
        judged = await parts.finalise([second])
        assert await parts.admission.submit(second, wait_ms=0, source="client") == Finalised(
            judged.transition.receipts[0]
        )
        dropped = await parts.admission.submit(first, wait_ms=0, source="client")
        assert isinstance(dropped, Dropped)
        assert dropped.refusal.code is RefusalCode.MORATORIUM
        assert await parts.admission.outcome(first.proof_id) == dropped
        assert await parts.admission.outcome(signed_proof().proof_id) is None


async def test_a_waiting_client_is_told_when_the_chain_decides(tmp_path: Path) -> None:
    first = signed_proof(timestamp_ms=START_MS)
    second = signed_proof(timestamp_ms=START_MS + 20_000)
    answers: dict[str, object] = {}
    async with open_parts(tmp_path) as parts:

        async def client(name: str, proof: SignedProof) -> None:
            answers[name] = await parts.admission.submit(proof, wait_ms=60_000, source="client")

        async with trio.open_nursery() as clients:
            clients.start_soon(client, "first", first)
            clients.start_soon(client, "second", second)
            clients.start_soon(client, "second again", second)
            while len(parts.waiters) < 3:
                await trio.lowlevel.checkpoint()
            judged = await parts.finalise([second])
        assert answers["second"] == answers["second again"] == Finalised(judged.transition.receipts[0])
        assert isinstance(answers["first"], Dropped)
        assert len(parts.waiters) == 0


async def test_every_gate_refuses_with_its_code_and_leaves_nothing_behind(tmp_path: Path) -> None:
    good = signed_proof("alice")
    used = signed_proof("bob", nonce="used")
    refused = {
        RefusalCode.LOW_GPS_ACCURACY: signed_proof("carol", accuracy_m=50.1),
        RefusalCode.BAD_SIGNATURE: with_bad_signature(signed_proof("carol")),
        RefusalCode.OUT_OF_BOUNDS: signed_proof("carol", triangle=locate(0.0, 0.0, 10)),
        RefusalCode.CLOCK_DRIFT: signed_proof("carol", timestamp_ms=START_MS + 120_001),
        RefusalCode.NONCE_REPLAY: signed_proof("bob", nonce="used", timestamp_ms=START_MS + 60_000),
        RefusalCode.TRIANGLE_NOT_FOUND: signed_proof("carol", level=11),
        RefusalCode.TOO_FAST: signed_proof("bob", lat=47.5, timestamp_ms=START_MS + 60_000),
        RefusalCode.MORATORIUM: signed_proof("bob", timestamp_ms=START_MS + 9_999),
    }
    async with open_parts(tmp_path) as parts:
        assert await parts.admission.submit(good, wait_ms=0, source="client") == Pending()
        await parts.admission.submit(used, wait_ms=0, source="client")
        await parts.finalise([used])
        for code, proof in refused.items():
            assert code_of(await parts.admission.submit(proof, wait_ms=0, source="client")) is code
            assert await parts.admission.outcome(proof.proof_id) is None
        assert await parts.journal.waiting() == [good]
        assert list(parts.mempool.ids()) == [good.proof_id]


async def test_the_mempools_own_limits_refuse_with_their_codes(tmp_path: Path) -> None:
    async with open_parts(tmp_path, proofs_max=1) as parts:
        assert await parts.admission.submit(signed_proof("alice"), wait_ms=0, source="client") == Pending()
        assert (
            code_of(await parts.admission.submit(signed_proof("bob"), wait_ms=0, source="client"))
            is RefusalCode.MEMPOOL_FULL
        )


async def test_more_submissions_than_may_wait_are_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "BACKLOG_PROOFS_MIN", QUEUE_SUBMISSIONS_MAX + 1)
    async with open_parts(tmp_path, serving=False) as parts, trio.open_nursery() as clients:
        proof = signed_proof()
        for _ in range(QUEUE_SUBMISSIONS_MAX):
            clients.start_soon(lambda: parts.admission.submit(proof, wait_ms=0, source="client"))
        await trio.testing.wait_all_tasks_blocked()
        assert code_of(await parts.admission.submit(proof, wait_ms=0, source="client")) is RefusalCode.MEMPOOL_FULL
        clients.cancel_scope.cancel()


async def test_more_proofs_than_the_chain_keeps_up_with_are_refused_until_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "BACKLOG_PROOFS_MIN", 3)
    proofs = [signed_proof(f"walker-{index}", lat=index / 10) for index in range(5)]
    async with open_parts(tmp_path) as parts:
        assert parts.admission.busy_seconds() == 0
        answers = await parts.admission.submit_many(proofs, wait_ms=0, source="client")
        assert answers[:3] == [Pending()] * 3
        assert [code_of(answer) for answer in answers[3:]] == [RefusalCode.MEMPOOL_FULL] * 2
        assert parts.admission.busy_seconds() == backlog.RETRY_SECONDS_MAX, "nothing has become final yet"
        # What waits already is promised already, and what peers have promised is taken in.
        assert await parts.admission.submit(proofs[0], wait_ms=0, source="client") == Pending()
        assert await parts.admission.admit_from_peer(proofs[3:], "peer") == [None, None]
        assert len(parts.mempool) == 5
        await parts.finalise(proofs[:3])
        assert parts.admission.busy_seconds() == 0
        more = signed_proof("another", lat=-5.0)
        assert await parts.admission.submit(more, wait_ms=0, source="client") == Pending()


async def test_a_stopping_node_leaves_no_client_waiting(tmp_path: Path) -> None:
    storage = GatedStorage()
    answers: list[object] = []
    async with open_parts(tmp_path, storage=storage, serving=False) as parts:

        async def client(name: str) -> None:
            answers.append(await parts.admission.submit(signed_proof(name), wait_ms=60_000, source="client"))

        storage.hold_loads = trio.Event()
        async with trio.open_nursery() as clients:
            async with trio.open_nursery() as service:
                service.start_soon(parts.admission.run)
                clients.start_soon(client, "being served")
                await storage.load_is_held.wait()
                clients.start_soon(client, "in the queue")
                await trio.testing.wait_all_tasks_blocked()
                service.cancel_scope.cancel()
            clients.start_soon(client, "too late")
        assert [code_of(answer) for answer in answers] == [RefusalCode.NOT_READY] * 3


async def test_a_store_that_does_not_answer_is_told_and_the_same_proof_passes_later(tmp_path: Path) -> None:
    storage = GatedStorage()
    proof = signed_proof()
    async with open_parts(tmp_path, storage=storage) as parts:
        storage.is_available = False
        assert code_of(await parts.admission.submit(proof, wait_ms=60_000, source="client")) is RefusalCode.NOT_READY
        assert await parts.journal.waiting() == []
        assert len(parts.mempool) == 0
        storage.is_available = True
        assert await parts.admission.submit(proof, wait_ms=0, source="client") == Pending()


async def test_a_proof_that_cannot_be_journalled_is_refused_and_does_not_wait(tmp_path: Path) -> None:
    proof, brought_by_a_peer = signed_proof("alice"), signed_proof("bob")
    async with open_parts(tmp_path) as parts:
        await parts.admission.admit_from_peer([brought_by_a_peer], "friend")
        other = break_journal(tmp_path)
        for each in (proof, brought_by_a_peer):
            assert code_of(await parts.admission.submit(each, wait_ms=60_000, source="client")) is RefusalCode.NOT_READY
        assert list(parts.mempool.ids()) == [brought_by_a_peer.proof_id]
        mend_journal(other)
        for each in (proof, brought_by_a_peer):
            assert await parts.admission.submit(each, wait_ms=0, source="client") == Pending()


async def submit_while_a_batch_is_finalised(parts: Parts, proof: SignedProof, batch: list[SignedProof]) -> object:
    """Submit `proof`, with `batch` finalised and settled between the reading of the state and its use."""
    storage = parts.chain.storage
    assert isinstance(storage, GatedStorage)
    answers: list[object] = []

    async def client() -> None:
        answers.append(await parts.admission.submit(proof, wait_ms=0, source="client"))

    async with trio.open_nursery() as clients:
        storage.hold_loads = held = trio.Event()
        clients.start_soon(client)
        await storage.load_is_held.wait()
        storage.hold_loads = None
        await parts.finalise(batch)
        held.set()
    return answers[0]


async def test_a_batch_finalised_while_the_state_is_read_is_not_overlooked(tmp_path: Path) -> None:
    async with open_parts(tmp_path, storage=GatedStorage()) as parts:
        answer = await submit_while_a_batch_is_finalised(
            parts, signed_proof(timestamp_ms=START_MS), [signed_proof(timestamp_ms=START_MS + 5_000)]
        )
        assert code_of(answer) is RefusalCode.MORATORIUM
        assert len(parts.mempool) == 0


async def test_a_proof_finalised_while_it_is_submitted_is_not_called_a_replay_of_itself(tmp_path: Path) -> None:
    proof = signed_proof()
    async with open_parts(tmp_path, storage=GatedStorage()) as parts:
        answer = await submit_while_a_batch_is_finalised(parts, proof, [proof])
        assert isinstance(answer, Finalised)


async def test_a_proof_decided_while_it_is_journalled_is_settled_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal's one thread is busy while the chain decides, so that its answer comes after the decision."""
    monkeypatch.setattr(journal_module, "BUSY_TIMEOUT_S", 60.0)
    first, second = signed_proof(timestamp_ms=START_MS), signed_proof(timestamp_ms=START_MS + 20_000)
    lock = sqlite3.connect(tmp_path / "journal.sqlite")
    storage = MemoryStorage()
    async with open_parts(tmp_path, storage=storage) as parts:
        # The lookup of dropped proofs only reads; the journal then waits here to write.
        lock.execute("BEGIN IMMEDIATE")
        answers: dict[bytes, object] = {}

        async def client(proof: SignedProof) -> None:
            answers[proof.proof_id] = await parts.admission.submit(proof, wait_ms=0, source="client")

        async with trio.open_nursery() as tasks:
            tasks.start_soon(client, first)
            tasks.start_soon(client, second)
            while len(parts.mempool) < 2:
                await trio.lowlevel.checkpoint()
            tasks.start_soon(parts.finalise, [second])
            while len(parts.mempool) > 0:
                await trio.lowlevel.checkpoint()
            lock.rollback()
        lock.close()
        assert isinstance(answers[second.proof_id], Finalised)
        assert isinstance(answers[first.proof_id], Dropped)
        assert await parts.journal.waiting() == []
    async with open_parts(tmp_path, storage=storage) as parts:
        assert isinstance(await parts.admission.outcome(first.proof_id), Dropped)
        assert isinstance(await parts.admission.outcome(second.proof_id), Finalised)


async def test_a_restart_forgets_no_promise(tmp_path: Path) -> None:
    storage = MemoryStorage()
    names = ("finalised", "passed", "waiting")
    proofs = {name: signed_proof("alice" if name == "passed" else name) for name in names}
    overtaking = signed_proof("alice", timestamp_ms=START_MS + 5_000)
    async with open_parts(tmp_path, storage=storage) as parts:
        for proof in proofs.values():
            assert await parts.admission.submit(proof, wait_ms=0, source="client") == Pending()
        # Stored, but the process dies before anything is settled.
        await finalise(parts.chain, [proofs["finalised"], overtaking])
    async with open_parts(tmp_path, storage=storage) as parts:
        outcomes = {name: await parts.admission.outcome(proof.proof_id) for name, proof in proofs.items()}
        assert isinstance(outcomes["finalised"], Finalised)
        assert isinstance(outcomes["passed"], Dropped)
        assert outcomes["waiting"] == Pending()
        assert await parts.journal.waiting() == [proofs["waiting"]]
        assert list(parts.mempool.ids()) == [proofs["waiting"].proof_id]


async def test_an_idle_chain_drops_what_nobody_will_take_any_more_and_remembers_why(tmp_path: Path) -> None:
    storage, clock, proof = MemoryStorage(), SetClock(START_MS), signed_proof()
    async with open_parts(tmp_path, storage=storage, clock=clock) as parts:
        assert await parts.admission.submit(proof, wait_ms=0, source="client") == Pending()
        clock.advance(300_000 + 240_000)
        await parts.settlement.drop_expired()
        assert await parts.admission.outcome(proof.proof_id) == Pending()
        clock.advance(1)
        await parts.settlement.drop_expired()
    async with open_parts(tmp_path, storage=storage, clock=clock) as parts:
        dropped = await parts.admission.outcome(proof.proof_id)
        assert isinstance(dropped, Dropped)
        assert dropped.refusal.code is RefusalCode.CLOCK_DRIFT


async def test_proofs_from_peers_are_judged_one_by_one(tmp_path: Path) -> None:
    good, late = signed_proof("alice"), signed_proof("bob", timestamp_ms=START_MS - 300_001)
    forged = with_bad_signature(signed_proof("carol"))
    async with open_parts(tmp_path) as parts:
        verdicts = await parts.admission.admit_from_peer([good, forged, late, good], "friend")
        assert [None if verdict is None else verdict.code for verdict in verdicts] == [
            None,
            RefusalCode.BAD_SIGNATURE,
            RefusalCode.CLOCK_DRIFT,
            None,
        ]
        assert list(parts.mempool.ids()) == [good.proof_id]
        await parts.finalise([good])
        assert await parts.admission.admit_from_peer([good], "friend") == [None]
        assert len(parts.mempool) == 0, "a finalised proof does not wait again"


# --- what already waits, and what the chain's time is -----------------------------------------------------------------


async def test_a_triangle_takes_as_many_promises_as_it_has_clicks_left(tmp_path: Path) -> None:
    walkers = [signed_proof(f"walker-{index}") for index in range(30)]
    async with open_parts(tmp_path) as parts:
        answers = [await parts.admission.submit(proof, wait_ms=0, source="client") for proof in walkers]
        assert answers[:11] == [Pending()] * 11
        assert {code_of(answer) for answer in answers[11:]} == {RefusalCode.RATE_LIMITED}
        assert await parts.admission.submit(walkers[0], wait_ms=0, source="client") == Pending(), "a promise is kept"
        judged = await parts.finalise(walkers[:11])
        assert [receipt.proof_id for receipt in judged.transition.receipts] == [one.proof_id for one in walkers[:11]]
        again = await parts.admission.submit(walkers[11], wait_ms=0, source="client")
        assert code_of(again) is RefusalCode.TRIANGLE_EXHAUSTED


async def test_clicks_that_are_final_and_clicks_that_wait_count_together(tmp_path: Path) -> None:
    walkers = [signed_proof(f"walker-{index}") for index in range(12)]
    async with open_parts(tmp_path) as parts:
        for proof in walkers[:6]:
            await parts.admission.submit(proof, wait_ms=0, source="client")
        await parts.finalise(walkers[:6])
        assert await parts.admission.admit_from_peer(walkers[6:8], "friend") == [None, None]
        answers = [await parts.admission.submit(proof, wait_ms=0, source="client") for proof in walkers[8:]]
        assert answers[:3] == [Pending()] * 3
        assert code_of(answers[3]) is RefusalCode.RATE_LIMITED


async def test_what_peers_pass_on_is_no_promise_and_waits_whatever_waits_already(tmp_path: Path) -> None:
    walkers = [signed_proof(f"walker-{index}") for index in range(12)]
    async with open_parts(tmp_path) as parts:
        assert await parts.admission.admit_from_peer(walkers, "friend") == [None] * 12


async def test_a_queue_of_one_account_is_promised_as_far_as_its_triangle_goes(tmp_path: Path) -> None:
    queue = [signed_proof("alice", nonce=f"n{n}", timestamp_ms=START_MS - 200_000 + 10_000 * n) for n in range(20)]
    async with open_parts(tmp_path) as parts:
        answers = [await parts.admission.submit(proof, wait_ms=0, source="client") for proof in queue]
        promised = [proof for proof, answer in zip(queue, answers, strict=True) if answer == Pending()]
        assert promised == queue[:11]
        await parts.finalise(promised)
        for proof in promised:
            assert isinstance(await parts.admission.outcome(proof.proof_id), Finalised)


async def test_a_proof_that_is_too_old_for_the_chain_is_refused_at_once(tmp_path: Path) -> None:
    """The chain is ahead of this node's clock, by which the proof would be timely."""
    clock = SetClock(START_MS)
    async with open_parts(tmp_path, clock=clock) as parts:
        clock.advance(4_000)
        await parts.finalise([signed_proof("bob", timestamp_ms=START_MS)])
        clock.advance(-4_000)
        answer = await parts.admission.submit(
            signed_proof("carol", timestamp_ms=START_MS - 298_000), wait_ms=0, source="client"
        )
        assert code_of(answer) is RefusalCode.CLOCK_DRIFT
        timely = signed_proof("carol", timestamp_ms=START_MS - 292_000)
        assert await parts.admission.submit(timely, wait_ms=0, source="client") == Pending()


async def test_nothing_is_promised_before_the_chain_begins(tmp_path: Path) -> None:
    clock = SetClock(START_MS - 60_001)
    async with open_parts(tmp_path, clock=clock) as parts:
        early = await parts.admission.submit(signed_proof(timestamp_ms=clock.now_ms()), wait_ms=0, source="client")
        assert code_of(early) is RefusalCode.NOT_READY
        clock.advance(1)
        assert (
            await parts.admission.submit(signed_proof(timestamp_ms=clock.now_ms()), wait_ms=0, source="client")
            == Pending()
        )


async def test_a_receipt_is_looked_for_only_where_the_state_cannot_tell(tmp_path: Path) -> None:
    """The receipts are those of the chain's whole life: a proof that is new costs no look among them."""
    asked: list[list[bytes]] = []

    class CountingStorage(MemoryStorage):
        async def receipts(self, proof_ids: Sequence[bytes]) -> Sequence[Receipt]:
            asked.append(list(proof_ids))
            return await super().receipts(proof_ids)

    clock = SetClock(START_MS)
    old = signed_proof("old", timestamp_ms=START_MS)
    async with open_parts(tmp_path, storage=CountingStorage(), clock=clock) as parts:
        assert await parts.admission.admit_from_peer([old, signed_proof("other")], "friend") == [None, None]
        assert asked == []
        (receipt,) = (await parts.finalise([old])).transition.receipts
        assert await parts.admission.submit(old, wait_ms=0, source="client") == Finalised(receipt)
        assert asked.pop() == [old.proof_id]
        # Long after, the state has forgotten its nonce, and the answer is the same.
        parameters = parts.chain.parameters
        clock.advance(2 * (parameters.proof_max_age_ms + parameters.clock_drift_ms) + 60_000)
        await parts.finalise([signed_proof("later", timestamp_ms=clock.now_ms())])
        await parts.finalise([signed_proof("latest", timestamp_ms=clock.now_ms())])
        state = await parts.chain.load(keys_of([old]))
        assert state.nonces[old.account, old.nonce] is None
        asked.clear()
        assert await parts.admission.submit(old, wait_ms=0, source="client") == Finalised(receipt)
        assert asked == [[old.proof_id]]
