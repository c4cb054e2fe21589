"""The driver: carries out what the consensus machine wants, and is alone in doing so.

One task owns the machine. It takes events from one bounded queue, one at a time: gives the machine its input, appends
the input to the log, and carries out the effects in order; their answers are inputs in turn. Everything slow happens
in that task's own time (a batch is built, judged or stored before the next event is looked at), so there is nothing to
synchronise, and a history is a list of inputs.

Log first, then act: an input is appended before its effects, and the log is synced before anything is signed. After a
restart the logged inputs are replayed with all effects ignored, and `resume` says what is still to be done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import structlog
import trio

from consensus import effects as do
from consensus import inputs as event
from consensus.machine import (
    ConsensusFault,
    Ignored,
    Transition,
    apply,
    own_messages,
    resume,
    stored_proposal,
    wanted_batches,
)
from consensus.messages import (
    Commit,
    Evidence,
    Message,
    PreCommit,
    ProofBatch,
    SignedMessage,
)
from consensus.state import ConsensusState, Step
from consensus.values import Timeouts
from step_node.batch.batch import Batch, MalformedBatch
from step_node.chain.chain import Chain, InvalidBatch, JudgedBatch
from step_node.clock import Clock
from step_node.engine.accuser import Accuser
from step_node.engine.batches import Batches
from step_node.engine.events import Decided, EventQueue, Repeat, Restored, TimerDue
from step_node.engine.evidence_pool import EvidencePool
from step_node.engine.signed_value import signed_value
from step_node.engine.wal import WriteAheadLog
from step_node.errors import InvariantBroken
from step_node.mempool.operations import OperationPool
from step_node.mempool.pool import Mempool
from step_node.metrics import NodeMetrics
from step_node.offload import run_blocking
from step_node.parameters import Parameters
from step_node.signing.guard import DoubleSignRefused
from step_node.signing.signer import ValidatorSigner
from step_node.storage.interface import RestoredState
from step_node.storage.retry import StorageWatch

FUTURE_MESSAGES_MAX = 1_024
"""Messages of the next height kept until this one is done; the oldest goes first. (Later heights come by sync.)"""

FUTURE_PROPOSALS_MAX = 8
"""How many of them may be proposals, of up to 1 MB each; a further one is dropped, and comes again."""

WORK_CHECK_MS = 50
"""How often the mempool is asked whether a batch should be proposed."""

REPEAT_MS = 1_000
"""After this long own messages are sent again, since gossip loses some (protocol.md §5); then after twice as long, and
so on up to `REPEAT_PAUSES_MAX` times, until the height moves on.

