"""Admission: the one door into the mempool, for clients' submissions and for proofs that peers pass on.

Proofs come in chunks, and each step serves a whole chunk: signatures are verified on worker threads, the state they
depend on is loaded in one read, and what clients submitted is journalled in one transaction before anybody is
answered. Only what entered here through this node's own API is journalled: every node answers for its own promises.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import structlog
import trio

from step_node.chain.chain import Chain
from step_node.chain.verification import verify_on_threads
from step_node.clock import Clock
from step_node.explanations.details import Details
from step_node.ledger.apply import keys_of, nonce_expiry
from step_node.ledger.state import Receipt, StateSlice
from step_node.ledger.state_gates import check_clock
from step_node.mempool.backlog import Backlog
from step_node.mempool.journal import DroppedProof, Journal, JournalError
from step_node.mempool.movement import with_retry_at
from step_node.mempool.outcomes import Dropped, Finalised, Outcome, OutcomeWaiters, Pending
from step_node.mempool.pool import Mempool
from step_node.mempool.refusals import STOPPING, check_time_left, queue_full, too_early, too_many
from step_node.mempool.try_instead import needs_triangle, with_triangles
from step_node.mempool.verdicts import refusal_at, refusal_for_good
from step_node.metrics import NodeMetrics
from step_node.proof_traces import ProofTraces
from step_node.proofs.proof import Refusal, RefusalCode, SignedProof
from step_node.storage.interface import StorageReads, StorageUnavailable

CHUNK_PROOFS_MAX = 256
"""Submissions that are verified, loaded and journalled together."""

QUEUE_SUBMISSIONS_MAX = 4_096
"""Submissions that wait for their chunk; one more is refused with `MEMPOOL_FULL`."""

RESTORED = "journal"
"""The source of what comes back after a restart: who submitted it is not written down."""


@dataclass(slots=True)
class _Submission:
    proof: SignedProof
    source: str
    done: trio.Event
    began_ns: int = 0
    """When it was put in line, by the wall clock; 0 if nothing is traced."""
    answer: Refusal | Outcome | None = None
    is_new: bool = False
    """Whether the proof waits here because of this submission."""


Answer: TypeAlias = Refusal | Outcome


@dataclass(frozen=True, slots=True)
class TakenIn:
    """Of some submissions: `new` wait because of them; so many more were `known`, and had been submitted before."""

    new: list[SignedProof]
    known: int


log = structlog.get_logger("journal")


class Admission:
    """See the module's docstring. `run` must be running while `submit` is called.

    `tell_accepted` is told of proofs that wait here from now on, those of clients when they are on disk.
    """

    def __init__(
        self,
        *,
        chain: Chain,
        mempool: Mempool,
        backlog: Backlog,
        journal: Journal,
        waiters: OutcomeWaiters,
        clock: Clock,
        metrics: NodeMetrics,
        tell_accepted: Callable[[Sequence[SignedProof]], None] = lambda _: None,
        traces: ProofTraces | None = None,
    ) -> None:
        self._chain = chain
        self._mempool = mempool
        self._backlog = backlog
        self._journal = journal
        self._waiters = waiters
        self._clock = clock
        self._metrics = metrics
        self._tell_accepted = tell_accepted
        self._traces = traces
        self._send, self._receive = trio.open_memory_channel[_Submission](QUEUE_SUBMISSIONS_MAX)
        self._accepted_send, self.accepted = trio.open_memory_channel[tuple[SignedProof, ...]](QUEUE_SUBMISSIONS_MAX)
        """Chunks that were accepted from clients, for the gossip; when nobody takes them they are dropped: peers ask
        for what they miss."""

    async def submit(self, proof: SignedProof, *, wait_ms: int, source: str) -> Answer:
        """Take in one proof from a client: `submit_many` of one."""
        return (await self.submit_many([proof], wait_ms=wait_ms, source=source))[0]

    async def submit_many(
        self,
        proofs: Sequence[SignedProof],
        *,
        wait_ms: int,
        source: str,
        taken_in: Callable[[TakenIn], None] = lambda _: None,
    ) -> list[Answer]:
        """Take in proofs from a client, and wait up to `wait_ms` for the chain to decide all of them.

        `source` is the client's address; how many proofs of newcomers may wait is counted by it (`mempool.turns`).
        `taken_in` is told, as soon as they wait here, which do that have not done so before.

        The answers are in the order of the proofs: a `Refusal` where a gate refuses one, else what became of it. A
        proof that was submitted before gets its outcome. What this answers with anything but a refusal is on disk.
        """
        begins_in_ms = self._chain.begins_in_ms
        if begins_in_ms:
            early = too_early(begins_in_ms, self._clock.now_ms())
            return [early] * len(proofs)
        began_ns = 0 if self._traces is None else self._traces.now_ns()
        submissions = [_Submission(proof, source, trio.Event(), began_ns) for proof in proofs]
        self._enqueue(submissions)
        for submission in submissions:
            # Chunks are served in turn, so nearly all of a chunk are done when its first is.
            if not submission.done.is_set():
                await submission.done.wait()
        new = [submission.proof for submission in submissions if submission.is_new]
        self._waiters.requests.taken_in([proof.proof_id for proof in new])
        known = sum(not submission.is_new and isinstance(submission.answer, Outcome) for submission in submissions)
        taken_in(TakenIn(new, known))
        waiting = {each.proof.proof_id for each in submissions if isinstance(each.answer, Pending)}
        outcomes = await self._await_outcomes(waiting, wait_ms)
        answers = [outcomes.get(each.proof.proof_id, each.answer or STOPPING) for each in submissions]
        return await self._with_triangles(proofs, answers)

    def busy_seconds(self) -> int:
        """In how many seconds a client should come back, if no proof is taken in now because of those that wait."""
        waiting = self.waiting
        return 0 if self._backlog.room(waiting) else self._backlog.retry_seconds(waiting)

    async def _with_triangles(self, proofs: Sequence[SignedProof], answers: list[Answer]) -> list[Answer]:
        """These answers, with the triangle to try instead where that is the way out of a refusal."""
        refused = [
            (index, answer)
            for index, answer in enumerate(answers)
            if isinstance(answer, Refusal) and needs_triangle(answer)
        ]
        if not refused:
            return answers
        try:
            explained = await with_triangles(
                [(proofs[index], answer) for index, answer in refused],
                load=self._chain.storage.for_strangers().load,
                waiting_in=self._mempool.waiting_in,
            )
        except StorageUnavailable:
            return answers  # The refusal stands, and what it says without the triangle is true.
        for (index, _), refusal in zip(refused, explained, strict=True):
            answers[index] = refusal
        return answers

    @property
    def waiting(self) -> int:
        """How many proofs wait, here or on their way in."""
        return len(self._mempool) + self._send.statistics().current_buffer_used

    def _enqueue(self, submissions: Sequence[_Submission]) -> None:
        """Put these in line for their chunks, in order; those that find no room are answered at once."""
        waiting = self.waiting
        room = self._backlog.room(waiting)
        for submission in submissions:
            is_known = submission.proof.proof_id in self._mempool
            refusal = self._put_in_line(submission) if room or is_known else too_many(waiting)
            if refusal is None:
                room -= not is_known
            else:
                self._refuse_unanswered([submission], refusal)
                self._release([submission])

    def _put_in_line(self, submission: _Submission) -> Refusal | None:
        try:
            self._send.send_nowait(submission)
        except trio.WouldBlock:
            return queue_full(QUEUE_SUBMISSIONS_MAX)
        except trio.BrokenResourceError:
            return STOPPING
        return None

    async def _await_outcomes(self, proof_ids: Collection[bytes], wait_ms: int) -> dict[bytes, Outcome]:
        """What became of these, which were all pending at the last look, `wait_ms` later at the latest."""
        outcomes: dict[bytes, Outcome] = {}
        # The chain may have decided between a chunk's answer and this step, and while one looks.
        while decided := [each for each in proof_ids if each not in outcomes and each not in self._mempool]:
            outcomes |= dict.fromkeys(decided, Pending()) | await self._outcomes(decided, self._chain.storage)
        return outcomes | await self._waiters.wait(
            [each for each in proof_ids if each not in outcomes], timeout_ms=wait_ms
        )

    async def outcome(self, proof_id: bytes, *, wait_ms: int = 0) -> Outcome | None:
        """What is known of a proof, for who asks: None if this node has never accepted or finalised it.

        One that waits is waited for, up to `wait_ms`.
        """
        known = (await self._outcomes([proof_id], self._chain.storage.for_strangers())).get(proof_id)
        if isinstance(known, Pending) and wait_ms > 0:
            return (await self._await_outcomes([proof_id], wait_ms))[proof_id]
        return known

    async def known(self, proof_ids: Collection[bytes]) -> dict[bytes, Answer]:
        """What is known of these, of which nothing new is taken in; what is not known is not in the answer.

        One that waits is `Pending` here, and its client's promise is for `submit_many` to make. Where the store or the
        journal cannot tell, the answer is the refusal that a submission gets then.
        """
        try:
            return dict(await self._outcomes(proof_ids, self._chain.storage.for_strangers()))
        except (StorageUnavailable, JournalError) as error:
            return dict.fromkeys(proof_ids, _cannot_tell(error))

    async def _outcomes(self, proof_ids: Collection[bytes], storage: StorageReads) -> dict[bytes, Outcome]:
        """What is known of these proofs; those that this node has never accepted or finalised are not in the answer."""
        outcomes: dict[bytes, Outcome] = {each: Pending() for each in proof_ids if each in self._mempool}
        others = [each for each in proof_ids if each not in outcomes]
        if not others:
            return outcomes
        receipts = await storage.receipts(others)
        outcomes.update((receipt.proof_id, Finalised(receipt)) for receipt in receipts)
        others = [each for each in others if each not in outcomes]
        dropped = await self._journal.dropped(others) if others else {}
        for proof_id in others:
            if proof_id in dropped:
                outcomes[proof_id] = Dropped(dropped[proof_id])
            elif proof_id in self._mempool or self._journal.holds(proof_id):
                # A batch has taken it out of the mempool, and the journal has not been settled yet.
                outcomes[proof_id] = Pending()
        return outcomes

    def owes_answers(self) -> bool:
        """Whether proofs wait, or may wait, whose clients were told that they are accepted."""
        return self._journal.may_hold

    async def run(self) -> None:
        """Serve submissions, chunk by chunk, until cancelled."""
        held: list[_Submission] = []
        try:
            while True:
                held = [await self._receive.receive()]
                while len(held) < CHUNK_PROOFS_MAX:
                    try:
                        held.append(self._receive.receive_nowait())
                    except trio.WouldBlock:
                        break
                await self._serve(held)
        finally:
            # Nobody serves any more, so nobody may be left waiting: neither these, nor who is still in the queue.
            while self._receive.statistics().current_buffer_used:
                held.append(self._receive.receive_nowait())
            self._receive.close()
            self._release(held)

    async def restore(self) -> int:
        """After a restart, let the journalled proofs back in; returns how many wait again.

        Those that were finalised meanwhile are forgotten, and those that never can be are marked as dropped. A journal
        that cannot be read gives none: `Journal.is_read` says whether to come again.
        """
        try:
            waiting = await self._journal.waiting()
        except JournalError:
            return 0
        restored = 0
        for start in range(0, len(waiting), CHUNK_PROOFS_MAX):
            chunk = waiting[start : start + CHUNK_PROOFS_MAX]
            restored += await self._let_back_in(await self._undamaged(chunk))
        return restored

    async def _undamaged(self, proofs: Sequence[SignedProof]) -> list[SignedProof]:
        """Those whose signature still holds: SQLite does not see that a bit has changed, and one such proof would make
        every batch with it invalid. The others are forgotten; their clients can submit them again."""
        verdicts = await self._verify(proofs)
        damaged = [proof.proof_id for proof, verdict in zip(proofs, verdicts, strict=True) if verdict is not None]
        if damaged:
            log.error("proofs in the journal are damaged and forgotten; check the disk", proofs=len(damaged))
            await self._journal.settle(finalised=damaged, dropped=[], now_ms=self._clock.now_ms())
        return [proof for proof, verdict in zip(proofs, verdicts, strict=True) if verdict is None]

    async def admit_from_peer(self, proofs: Sequence[SignedProof], peer_id: str) -> list[Refusal | None]:
        """Take in proofs that a peer passed on; for each, why it was refused, or None (also if it was here already).

        A stateless refusal is the peer's fault; the others may only mean that it is ahead or behind.
        """
        began_ns = 0 if self._traces is None else self._traces.now_ns()
        verdicts = await self._verify(proofs)
        fresh = [
            proof
            for proof, verdict in zip(proofs, verdicts, strict=True)
            if verdict is None and proof.proof_id not in self._mempool
        ]
        if fresh:
            state, receipts = await self._look_up(fresh)
            unheard = self._not_here(fresh)
            refused = {
                proof.proof_id: self._admit(proof, state, f"peer {peer_id}", is_promised=False)
                for proof in fresh
                if proof.proof_id not in receipts
            }
            verdicts = [verdict or refused.get(proof.proof_id) for proof, verdict in zip(proofs, verdicts, strict=True)]
            taken = [proof for proof in unheard if proof.proof_id in self._mempool]
            self._tell_accepted(taken)
            if self._traces is not None:
                self._traces.heard([proof.proof_id for proof in taken], began_ns, peer_id)
        return verdicts

    def _not_here(self, proofs: Sequence[SignedProof]) -> list[SignedProof]:
        """Those of these proofs that do not wait here yet, each once."""
        return list({proof.proof_id: proof for proof in proofs if proof.proof_id not in self._mempool}.values())

    async def _serve(self, chunk: list[_Submission]) -> None:
        try:
            await self._answer(chunk)
        except (StorageUnavailable, JournalError) as error:
            self._refuse_unanswered(chunk, _cannot_tell(error))
        finally:
            self._release(chunk)

    async def _answer(self, chunk: list[_Submission]) -> None:
        # What waits already was verified when it came. It may have come from a peer: the promise is still to be made.
        waiting = [submission for submission in chunk if submission.proof.proof_id in self._mempool]
        await self._promise(
            [proof for each in waiting if (proof := self._mempool.get(each.proof.proof_id)) is not None]
        )
        for submission in waiting:
            submission.answer = Pending()
        undecided = [submission for submission in chunk if submission.answer is None]
        verdicts = await self._verify([submission.proof for submission in undecided])
        for submission, verdict in zip(undecided, verdicts, strict=True):
            submission.answer = verdict
        await self._accept([submission for submission in undecided if submission.answer is None])

    async def _accept(self, submissions: list[_Submission]) -> None:
        if not submissions:
            return
        proofs = [submission.proof for submission in submissions]
        dropped = await self._journal.dropped([proof.proof_id for proof in proofs])
        state, receipts = await self._look_up(proofs)
        accepted: list[_Submission] = []
        promised: dict[bytes, _Submission] = {}
        unheard = self._not_here(proofs)
        for submission in submissions:
            proof_id = submission.proof.proof_id
            if proof_id in receipts:
                submission.answer = Finalised(receipts[proof_id])
            elif proof_id in dropped:
                submission.answer = Dropped(dropped[proof_id])
            elif (
                refusal := self._admit(submission.proof, state, f"address {submission.source}", is_promised=True)
            ) is not None:
                submission.answer = refusal
            else:
                accepted.append(submission)
                promised.setdefault(proof_id, submission)
        new_proofs = tuple([submission.proof for submission in promised.values()])
        try:
            await self._promise(new_proofs)
        except JournalError:
            for proof_id in promised:
                self._mempool.remove(proof_id)
            raise
        for submission in accepted:
            submission.answer = Pending()
            submission.is_new = promised[submission.proof.proof_id] is submission
        self._tell_accepted([proof for proof in unheard if proof.proof_id in self._mempool])
        if self._traces is not None:
            for proof_id, submission in promised.items():
                self._traces.admitted([proof_id], submission.began_ns)
        if new_proofs:
            try:
                self._accepted_send.send_nowait(new_proofs)
            except trio.WouldBlock:
                return

    async def _promise(self, proofs: Sequence[SignedProof]) -> None:
        """Journal these proofs of the mempool. Only when this has returned may a client be told of it."""
        if not proofs:
            return
        await self._journal.accept(proofs, now_ms=self._clock.now_ms())
        await self._settle_overtaken([proof for proof in proofs if proof.proof_id not in self._mempool])

    async def _settle_overtaken(self, proofs: Sequence[SignedProof]) -> None:
        """Settle what the chain decided while it was being journalled, when the journal did not know it yet."""
        if not proofs:
            return
        # What neither the chain nor a gate decides, the clock had dropped while the journal could not keep the reason:
        # let the clock find it again.
        await self._let_back_in(proofs)

    async def _let_back_in(self, proofs: Sequence[SignedProof]) -> int:
        """Settle those that are finalised, or can never be; put the others into the mempool, and say how many."""
        state, receipts = await self._look_up(proofs)
        dropped, added = [], 0
        for proof in proofs:
            if proof.proof_id in receipts:
                continue
            refusal = refusal_for_good(proof, state)
            if refusal is not None:
                dropped.append(DroppedProof(proof.proof_id, refusal))
            else:
                newcomer_from = None if state.accounts[proof.account] else RESTORED
                added += self._mempool.add(proof, newcomer_from=newcomer_from)
        await self._journal.settle(finalised=sorted(receipts), dropped=dropped, now_ms=self._clock.now_ms())
        return added

    async def _look_up(self, proofs: Sequence[SignedProof]) -> tuple[StateSlice, dict[bytes, Receipt]]:
        """The state these proofs depend on, no older than the head, and the receipts of those that are finalised.

        The state is read first: a nonce that a proof itself has used there is then never seen without its receipt. A
        batch may be finalised while they are read; no step lies between this and what the caller does with the state.

        Only where the state cannot tell, a receipt is looked for, among those of the chain's whole life.
        """
        while True:
            state = await self._chain.load(keys_of(proofs))
            forgotten_before_ms = nonce_expiry(state.head.chain.timestamp_ms, state.head.parameters).before_ms
            doubtful = [
                proof.proof_id
                for proof in proofs
                if state.nonces[proof.account, proof.nonce] is not None or proof.timestamp_ms < forgotten_before_ms
            ]
            found = await self._chain.storage.receipts(doubtful) if doubtful else ()
            if state.head.chain.height >= self._chain.head.chain.height:
                return state, {receipt.proof_id: receipt for receipt in found}

    def _admit(self, proof: SignedProof, state: StateSlice, source: str, *, is_promised: bool) -> Refusal | None:
        parameters = state.head.parameters
        newcomer_from = None if state.accounts[proof.account] else source
        now_ms = self._clock.now_ms()
        # Where the chain is ahead of this clock, what is too old for the next batch must not be let in to be dropped.
        next_batch_ms = self._chain.next_batch_time_ms
        refusal = check_clock(proof, next_batch_ms, parameters)
        if refusal is None and is_promised:
            refusal = check_time_left(proof, max(now_ms, next_batch_ms), parameters)
        refusal = (
            refusal
            or refusal_at(proof, state, now_ms)
            or self._mempool.check(proof, parameters, newcomer_from=newcomer_from)
        )
        if refusal is None and is_promised:
            refusal = self._mempool.check_clicks(proof, state.triangles[proof.triangle.integer])
        if refusal is None:
            self._mempool.add(proof, newcomer_from=newcomer_from)
            return None
        account = state.accounts[proof.account]
        last = None if account is None else account.last_proof
        return with_retry_at(refusal, proof, [last, self._mempool.last_waiting(proof.account)], parameters)

    async def _verify(self, proofs: Sequence[SignedProof]) -> list[Refusal | None]:
        self._metrics.signatures_verified(len(proofs))
        return await verify_on_threads(proofs, self._chain.parameters)

    @staticmethod
    def _refuse_unanswered(chunk: list[_Submission], refusal: Refusal) -> None:
        for submission in chunk:
            if submission.answer is None:
                submission.answer = refusal

    def _release(self, chunk: list[_Submission]) -> None:
        for submission in chunk:
            submission.done.set()


def _cannot_tell(error: StorageUnavailable | JournalError) -> Refusal:
    if isinstance(error, StorageUnavailable):
        return Refusal(RefusalCode.NOT_READY, f"the store does not answer: {error}", Details(gate="store"))
    return Refusal(RefusalCode.NOT_READY, f"the journal cannot be written: {error}", Details(gate="journal"))
