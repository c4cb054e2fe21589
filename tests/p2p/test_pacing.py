"""A publisher waits for a peer that is behind, and one peer cannot make it slow for the others."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from p2p.pacing import POLL_SECONDS, WAIT_SECONDS, Pacing

PUBLICATIONS = 100


async def test_nobody_is_waited_for_who_keeps_up(autojump_clock: MockClock) -> None:
    del autojump_clock
    began_at = trio.current_time()
    for _ in range(PUBLICATIONS):
        await Pacing[str](set).wait()
    assert trio.current_time() == began_at


async def test_a_busy_peer_is_waited_for_until_it_has_caught_up(autojump_clock: MockClock) -> None:
    del autojump_clock
    began_at = trio.current_time()
    caught_up_at = began_at + WAIT_SECONDS / 2
    await Pacing(lambda: {"busy"} if trio.current_time() < caught_up_at else set()).wait()
    assert caught_up_at <= trio.current_time() <= caught_up_at + POLL_SECONDS


async def test_a_peer_that_stands_still_costs_one_wait_however_much_is_published(autojump_clock: MockClock) -> None:
    del autojump_clock
    began_at = trio.current_time()
    pacing = Pacing(lambda: {"paused"})
    for _ in range(PUBLICATIONS):
        await pacing.wait()
    assert trio.current_time() - began_at <= WAIT_SECONDS


async def test_another_busy_peer_is_still_waited_for_beside_one_that_stands_still(autojump_clock: MockClock) -> None:
    del autojump_clock
    busy = {"paused"}
    pacing = Pacing(lambda: busy)
    await pacing.wait()
    busy.add("busy")
    began_at = trio.current_time()
    await pacing.wait()
    assert trio.current_time() - began_at == WAIT_SECONDS


async def test_a_peer_that_caught_up_is_waited_for_again(autojump_clock: MockClock) -> None:
    del autojump_clock
    busy = {"paused"}
    pacing = Pacing(lambda: busy)
    await pacing.wait()
    busy.clear()
    await pacing.wait()
    busy.add("paused")
    began_at = trio.current_time()
    await pacing.wait()
    assert trio.current_time() - began_at == WAIT_SECONDS
