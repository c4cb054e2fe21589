"""The machine at work: it is given its inputs, they are logged, and what it wants is carried out, in order.

Log first, then act: an input is appended before its effects, and the log is synced before anything is signed. After a
restart the logged inputs are replayed with all effects ignored, and `resume` says what is still to be done. The answers
of effects are inputs in turn.

It belongs to the driver's task, which decides when the machine is at work, and when it stands still.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import structlog
import trio

from consensus import effects as do
from consensus import inputs as event
from consensus.checkpoint import Checkpoint, LogEntry, replay
from consensus.machine import apply, own_messages, resume, wanted_batches
from consensus.messages import Commit, Evidence, SignedMessage
from consensus.state import ConsensusState
from consensus.values import Timeouts
from step_node.batch.batch import MalformedBatch
from step_node.chain.chain import Chain
from step_node.chain.judging import InvalidBatch
from step_node.engine.accuser import Accuser
from step_node.engine.batches import Batches
from step_node.engine.events import EventQueue, TimerDue
from step_node.engine.finalising import Finaliser
from step_node.engine.hooks import ConsensusHooks
from step_node.engine.own_key import OwnKey
from step_node.engine.wal import WriteAheadLog, as_logged
from step_node.errors import InvariantBroken
from step_node.metrics import NodeMetrics
from step_node.offload import run_blocking
from step_node.parameters import Parameters

COMMIT_PAUSE_MS = 1_000
"""How long all others leave it to a batch's proposer to say that it is final; if the next one is final by then, that
has said it. All of them saying it at once took every node as much as all votes did."""

log = structlog.get_logger("consensus")


class MachineRunner:
    """See the module's docstring. `key` is what signs here, None for an observer; `tasks` is where it leaves what lasts
    longer than the height, `timers` what does not: the driver sets all three."""

    def __init__(
        self,
        *,
        chain: Chain,
        batches: Batches,
        accuser: Accuser,
        finaliser: Finaliser,
        events: EventQueue,
        wal: WriteAheadLog,
        replayed: Sequence[LogEntry],
        hooks: ConsensusHooks,
        metrics: NodeMetrics,
        key: OwnKey | None,
    ) -> None:
        self._chain = chain
        self._batches = batches
        self._accuser = accuser
        self._finaliser = finaliser
        self._events = events
        self._log = wal
        self._replayed = list(replayed)
        self._hooks = hooks
        self._metrics = metrics
        self.key = key
        self.tasks: trio.Nursery | None = None
        self.timers: trio.Nursery | None = None
        self.state = self._begin_height()
        """The machine's, at the height that it is about."""

    @property
    def own_address(self) -> bytes | None:
        """Whose votes are its own."""
        return None if self.key is None else self.key.address

    def begin_next_height(self) -> None:
        """The chain has moved on."""
        self._replayed = []  # Of the height that is over, if it was only followed.
        self._begin_anew()

    async def begin_again(self) -> None:
        """The same height from its beginning, with another key, and an empty log."""
        self._begin_anew()
        await run_blocking(self._log.begin, self.state.height)

    def _begin_anew(self) -> None:
        self.state = self._begin_height()
        self._batches.begin_height()
        self._accuser.begin_height()

    async def replay(self) -> None:
        """Come to where the log says that the machine was."""
        accusations: list[Evidence] = []
        first = self._replayed[0] if self._replayed else None
        if isinstance(first, Checkpoint) and first.own_address != self.state.own_address:
            # Its messages are another key's; what this one has signed stands in its history.
            log.warning("the log of this height is another key's, and is not replayed", height=self.state.height)
            self._replayed = []
        for replayed in self._replayed:
            transition = replay(self.state, replayed)
            self.state = transition.state
            accusations.extend(one.evidence for one in transition.effects if isinstance(one, do.ReportEvidence))
        if self._replayed:
            log.info("replayed the log", height=self.state.height, entries=len(self._replayed))
        self._replayed = []
        # The log can be on disk before the evidence that its messages make is; a repeated message would make none.
        for evidence in accusations:
            await self._accuser.accuse(evidence)

    async def take_back(self, recovered: event.OwnMessagesRecovered) -> None:
        """As if it had been replayed: what it leads to is among what `resume` says."""
        transition = apply(self.state, recovered)
        if transition.ignored is None:
            await self._write_down(recovered, transition.state)
            self.state = transition.state

    async def resume(self) -> None:
        """Do what is still to be done."""
        answers: deque[event.Input] = deque()
        for effect in resume(self.state):
            answers.extend(await self._carry_out(effect))
        await self._handle_all(answers)

    async def take_in(self, received: event.MessageReceived) -> None:
        """A message of a peer, or of the past."""
        with self._hooks.taking_in(received.message):
            await self.handle(received)

    async def say_again(self) -> None:
        """Own messages of this height, and which batches are wanted."""
        for message in own_messages(self.state):
            await self._hooks.broadcast(message)
        for batch_hash, _ in wanted_batches(self.state):
            self._hooks.request_batch(self.state.height, batch_hash)

    async def handle(self, first: event.Input) -> None:
        """Give the machine an input, and carry out all that it leads to."""
        await self._handle_all(deque([first]))

    async def _handle_all(self, inputs: deque[event.Input]) -> None:
        height = self.state.height
        while inputs and self.state.height == height:
            item = inputs.popleft()
            transition = apply(self.state, item)
            self._hooks.applied(self.state, item, transition)
            if transition.ignored is not None:
                self._metrics.consensus_input_ignored(transition.ignored)
                continue
            await self._write_down(item, transition.state)
            self.state = transition.state
            for effect in transition.effects:
                inputs.extend(await self._carry_out(effect))
            if isinstance(item, event.MessageReceived):
                await self._accuser.accuse_if_condemned(item.message, self.state)

    async def _write_down(self, item: event.Input, after: ConsensusState) -> None:
        await self.begin_log()
        if self._log.is_long:
            await run_blocking(self._log.compact, self.state)
            log.info(
                "the log of a height that lasts is compacted", height=self.state.height, bytes=self._log.size_bytes
            )
        self._log.append(as_logged(item, self.state, after))
        if isinstance(item, event.OwnMessagesRecovered):
            await run_blocking(self._log.sync)

    async def begin_log(self) -> None:
        """The log of this height, if it is another's still. Not where a height only is followed: it has no inputs."""
        if self._log.height != self.state.height:
            await run_blocking(self._log.begin, self.state.height)

    # --- effects ------------------------------------------------------------------------------------------------

    async def _carry_out(self, effect: do.Effect) -> list[event.Input]:
        """Do it; the inputs that answer it."""
        match effect:
            case do.WriteAhead(entry):
                return [event.LogWritten(entry)]
            case do.Sign(message):
                return await self._sign(message)
            case do.Broadcast(Commit() as commit) if self._chain.head.chain.proposer != self.own_address:
                self._running(self.tasks).start_soon(self._say_final_later, commit)
            case do.Broadcast(message):
                await self._hooks.broadcast(message)
            case do.SetTimer():
                self._set_timer(effect)
            case do.BuildBatch(_, round_number):
                return [await self._batches.build(round_number)]
            case do.ValidateBatch():
                return [await self._validate(effect)]
            case do.RequestBatch(batch_hash, _):
                self._hooks.request_batch(self.state.height, batch_hash)
            case do.Finalise(commit, batch_bytes):
                batch = self._batches.decoded(commit.batch_hash, batch_bytes)
                await self._finaliser.finalise(batch, commit, rounds=self.state.round + 1)
            case do.ReportEvidence(evidence):
                self._metrics.equivocation_seen(evidence.kind)
                await self._accuser.accuse(evidence)
        return []

    async def _say_final_later(self, commit: Commit) -> None:
        await trio.sleep(COMMIT_PAUSE_MS / 1000)
        if self._chain.head.chain.height == commit.height:
            await self._hooks.broadcast(commit)

    async def _sign(self, message: SignedMessage) -> list[event.Input]:
        if self.key is None:
            raise InvariantBroken("an observer was asked to sign")
        answer = await self.key.sign(message, self.state, sync_log=self._log.sync)
        return [] if answer is None else [answer]

    def _set_timer(self, effect: do.SetTimer) -> None:
        due = TimerDue(self.state.height, event.TimerFired(effect.kind, effect.round))
        self._running(self.timers).start_soon(self._wait_for_timer, effect.duration_ms, due)

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
                await self._accuser.condemn(batch, error.bad_proof, self.state)
        return event.BatchValidated(effect.batch_hash, effect.round, valid)

    def _begin_height(self) -> ConsensusState:
        return ConsensusState.begin(
            chain_id=self._chain.chain_id,
            height=self._chain.next_height,
            validators=self._chain.validators,
            own_address=self.own_address,
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
