"""Each rule of the paper, by its line: what is put in, the step it leads to, and what is to be done.

Four validators, height 5: the proposer of round r is number (5 + r) mod 4, so 1, 2, 3, 0. "Own" is number 0, which
proposes in round 3. Own messages are logged and signed at once by `Seat`, unless a test does it by hand.
"""

from dataclasses import replace

import pytest

from consensus.commit import commit_of
from consensus.effects import (
    Broadcast,
    BuildBatch,
    Effect,
    Finalise,
    ReportEvidence,
    RequestBatch,
    SetTimer,
    Sign,
    ValidateBatch,
    WriteAhead,
)
from consensus.inputs import (
    BatchBuilt,
    BatchNotBuilt,
    BatchValidated,
    Input,
    LogWritten,
    MessageReceived,
    Signed,
    TimerFired,
    WorkAvailable,
)
from consensus.machine import (
    ConsensusFault,
    Ignored,
    apply,
    describe,
    own_messages,
    resume,
    stored_proposal,
    wanted_batches,
)
from consensus.messages import Commit, Message, PreCommit, PreVote, ProofBatch, TimeoutMessage
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
    (
        "L10: one other's vote, which a liar can send at any time, starts nothing",
        pre_votes(0, None, 1),
        Step.IDLE,
        -1,
        [],
    ),
    ("L10: nor does one other's proposal of a later round", [proposal(1, A)], Step.IDLE, -1, []),
    ("L10: the votes of f + 1 others start round 0", pre_votes(0, None, 1, 2), Step.PROPOSE, 0, []),
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
        [WorkAvailable(), *TO_ROUND_1, proposal(1, A, 0), *pre_votes(0, A, 1, 2), valid(A, 1)],
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
        "L32: a polka older than the lock does not open it",
        [
            WorkAvailable(),
            *TO_ROUND_1,
            proposal(1, A),
            valid(A, 1),
            *pre_votes(1, A, 1, 2),
            *pre_commits(1, None, 1, 2, 3),
            fired(PRE_COMMIT, 1),
            *pre_votes(0, B, 1, 2, 3),
            proposal(2, B, 0),
        ],
        Step.PRE_VOTE,
        2,
        ["TIMEOUT 0 PRE_COMMIT", "PRE_VOTE 1 a", "PRE_COMMIT 1 a", "TIMEOUT 1 PRE_COMMIT", "PRE_VOTE 2 nil"],
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
        "L44: a quorum of nil pre-votes does not open a lock",
        [
            *LOCKED_IN_1,
            proposal(1, B),
            *pre_votes(1, None, 1, 2, 3),
            *pre_commits(1, None, 1, 2, 3),
            fired(PRE_COMMIT, 1),
            proposal(2, B),
        ],
        Step.PRE_VOTE,
        2,
        [
            "PRE_VOTE 0 a",
            "PRE_COMMIT 0 a",
            "TIMEOUT 0 PRE_COMMIT",
            "PRE_VOTE 1 nil",
            "PRE_COMMIT 1 nil",
            "TIMEOUT 1 PRE_COMMIT",
            "PRE_VOTE 2 nil",
        ],
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
    ("L55: f are not enough", [WorkAvailable(), *pre_votes(6, None, 1)], Step.PROPOSE, 0, []),
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


def test_the_proposer_builds_and_proposes_and_a_late_batch_is_dropped() -> None:
    seat = Seat(own=1).give(WorkAvailable())
    assert seat.effects == [SetTimer(PROPOSER, 0, 5_000), BuildBatch(HEIGHT, 0)]
    seat.give(BatchNotBuilt(0), BatchBuilt(0, A, BATCH_A))
    assert seat.said() == ["PROOF_BATCH 0 a", "PRE_VOTE 0 a"]
    whole = next(effect.message for effect in seat.effects if isinstance(effect, Broadcast))
    assert isinstance(whole, ProofBatch)
    assert whole.batch == BATCH_A
    assert apply(seat.state, BatchBuilt(0, B, BATCH_B)).ignored is Ignored.LATE_BATCH


def test_the_proposer_proposes_the_valid_batch_again_with_its_round() -> None:
    seat = Seat().give(*LOCKED, *timeouts(2, PRE_COMMIT, 1, 2, 3))
    assert seat.state.round == 3
    assert seat.asked(BuildBatch) == []
    again = own_messages(seat.state)
    proposals = [message for message in again if isinstance(message, ProofBatch)]
    assert [(message.valid_round, message.batch_hash, message.batch) for message in proposals] == [(0, A, BATCH_A)]
    # The polka goes with it, for those who have not seen it.
    assert sum(isinstance(message, PreVote) and message.round == 0 for message in again) >= 3


