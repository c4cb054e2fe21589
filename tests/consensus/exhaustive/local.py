"""One honest validator: the shipped `apply`, stepped from state to state, each state found once.

An event is a delivery, a timer or a built batch. What the machine asks for in answer to it (log, signature, verdict) is
given at once, so a step is one event with all of that. After each step the machine forgets what others have said, as it
can be told again. Two states are one here if they have the same `key`: what is left out of it is what no rule reads any
more. Why all this is sound: docs/exhaustive-check.md.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from typing import NamedTuple

from consensus.effects import Broadcast, Effect, Finalise, ReportEvidence, Sign, ValidateBatch, WriteAhead
from consensus.evidence import verify_contradiction
from consensus.inputs import (
    BatchBuilt,
    BatchValidated,
    Input,
    LogWritten,
    MessageReceived,
    OwnMessagesRecovered,
    Signed,
    TimerFired,
    WorkAvailable,
)
from consensus.lock import ProofOfLock
from consensus.machine import ConsensusFault, apply
from consensus.messages import (
    Commit,
    CommitSignature,
    Message,
    PreCommit,
    PreVote,
    ProofBatch,
    SignedMessage,
    TimeoutMessage,
)
from consensus.state import ConsensusState, OwnStage, Phase, V, VoteSet
from consensus.values import TimeoutKind, Timeouts, ValidatorSet
from tests.consensus.network import CHAIN_ID, address, pretend_recover, sign, validator_set

HEIGHT = 4
"""So that validator r proposes in round r."""
VALIDATORS = 4
QUORUM = 3
LIARS = 1
"""Said here again, so that a machine which counts wrongly is found out."""
NIL = "nil"
BATCHES = {"A": b"batch A", "B": b"batch B"}
HASHES: dict[str, bytes | None] = {NIL: None, **{name: sha256(batch).digest() for name, batch in BATCHES.items()}}
NAMES = {batch_hash: name for name, batch_hash in HASHES.items()}


class Unsafe(Exception):
    """What must never happen has happened: in a step of the validator `own`, or, with -1, by what several have done."""

    own: int = -1
    here: "Local | None" = None
    events: "tuple[Event, ...]" = ()


class Said(NamedTuple):
    """A message, in short. `kind` is a proposal, pre-vote, pre-commit, timeout, commit or decision."""

    kind: str
    round: int
    value: str
    sender: int
    valid_round: int = -1

    def __str__(self) -> str:
        again = f" (valid round {self.valid_round})" if self.valid_round >= 0 else ""
        return f"{self.kind} {self.value}{again}, round {self.round}".replace("  ", " ").replace(" ,", ",")


PROPOSAL, PRE_VOTE, PRE_COMMIT, TIMEOUT, PRESENCE, COMMIT, DECISION = (
    "PROPOSAL",
    "PRE_VOTE",
    "PRE_COMMIT",
    "TIMEOUT",
    "PRESENCE",
    "COMMIT",
    "DECISION",
)
"""TIMEOUT is a timeout message of kind PRE_COMMIT, the only kind that is counted. PRESENCE is one of kind PROPOSER: it
only shows that its sender is in that round."""


class Choice(NamedTuple):
    """An event that is no delivery: a timer that fires, a batch that is built, or a log that is lost."""

    kind: str
    value: str

    def __str__(self) -> str:
        return f"{self.kind} {self.value}"


Event = Said | Choice
Group = tuple[str, int, tuple[Event, ...], int]
"""Events that can have an effect together: kind, round, events, and how many of them it can take."""


Key = tuple[object, ...]
"""What decides how a machine will go on, once it has forgotten what others have said."""


@dataclass(slots=True, eq=False)
class Local:
    """A state of one machine. It remembers no messages of others."""

    number: int
    key: Key
    state: ConsensusState
    commits: frozenset[Said]
    """The machine's own pre-commits for batches."""
    choices: tuple[Choice, ...]
    """What can happen to it without a message."""


class Step(NamedTuple):
    """Events given one after the other, what was said in answer, and the state after them."""

    events: tuple[Event, ...]
    said: tuple[Said, ...]
    target: Local


