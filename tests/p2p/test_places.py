"""Who gets a place, who has to go, and which of two connections stays."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2p.network import PeerId
from p2p.places import CROSSING_SECONDS, REFUSED, Limits, Place, admit, better

LIMITS = Limits(connections_max=4, strangers_per_address_max=2)
MEMBERS = frozenset({PeerId("member"), PeerId("another member")})


def place(name: str, group: str = "192.0.2.1/32", *, outbound: bool = False, began_at: float = 0.0) -> Place:
    return Place(PeerId(name), name.encode(), group, outbound, began_at)


STRANGERS = [place(f"stranger {number}", f"192.0.2.{number}/32", began_at=number) for number in range(4)]


def test_a_crowd_from_one_address_takes_two_places_and_no_more() -> None:
    held: list[Place] = []
    for number in range(100):
        newcomer = place(f"identity {number}")
        if admit(newcomer, held, MEMBERS, LIMITS).admitted:
            held.append(newcomer)
    assert [one.peer_id for one in held] == ["identity 0", "identity 1"]


def test_members_are_neither_counted_for_their_address_nor_kept_out_by_it() -> None:
    crowd = [place("one"), place("two"), place("member")]
    assert admit(place("another member"), crowd, MEMBERS, LIMITS).admitted
    assert admit(place("three"), crowd, MEMBERS, LIMITS) == REFUSED
    assert admit(place("three"), crowd[1:], MEMBERS, LIMITS).admitted


def test_those_that_this_node_has_chosen_are_not_counted_for_their_address() -> None:
    assert admit(place("three"), [place("one", outbound=True), place("two")], MEMBERS, LIMITS).admitted


def test_when_all_places_are_taken_a_stranger_is_refused_and_goes_for_a_member() -> None:
    assert admit(place("late", "192.0.2.9/32"), STRANGERS, MEMBERS, LIMITS) == REFUSED
    assert admit(place("late", "192.0.2.9/32", outbound=True), STRANGERS, MEMBERS, LIMITS) == REFUSED
    assert admit(place("member", "192.0.2.9/32"), STRANGERS, MEMBERS, LIMITS).evicted == STRANGERS[-1]


def test_of_strangers_the_crowded_address_goes_first_and_those_that_this_node_has_chosen_last() -> None:
    held = [
        place("chosen", "192.0.2.3/32", outbound=True, began_at=9.0),
        place("crowd 0", began_at=0.0),
        place("crowd 1", began_at=1.0),
        place("alone", "192.0.2.2/32", began_at=8.0),
    ]
    gone = []
    while len(held) > 0:
        evicted = admit(place("member"), held, MEMBERS, Limits(len(held), 2)).evicted
        assert evicted is not None
        held.remove(evicted)
        gone.append(evicted.peer_id)
    assert gone == ["crowd 1", "alone", "crowd 0", "chosen"]


def test_where_only_members_are_left_a_member_finds_no_place_either() -> None:
    assert admit(place("member"), [place("another member")], MEMBERS, Limits(1, 1)) == REFUSED


@given(
    st.booleans(),
    st.floats(0, CROSSING_SECONDS / 2),
    st.permutations([PeerId("16Uiu2a"), PeerId("16Uiu2b")]),
)
def test_both_sides_keep_the_same_one_of_two_that_crossed(a_first: bool, apart: float, peers: list[PeerId]) -> None:
    """Whichever each side saw first: the other side may have seen them in the other order."""
    near, far = peers

    def kept_by(own: PeerId, other: PeerId, *, own_dial_first: bool) -> bool:
        """Whether `own`'s dial is kept by `own`."""
        mine, theirs = place(other, outbound=True), place(other, outbound=False)
        older, newer = (mine, theirs) if own_dial_first else (theirs, mine)
        return better(older, place_later(newer, apart), own=own).outbound

    for far_saw_its_own_first in (True, False):
        nears = kept_by(near, far, own_dial_first=a_first)
        fars = kept_by(far, near, own_dial_first=far_saw_its_own_first)
        assert nears != fars
        assert nears == (near < far)


def place_later(one: Place, seconds: float) -> Place:
    return Place(one.peer_id, one.instance, one.group, one.outbound, one.began_at + seconds)


@pytest.mark.parametrize(("outbound", "later_outbound"), list(itertools.product([True, False], repeat=2)))
def test_a_peer_that_comes_back_takes_the_place_of_a_connection_that_it_has_lost(
    outbound: bool, later_outbound: bool
) -> None:
    old = place("peer", outbound=outbound)
    new = place("peer", outbound=later_outbound, began_at=CROSSING_SECONDS + 0.1)
    assert better(old, new, own=PeerId("a")) is new
    assert better(old, new, own=PeerId("z")) is new


def test_one_that_dials_twice_within_moments_has_lost_the_first() -> None:
    old, new = place("peer"), place("peer", began_at=1.0)
    assert better(old, new, own=PeerId("a")) is new
