"""A validator whose log is lost gets back what it has signed: its lock, its round, its step, its words.

As in `test_rules.py`: four validators, height 5, own is number 0, which proposes in round 3.
"""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consensus.effects import Broadcast, BuildBatch, SetTimer, Sign, WriteAhead
from consensus.inputs import Input, LogWritten, OwnMessagesRecovered, Signed, WorkAvailable
from consensus.lock import ProofOfLock, proof_of_lock
from consensus.machine import Ignored, apply, own_messages, resume, wanted_batches
from consensus.messages import PreCommit, PreVote, ProofBatch, SignedMessage, TimeoutMessage
from consensus.state import OwnStage, Phase, Step
from consensus.values import TimeoutKind, Timeouts
from tests.consensus.network import HEIGHT, Network, address, sign
from tests.consensus.test_rules import (
    ACCEPTED,
    BATCH_A,
    LOCKED,
    LOCKED_IN_1,
    A,
    B,
    Seat,
    fired,
    got,
    pre_votes,
    proposal,
    valid,
)

OWN = address(0)
PROPOSER, PRE_VOTE, PRE_COMMIT = TimeoutKind.PROPOSER, TimeoutKind.PRE_VOTE, TimeoutKind.PRE_COMMIT


def own_pre_vote(number: int, batch_hash: bytes | None) -> PreVote:
    return sign(PreVote(HEIGHT, number, batch_hash, OWN))


def own_pre_commit(number: int, batch_hash: bytes | None) -> PreCommit:
    return sign(PreCommit(HEIGHT, number, batch_hash, OWN))


def own_timeout(number: int, kind: TimeoutKind) -> TimeoutMessage:
    return sign(TimeoutMessage(HEIGHT, number, kind, OWN))


def own_proposal(number: int, batch_hash: bytes, valid_round: int = -1) -> ProofBatch:
    return sign(ProofBatch(HEIGHT, number, valid_round, batch_hash, b"", OWN))


def recovered(*messages: SignedMessage, lock: ProofOfLock | None = None) -> OwnMessagesRecovered:
    return OwnMessagesRecovered(messages, lock)


def signed_by(seat: Seat) -> tuple[SignedMessage, ...]:
    """What the seat's signing history has."""
    return tuple(
        own.message
        for _, round_state in sorted(seat.state.rounds.items())
        for own in round_state.own.values()
        if own.stage is OwnStage.SIGNED
    )


PROOF_OF_A = proof_of_lock(Seat().give(*LOCKED).state, own_pre_commit(0, A))

TABLE: list[tuple[str, list[Input], Step, int, list[str], tuple[int, bytes | None]]] = [
    (
        "a pre-vote: said again, and its wait begins at once (L34)",
        [recovered(own_pre_vote(0, A))],
        Step.PRE_VOTE_WAIT,
        0,
        ["PRE_VOTE 0 a"],
        (-1, None),
    ),
    (
        "a pre-commit for a batch: the lock as well, though the batch is not here (L38)",
        [recovered(own_pre_vote(0, A), own_pre_commit(0, A))],
        Step.PRE_COMMIT_WAIT,
        0,
        ["PRE_VOTE 0 a", "PRE_COMMIT 0 a"],
        (0, A),
    ),
    (
        "the latest round that was signed in, not the one that others are in",
        [*pre_votes(2, None, 1, 2), recovered(own_pre_vote(6, None))],
        Step.PRE_VOTE_WAIT,
        6,
        ["PRE_VOTE 6 nil"],
        (-1, None),
    ),
    (
        "a later round of the machine's stays, and gets the lock",
        [*pre_votes(6, None, 1, 2), recovered(own_pre_vote(2, A), own_pre_commit(2, A))],
        Step.PROPOSE,
        6,
        ["PRE_VOTE 2 a", "PRE_COMMIT 2 a"],
        (2, A),
    ),
    (
        "the lock of a round far behind, of which nothing else is remembered (L26)",
        [recovered(own_pre_commit(1, A), own_pre_commit(40, None)), fired(PRE_COMMIT, 40), proposal(41, B)],
        Step.PRE_VOTE,
        41,
        ["PRE_COMMIT 1 a", "PRE_COMMIT 40 nil", "TIMEOUT 40 PRE_COMMIT", "PRE_VOTE 41 nil"],
        (1, A),
    ),
    (
        "a round that was left is left again (L67)",
        [recovered(own_pre_commit(0, None), own_timeout(0, PRE_COMMIT))],
        Step.PROPOSE,
        1,
        ["PRE_COMMIT 0 nil", "TIMEOUT 0 PRE_COMMIT"],
        (-1, None),
    ),
    (
        "the own proposal without its batch is not said again, and none is built",
        [recovered(own_proposal(3, A))],
        Step.PROPOSE,
        3,
        [],
        (-1, None),
    ),
    (
        "it counts as soon as a peer gives it back",
        [recovered(own_proposal(3, A)), got(replace(own_proposal(3, A), batch=BATCH_A)), valid(A, 3)],
        Step.PRE_VOTE,
        3,
        ["PRE_VOTE 3 a"],
        (-1, None),
    ),
]