class Outcome(NamedTuple):
    """Where an event leads; whether that is more than something stored; and then the step, if within bounds."""

    after: ConsensusState
    has_effect: bool
    step: Step | None


@cache
def message_of(said: Said) -> Message:
    """The real message."""
    batch_hash, sender = HASHES.get(said.value), address(said.sender)
    if said.kind == PROPOSAL:
        assert batch_hash is not None
        return sign(ProofBatch(HEIGHT, said.round, said.valid_round, batch_hash, BATCHES[said.value], sender))
    if said.kind == PRE_VOTE:
        return sign(PreVote(HEIGHT, said.round, batch_hash, sender))
    if said.kind == PRE_COMMIT:
        return sign(PreCommit(HEIGHT, said.round, batch_hash, sender))
    kind = TimeoutKind.PRE_COMMIT if said.kind == TIMEOUT else TimeoutKind.PROPOSER
    return sign(TimeoutMessage(HEIGHT, said.round, kind, sender))


@cache
def commit_by(number: int, value: str, signers: tuple[int, ...]) -> Commit:
    """The commit that these signers' pre-commits make."""
    batch_hash = HASHES[value]
    assert batch_hash is not None
    votes = [sign(PreCommit(HEIGHT, number, batch_hash, address(signer))) for signer in signers]
    return Commit(HEIGHT, number, batch_hash, tuple(CommitSignature(vote.validator, vote.signature) for vote in votes))


@cache
def _signed(message: SignedMessage) -> Signed:
    return Signed(sign(message))


@cache
def _received(said: Said) -> MessageReceived:
    return MessageReceived(message_of(said))


def _index(validator: bytes) -> int:
    return validator[0] - 1