def test_an_own_message_is_logged_then_signed_then_sent() -> None:
    state = ConsensusState.begin(CHAIN_ID, HEIGHT, validator_set(4), address(0), Timeouts())
    state = apply(state, WorkAvailable()).state
    first = apply(state, fired(PROPOSER, 0))
    vote = PreVote(HEIGHT, 0, None, address(0))
    assert first.state.step is Step.TIMEOUT_PROPOSER
    assert first.effects[0] == WriteAhead(vote)
    assert not any(isinstance(effect, Sign | Broadcast) for effect in first.effects)
    assert apply(first.state, Signed(sign(vote))).ignored is Ignored.UNEXPECTED
    second = apply(first.state, LogWritten(vote))
    assert second.effects == (Sign(vote),)
    assert apply(second.state, Signed(sign(replace(vote, batch_hash=A)))).ignored is Ignored.UNEXPECTED
    third = apply(second.state, Signed(sign(vote)))
    assert third.effects == (Broadcast(sign(vote)),)
    assert third.state.step is Step.TIMEOUT_PROPOSER  # the timeout message is still to be signed
    assert WriteAhead(TimeoutMessage(HEIGHT, 0, PROPOSER, address(0))) in resume(third.state)


@pytest.mark.parametrize(
    ("before", "kind", "step"),
    [
        ([*ACCEPTED, *pre_votes(0, None, 1, 2)], PRE_VOTE, Step.TIMEOUT_PRE_VOTE),
        ([WorkAvailable(), *pre_commits(0, None, 1, 2, 3)], PRE_COMMIT, Step.TIMEOUT_PRE_COMMIT),
    ],
)
def test_a_wait_that_is_over_shows_until_it_is_answered(before: list[Input], kind: TimeoutKind, step: Step) -> None:
    state = Seat().give(*before).state
    assert apply(state, fired(kind, 0)).state.step is step


def test_a_decision_is_finalised_and_told() -> None:
    seat = Seat().give(*LOCKED, *pre_commits(0, A, 1, 2))
    (finalise,) = seat.asked(Finalise)
    assert isinstance(finalise, Finalise)
    assert finalise.batch == BATCH_A
    assert own_messages(seat.state) == (finalise.commit,)
    assert resume(seat.state) == (finalise, Broadcast(finalise.commit))
    assert apply(seat.state, WorkAvailable()).ignored is Ignored.DECIDED


def test_a_peer_that_asks_for_a_batch_gets_a_proposal_of_it() -> None:
    state = Seat().give(*LOCKED).state
    assert got(stored_proposal(state, A)) == proposal(0, A)  # type: ignore[arg-type]  # None would not be equal
    assert stored_proposal(state, B) is None


def committed(batch_hash: bytes) -> Commit:
    return commit_of(sign(PreCommit(HEIGHT, 9, batch_hash, address(voter))) for voter in (1, 2, 3))


def test_a_commit_brings_an_idle_node_to_the_decision_once_it_has_the_batch() -> None:
    seat = Seat().give(got(committed(A)))
    assert seat.effects == [RequestBatch(A, 9)]
    assert wanted_batches(seat.state) == ((A, 9),)
    seat.give(proposal(40, A))  # of any round
    (question,) = seat.asked(ValidateBatch)
    assert question == ValidateBatch(9, -1, A, BATCH_A, judge_clock=False)
    seat.give(valid(A, 9))
    assert seat.state.step is Step.COMMIT


def test_two_committed_batches_or_an_invalid_one_stop_the_node() -> None:
    with pytest.raises(ConsensusFault, match="a quorum committed"):
        Seat().give(got(committed(A)), got(committed(B)))
    with pytest.raises(ConsensusFault, match="finds invalid"):
        Seat().give(got(committed(A)), proposal(9, A), invalid(A, 9))


def test_a_batch_refused_for_its_time_is_still_locked_on_when_a_quorum_accepted_it() -> None:
    seat = Seat().give(proposal(0, A), invalid(A, 0), *pre_votes(0, A, 1, 2, 3))
    questions = [effect.judge_clock for effect in seat.effects if isinstance(effect, ValidateBatch)]
    assert questions == [True, False]
    seat.give(valid(A, 0))
    assert seat.said() == ["PRE_VOTE 0 nil", "PRE_COMMIT 0 a"]


def test_contradictions_are_reported_once_each() -> None:
    seat = Seat().give(*pre_votes(0, A, 2), *pre_votes(0, None, 2), *pre_votes(0, B, 2))
    seat.give(proposal(0, A), proposal(0, B), proposal(0, B, -1))
    assert len(seat.asked(ReportEvidence)) == 2
    votes = seat.state.current.pre_votes
    assert (votes.voters, votes.tally(A), votes.tally(None), votes.tally(B)) == (1, 1, 1, 0)