@pytest.mark.parametrize(
    ("events", "step", "number", "said", "lock"), [pytest.param(*row[1:], id=row[0]) for row in TABLE]
)
def test_what_was_signed_is_taken_back(
    events: list[Input], step: Step, number: int, said: list[str], lock: tuple[int, bytes | None]
) -> None:
    seat = Seat().give(*events)
    assert (seat.state.step, seat.state.round) == (step, number)
    assert seat.said() == said
    assert (seat.state.locked_round, seat.state.locked_hash) == lock
    assert Seat().give(*events).state == seat.state


def test_the_waits_of_a_recovered_round_end_one_after_the_other_without_anybody() -> None:
    seat = Seat().give(recovered(own_pre_vote(0, A)), fired(PRE_VOTE, 0))
    assert seat.state.step is Step.PRE_COMMIT
    seat = Seat().give(recovered(own_pre_vote(0, A), own_pre_commit(0, None)))
    assert seat.asked(SetTimer) == [SetTimer(PRE_COMMIT, 0, Timeouts().duration_ms(PRE_COMMIT, 0))]
    seat.give(fired(PRE_COMMIT, 0))
    assert (seat.state.step, seat.state.round) == (Step.PROPOSE, 1)


def test_a_lock_without_its_batch_asks_for_it_and_holds_meanwhile() -> None:
    seat = Seat().give(recovered(own_pre_vote(0, A), own_pre_commit(0, A)), fired(PRE_COMMIT, 0))
    assert wanted_batches(seat.state) == ((A, 0),)
    seat.give(proposal(1, B))
    assert seat.said()[-1] == "PRE_VOTE 1 nil"
    assert seat.state.valid_hash is None
    seat.give(proposal(0, A))  # the answer
    assert wanted_batches(seat.state) == ()
    assert seat.state.valid_round == 0


def test_with_its_proof_a_lock_is_proposed_again_with_its_quorum() -> None:
    assert PROOF_OF_A is not None
    seat = Seat().give(recovered(own_pre_vote(0, A), own_pre_commit(0, A), own_pre_vote(3, None), lock=PROOF_OF_A))
    assert (seat.state.locked_round, seat.state.valid_round, seat.state.valid_hash) == (0, 0, A)
    seat = Seat().give(recovered(own_pre_vote(0, A), own_pre_commit(0, A), own_timeout(2, PRE_COMMIT), lock=PROOF_OF_A))
    assert seat.state.round == 3
    assert seat.asked(BuildBatch) == []
    again = own_messages(seat.state)
    assert [(one.valid_round, one.batch) for one in again if isinstance(one, ProofBatch)] == [(0, BATCH_A)]
    assert len({one.signer for one in again if isinstance(one, PreVote) and one.round == 0}) == 3


def test_a_proof_of_a_pre_commit_that_was_not_signed_any_more_locks_too() -> None:
    assert PROOF_OF_A is not None
    seat = Seat().give(recovered(own_pre_vote(0, A), lock=PROOF_OF_A))
    assert (seat.state.locked_round, seat.state.locked_hash) == (0, A)
    # The quorum is known again, so the pre-commit follows (L36).
    assert "PRE_COMMIT 0 a" in Seat().give(recovered(own_pre_vote(0, A), lock=PROOF_OF_A), valid(A, 0)).said()