class Machine:
    """Every state that one honest validator has been found in, and every step between them."""

    def __init__(
        self, own: int, byzantine: int, rounds: int, *, watch_locks: bool = True, loses_logs: bool = False
    ) -> None:
        self.own = own
        self.byzantine = byzantine
        self.rounds = rounds
        self.watch_locks = watch_locks
        self.loses_logs = loses_logs
        self.applied = 0
        self.steps = 0
        self.states: dict[Key, Local] = {}
        self._steps: dict[tuple[int, Group], tuple[Step, ...]] = {}
        self._groups: dict[tuple[frozenset[Said], int], tuple[Group, ...]] = {}
        self._outcome_of: dict[tuple[int, tuple[Event, ...]], list[Outcome]] = {}
        self.validators: ValidatorSet = validator_set(VALIDATORS)
        self.begin = ConsensusState.begin(CHAIN_ID, HEIGHT, self.validators, address(own), Timeouts())
        self.start = self._local(self.run(self.begin, WorkAvailable())[0][0])
        self.lies = self._lies()

    def _lies(self) -> dict[tuple[str, int], tuple[Said, ...]]:
        """All that the Byzantine validator can say, by kind and round."""
        liar = self.byzantine
        lies: dict[tuple[str, int], tuple[Said, ...]] = {}
        for number in range(self.rounds):
            for kind in (PRE_VOTE, PRE_COMMIT):
                lies[kind, number] = tuple(Said(kind, number, value, liar) for value in ("A", "B", NIL))
            lies[TIMEOUT, number] = (Said(TIMEOUT, number, "", liar),)
            lies[PRESENCE, number] = (Said(PRESENCE, number, "", liar),)
            if number % VALIDATORS == liar:
                lies[PROPOSAL, number] = tuple(
                    Said(PROPOSAL, number, value, liar, valid) for value in ("A", "B") for valid in range(-1, number)
                )
        return lies

    def successors(self, here: Local, heard: frozenset[Said]) -> list[Step]:
        """Every step from `here`, when the other honest validators have said `heard`: one event that changes how the
        machine goes on, or a smallest set of messages that does so together.

        Raises: Unsafe, with `own`, `here` and `events`.
        """
        state = here.state
        if state.phase is Phase.DECIDED:
            return []
        commits = tuple(Said(COMMIT, *vote, self.byzantine) for vote in sorted(committable(heard, here.commits)))
        groups = self._deliveries(heard, state.round)
        if commits:
            groups = (*groups, (COMMIT, state.round, commits, 1))
        if here.choices:
            groups = (*groups, ("CHOICE", state.round, here.choices, 1))
        found: list[Step] = []
        for group in groups:
            memo = (here.number, group)
            known = self._steps.get(memo)
            if known is None:
                known = self._steps[memo] = self._sufficient(here, group[2], group[3])
            found += known
        return found

    def _deliveries(self, heard: frozenset[Said], current: int) -> tuple[Group, ...]:
        """What can be delivered in the round `current`, put together as it can have an effect together: the votes of
        one kind and round, and what shows that others are ahead."""
        known = self._groups.get((heard, current))
        if known is not None:
            return known
        by_group: dict[tuple[str, int], list[Said]] = {}
        for said in heard:
            by_group.setdefault((said.kind, said.round), []).append(said)
        groups: list[Group] = []
        for number in range(self.rounds):
            for kind in (PROPOSAL, PRE_VOTE, PRE_COMMIT, TIMEOUT):
                if kind == PROPOSAL or number <= current:
                    candidates = (*sorted(by_group.get((kind, number), ())), *self.lies.get((kind, number), ()))
                    groups.append((kind, number, candidates, 1 if kind == PROPOSAL else QUORUM))
        ahead = sorted(said for said in heard if said.round > current)
        lies = [self.lies[PRESENCE, later][0] for later in range(current + 1, self.rounds)]
        groups.append(("AHEAD", current, (*ahead, *lies), LIARS + 1))
        self._groups[heard, current] = result = tuple(group for group in groups if group[2])
        return result

    def choices(self, state: ConsensusState) -> Iterator[Choice]:
        """What can happen in `state` without a message."""
        if self.loses_logs and state.phase is not Phase.DECIDED and signed_in(state):
            yield Choice("lose log", "keep proof of lock")
            yield Choice("lose log", "lose proof of lock")
        if state.phase is Phase.PROPOSE:
            yield Choice("timer", TimeoutKind.PROPOSER)
            if state.is_proposer and "PROOF_BATCH" not in state.current.own:
                yield from (Choice("build", value) for value in BATCHES)
        if state.phase is Phase.PRE_VOTE and TimeoutKind.PRE_VOTE in state.current.waiting:
            yield Choice("timer", TimeoutKind.PRE_VOTE)
        if TimeoutKind.PRE_COMMIT in state.current.waiting:
            yield Choice("timer", TimeoutKind.PRE_COMMIT)

    def _sufficient(self, here: Local, candidates: tuple[Event, ...], largest: int) -> tuple[Step, ...]:
        """A step for each smallest set of at most `largest` candidates that changes more than what is stored.

        Smallest sets first: a larger one that contains one is that one, and deliveries after it.
        """
        found: list[Step] = []
        sufficient: list[frozenset[Event]] = []
        frontier: list[tuple[tuple[Event, ...], ConsensusState]] = [((), here.state)]
        for _ in range(largest):
            following = []
            for done, state in frontier:
                first = candidates.index(done[-1]) + 1 if done else 0
                for event in candidates[first:]:
                    events = (*done, event)
                    if any(one <= frozenset(events) for one in sufficient):
                        continue
                    for after, has_effect, step in self._outcomes(here, state, events):
                        if has_effect:
                            sufficient.append(frozenset(events))
                        elif after is not state:
                            following.append((events, after))
                        if step is not None:
                            found.append(step)
            frontier = following
        return tuple(found)

    def _outcomes(self, here: Local, state: ConsensusState, events: tuple[Event, ...]) -> list[Outcome]:
        """What the last of `events` leads to from `state`, where those before have led: a step if it changes more than
        what is stored. Two outcomes if it depends on the clock."""
        memo = (here.number, events)
        known = self._outcome_of.get(memo)
        if known is None:
            try:
                outcomes = self.run(state, self.input(state, events[-1]))
            except Unsafe as unsafe:
                unsafe.own, unsafe.here, unsafe.events = self.own, here, events
                raise
            before = control_of(here.state)
            known = self._outcome_of[memo] = []
            for after, said in outcomes:
                has_effect = bool(said) or control_of(after) != before
                within = has_effect and after.round < self.rounds
                known.append(Outcome(after, has_effect, Step(events, said, self._local(after)) if within else None))
                self.steps += has_effect
        return known

    def input(self, state: ConsensusState, event: Event) -> Input:
        """The input that `event` is in `state`."""
        if isinstance(event, Said):
            if event.kind == COMMIT:
                # Who signed it makes no difference to the machine; the pre-commits exist, `committable` says.
                return MessageReceived(commit_by(event.round, event.value, (0, 1, 2, 3)[:QUORUM]))
            return _received(event)
        if event.kind == "lose log":
            return OwnMessagesRecovered(signed_in(state), proof_in(state) if event.value.startswith("keep") else None)
        if event.kind == "build":
            batch_hash = HASHES[event.value]
            assert batch_hash is not None
            return BatchBuilt(state.round, batch_hash, BATCHES[event.value])
        return TimerFired(TimeoutKind(event.value), state.round)

    def run(
        self, state: ConsensusState, first: Input, *, fresh: bool = True
    ) -> list[tuple[ConsensusState, tuple[Said, ...]]]:
        """Give `first`, then the answers to all that the machine asks; once for each answer that the clock allows."""
        before = state
        if isinstance(first, OwnMessagesRecovered):
            # What was not signed is lost, and what was said is said already.
            state = self.begin
        said: list[Said] = []
        effects: deque[Effect] = deque()
        clock_asked = False
        pending: Input | None = first
        while pending is not None or effects:
            if pending is not None:
                self.applied += 1
                try:
                    transition = apply(state, pending)
                except ConsensusFault as fault:
                    raise Unsafe(f"validator {self.own} stops: {fault}") from fault
                if self.watch_locks:
                    _check_lock(self.own, before if state is self.begin else state, transition.state)
                state = transition.state
                effects.extend(transition.effects)
                pending = None
                continue
            effect = effects.popleft()
            if isinstance(effect, WriteAhead):
                pending = LogWritten(effect.entry)
            elif isinstance(effect, Sign):
                pending = _signed(effect.message)
            elif isinstance(effect, ValidateBatch):
                clock_asked = clock_asked or effect.judge_clock
                pending = BatchValidated(effect.batch_hash, effect.round, fresh or not effect.judge_clock)
            elif isinstance(effect, Broadcast):
                said += self._short(effect.message)
            elif isinstance(effect, Finalise):
                said.append(Said(DECISION, effect.commit.round, NAMES[effect.commit.batch_hash], self.own))
            elif isinstance(effect, ReportEvidence):
                convicted = verify_contradiction(effect.evidence, chain_id=CHAIN_ID, recover=pretend_recover)
                if _index(convicted) != self.byzantine:
                    raise Unsafe(f"validator {self.own} accuses {_index(convicted)}, which is honest")
        if isinstance(first, OwnMessagesRecovered):
            known = {one for message in first.messages for one in self._short(message)}
            said = [one for one in said if one not in known]
        outcomes = [(state, tuple(said))]
        if clock_asked and fresh:
            outcomes += self.run(before, first, fresh=False)
        return outcomes

    def _local(self, state: ConsensusState) -> Local:
        key = key_of(state)
        local = self.states.get(key)
        if local is None:
            commits = frozenset(
                Said(PRE_COMMIT, number, NAMES[vote.batch_hash], self.own)
                for number, known in state.rounds.items()
                for validator, vote in known.pre_commits.first.items()
                if validator == state.own_address and vote.batch_hash is not None
            )
            local = self.states[key] = Local(len(self.states), key, forget(state), commits, tuple(self.choices(state)))
        return local

    def _short(self, message: Message) -> tuple[Said, ...]:
        if isinstance(message, ProofBatch):
            return (Said(PROPOSAL, message.round, NAMES[message.batch_hash], self.own, message.valid_round),)
        if isinstance(message, PreVote | PreCommit):
            kind = PRE_VOTE if isinstance(message, PreVote) else PRE_COMMIT
            return (Said(kind, message.round, NAMES[message.batch_hash], self.own),)
        if isinstance(message, TimeoutMessage) and message.kind is TimeoutKind.PRE_COMMIT:
            return (Said(TIMEOUT, message.round, "", self.own),)
        return ()