What is repeated grows with the rounds. Sent every second it can be more than busy machines take in; then it makes the
votes of the present round late, the round fails, and the next one has still more to repeat.
"""

REPEAT_PAUSES_MAX = 5

log = structlog.get_logger("consensus")


async def _nothing() -> None: ...


def _plainly(_message: Message) -> AbstractContextManager[None]:
    return nullcontext()


def _unseen(_before: ConsensusState, _item: event.Input, _transition: Transition) -> None: ...


@dataclass(frozen=True, slots=True)
class ConsensusHooks:
    """What the driver calls: `broadcast` sends a message to everybody; `finalised` runs after each batch is stored;
    `request_batch(height, batch_hash)` has peers asked for a proposal; `restored` runs after a snapshot is stored.
    `taking_in` surrounds the work on a peer's message; without `gives_proposals` no peer is given a proposal;
    `applied(before, input, transition)` is shown every step of the machine."""

    broadcast: Callable[[Message], Awaitable[None]]
    finalised: Callable[[JudgedBatch], Awaitable[None]]
    request_batch: Callable[[int, bytes], None]
    restored: Callable[[], Awaitable[None]] = _nothing
    taking_in: Callable[[Message], AbstractContextManager[None]] = _plainly
    gives_proposals: bool = True
    applied: Callable[[ConsensusState, event.Input, Transition], None] = _unseen


class ConsensusDriver:
    """See the module's docstring."""

    def __init__(
        self,
        *,
        chain: Chain,
        mempool: Mempool,
        signer: ValidatorSigner | None,
        wal: WriteAheadLog,
        replayed: list[event.Input],
        hooks: ConsensusHooks,
        clock: Clock,
        metrics: NodeMetrics,
        storage_watch: StorageWatch,
        evidence: EvidencePool | None = None,
        operations: OperationPool | None = None,
    ) -> None:
        self._chain = chain
        evidence = EvidencePool() if evidence is None else evidence
        self._batches = Batches(
            chain=chain,
            mempool=mempool,
            evidence=evidence,
            operations=OperationPool() if operations is None else operations,
            proposer=None if signer is None else signer.address,
            clock=clock,
            storage_watch=storage_watch,
        )
        self._accuser = Accuser(chain=chain, pool=evidence, broadcast=hooks.broadcast)
        self._signer = signer
        self._log = wal
        self._replayed = replayed
        self._hooks = hooks
        self._metrics = metrics
        self._storage_watch = storage_watch
        self._events = EventQueue(metrics)
        self._future: deque[Message] = deque(maxlen=FUTURE_MESSAGES_MAX)
        self._timers: trio.Nursery | None = None
        self._height_finished = trio.Event()
        self._state = self._begin_height()

    @property
    def state(self) -> ConsensusState:
        """The machine's state at the height it is about."""
        return self._state

    @property
    def is_idle(self) -> bool:
        """Whether no batch is under way: nothing is proposed, locked or voted for at this height."""
        return self._state.step is Step.IDLE

    async def wait_for_height(self) -> None:
        """Wait until the present height is finalised."""
        await self._height_finished.wait()

    def proposal(self, height: int, batch_hash: bytes) -> ProofBatch | None:
        """A signed proposal of this batch, for a peer that has not seen it; None if it is not here."""
        if not self._hooks.gives_proposals or height != self._state.height:
            return None
        return stored_proposal(self._state, batch_hash)

    def deliver(self, message: Message, batch: Batch | None = None) -> None:
        """Hand over a message from a peer, whose signatures have been checked. Never waits.

        A `ProofBatch` comes with the decoded `batch`, whose identity is the one that the message names.
        """
        if batch is not None:
            self._batches.keep_decoded(batch)
        height = message_height(message)
        if height == self._state.height:
            self._events.offer(event.MessageReceived(message))
        elif height == self._state.height + 1:
            self._keep_for_later(message)
        elif height == self._state.height - 1 and isinstance(message, PreCommit):
            self._chain.note_late_pre_commit(message)
        else:
            # Before the queue, so that old messages, which anybody can repeat, take no place in it.
            past = height < self._state.height
            self._metrics.consensus_input_ignored(Ignored.PAST_HEIGHT if past else Ignored.FUTURE_HEIGHT)

    async def apply_decided(self, batch: Batch, commit: Commit) -> None:
        """Finalise a batch of the present height whose commit the caller has checked; returns when it is stored.

        Does nothing if the height has been finalised meanwhile.
        """
        done = trio.Event()
        await self._events.put(Decided(batch, commit, done))
        await done.wait()

    async def apply_snapshot(self, restored: RestoredState) -> None:
        """Go on from a snapshot that the caller has verified; returns when it is stored.

        Does nothing if the chain has left height 0 meanwhile. Raises OSError when the snapshot's pages do.
        """
        item = Restored(restored, trio.Event())
        await self._events.put(item)
        await item.done.wait()
        if item.failures:
            raise item.failures[0]

    def _keep_for_later(self, message: Message) -> None:
        """Of the next height, which peers may have begun already; what is later comes by sync."""
        proposals = sum(isinstance(kept, ProofBatch) for kept in self._future)
        if not isinstance(message, ProofBatch) or proposals < FUTURE_PROPOSALS_MAX:
            self._future.append(message)

    async def run(self) -> None:
        """Drive consensus until cancelled.

        Raises `InvariantBroken`, `ConsensusFault`, OSError or `LogFull` where going on would not be safe.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_for_work)
            nursery.start_soon(self._repeat)
            while True:
                async with trio.open_nursery() as timers:
                    self._timers = timers
                    await self._run_height()
                    timers.cancel_scope.cancel()

    async def _run_height(self) -> None:
        height = self._state.height
        await self._resume()
        kept = [message for message in self._future if message_height(message) == height]
        # Messages of the height after this one may have come already, and may come while these are handled.
        later = (message for message in self._future if message_height(message) > height)
        self._future = deque(later, maxlen=FUTURE_MESSAGES_MAX)
        for message in kept:
            if self._state.height == height:
                await self._take_in(event.MessageReceived(message))
        while self._state.height == height:
            match await self._events.next():
                case Decided() as decided:
                    await self._finalise_decided(decided)
                case Restored() as restored:
                    await self._restore(restored)
                case Repeat():
                    await self._send_again()
                case TimerDue(timer_height, fired):
                    if timer_height == height:
                        await self._handle(fired)
                case event.WorkAvailable() as item:
                    # What was noticed some time ago may have been finalised meanwhile.
                    if self._batches.has_work():
                        await self._handle(item)
                case event.MessageReceived() as item:
                    await self._take_in(item)

    # --- events -------------------------------------------------------------------------------------------------

    async def _watch_for_work(self) -> None:
        while True:
            await trio.sleep(WORK_CHECK_MS / 1000)
            if self._batches.wanted():
                self._events.remind(event.WorkAvailable())

    async def _repeat(self) -> None:
        height, pauses, passed = self._state.height, 1, 0
        while True:
            await trio.sleep(REPEAT_MS / 1000)
            if self.is_idle or self._state.height != height:
                height, pauses, passed = self._state.height, 1, 0
            passed += 1
            if passed >= pauses:
                self._events.remind(Repeat())
                pauses, passed = min(pauses + 1, REPEAT_PAUSES_MAX), 0

    async def _send_again(self) -> None:
        for message in own_messages(self._state):
            await self._hooks.broadcast(message)
        for batch_hash, _ in wanted_batches(self._state):
            self._hooks.request_batch(self._state.height, batch_hash)

    async def _resume(self) -> None:
        accusations: list[Evidence] = []
        for replayed in self._replayed:
            transition = apply(self._state, replayed)
            self._state = transition.state
            accusations.extend(one.evidence for one in transition.effects if isinstance(one, do.ReportEvidence))
        if self._replayed:
            log.info("replayed the log", height=self._state.height, inputs=len(self._replayed))
        self._replayed = []
        # The log can be on disk before the evidence that its messages make is; a repeated message would make none.
        for evidence in accusations:
            await self._accuser.accuse(evidence)
        answers: deque[event.Input] = deque()
        for effect in resume(self._state):
            answers.extend(await self._carry_out(effect))
        await self._handle_all(answers)

    async def _take_in(self, received: event.MessageReceived) -> None:
        with self._hooks.taking_in(received.message):
            await self._handle(received)

    async def _handle(self, first: event.Input) -> None:
        await self._handle_all(deque([first]))

    async def _handle_all(self, inputs: deque[event.Input]) -> None:
        height = self._state.height
        while inputs and self._state.height == height:
            item = inputs.popleft()
            transition = apply(self._state, item)
            self._hooks.applied(self._state, item, transition)
            if transition.ignored is not None:
                self._metrics.consensus_input_ignored(transition.ignored)
                continue
            if self._log.height != height:
                # Only now, since it costs an fsync: a height that is caught up with has no inputs.
                await run_blocking(self._log.begin, height)
            self._log.append(_as_logged(item, self._state, transition.state))
            if isinstance(item, event.LogWritten):
                await run_blocking(self._log.sync)
            self._state = transition.state
            for effect in transition.effects:
                inputs.extend(await self._carry_out(effect))
            if isinstance(item, event.MessageReceived):
                await self._accuser.accuse_if_condemned(item.message, self._state)

    # --- effects ------------------------------------------------------------------------------------------------

    async def _carry_out(self, effect: do.Effect) -> list[event.Input]:
        """Do it; the inputs that answer it."""
        match effect:
            case do.WriteAhead(entry):
                return [event.LogWritten(entry)]
            case do.Sign(message):
                return await self._sign(message)
            case do.Broadcast(message):
                await self._hooks.broadcast(message)
            case do.SetTimer():
                self._set_timer(effect)
            case do.BuildBatch(_, round_number):
                return [await self._batches.build(round_number)]
            case do.ValidateBatch():
                return [await self._validate(effect)]
            case do.RequestBatch(batch_hash, _):
                self._hooks.request_batch(self._state.height, batch_hash)
            case do.Finalise(commit, batch_bytes):
                await self._finalise(self._batches.decoded(commit.batch_hash, batch_bytes), commit)
            case do.ReportEvidence(evidence):
                self._metrics.equivocation_seen(evidence.kind)
                await self._accuser.accuse(evidence)
        return []

    async def _sign(self, message: SignedMessage) -> list[event.Input]:
        if self._signer is None:
            raise InvariantBroken("an observer was asked to sign")
        kind, value = signed_value(message)
        line = message.signing_line(self._chain.chain_id)
        try:
            signature = await run_blocking(
                lambda signer: signer.sign(kind, message.height, message.round, value, line), self._signer
            )
        except DoubleSignRefused as error:
            # The log was lost or set back, the signing history was not. Staying silent is safe; the others go on.
            log.error("refused to sign", reason=str(error))
            self._metrics.double_sign_refused()
            return []
        return [event.Signed(replace(message, signature=signature))]

    def _set_timer(self, effect: do.SetTimer) -> None:
        if self._timers is None:
            raise InvariantBroken("a timer was set before the driver runs")
        due = TimerDue(self._state.height, event.TimerFired(effect.kind, effect.round))
        self._timers.start_soon(self._wait_for_timer, effect.duration_ms, due)

    async def _wait_for_timer(self, duration_ms: int, due: TimerDue) -> None:
        await trio.sleep(duration_ms / 1000)
        await self._events.put(due)

    async def _validate(self, effect: do.ValidateBatch) -> event.Input:
        valid = True
        try:
            await self._batches.judge_proposed(effect)
        except (MalformedBatch, InvalidBatch) as error:
            log.warning("a proposed batch is invalid", round=effect.round, reason=str(error))
            self._metrics.batch_refused()
            valid = False
            if isinstance(error, InvalidBatch) and error.bad_proof is not None:
                batch = self._batches.decoded(effect.batch_hash, effect.batch)
                await self._accuser.condemn(batch, error.bad_proof, self._state)
        return event.BatchValidated(effect.batch_hash, effect.round, valid)

    # --- finalising ---------------------------------------------------------------------------------------------

    async def _finalise_decided(self, decided: Decided) -> None:
        if decided.batch.header.height == self._state.height:
            known = self._state.commit
            if known is not None and known.batch_hash != decided.batch.hash:
                raise ConsensusFault(
                    f"height {self._state.height}: a quorum committed 0x{known.batch_hash.hex()} in round"
                    f" {known.round}, and a quorum committed 0x{decided.batch.hash.hex()} in round"
                    f" {decided.commit.round}"
                )
            await self._finalise(decided.batch, decided.commit)
        decided.done.set()

    async def _restore(self, snapshot: Restored) -> None:
        if self._chain.head.chain.height == 0:
            try:
                await self._storage_watch.when_available(lambda: self._chain.restore(snapshot.state))
            except OSError as error:
                snapshot.failures.append(error)
            else:
                self._begin_next_height()
                await self._hooks.restored()
                self._announce_height()
        snapshot.done.set()

    async def _finalise(self, batch: Batch, commit: Commit) -> None:
        try:
            judged = await self._batches.judge_final(batch)
        except InvalidBatch as error:
            raise InvariantBroken(
                f"a quorum has finalised batch 0x{batch.hash.hex()} at height {batch.header.height}, which this"
                f" node finds invalid: {error}"
            ) from error
        rounds = self._state.round + 1
        await self._storage_watch.when_available(lambda: self._chain.finalise(judged, commit))
        self._begin_next_height()
        self._metrics.batch_finalised(judged.transition.receipts, rounds)
        log.info(
            "finalised a batch",
            height=batch.header.height,
            round=commit.round,
            proofs=len(batch.proofs),
            batch=batch.hash.hex()[:16],
        )
        await self._hooks.finalised(judged)
        self._announce_height()

    def _begin_next_height(self) -> None:
        self._state = self._begin_height()
        self._batches.begin_height()
        self._accuser.begin_height()

    def _announce_height(self) -> None:
        self._height_finished.set()
        self._height_finished = trio.Event()

    def _begin_height(self) -> ConsensusState:
        return ConsensusState.begin(
            chain_id=self._chain.chain_id,
            height=self._chain.next_height,
            validators=self._chain.validators,
            own_address=None if self._signer is None else self._signer.address,
            timeouts=timeouts_of(self._chain.parameters),
        )


def _as_logged(item: event.Input, before: ConsensusState, after: ConsensusState) -> event.Input:
    """What the log needs of an input: a proposal without its batch, if the machine did not take the batch in.

    Replayed, it leads to the same state. A validator that proposes for ever later rounds cannot fill the disk so.
    """
    if isinstance(item, event.MessageReceived) and isinstance(item.message, ProofBatch):
        batch_hash = item.message.batch_hash
        if batch_hash in before.batches or batch_hash not in after.batches:
            return event.MessageReceived(replace(item.message, batch=b""))
    return item


def timeouts_of(parameters: Parameters) -> Timeouts:
    """The chain's timeouts as the machine takes them."""
    return Timeouts(
        propose_ms=parameters.timeout_propose_ms,
        pre_vote_ms=parameters.timeout_pre_vote_ms,
        pre_commit_ms=parameters.timeout_pre_commit_ms,
        delta_ms=parameters.timeout_delta_ms,
    )


def message_height(message: Message) -> int:
    """The height that a message is about."""
    return message.first.height if isinstance(message, Evidence) else message.height