@pytest.mark.parametrize("what", ["another height", "fewer than a quorum", "strangers"])
def test_a_proof_that_proves_nothing_locks_nothing(what: str) -> None:
    assert PROOF_OF_A is not None
    stranger = replace(PROOF_OF_A.pre_votes[0], validator=address(9))
    proof = {
        "another height": replace(PROOF_OF_A, height=HEIGHT + 1),
        "fewer than a quorum": replace(PROOF_OF_A, pre_votes=PROOF_OF_A.pre_votes[:2]),
        "strangers": replace(PROOF_OF_A, pre_votes=(*PROOF_OF_A.pre_votes[:2], stranger)),
    }[what]
    assert Seat().give(recovered(own_pre_vote(0, None), lock=proof)).state.locked_hash is None


def test_an_intention_that_the_history_contradicts_gives_way_to_what_was_signed() -> None:
    seat = Seat()
    state = apply(seat.state, WorkAvailable()).state
    state = apply(state, fired(PROPOSER, 0)).state  # it intends a nil pre-vote, and forgot that it pre-voted A
    state = apply(state, LogWritten(PreVote(HEIGHT, 0, None, OWN))).state
    after = apply(state, recovered(own_pre_vote(0, A)))
    assert Broadcast(own_pre_vote(0, A)) in after.effects
    assert after.state.current.own["PRE_VOTE"].message == own_pre_vote(0, A)
    assert apply(after.state, Signed(sign(PreVote(HEIGHT, 0, None, OWN)))).ignored is Ignored.UNEXPECTED
    assert not [one for one in resume(after.state) if isinstance(one, Sign)]


def test_what_was_intended_in_a_round_that_is_left_is_given_up() -> None:
    state = apply(apply(Seat().state, WorkAvailable()).state, fired(PROPOSER, 0)).state
    after = apply(state, recovered(own_pre_vote(2, None))).state
    assert after.round == 2
    assert not [one for one in resume(after) if isinstance(one, WriteAhead | Sign)]


def test_what_is_known_already_changes_nothing() -> None:
    for events in (ACCEPTED, LOCKED, LOCKED_IN_1, [recovered(own_pre_vote(0, A), own_pre_commit(0, A))]):
        seat = Seat().give(*events)
        transition = apply(seat.state, recovered(*signed_by(seat)))
        assert (transition.ignored, transition.state is seat.state) == (Ignored.DUPLICATE, True)


def test_others_messages_another_height_and_an_observer_take_nothing_back() -> None:
    others = sign(PreCommit(HEIGHT, 0, A, address(1)))
    earlier = sign(PreCommit(HEIGHT - 1, 0, A, OWN))
    unsigned = PreCommit(HEIGHT, 0, A, OWN)
    seat = Seat()
    assert apply(seat.state, recovered(others, earlier, unsigned)).ignored is Ignored.DUPLICATE
    watching = Seat(own=None).state
    assert apply(watching, recovered(own_pre_commit(0, A))).ignored is Ignored.UNEXPECTED


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), steps=st.integers(50, 1_500), with_proof=st.booleans())
def test_a_machine_that_lost_its_log_stands_where_it_could_have_stood(seed: int, steps: int, with_proof: bool) -> None:
    """The recovered lock is the one of the latest pre-commit signed; the round is no earlier than any signed in; and
    all that was signed nearby is said again, word for word."""
    network = Network(seed, 4, 1)
    network.chaos(steps)
    for node in network.nodes.values():
        signed = tuple(sorted(node.signed.values(), key=lambda message: message.round))
        if not signed or node.state.phase is Phase.DECIDED:
            continue
        before = node.state
        node.lose_log(with_proof=with_proof)
        after = node.state
        pre_commits_signed = [one for one in signed if isinstance(one, PreCommit) and one.batch_hash is not None]
        locked = max(((one.round, one.batch_hash) for one in pre_commits_signed), default=(-1, None))
        assert after.locked_round >= locked[0]
        if after.locked_round == locked[0]:
            assert after.locked_hash == locked[1]
        else:
            assert with_proof
            assert (after.locked_round, after.locked_hash) == (before.locked_round, before.locked_hash)
        assert after.round >= max(one.round for one in signed)
        known = {own.message for round_state in after.rounds.values() for own in round_state.own.values()}
        near = range(after.round - 3, after.round + 1)
        assert {one for one in signed if one.round in near} <= known