def signed_in(state: ConsensusState) -> tuple[SignedMessage, ...]:
    """What the signing history has, when the machine is in `state`."""
    return tuple(
        own.message
        for _, known in sorted(state.rounds.items())
        for own in known.own.values()
        if own.stage is OwnStage.SIGNED
    )


def proof_in(state: ConsensusState) -> ProofOfLock | None:
    """The proof of its lock, without the votes of the quorum: they can be delivered again at any time."""
    batch_hash = state.locked_hash
    if batch_hash is None or batch_hash not in state.batches:
        return None
    return ProofOfLock(HEIGHT, state.locked_round, batch_hash, state.batches[batch_hash], ())


def committable(heard: frozenset[Said], own: frozenset[Said]) -> set[tuple[int, str]]:
    """(round, batch) that a quorum has pre-committed, if the Byzantine validator does: anybody can send the commit."""
    votes = [(one.round, one.value) for one in (*heard, *own) if one.kind == PRE_COMMIT and one.value != NIL]
    return {vote for vote in votes if votes.count(vote) >= QUORUM - LIARS} if len(votes) > 1 else set()


def control_of(state: ConsensusState) -> tuple[object, ...]:
    """All of a state that rules read, but for messages: those of others can be delivered again, and of the own ones
    `key_of` keeps what counts."""
    current = state.current
    answering = state.phase is Phase.PROPOSE
    return (
        state.round,
        state.phase,
        state.locked_round,
        state.locked_hash,
        state.valid_round,
        state.valid_hash,
        frozenset(state.batches),
        tuple((one.batch_hash, one.valid_round) for one in current.proposals) if answering else (),
        state.phase is Phase.PRE_VOTE and TimeoutKind.PRE_VOTE in current.waiting,
        TimeoutKind.PRE_COMMIT in current.waiting,
        current.polka_used,
        None if state.commit is None else (state.commit.round, state.commit.batch_hash),
    )


