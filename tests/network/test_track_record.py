"""Who is asked, in which order, and for how long."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from p2p.network import PeerId
from step_node.network.track_record import (
    ASKED_AT_ONCE,
    DOUBT_MS_MAX,
    DOUBT_MS_MIN,
    PATIENCE_MS_MAX,
    PATIENCE_MS_MIN,
    RECORDS_MAX,
    TrackRecords,
    ask_until_delivered,
)
from tests.p2p.worlds import Clock

ANN, BEN, CAT, DAN = map(PeerId, ("ann", "ben", "cat", "dan"))
ALL = [ANN, BEN, CAT, DAN]


def test_who_delivered_comes_first_then_members_then_who_failed_less_often() -> None:
    clock = Clock()
    records = TrackRecords(clock)
    members = frozenset({CAT})
    assert records.in_order(ALL, members=members) == [CAT, ANN, BEN, DAN]
    records.kept(DAN, pace=2.0)
    records.kept(BEN, pace=3.0)
    assert records.in_order(ALL, members=members) == [BEN, DAN, CAT, ANN]
    for peer_id in (ANN, BEN):
        records.broke(peer_id)
    records.broke(ANN)
    assert records.in_order(ALL, members=members) == [DAN, CAT], "the others are in doubt"
    clock.now += DOUBT_MS_MAX
    assert records.in_order(ALL, members=members) == [DAN, CAT, BEN, ANN]


def test_equals_come_by_turns() -> None:
    records = TrackRecords(Clock())
    assert {records.in_order(ALL, members=frozenset(), turn=turn)[0] for turn in range(4)} == set(ALL)


@given(st.lists(st.booleans(), max_size=40))
def test_doubt_and_patience_grow_with_failures_in_a_row_and_end_with_a_delivery(delivered: list[bool]) -> None:
    records, failures = TrackRecords(Clock()), 0
    for kept in delivered:
        if kept:
            records.kept(ANN, pace=1.0)
        else:
            records.broke(ANN)
        failures = 0 if kept else failures + 1
        doubt_ms = min(DOUBT_MS_MIN * 2 ** (failures - 1), DOUBT_MS_MAX) if failures else 0
        assert records.doubted_seconds(ANN) == pytest.approx(doubt_ms / 1000)
        assert records.patience_seconds(ANN) == min(PATIENCE_MS_MIN * 2**failures, PATIENCE_MS_MAX) / 1000


def test_so_many_are_remembered_and_no_more() -> None:
    records = TrackRecords(Clock())
    for number in range(RECORDS_MAX + 1):
        records.broke(PeerId(f"peer-{number}"))
    assert not records.doubted_seconds(PeerId("peer-0"))
    assert records.doubted_seconds(PeerId("peer-1"))


async def test_so_many_are_asked_at_once_until_one_delivers(autojump_clock: MockClock) -> None:
    del autojump_clock
    asked: list[PeerId] = []
    being_asked = most = 0

    async def ask(peer_id: PeerId) -> bool:
        nonlocal being_asked, most
        asked.append(peer_id)
        being_asked += 1
        most = max(most, being_asked)
        try:
            await trio.sleep(1)
        finally:
            being_asked -= 1
        return peer_id == CAT

    assert await ask_until_delivered(ALL, ask)
    assert (asked, most, being_asked) == (ALL, ASKED_AT_ONCE, 0)
    assert not await ask_until_delivered([ANN, BEN], ask)
    assert not await ask_until_delivered([], ask)
    asked.clear()

    async def deliver_at_once(peer_id: PeerId) -> bool:
        asked.append(peer_id)
        return True

    assert await ask_until_delivered(ALL, deliver_at_once)
    assert asked == [ANN]
