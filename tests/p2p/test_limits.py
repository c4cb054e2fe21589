"""What a peer may send, and who is charged for more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2p.limits import (
    BULK_PUBLISHED_RATE,
    BULK_RATE,
    MEMBER_BULK_PUBLISHED_RATE,
    MEMBERS_BULK_RATE,
    OWN_BULK_RATE,
    OWN_MEMBER_BULK_RATE,
    PEERS_MAX,
    PUBLISHED_RATE,
    RELAYED_RATE,
    GossipShares,
    Rate,
    Share,
    Shares,
)
from p2p.network import Fault, PeerId
from p2p.penalties import BAN_THRESHOLD_POINTS, PENALTY_POINTS
from tests.p2p.worlds import Clock

SENDER, OTHER = PeerId("sender"), PeerId("other")


def test_a_burst_is_taken_and_then_no_more_than_the_rate() -> None:
    clock = Clock()
    share = Share(Rate(10, 100, 1_000, 10_000), clock)
    assert [share.take(1) for _ in range(101)] == [True] * 100 + [False]
    clock.now += 1
    assert [share.take(1) for _ in range(11)] == [True] * 10 + [False]


def test_bytes_count_as_well_as_messages_and_what_is_refused_costs_nothing() -> None:
    share = Share(Rate(10, 100, 1_000, 10_000), Clock())
    assert share.take(9_000)
    assert not share.take(1_001)
    assert share.take(1_000)


def test_who_reads_in_debt_waits_until_it_is_paid() -> None:
    clock = Clock()
    share = Share(Rate(10, 100, 1_000, 10_000), clock)
    assert share.wait_after(100, 10_000) == 0
    assert share.wait_after(1, 2_000) == 2.0
    clock.now += 2.0
    assert share.wait_after(0, 0) == 0


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(0, 20_000)), max_size=60))
def test_no_share_ever_gives_more_than_its_burst_and_rate(sent: list[tuple[float, int]]) -> None:
    clock = Clock()
    rate = Rate(5, 10, 1_000, 20_000)
    share, started_at, messages, size_bytes = Share(rate, clock), clock.now, 0, 0
    for passed_seconds, size in sent:
        clock.now += passed_seconds
        if share.take(size):
            messages, size_bytes = messages + 1, size_bytes + size
    passed_seconds = clock.now - started_at
    assert messages <= rate.messages_burst + rate.messages_per_second * passed_seconds + 1e-6
    assert size_bytes <= rate.bytes_burst + rate.bytes_per_second * passed_seconds + 1e-3


def test_a_publisher_is_charged_for_its_own_flood_once_a_second() -> None:
    clock = Clock()
    shares = GossipShares(clock, urgent=True)
    burst = int(PUBLISHED_RATE.messages_burst)
    verdicts = [shares.judge(SENDER, SENDER, 1) for _ in range(burst + 50)]
    assert all(verdict.accepted for verdict in verdicts[:burst])
    assert [verdict.charge for verdict in verdicts[burst:]] == [True] + [False] * 49
    clock.now += 1
    for _ in range(int(PUBLISHED_RATE.messages_per_second)):
        assert shares.judge(SENDER, SENDER, 1).accepted
    assert shares.judge(SENDER, SENDER, 1).charge


def test_five_seconds_of_flooding_are_a_ban() -> None:
    assert 5 * PENALTY_POINTS[Fault.FLOOD] >= BAN_THRESHOLD_POINTS


def test_who_passes_on_the_flood_of_others_is_not_charged_and_keeps_its_own_share() -> None:
    shares = GossipShares(Clock(), urgent=True)
    verdicts = [shares.judge(SENDER, OTHER, 1) for _ in range(int(RELAYED_RATE.messages_burst) + 10)]
    assert [verdict.accepted for verdict in verdicts[-10:]] == [False] * 10
    assert not any(verdict.charge for verdict in verdicts)
    assert shares.judge(SENDER, SENDER, 1).accepted


def test_a_node_that_passes_on_what_a_few_neighbours_may_publish_stays_within_its_relayed_share() -> None:
    assert RELAYED_RATE.messages_burst >= 4 * PUBLISHED_RATE.messages_burst
    assert RELAYED_RATE.messages_per_second >= 4 * PUBLISHED_RATE.messages_per_second


def test_all_neighbours_together_have_one_share_of_what_is_not_urgent() -> None:
    clock = Clock()
    shares = GossipShares(clock, urgent=False)
    strangers = [PeerId(f"stranger {number}") for number in range(50)]
    size_bytes = 50_000
    accepted = [shares.judge(peer, peer, size_bytes).accepted for peer in strangers for _ in range(4)]
    assert sum(accepted) == int(BULK_RATE.bytes_burst) // size_bytes
    clock.now += 1
    more = [shares.judge(peer, peer, size_bytes) for peer in strangers for _ in range(4)]
    assert sum(verdict.accepted for verdict in more) <= BULK_RATE.bytes_per_second / size_bytes + 1
    assert not any(verdict.charge for verdict in more)


def test_whoever_has_a_reserved_place_has_a_larger_share_and_one_that_strangers_take_nothing_of() -> None:
    clock = Clock()
    shares = GossipShares(clock, urgent=False)
    strangers = [PeerId(f"stranger {number}") for number in range(50)]
    size_bytes = 50_000
    while any(shares.judge(peer, peer, size_bytes).accepted for peer in strangers):
        pass
    burst = int(MEMBER_BULK_PUBLISHED_RATE.bytes_burst) // size_bytes
    assert all(shares.judge(SENDER, SENDER, size_bytes, by_member=True).accepted for _ in range(burst))
    assert shares.judge(SENDER, SENDER, size_bytes, by_member=True).charge
    relayed = sum(shares.judge(OTHER, SENDER, size_bytes, by_member=True).accepted for _ in range(1_000))
    assert burst + relayed == int(MEMBERS_BULK_RATE.bytes_burst) // size_bytes


def test_a_member_that_others_do_not_know_of_yet_is_dropped_and_not_charged() -> None:
    shares = GossipShares(Clock(), urgent=False)
    size_bytes = 50_000
    accepted = int(BULK_PUBLISHED_RATE.bytes_burst) // size_bytes
    in_larger_share = int(MEMBER_BULK_PUBLISHED_RATE.bytes_burst) // size_bytes
    verdicts = [shares.judge(SENDER, SENDER, size_bytes) for _ in range(accepted + in_larger_share + 1)]
    assert [verdict.accepted for verdict in verdicts] == [True] * accepted + [False] * (in_larger_share + 1)
    assert [verdict.charge for verdict in verdicts] == [False] * (accepted + in_larger_share) + [True]


@pytest.mark.parametrize(
    ("own_rate", "their_rate"),
    [(OWN_BULK_RATE, BULK_PUBLISHED_RATE), (OWN_MEMBER_BULK_RATE, MEMBER_BULK_PUBLISHED_RATE)],
)
def test_a_node_that_keeps_to_its_own_rate_is_never_over_the_share_that_others_give_it(
    own_rate: Rate, their_rate: Rate
) -> None:
    clock = Clock()
    own, theirs = Share(own_rate, clock), Share(their_rate, clock)
    for size_bytes in [1, 99_000, 200_000, 500] * 500:
        clock.now += own.wait_after(1, size_bytes)
        assert theirs.take(size_bytes)


def test_memory_of_shares_is_bounded() -> None:
    shares = Shares(PUBLISHED_RATE, Clock())
    first = shares.of("first")
    assert shares.of("first") is first
    for number in range(PEERS_MAX):
        shares.of(number)
    assert shares.of("first") is not first
