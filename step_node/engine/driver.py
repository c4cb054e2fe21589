"""The driver: owns the consensus machine, and is alone in doing so.

One task takes events from one bounded queue, one at a time, and has the machine run on them (`machine_runner`).
Everything slow happens in that task's own time (a batch is built, judged or stored before the next event is looked at),
so there is nothing to synchronise, and a history is a list of inputs.

A validator that is not at the head *follows*: batches that others have finalised are applied, and the machine stands
still. A height that a commit shows to be final it finalises itself, if nobody delivers it (`overheard`). Only at the
head it takes part (`participation`): first the machine is given what it lacks of what was signed before, then it goes
on.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog
import trio

from consensus import inputs as event
from consensus.checkpoint import LogEntry
from consensus.machine import Ignored, stored_proposal
from consensus.messages import Commit, Message, PreCommit, ProofBatch
from consensus.state import ConsensusState, Phase, Step
from step_node.batch.batch import Batch
from step_node.chain.chain import Chain
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
from step_node.engine.machine_runner import MachineRunner
from step_node.engine.overheard import Overheard
from step_node.engine.own_key import OwnKey
from step_node.engine.participant import Participant
from step_node.engine.wal import WriteAheadLog
from step_node.mempool.operations import OperationPool
from step_node.mempool.pool import Mempool
from step_node.metrics import NodeMetrics
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
        self._hooks = hooks
        self._metrics = metrics
        self._storage_watch = storage_watch
        self._locks = locks
        self._participant: Participant | None = None
        self._events = EventQueue(metrics)
        self._later = LaterMessages()
        self._overheard: Overheard | None = None
        """While this validator follows."""
        self._finaliser = Finaliser(
            chain=chain,
            batches=self._batches,
            hooks=hooks,
            metrics=metrics,
            storage_watch=storage_watch,
            begin_next_height=self._begin_next_height,
        )
        if signer is not None:
            self._participant = self._participant_with(signer, listens=follows_first)
        self._machine = MachineRunner(
            chain=chain,
            batches=self._batches,
            accuser=Accuser(chain=chain, pool=evidence, broadcast=hooks.broadcast),
            finaliser=self._finaliser,
            events=self._events,
            wal=wal,
            replayed=replayed,
            hooks=hooks,
            metrics=metrics,
            key=None if self._participant is None else self._participant.key,
        )

    @property
    def state(self) -> ConsensusState:
        """The machine's state at the height it is about."""
        return self._machine.state

    @property
    def is_idle(self) -> bool:
        """Whether no batch is under way: nothing is proposed, locked or voted for at this height."""
        return self.state.step is Step.IDLE

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
        if not self._hooks.gives_proposals or height != self.state.height:
            return None
        return stored_proposal(self.state, batch_hash)

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
        if height == self.state.height:
            self._events.offer(event.MessageReceived(message))
        elif height == self.state.height + 1:
            self._later.keep(message)
        elif height == self.state.height - 1 and isinstance(message, PreCommit):
            self._chain.note_late_pre_commit(message)
        else:
            # Before the queue, so that old messages, which anybody can repeat, take no place in it.
            past = height < self.state.height
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
        await self._machine.replay()
        async with trio.open_nursery() as nursery:
            self._machine.tasks = nursery
            nursery.start_soon(self._watch_for_work)
            nursery.start_soon(self._repeat)
            while True:
                async with trio.open_nursery() as timers:
                    self._machine.timers = timers
                    await self._run_height()
                    timers.cancel_scope.cancel()

    async def _run_height(self) -> None:
        height, own_address = self.state.height, self._machine.own_address
        while self.state.height == height and self._machine.own_address == own_address:
            if self._participant is None or await self._participant.look():
                await self._take_part(height)
            else:
                await self._follow(self._participant, height)

    async def _follow(self, participant: Participant, height: int) -> None:
        """Apply what others finalise, until the height moves on or this validator may take part."""
        if self.state.phase is Phase.DECIDED:
            # It was when the node stopped: to finalise it needs no signature.
            await self._machine.resume()
        self._overheard = heard = Overheard(self.state)
        commit, others = self._later.take(height)
        # The commit first: a batch counts as heard only if it is known to be final.
        for message in others if commit is None else [commit, *others]:
            self._overhear(heard, message)
        while self.state.height == height:
            if heard.commit is not None and heard.final_batch is not None:
                await self._finalise_overheard(heard.commit, heard.final_batch)
                return
            match await self._events.next():
                case Decided() as decided:
                    await self._finaliser.finalise_decided(decided, self.state)
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
        await self._finaliser.finalise_decided(Decided(batch, commit, trio.Event()), self.state)
        await self._hooks.broadcast(commit)

    async def _take_part(self, height: int) -> None:
        """Run the machine, until the height moves on or this validator falls behind."""
        if self._participant is not None:
            recovered = await self._participant.key.recovered(self.state)
            if recovered is not None:
                # Before anything else is signed: the machine may lack its lock.
                await self._machine.take_back(recovered)
        await self._machine.resume()
        commit, others = self._later.take(height)
        for message in others if commit is None else [*others, commit]:
            if self.state.height == height:
                await self._machine.take_in(event.MessageReceived(message))
        # At times it replaces the file: better now than when the first proof of the height waits for that.
        await self._machine.begin_log()
        if self.is_idle and self._batches.wanted_in_ms() == 0:
            self._events.remind(event.WorkAvailable())
        while self.state.height == height:
            if self._participant is not None and self._participant.must_follow():
                return
            match await self._events.next():
                case Decided() as decided:
                    await self._finaliser.finalise_decided(decided, self.state)
                case Restored() as restored:
                    await self._finaliser.restore(restored)
                case Repeat():
                    await self._machine.say_again()
                case TimerDue(timer_height, fired):
                    if timer_height == height:
                        await self._machine.handle(fired)
                case event.WorkAvailable() as item:
                    # What was noticed some time ago may have been finalised meanwhile.
                    if self._batches.work_due_in_ms() == 0:
                        await self._machine.handle(item)
                case event.MessageReceived() as item:
                    await self._machine.take_in(item)
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
            elif self.is_idle or self.state.nothing_built_in == self.state.round:
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
            under_way = self.state.height if self._is_under_way else None
            if under_way is None or under_way != seen:
                seen, pauses, passed = under_way, 1, 0
                continue
            passed += 1
            if passed >= pauses:
                self._events.remind(Repeat())
                pauses, passed = min(pauses + 1, REPEAT_PAUSES_MAX), 0

    def _participant_with(self, signer: Signer, *, listens: bool) -> Participant:
        key = OwnKey(
            signer=signer,
            locks=self._locks,
            chain=self._chain,
            outlook=self._hooks.outlook,
            metrics=self._metrics,
            storage_watch=self._storage_watch,
        )
        self._batches.proposer = signer.address
        return Participant(key=key, chain=self._chain, outlook=self._hooks.outlook, listens=listens)

    def _begin_next_height(self) -> None:
        # Between two heights: nothing of the last is signed any more, and nothing of the next is signed yet.
        self._goes_on_with_successor()
        self._machine.begin_next_height()

    def _goes_on_with_successor(self) -> bool:
        successor = self._hooks.successor()
        if successor is None:
            return False
        self._locks = None if self._locks is None else self._locks.of_key(successor.address)
        listens = self._participant is not None and self._participant.listens
        self._participant = self._participant_with(successor, listens=listens)
        self._machine.key = self._participant.key
        return True

    async def _has_begun_again(self) -> bool:
        """Whether the height begins again, with a key that was replaced before it and has come only now: without it the
        chain may not get to the next height. The old one had no vote here. What was heard is said again by its peers.
        """
        if self.state.phase is Phase.DECIDED or not self._goes_on_with_successor():
            return False
        await self._machine.begin_again()
        return True
