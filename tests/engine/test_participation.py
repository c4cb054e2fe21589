"""When a validator takes part: the decision as a table."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from step_node.engine.participation import (
    HISTORY_AHEAD_MAX,
    WAITED_OUT_HEIGHTS,
    Participation,
    Situation,
    Told,
    look,
    must_follow,
)

ALL_TOLD = Told(peers=3, members=3, promised=10)
AT_HEAD = Situation(
    head=10,
    members=4,
    quorum=3,
    shown=10,
    is_catching_up=False,
    told=ALL_TOLD,
    signed_height=10,
    floor=0,
    is_doubtful=False,
)
STARTED = Participation()
TAKES_PART = look(STARTED, AT_HEAD)

TABLE: list[tuple[str, Participation, Situation, str]] = [
    ("at the head it takes part", STARTED, AT_HEAD, "takes part"),
    ("nobody has told anything", STARTED, replace(AT_HEAD, told=Told()), "behind"),
    ("one stranger's height at or below the own is enough", STARTED, replace(AT_HEAD, told=Told(1)), "takes part"),
    ("a set of one needs nobody", STARTED, replace(AT_HEAD, told=Told(), members=1, quorum=1), "takes part"),
    ("a set of one that catches up follows", STARTED, replace(AT_HEAD, members=1, is_catching_up=True), "behind"),
    ("what is shown above a set of one is fetched", STARTED, replace(AT_HEAD, members=1, shown=11), "behind"),
    ("a promise is looked into first", STARTED, replace(AT_HEAD, told=Told(3, 3, promised=11)), "behind"),
    ("a promise stops nobody who takes part", TAKES_PART, replace(AT_HEAD, told=Told(3, 3, promised=99)), "takes part"),
    ("one shown height is waited for at first", STARTED, replace(AT_HEAD, shown=11), "behind"),
    ("one shown height is consensus at work later", TAKES_PART, replace(AT_HEAD, shown=11), "takes part"),
    ("two shown heights are not", TAKES_PART, replace(AT_HEAD, shown=12), "behind"),
    ("who catches up follows", TAKES_PART, replace(AT_HEAD, is_catching_up=True), "behind"),
    ("nobody told is no reason to stop", TAKES_PART, replace(AT_HEAD, told=Told()), "takes part"),
    ("below the floor nothing is signed", TAKES_PART, replace(AT_HEAD, floor=11), "below the floor"),
    ("at the floor the next height is signed", TAKES_PART, replace(AT_HEAD, floor=10), "takes part"),
    ("the present height may be in the history", STARTED, replace(AT_HEAD, signed_height=11), "takes part"),
    ("a history ahead waits for the chain", STARTED, replace(AT_HEAD, signed_height=12), "history ahead"),
    (
        "a history ahead beyond reason is said",
        STARTED,
        replace(AT_HEAD, signed_height=11 + HISTORY_AHEAD_MAX),
        "history unbelievable",
    ),
    ("who is behind does not judge its history", STARTED, replace(AT_HEAD, signed_height=99, shown=12), "behind"),
    ("outside of the set it watches", STARTED, replace(AT_HEAD, members=0, told=Told(), shown=99), "observes"),
    ("who joins the set looks first", look(STARTED, replace(AT_HEAD, members=0)), replace(AT_HEAD, shown=12), "behind"),
    ("who listens for a doppelganger signs nothing", STARTED, replace(AT_HEAD, listens=True), "listens"),
    ("doubt comes before everything", TAKES_PART, replace(AT_HEAD, is_doubtful=True), "waits out"),
    (
        "a doubt needs a quorum of others",
        STARTED,
        replace(AT_HEAD, is_doubtful=True, told=Told(3, 2)),
        "doubtful, 2 heard",
    ),
    ("and the head", STARTED, replace(AT_HEAD, is_doubtful=True, shown=11), "doubtful, 3 heard"),
]


@pytest.mark.parametrize(("before", "now", "kind"), [pytest.param(*row[1:], id=row[0]) for row in TABLE])
def test_what_is_decided(before: Participation, now: Situation, kind: str) -> None:
    decided = look(before, now)
    assert decided.kind == kind
    assert decided.takes_part == (kind in ("takes part", "observes"))
    assert (decided.reason is None) == decided.takes_part


def test_a_doubt_is_waited_out_for_two_heights_above_the_head_that_a_quorum_of_others_knew() -> None:
    doubtful = replace(AT_HEAD, is_doubtful=True)
    waiting = look(STARTED, doubtful)
    assert waiting.settles_at == 10 + WAITED_OUT_HEIGHTS == 12
    # What is told later moves it no further: whatever the key has signed, it had signed before.
    later = look(waiting, replace(doubtful, head=11, shown=50, told=Told(3, 3, promised=50)))
    assert (later.settles_at, later.is_waited_out) == (12, False)
    assert look(later, replace(doubtful, head=12, shown=12)).is_waited_out
    settled = look(Participation(), replace(AT_HEAD, head=12, shown=12, floor=12))
    assert settled.takes_part


def test_who_cannot_be_waited_for_is_named_with_the_way_out() -> None:
    reason = look(STARTED, replace(AT_HEAD, members=2, quorum=2, told=Told(1, 1), is_doubtful=True)).reason
    assert reason is not None
    assert "2 other validators would have to go on without it, and there are 1" in reason
    assert "--sign-from-height" in reason
    reason = look(STARTED, replace(AT_HEAD, signed_height=2**62)).reason
    assert reason is not None
    assert "--lost-signing-history" in reason


@pytest.mark.parametrize(
    ("head", "shown", "is_catching_up", "follows"),
    [(5, 5, False, False), (5, 6, False, False), (5, 7, False, True), (5, 5, True, True)],
)
def test_one_height_that_is_shown_and_not_here_is_no_reason_to_follow(
    head: int, shown: int, is_catching_up: bool, follows: bool
) -> None:
    assert must_follow(head=head, shown=shown, is_catching_up=is_catching_up) is follows


situations = st.builds(
    Situation,
    head=st.integers(0, 5),
    members=st.integers(0, 4),
    quorum=st.integers(1, 3),
    shown=st.integers(0, 8),
    is_catching_up=st.booleans(),
    told=st.builds(Told, peers=st.integers(0, 3), members=st.integers(0, 3), promised=st.integers(0, 8)),
    signed_height=st.integers(0, 8),
    floor=st.integers(0, 8),
    is_doubtful=st.booleans(),
    signer_absence=st.sampled_from([None, "does not answer"]),
    listens=st.booleans(),
)


@given(situations, situations)
def test_who_takes_part_need_not_follow_in_the_same_breath(before: Situation, now: Situation) -> None:
    """Else the driver would go from the one to the other and back, and nothing else would ever be done."""
    decided = look(look(STARTED, before), now)
    if decided.takes_part and not decided.observes:
        assert not must_follow(head=now.head, shown=now.shown, is_catching_up=now.is_catching_up)
        assert not now.is_doubtful
        assert now.signer_absence is None