def key_of(state: ConsensusState) -> Key:
    """What decides how a machine will go on when it has forgotten the others' messages."""
    if state.phase is Phase.DECIDED:
        return ("DECIDED",)
    # A timeout message is intended when its wait ends, and no wait ends twice.
    own: set[object] = {key for key in state.current.own if not key.startswith("TIMEOUT")}
    for number, known in state.rounds.items():
        for kind, votes in ((PRE_VOTE, known.pre_votes), (PRE_COMMIT, known.pre_commits)):
            vote = votes.first.get(state.own_address or b"")
            # No rule reads a nil vote of an earlier round.
            if vote is not None and (number == state.round or vote.batch_hash is not None):
                own.add((kind, number, vote.batch_hash))
    return (*control_of(state), frozenset(own))


def forget(state: ConsensusState) -> ConsensusState:
    """`state` without what others have said, but for the proposal that waits for an answer, and without verdicts.

    It can be told all of it again at any time, so it can do all that `state` can, and more: it is free to act on fewer.
    """
    own = state.own_address

    def only_own(votes: VoteSet[V]) -> VoteSet[V]:
        kept = {validator: vote for validator, vote in votes.first.items() if validator == own}
        return VoteSet(kept, {}, {vote.batch_hash: 1 for vote in kept.values()})

    rounds = {}
    for number, known in state.rounds.items():
        waits = number == state.round and state.phase is Phase.PROPOSE
        rounds[number] = replace(
            known,
            proposals=known.proposals if waits else (),
            pre_votes=only_own(known.pre_votes),
            pre_commits=only_own(known.pre_commits),
            timeouts={key: message for key, message in known.timeouts.items() if key[0] == own},
            accused=frozenset(),
        )
    return replace(state, rounds=rounds, highest_rounds={}, fresh_verdicts={}, verdicts={}, requested=frozenset())


def _check_lock(own: int, before: ConsensusState, after: ConsensusState) -> None:
    """A lock only ever moves to a later round (L36)."""
    if (after.locked_round, after.locked_hash) != (before.locked_round, before.locked_hash) and (
        after.locked_round <= before.locked_round
    ):
        raise Unsafe(f"validator {own}: the lock of round {before.locked_round} is gone")
