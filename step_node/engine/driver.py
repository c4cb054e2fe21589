"""The driver: carries out what the consensus machine wants, and is alone in doing so.

One task owns the machine. It takes events from one bounded queue, one at a time: gives the machine its input, appends
the input to the log, and carries out the effects in order; their answers are inputs in turn. Everything slow happens
in that task's own time (a batch is built, judged or stored before the next event is looked at), so there is nothing to
synchronise, and a history is a list of inputs.

Log first, then act: an input is appended before its effects, and the log is synced before anything is signed. After a
restart the logged inputs are replayed with all effects ignored, and `resume` says what is still to be done.

A validator that is not at the head *follows*: batches that others have finalised are applied, and the machine stands
still. A height that a commit shows to be final it finalises itself, if nobody delivers it (`overheard`). Only at the
head it takes part (`participation`): first the machine is given what it lacks of what was signed before, then it goes
on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import structlog
import trio

from consensus import effects as do
from consensus import inputs as event
from consensus.checkpoint import Checkpoint, LogEntry, replay
from consensus.machine import Ignored, apply, own_messages, resume, stored_proposal, wanted_batches
from consensus.messages import Commit, Evidence, Message, PreCommit, ProofBatch, SignedMessage
from consensus.state import ConsensusState, Phase, Step
from consensus.values import Timeouts
from step_node.batch.batch import Batch, MalformedBatch
from step_node.chain.chain import Chain
from step_node.chain.judging import InvalidBatch
from step_node.engine.accuser import Accuser
from step_node.engine.batches import Batches
from step_node.engine.events import (
    Decided,
    EventQueue,
    LaterMessages,
    LookAround,
    Repeat,
    Restored,
    TimerDue,
    message_height,
)
from step_node.engine.evidence_pool import EvidencePool
from step_node.engine.finalising import Finaliser
from step_node.engine.hooks import ConsensusHooks
from step_node.engine.lock_file import LockFile
from step_node.engine.overheard import Overheard
from step_node.engine.own_key import OwnKey
from step_node.engine.participant import Participant
from step_node.engine.wal import WriteAheadLog, as_logged
from step_node.errors import InvariantBroken
from step_node.mempool.operations import OperationPool
from step_node.mempool.pool import Mempool
from step_node.metrics import NodeMetrics
from step_node.offload import run_blocking
from step_node.parameters import Parameters
from step_node.signing.signer import Signer
from step_node.storage.interface import RestoredState
from step_node.storage.retry import StorageWatch

WORK_CHECK_MS = 50
"""How often the mempool is asked whether a batch should be proposed, and when."""

REPEAT_MS = 1_000
"""After this long own messages are sent again, since gossip loses some (protocol.md §5); then after twice as long, and
so on up to `REPEAT_PAUSES_MAX` times, until the height moves on.

