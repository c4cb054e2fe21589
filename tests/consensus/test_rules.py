"""Each rule of the paper, by its line: what is put in, the step it leads to, and what is to be done.

Four validators, height 5: the proposer of round r is number (5 + r) mod 4, so 1, 2, 3, 0. "Own" is number 0, which
proposes in round 3. Own messages are logged and signed at once by `Seat`, unless a test does it by hand.
"""

import pytest

from consensus.effects import (
    Broadcast,
    Effect,
    Sign,
    WriteAhead,
)
from consensus.inputs import (
    BatchValidated,
    Input,
    LogWritten,
    MessageReceived,
    Signed,
    TimerFired,
    WorkAvailable,
)
from consensus.machine import apply, describe
from consensus.messages import Message, PreCommit, PreVote, ProofBatch, TimeoutMessage
from consensus.state import ROUNDS_AHEAD_MAX, ConsensusState, Step
from consensus.values import TimeoutKind, Timeouts
from tests.consensus.network import CHAIN_ID, HEIGHT, address, batch_of, sign, validator_set

A, BATCH_A = batch_of("a")
B, BATCH_B = batch_of("b")
BATCHES = {A: BATCH_A, B: BATCH_B}
PROPOSER, PRE_VOTE, PRE_COMMIT = TimeoutKind.PROPOSER, TimeoutKind.PRE_VOTE, TimeoutKind.PRE_COMMIT


def proposal(number: int, batch_hash: bytes, valid_round: int = -1) -> Input:
    proposer = address((HEIGHT + number) % 4)
    return got(sign(ProofBatch(HEIGHT, number, valid_round, batch_hash, BATCHES[batch_hash], proposer)))


def got(message: Message) -> Input:
    return MessageReceived(message)


def pre_votes(number: int, batch_hash: bytes | None, *voters: int) -> list[Input]:
    return [got(sign(PreVote(HEIGHT, number, batch_hash, address(voter)))) for voter in voters]


def pre_commits(number: int, batch_hash: bytes | None, *voters: int) -> list[Input]:
    return [got(sign(PreCommit(HEIGHT, number, batch_hash, address(voter)))) for voter in voters]


def timeouts(number: int, kind: TimeoutKind, *voters: int) -> list[Input]:
    return [got(sign(TimeoutMessage(HEIGHT, number, kind, address(voter)))) for voter in voters]


def fired(kind: TimeoutKind, number: int) -> Input:
    return TimerFired(kind, number)


def valid(batch_hash: bytes, number: int) -> Input:
    return BatchValidated(batch_hash, number, valid=True)


def invalid(batch_hash: bytes, number: int) -> Input:
    return BatchValidated(batch_hash, number, valid=False)


class Seat:
    """A machine whose own messages are logged and signed at once, and a list of what it wanted done."""

    def __init__(self, own: int | None = 0, count: int = 4) -> None:
        own_address = None if own is None else address(own)
        self.state = ConsensusState.begin(CHAIN_ID, HEIGHT, validator_set(count), own_address, Timeouts())
        self.effects: list[Effect] = []

    def give(self, *events: Input) -> "Seat":
        for event in events:
            transition = apply(self.state, event)
            self.state = transition.state
            for effect in transition.effects:
                self.effects.append(effect)
                if isinstance(effect, WriteAhead):
                    self.give(LogWritten(effect.entry))
                elif isinstance(effect, Sign):
                    self.give(Signed(sign(effect.message)))
        return self

    def said(self) -> list[str]:
        """What was broadcast: kind, round and value."""
        words = []
        for effect in self.effects:
            if isinstance(effect, Broadcast):
                message = effect.message
                value = message.kind if isinstance(message, TimeoutMessage) else NAMES[message.batch_hash]  # type: ignore[union-attr]  # never evidence
                words.append(f"{message.type} {message.round} {value}")  # type: ignore[union-attr]  # never evidence
        return words

    def asked(self, kind: type[Effect]) -> list[Effect]:
        return [effect for effect in self.effects if isinstance(effect, kind)]


NAMES = {A: "a", B: "b", None: "nil"}
ACCEPTED = [proposal(0, A), valid(A, 0)]
LOCKED = [*ACCEPTED, *pre_votes(0, A, 1, 2)]
TO_ROUND_1 = [*pre_commits(0, None, 1, 2, 3), fired(PRE_COMMIT, 0)]
LOCKED_IN_1 = [*LOCKED, *TO_ROUND_1]

