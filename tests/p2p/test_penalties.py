"""What faults cost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2p.network import Fault, PeerId
from p2p.penalties import (
    BAN_SECONDS,
    BAN_THRESHOLD_POINTS,
    BANNED_PEERS_MAX,
    DECAY_POINTS_PER_SECOND,
    OPERATOR_BAN_SECONDS_MAX,
    OPERATOR_BANS_MAX,
    PENALISED_PEERS_MAX,
    PENALTY_POINTS,
    Bans,
    PenaltyBook,
)
from tests.p2p.worlds import Clock

PEER = PeerId("peer")


def test_every_fault_has_a_price() -> None:
    assert set(PENALTY_POINTS) == set(Fault)
    assert all(0 <= points <= BAN_THRESHOLD_POINTS for points in PENALTY_POINTS.values())
    assert [fault for fault, points in PENALTY_POINTS.items() if points == 0] == [Fault.UNVERIFIABLE, Fault.STALE]


def test_a_peer_of_another_chain_is_banned_at_once_and_for_a_time() -> None:
    clock = Clock()
    book = PenaltyBook(clock)
    assert book.charge(PEER, Fault.WRONG_CHAIN)
    clock.now += BAN_SECONDS - 0.1
    assert book.is_banned(PEER)
    assert book.banned_count() == 1
    clock.now += 0.2
    assert not book.is_banned(PEER)
    assert (book.points(PEER), book.banned_count()) == (0.0, 0)


@pytest.mark.parametrize("fault", [Fault.MALFORMED, Fault.OVERSIZED, Fault.BAD_SIGNATURE, Fault.INVALID_DATA])
def test_the_third_provable_fault_in_a_row_bans(fault: Fault) -> None:
    clock = Clock()
    book = PenaltyBook(clock)
    assert [book.charge(PEER, fault) for _ in range(4)] == [False, False, True, False]
    assert book.charged() == {fault: 4}


def test_a_fault_is_forgiven_with_time() -> None:
    clock = Clock()
    book = PenaltyBook(clock)
    book.charge(PEER, Fault.MALFORMED)
    clock.now += 10
    assert book.points(PEER) == PENALTY_POINTS[Fault.MALFORMED] - 10 * DECAY_POINTS_PER_SECOND
    clock.now += 1_000
    assert book.points(PEER) == 0.0


@given(st.lists(st.tuples(st.sampled_from(Fault), st.floats(min_value=0, max_value=1_000)), max_size=60))
def test_points_stay_between_zero_and_the_threshold(history: list[tuple[Fault, float]]) -> None:
    clock = Clock()
    book = PenaltyBook(clock)
    for fault, passed_seconds in history:
        became_banned = book.charge(PEER, fault)
        assert not became_banned or book.is_banned(PEER)
        clock.now += passed_seconds
        assert 0 <= book.points(PEER) < BAN_THRESHOLD_POINTS


def test_memory_of_scores_and_bans_is_bounded() -> None:
    book = PenaltyBook(Clock())
    for number in range(PENALISED_PEERS_MAX + 5):
        book.charge(PeerId(f"scored {number}"), Fault.STALLED)
    assert sum(book.points(PeerId(f"scored {number}")) > 0 for number in range(PENALISED_PEERS_MAX + 5)) == (
        PENALISED_PEERS_MAX
    )
    for number in range(BANNED_PEERS_MAX + 5):
        book.charge(PeerId(f"banned {number}"), Fault.WRONG_CHAIN)
    assert book.banned_count() == BANNED_PEERS_MAX


def test_bans_known_at_the_start_go_on_and_every_new_one_is_told() -> None:
    clock = Clock()
    told: list[dict[PeerId, float]] = []
    known = {PEER: 20.0, PeerId("for ever"): 10.0**9}
    book = PenaltyBook(clock, Bans(known=known, changed=lambda bans: told.append(dict(bans))))
    assert book.bans() == {PEER: 20.0, PeerId("for ever"): BAN_SECONDS}
    clock.now += 21
    assert not book.is_banned(PEER)
    book.charge(PeerId("new"), Fault.WRONG_CHAIN)
    assert told == [{PeerId("for ever"): BAN_SECONDS - 21, PeerId("new"): BAN_SECONDS}]


def test_the_operators_bans_last_as_long_as_said_and_no_stranger_pushes_them_out() -> None:
    clock = Clock()
    told: list[dict[PeerId, float]] = []
    book = PenaltyBook(clock, Bans(operators_changed=lambda bans: told.append(dict(bans))))
    book.ban_for(PEER, 86_400)
    for number in range(BANNED_PEERS_MAX + 5):
        book.charge(PeerId(f"banned {number}"), Fault.WRONG_CHAIN)
    clock.now += 86_000
    assert book.is_banned(PEER)
    assert book.operator_bans() == {PEER: 400}
    clock.now += 401
    assert not book.is_banned(PEER)
    assert told == [{PEER: 86_400}]


def test_a_lifted_ban_is_forgiven_whoever_has_said_it() -> None:
    book = PenaltyBook(Clock())
    book.ban_for(PEER, 60)
    book.charge(PEER, Fault.STALLED)
    other = PeerId("other")
    book.charge(other, Fault.WRONG_CHAIN)
    for peer in (PEER, other):
        assert book.unban(peer)
        assert not book.is_banned(peer)
        assert not book.unban(peer)
    book.charge(PEER, Fault.STALLED)
    assert book.unban(PEER) is False
    assert book.points(PEER) == 0


def test_the_operators_bans_are_bounded_in_time_and_number_and_one_more_is_refused() -> None:
    book = PenaltyBook(Clock())
    with pytest.raises(ValueError, match="must last"):
        book.ban_for(PEER, OPERATOR_BAN_SECONDS_MAX + 1)
    for number in range(OPERATOR_BANS_MAX):
        book.ban_for(PeerId(f"p{number}"), 60)
    with pytest.raises(ValueError, match="lift one of those"):
        book.ban_for(PEER, 60)
    book.ban_for(PeerId("p0"), 120)
    assert book.operator_bans()[PeerId("p0")] == 120