def test_a_proposer_that_had_nothing_to_propose_builds_when_there_is_work_after_all() -> None:
    seat = Seat(own=1).give(WorkAvailable())
    assert seat.asked(BuildBatch) == [BuildBatch(HEIGHT, 0)]
    seat.give(WorkAvailable())  # the first answer is still to come
    assert len(seat.asked(BuildBatch)) == 1
    seat.give(BatchNotBuilt(0), WorkAvailable())
    assert seat.asked(BuildBatch) == [BuildBatch(HEIGHT, 0)] * 2
    seat.give(BatchBuilt(0, A, BATCH_A), WorkAvailable())
    assert len(seat.asked(BuildBatch)) == 2
    assert seat.said()[0] == "PROOF_BATCH 0 a"


def test_votes_that_came_while_idle_count_when_work_comes() -> None:
    seat = Seat().give(*pre_votes(0, None, 1), WorkAvailable())
    assert seat.state.round_state(0).pre_votes.tally(None) == 1


def test_a_watching_node_follows_without_a_word() -> None:
    seat = Seat(own=None).give(*ACCEPTED, *pre_votes(0, A, 1, 2, 3), *pre_commits(0, A, 1, 2, 3))
    assert seat.state.step is Step.COMMIT
    assert seat.asked(WriteAhead) == []
    assert seat.said() == ["COMMIT 0 a"]


STRANGE = sign(PreVote(HEIGHT, 0, None, address(9)))
IGNORED: list[tuple[Ignored, list[Input], Input]] = [
    (Ignored.ALREADY_STARTED, [WorkAvailable()], WorkAvailable()),
    (Ignored.PAST_HEIGHT, [], got(sign(PreVote(HEIGHT - 1, 0, None, address(1))))),
    (Ignored.FUTURE_HEIGHT, [], got(sign(PreVote(HEIGHT + 1, 0, None, address(1))))),
    (Ignored.UNKNOWN_VALIDATOR, [], got(STRANGE)),
    (Ignored.NOT_THE_PROPOSER, [], got(sign(ProofBatch(HEIGHT, 0, -1, A, BATCH_A, address(2))))),
    (Ignored.OWN_MESSAGE, [WorkAvailable()], got(sign(PreVote(HEIGHT, 0, None, address(0))))),
    (Ignored.DUPLICATE, pre_votes(0, A, 1), pre_votes(0, A, 1)[0]),
    (Ignored.DUPLICATE, timeouts(0, PROPOSER, 1), timeouts(0, PROPOSER, 1)[0]),
    (Ignored.DUPLICATE, [proposal(0, A)], proposal(0, A)),
    (Ignored.DUPLICATE, [got(committed(A))], got(committed(A))),
    (Ignored.ROUND_NOT_TRACKED, pre_votes(90, None, 1), pre_votes(89, None, 1)[0]),
    (Ignored.STALE_TIMER, [WorkAvailable()], fired(PRE_VOTE, 0)),
    (Ignored.STALE_TIMER, [WorkAvailable(), fired(PROPOSER, 0)], fired(PROPOSER, 0)),
    (Ignored.STALE_TIMER, [], fired(PROPOSER, 0)),
    (Ignored.LATE_BATCH, [WorkAvailable()], BatchBuilt(0, A, BATCH_A)),
    (Ignored.UNEXPECTED, [WorkAvailable()], valid(A, 0)),
    (Ignored.UNEXPECTED, [WorkAvailable()], LogWritten(PreVote(HEIGHT, 0, None, address(0)))),
    (Ignored.LATE_BATCH, [WorkAvailable()], BatchNotBuilt(1)),
]


@pytest.mark.parametrize(("reason", "before", "event"), IGNORED)
def test_an_ignored_input_leaves_the_state_as_it_is(reason: Ignored, before: list[Input], event: Input) -> None:
    state = Seat().give(*before).state
    transition = apply(state, event)
    assert transition.ignored is reason
    assert transition.state is state
    assert transition.effects == ()


def test_what_is_stored_for_far_rounds_is_bounded() -> None:
    seat = Seat()
    for number in range(200):
        seat.give(*pre_votes(number, None, 1))
    assert max(seat.state.rounds) <= ROUNDS_AHEAD_MAX
    assert len(seat.state.highest_rounds) == 1


def test_a_liar_who_names_ever_later_rounds_changes_nothing_so_that_the_log_stays_small() -> None:
    state = Seat().give(*pre_votes(10**6, None, 1)).state
    for number in range(10**6 + 1, 10**6 + 100):
        (event,) = pre_votes(number, None, 1)
        assert apply(state, event).state is state


def test_a_liar_does_not_hide_how_far_an_honest_validator_has_come() -> None:
    seat = Seat().give(*pre_votes(10**6, None, 1), *pre_votes(20, None, 2))
    assert seat.state.round == 20
    seat.give(*pre_votes(50, None, 2))
    assert seat.state.round == 50