TABLE: list[tuple[str, list[Input], Step, int, list[str]]] = [
    ("nothing happens in an idle chain", [], Step.IDLE, -1, []),
    ("L10: work starts round 0", [WorkAvailable()], Step.PROPOSE, 0, []),
    ("L10: another's proposal starts round 0", [proposal(0, A)], Step.PROPOSE, 0, []),
    ("L10: another's vote starts round 0", pre_votes(0, None, 1), Step.PROPOSE, 0, []),
    ("L23: a valid proposal is pre-voted", ACCEPTED, Step.PRE_VOTE, 0, ["PRE_VOTE 0 a"]),
    ("L25: an invalid proposal is rejected", [proposal(0, A), invalid(A, 0)], Step.PRE_VOTE, 0, ["PRE_VOTE 0 nil"]),
    (
        "L26: a locked validator rejects another batch",
        [*LOCKED_IN_1, proposal(1, B)],
        Step.PRE_VOTE,
        1,
        ["PRE_VOTE 0 a", "PRE_COMMIT 0 a", "TIMEOUT 0 PRE_COMMIT", "PRE_VOTE 1 nil"],
    ),
    (
        "L23: a locked validator accepts the batch of its lock",
        [*LOCKED_IN_1, proposal(1, A)],
        Step.PRE_VOTE,
        1,
        ["PRE_VOTE 0 a", "PRE_COMMIT 0 a", "TIMEOUT 0 PRE_COMMIT", "PRE_VOTE 1 a"],
    ),
    (
        "L28: an older batch without its polka is not answered",
        [WorkAvailable(), *TO_ROUND_1, proposal(1, A, 0), *pre_votes(0, A, 1, 2)],
        Step.PROPOSE,
        1,
        ["TIMEOUT 0 PRE_COMMIT"],
    ),
    (
        "L30: an older batch with its polka is pre-voted",
        [WorkAvailable(), *TO_ROUND_1, proposal(1, A, 0), *pre_votes(0, A, 1, 2, 3), valid(A, 1)],
        Step.PRE_VOTE,
        1,
        ["TIMEOUT 0 PRE_COMMIT", "PRE_VOTE 1 a"],
    ),
    (
        "L29: a polka of the lock's own round or later opens the lock to another batch",
        [
            *LOCKED_IN_1,
            *pre_votes(1, B, 1, 2, 3),
            fired(PROPOSER, 1),
            *pre_commits(1, None, 1, 2, 3),
            fired(PRE_COMMIT, 1),
            proposal(2, B, 1),
            valid(B, 2),
        ],
        Step.PRE_VOTE,
        2,
        [
            "PRE_VOTE 0 a",
            "PRE_COMMIT 0 a",
            "TIMEOUT 0 PRE_COMMIT",
            "PRE_VOTE 1 nil",
            "TIMEOUT 1 PROPOSER",
            "TIMEOUT 1 PRE_COMMIT",
            "PRE_VOTE 2 b",
        ],
    ),
    (
        "L34: a quorum of different pre-votes starts the wait",
        [*ACCEPTED, *pre_votes(0, None, 1, 2)],
        Step.PRE_VOTE_WAIT,
        0,
        ["PRE_VOTE 0 a"],
    ),
    ("L36: a polka locks and is pre-committed", LOCKED, Step.PRE_COMMIT, 0, ["PRE_VOTE 0 a", "PRE_COMMIT 0 a"]),
    (
        "L44: a quorum of nil pre-votes is a nil pre-commit",
        [*ACCEPTED, *pre_votes(0, None, 1, 2, 3)],
        Step.PRE_COMMIT,
        0,
        ["PRE_VOTE 0 a", "PRE_COMMIT 0 nil"],
    ),
    (
        "L47: a quorum of different pre-commits starts the wait",
        [*LOCKED, *pre_commits(0, None, 1, 2)],
        Step.PRE_COMMIT_WAIT,
        0,
        ["PRE_VOTE 0 a", "PRE_COMMIT 0 a"],
    ),
    (
        "L49: a quorum of pre-commits for a batch decides",
        [*LOCKED, *pre_commits(0, A, 1, 2)],
        Step.COMMIT,
        0,
        ["PRE_VOTE 0 a", "PRE_COMMIT 0 a", "COMMIT 0 a"],
    ),
    ("L55: f + 1 in a later round pull along", pre_votes(6, None, 1, 2), Step.PROPOSE, 6, []),
    ("L55: f are not enough", pre_votes(6, None, 1), Step.PROPOSE, 0, []),
    (
        "L55: rounds beyond the window count too",
        pre_votes(ROUNDS_AHEAD_MAX + 90, None, 1, 2),
        Step.PROPOSE,
        ROUNDS_AHEAD_MAX + 90,
        [],
    ),
    (
        "L57: no proposal in time is a nil pre-vote",
        [WorkAvailable(), fired(PROPOSER, 0)],
        Step.PRE_VOTE,
        0,
        ["PRE_VOTE 0 nil", "TIMEOUT 0 PROPOSER"],
    ),
    (
        "L61: no polka in time is a nil pre-commit",
        [*ACCEPTED, *pre_votes(0, None, 1, 2), fired(PRE_VOTE, 0)],
        Step.PRE_COMMIT,
        0,
        ["PRE_VOTE 0 a", "PRE_COMMIT 0 nil", "TIMEOUT 0 PRE_VOTE"],
    ),
    (
        "L65: no decision in time is the next round",
        [WorkAvailable(), *TO_ROUND_1],
        Step.PROPOSE,
        1,
        ["TIMEOUT 0 PRE_COMMIT"],
    ),
    (
        "a quorum of PRE_COMMIT timeouts is the next round",
        [*LOCKED, *timeouts(0, PRE_COMMIT, 1, 2, 3)],
        Step.PROPOSE,
        1,
        ["PRE_VOTE 0 a", "PRE_COMMIT 0 a"],
    ),
    (
        "a quorum of other timeouts is not",
        [WorkAvailable(), *timeouts(0, PROPOSER, 1, 2, 3), *timeouts(0, PRE_VOTE, 1, 2, 3)],
        Step.PROPOSE,
        0,
        [],
    ),
]


@pytest.mark.parametrize(("events", "step", "number", "said"), [pytest.param(*row[1:], id=row[0]) for row in TABLE])
def test_a_rule_of_the_paper(events: list[Input], step: Step, number: int, said: list[str]) -> None:
    seat = Seat().give(*events)
    assert (seat.state.step, seat.state.round) == (step, number)
    assert seat.said() == said
    # And the same inputs lead to the same state: that is what the log relies on.
    assert Seat().give(*events).state == seat.state
    assert describe(seat.state).step is step