What is repeated grows with the rounds. Sent every second it can be more than busy machines take in; then it makes the
votes of the present round late, the round fails, and the next one has still more to repeat.
"""

REPEAT_PAUSES_MAX = 5

COMMIT_PAUSE_MS = 1_000
"""How long all others leave it to a batch's proposer to say that it is final; if the next one is final by then, that
has said it. All of them saying it at once took every node as much as all votes did."""

log = structlog.get_logger("consensus")


class ConsensusDriver:
    """See the module's docstring."""

    def __init__(
        self,
        *,
        chain: Chain,
        mempool: Mempool,
        signer: Signer | None,
        wal: WriteAheadLog,
        replayed: Sequence[LogEntry],
        hooks: ConsensusHooks,
        metrics: NodeMetrics,
        storage_watch: StorageWatch,
        evidence: EvidencePool | None = None,
        operations: OperationPool | None = None,
        locks: LockFile | None = None,
        follows_first: bool = False,
    ) -> None:
        """`locks` keeps the proof of the latest lock; without it only the signing history outlives a lost log. With
        `follows_first` nothing is signed before `take_part`."""
        self._chain = chain
        evidence = EvidencePool() if evidence is None else evidence
        self._batches = Batches(
            chain=chain,
            mempool=mempool,
            evidence=evidence,
            operations=OperationPool() if operations is None else operations,
            proposer=None if signer is None else signer.address,
            storage_watch=storage_watch,
        )
        self._accuser = Accuser(chain=chain, pool=evidence, broadcast=hooks.broadcast)
        self._log = wal
        self._replayed = list(replayed)
        self._hooks = hooks
        self._metrics = metrics
        self._storage_watch = storage_watch
        self._locks = locks
        self._own_address: bytes | None = None
        self._participant: Participant | None = None
        if signer is not None:
            self._take_key(signer, listens=follows_first)
        self._events = EventQueue(metrics)
        self._later = LaterMessages()
        self._overheard: Overheard | None = None
        """While this validator follows."""
        self._timers: trio.Nursery | None = None
        self._tasks: trio.Nursery | None = None
        self._finaliser = Finaliser(
            chain=chain,
            batches=self._batches,
            hooks=hooks,
            metrics=metrics,
            storage_watch=storage_watch,
            begin_next_height=self._begin_next_height,
        )
        self._state = self._begin_height()

    @property
    def state(self) -> ConsensusState:
        """The machine's state at the height it is about."""
        return self._state

    @property
    def is_idle(self) -> bool:
        """Whether no batch is under way: nothing is proposed, locked or voted for at this height."""
        return self._state.step is Step.IDLE

    @property
    def takes_part(self) -> bool:
        """Whether consensus is at work here; otherwise this validator follows what others finalise."""
        return self._participant is None or self._participant.takes_part

    @property
    def is_at_head(self) -> bool:
        """Whether this node has come as far as it can know that the chain has. Without a key nobody asks."""
        return self._participant is None or self._participant.is_at_head

    @property
    def has_work(self) -> bool:
        """Whether anything waits for a batch, or one is under way."""
        return not self.is_idle or self._batches.work_due_in_ms() == 0

    @property
    def absence(self) -> str | None:
        """For people: why this validator does not sign, if it should."""
        return None if self._participant is None else self._participant.absence

    @property
    def signer_absence(self) -> str | None:
        """For people: why the key, which is in another process, gives no signatures."""
        return None if self._participant is None else self._participant.key.signer_absence

    @property
    def refusal(self) -> str | None:
        """For people: what is wrong with its signatures."""
        return None if self._participant is None else self._participant.refusal

    def take_part(self) -> None:
        """End the time of listening, if there is one: from now on this validator may sign."""
        if self._participant is not None:
            self._participant.listens = False
        self._events.remind(LookAround())

    def look_around(self) -> None:
        """Something may have come without which this validator could not take part: its next key, say."""
        self._events.remind(LookAround())

    async def wait_for_height(self) -> None:
        """Wait until the present height is finalised."""
        await self._finaliser.wait_for_height()

    def proposal(self, height: int, batch_hash: bytes) -> ProofBatch | None:
        """A signed proposal of this batch, for a peer that has not seen it; None if it is not here."""
        if not self._hooks.gives_proposals or height != self._state.height:
            return None
        return stored_proposal(self._state, batch_hash)

    def judged_batch(self, batch_hash: bytes) -> Batch | None:
        """A batch of the present height that was built or judged here; None if it was not."""
        return self._batches.judged(batch_hash)

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
            self._later.keep(message)
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

    async def run(self) -> None:
        """Drive consensus until cancelled.

        Raises `InvariantBroken`, `ConsensusFault`, OSError or `LogFull` where going on would not be safe.
        """
        await self._replay()
        async with trio.open_nursery() as nursery:
            self._tasks = nursery
            nursery.start_soon(self._watch_for_work)
            nursery.start_soon(self._repeat)
            while True:
                async with trio.open_nursery() as timers:
                    self._timers = timers
                    await self._run_height()
                    timers.cancel_scope.cancel()

    async def _run_height(self) -> None:
        height, own_address = self._state.height, self._own_address
        while self._state.height == height and self._own_address == own_address:
            if self._participant is None or await self._participant.look():
                await self._take_part(height)
            else:
                await self._follow(self._participant, height)

    async def _follow(self, participant: Participant, height: int) -> None:
        """Apply what others finalise, until the height moves on or this validator may take part."""
        if self._state.phase is Phase.DECIDED:
            # It was when the node stopped: to finalise it needs no signature.
            await self._resume()
        self._overheard = heard = Overheard(self._state)
        commit, others = self._later.take(height)
        # The commit first: a batch counts as heard only if it is known to be final.
        for message in others if commit is None else [commit, *others]:
            self._overhear(heard, message)
        while self._state.height == height:
            if heard.commit is not None and heard.final_batch is not None:
                await self._finalise_overheard(heard.commit, heard.final_batch)
                return
            match await self._events.next():
                case Decided() as decided:
                    await self._finaliser.finalise_decided(decided, self._state)
                case Restored() as restored:
                    await self._finaliser.restore(restored)
                case event.MessageReceived(message) if message_height(message) == height:
                    self._overhear(heard, message)
                case Repeat() if heard.commit is not None:
                    # Who has the batch but not the commit needs nothing else.
                    await self._hooks.broadcast(heard.commit)
                    self._hooks.request_batch(height, heard.commit.batch_hash)
                case LookAround():
                    if await self._has_begun_again() or await participant.look():
                        return
                case _:
                    pass  # Timers and reminders are the machine's, which stands still: `resume` sets them anew.

    def _overhear(self, heard: Overheard, message: Message) -> None:
        self._later.keep(message)
        heard.hear(message)

    async def _finalise_overheard(self, commit: Commit, encoded: bytes) -> None:
        log.info("the commit of a height is heard, and its batch found", height=commit.height)
        batch = self._batches.decoded(commit.batch_hash, encoded)
        await self._finaliser.finalise_decided(Decided(batch, commit, trio.Event()), self._state)
        await self._hooks.broadcast(commit)

    async def _take_part(self, height: int) -> None:
        """Run the machine, until the height moves on or this validator falls behind."""
        if self._participant is not None:
            recovered = await self._participant.key.recovered(self._state)
            if recovered is not None:
                # Before anything else is signed: the machine may lack its lock.
                await self._take_back(recovered)
        await self._resume()
        commit, others = self._later.take(height)
        for message in others if commit is None else [*others, commit]:
            if self._state.height == height:
                await self._take_in(event.MessageReceived(message))
        # At times it replaces the file: better now than when the first proof of the height waits for that.
        await self._begin_log()
        if self.is_idle and self._batches.wanted_in_ms() == 0:
            self._events.remind(event.WorkAvailable())
        while self._state.height == height:
            if self._participant is not None and self._participant.must_follow():
                return
            match await self._events.next():
                case Decided() as decided:
                    await self._finaliser.finalise_decided(decided, self._state)
                case Restored() as restored:
                    await self._finaliser.restore(restored)
                case Repeat():
                    await self._send_again()
                case TimerDue(timer_height, fired):
                    if timer_height == height:
                        await self._handle(fired)
                case event.WorkAvailable() as item:
                    # What was noticed some time ago may have been finalised meanwhile.
                    if self._batches.work_due_in_ms() == 0:
                        await self._handle(item)
                case event.MessageReceived() as item:
                    await self._take_in(item)
                case LookAround():
                    if await self._has_begun_again():
                        return

    # --- events -------------------------------------------------------------------------------------------------

    async def _watch_for_work(self) -> None:
        pause_ms = WORK_CHECK_MS
        while True:
            await trio.sleep(pause_ms / 1000)
            pause_ms = WORK_CHECK_MS
            if not self.takes_part:
                self._events.remind(LookAround())
            elif self.is_idle or self._state.nothing_built_in == self._state.round:
                # Otherwise a batch is under way, and work that waits for the next one changes nothing.
                due_in_ms = self._batches.wanted_in_ms()
                if due_in_ms == 0:
                    self._events.remind(event.WorkAvailable())
                elif due_in_ms is not None:
                    pause_ms = min(pause_ms, due_in_ms)

    @property
    def _is_under_way(self) -> bool:
        """Whether anything of this height is worth saying, or asking for, again."""
        if self.takes_part or self._overheard is None:
            return not self.is_idle
        return self._overheard.commit is not None

    async def _repeat(self) -> None:
        """Have own messages said again while a height goes on. What was said within the last pause is left out: nobody
        has had the time to miss it, and a proposal costs all who hear it again."""
        seen: int | None = None
        pauses, passed = 1, 0
        while True:
            await trio.sleep(REPEAT_MS / 1000)
            under_way = self._state.height if self._is_under_way else None
            if under_way is None or under_way != seen:
                seen, pauses, passed = under_way, 1, 0
                continue
            passed += 1
            if passed >= pauses:
                self._events.remind(Repeat())
                pauses, passed = min(pauses + 1, REPEAT_PAUSES_MAX), 0

    async def _send_again(self) -> None:
        for message in own_messages(self._state):
            await self._hooks.broadcast(message)
        for batch_hash, _ in wanted_batches(self._state):
            self._hooks.request_batch(self._state.height, batch_hash)

    async def _replay(self) -> None:
        accusations: list[Evidence] = []
        first = self._replayed[0] if self._replayed else None
        if isinstance(first, Checkpoint) and first.own_address != self._state.own_address:
            # Its messages are another key's; what this one has signed stands in its history.
            log.warning("the log of this height is another key's, and is not replayed", height=self._state.height)
            self._replayed = []
        for replayed in self._replayed:
            transition = replay(self._state, replayed)
            self._state = transition.state
            accusations.extend(one.evidence for one in transition.effects if isinstance(one, do.ReportEvidence))
        if self._replayed:
            log.info("replayed the log", height=self._state.height, entries=len(self._replayed))
        self._replayed = []
        # The log can be on disk before the evidence that its messages make is; a repeated message would make none.
        for evidence in accusations:
            await self._accuser.accuse(evidence)

    async def _take_back(self, recovered: event.OwnMessagesRecovered) -> None:
        """As if it had been replayed: what it leads to is among what `resume` says."""
        transition = apply(self._state, recovered)
        if transition.ignored is None:
            await self._write_down(recovered, transition.state)
            self._state = transition.state

    async def _resume(self) -> None:
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
            await self._write_down(item, transition.state)
            self._state = transition.state
            for effect in transition.effects:
                inputs.extend(await self._carry_out(effect))
            if isinstance(item, event.MessageReceived):
                await self._accuser.accuse_if_condemned(item.message, self._state)

    async def _write_down(self, item: event.Input, after: ConsensusState) -> None:
        await self._begin_log()
        if self._log.is_long:
            await run_blocking(self._log.compact, self._state)
            log.info(
                "the log of a height that lasts is compacted", height=self._state.height, bytes=self._log.size_bytes
            )
        self._log.append(as_logged(item, self._state, after))
        if isinstance(item, event.OwnMessagesRecovered):
            await run_blocking(self._log.sync)

    async def _begin_log(self) -> None:
        """Not where a height only is followed: it has no inputs."""
        if self._log.height != self._state.height:
            await run_blocking(self._log.begin, self._state.height)

    # --- effects ------------------------------------------------------------------------------------------------

    async def _carry_out(self, effect: do.Effect) -> list[event.Input]:
        """Do it; the inputs that answer it."""
        match effect:
            case do.WriteAhead(entry):
                return [event.LogWritten(entry)]
            case do.Sign(message):
                return await self._sign(message)
            case do.Broadcast(Commit() as commit) if self._chain.head.chain.proposer != self._own_address:
                self._running(self._tasks).start_soon(self._say_final_later, commit)
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
                batch = self._batches.decoded(commit.batch_hash, batch_bytes)
                await self._finaliser.finalise(batch, commit, rounds=self._state.round + 1)
            case do.ReportEvidence(evidence):
                self._metrics.equivocation_seen(evidence.kind)
                await self._accuser.accuse(evidence)
        return []

    async def _say_final_later(self, commit: Commit) -> None:
        await trio.sleep(COMMIT_PAUSE_MS / 1000)
        if self._chain.head.chain.height == commit.height:
            await self._hooks.broadcast(commit)

    async def _sign(self, message: SignedMessage) -> list[event.Input]:
        if self._participant is None:
            raise InvariantBroken("an observer was asked to sign")
        answer = await self._participant.key.sign(message, self._state, sync_log=self._log.sync)
        return [] if answer is None else [answer]

    def _set_timer(self, effect: do.SetTimer) -> None:
        due = TimerDue(self._state.height, event.TimerFired(effect.kind, effect.round))
        self._running(self._timers).start_soon(self._wait_for_timer, effect.duration_ms, due)

    @staticmethod
    def _running(nursery: trio.Nursery | None) -> trio.Nursery:
        if nursery is None:
            raise InvariantBroken("an effect was carried out before the driver runs")
        return nursery

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

    def _take_key(self, signer: Signer, *, listens: bool) -> None:
        key = OwnKey(
            signer=signer,
            locks=self._locks,
            chain=self._chain,
            outlook=self._hooks.outlook,
            metrics=self._metrics,
            storage_watch=self._storage_watch,
        )
        self._participant = Participant(key=key, chain=self._chain, outlook=self._hooks.outlook, listens=listens)
        self._own_address = self._batches.proposer = signer.address

    def _begin_next_height(self) -> None:
        # Between two heights: nothing of the last is signed any more, and nothing of the next is signed yet.
        self._goes_on_with_successor()
        self._replayed = []  # Of the height that is over, if it was only followed.
        self._begin_anew()

    def _goes_on_with_successor(self) -> bool:
        successor = self._hooks.successor()
        if successor is None:
            return False
        self._locks = None if self._locks is None else self._locks.of_key(successor.address)
        self._take_key(successor, listens=self._participant is not None and self._participant.listens)
        return True

    async def _has_begun_again(self) -> bool:
        """Whether the height begins again, with a key that was replaced before it and has come only now: without it the
        chain may not get to the next height. The old one had no vote here. What was heard is said again by its peers.
        """
        if self._state.phase is Phase.DECIDED or not self._goes_on_with_successor():
            return False
        self._begin_anew()
        await run_blocking(self._log.begin, self._state.height)
        return True

    def _begin_anew(self) -> None:
        self._state = self._begin_height()
        self._batches.begin_height()
        self._accuser.begin_height()

    def _begin_height(self) -> ConsensusState:
        return ConsensusState.begin(
            chain_id=self._chain.chain_id,
            height=self._chain.next_height,
            validators=self._chain.validators,
            own_address=self._own_address,
            timeouts=timeouts_of(self._chain.parameters),
        )


def timeouts_of(parameters: Parameters) -> Timeouts:
    """The chain's timeouts as the machine takes them."""
    return Timeouts(
        propose_ms=parameters.timeout_propose_ms,
        pre_vote_ms=parameters.timeout_pre_vote_ms,
        pre_commit_ms=parameters.timeout_pre_commit_ms,
        delta_ms=parameters.timeout_delta_ms,
    )
