"""Places and purses: who gives way to whom, and what an address may spend."""

from __future__ import annotations

from dataclasses import replace

import trio
from trio.testing import MockClock

from step_node.api.server.limits import asker_of, cost_ms_of, counted_as
from step_node.api.server.visitors import (
    ADDRESSES_MAX,
    ALL_BURST_SECONDS,
    BURST_SECONDS,
    REFUSAL_SECONDS_MIN,
    REFUSALS_PER_SECOND,
    Refused,
    Visit,
    Visitors,
)
from tests.api.serving import AMPLE


def enter(visitors: Visitors, address: str) -> Visit:
    """A connection that must find a place."""
    visit = visitors.enter(address, address)
    assert isinstance(visit, Visit)
    return visit


def test_an_address_is_counted_whole_in_ipv4_and_by_its_network_in_ipv6() -> None:
    assert counted_as("192.0.2.1") == "192.0.2.1"
    assert counted_as("::ffff:192.0.2.1") == "192.0.2.1"
    assert counted_as("2001:db8:1:2:3::4") == counted_as("2001:db8:1:2:ffff::") == "2001:db8:1:2::/64"
    assert counted_as("2001:db8:1:3::4") != counted_as("2001:db8:1:2::4")
    assert counted_as("fe80::1%eth0") == "fe80::/64"
    assert counted_as("") == ""


def test_only_a_proxy_s_word_on_who_asks_is_believed_and_of_it_the_last() -> None:
    proxies = frozenset({"127.0.0.1"})
    assert asker_of("127.0.0.1", ["192.0.2.9, 192.0.2.1"], proxies) == "192.0.2.1"
    assert asker_of("127.0.0.1", ["192.0.2.9", "2001:db8::1"], proxies) == "2001:db8::/64"
    assert asker_of("192.0.2.5", ["192.0.2.1"], proxies) == "192.0.2.5"
    assert asker_of("127.0.0.1", ["nobody"], proxies) == "127.0.0.1"
    assert asker_of("127.0.0.1", [], proxies) == "127.0.0.1"
    assert asker_of("2001:db8::1", [], proxies) == "2001:db8::/64"


def test_what_is_dear_costs_more() -> None:
    assert cost_ms_of("/batch/7") > cost_ms_of("/proof/status/0x00") > cost_ms_of("/health") > 0


async def test_an_address_has_no_more_places_than_its_bound_and_gets_them_back() -> None:
    visitors = Visitors(replace(AMPLE, connections_per_address_max=2), lambda _why: None)
    first, _ = enter(visitors, "192.0.2.1"), enter(visitors, "192.0.2.1")
    assert visitors.enter("192.0.2.1", "192.0.2.1") is Refused.ADDRESS_CONNECTIONS
    enter(visitors, "192.0.2.2")
    visitors.leave(first)
    enter(visitors, "192.0.2.1")
    assert len(visitors) == 3


async def test_a_proxy_s_connections_are_not_counted_by_address() -> None:
    limits = replace(AMPLE, connections_per_address_max=1, proxies=frozenset({"127.0.0.1"}))
    visitors = Visitors(limits, lambda _why: None)
    visits = [enter(visitors, "127.0.0.1") for _ in range(3)]
    for visit in visits:
        visitors.leave(visit)
    assert len(visitors) == 0


async def test_the_longest_waited_for_gives_way_and_who_is_worked_for_does_not() -> None:
    refused: list[str] = []
    visitors = Visitors(replace(AMPLE, connections_max=3), refused.append)
    busy, old, young = (enter(visitors, f"192.0.2.{number}") for number in range(3))
    with old.waiting(60) as of_old, young.waiting(60) as of_young:
        visitors.leave(busy)
        busy = enter(visitors, "192.0.2.9")
        enter(visitors, "192.0.2.10")
        assert (of_old.cancel_called, of_young.cancel_called) == (True, False)
        enter(visitors, "192.0.2.11")
        assert of_young.cancel_called
        assert (old.gave_way, young.gave_way, busy.gave_way) == (True, True, False)
        assert visitors.enter("192.0.2.12", "192.0.2.12") is Refused.CONNECTIONS
    assert refused == ["gave_way", "gave_way", "connections"]


async def test_who_has_been_heard_again_is_no_longer_the_longest_waited_for() -> None:
    visitors = Visitors(replace(AMPLE, connections_max=2), lambda _why: None)
    one, two = enter(visitors, "192.0.2.1"), enter(visitors, "192.0.2.2")
    with one.waiting(60):
        pass
    with two.waiting(60) as of_two, one.waiting(60) as of_one:
        enter(visitors, "192.0.2.3")
        assert (of_one.cancel_called, of_two.cancel_called) == (False, True)


async def test_only_idle_connections_end_at_once_when_the_server_stops() -> None:
    visitors = Visitors(AMPLE, lambda _why: None)
    idle, reading, later = (enter(visitors, f"192.0.2.{number}") for number in range(3))
    with idle.waiting(60, idle=True) as of_idle, reading.waiting(60) as of_reading:
        visitors.stop()
        assert (of_idle.cancel_called, of_reading.cancel_called) == (True, False)
        with later.waiting(60, idle=True) as of_later:
            assert of_later.cancel_called


async def test_many_addresses_share_the_whole_equally(autojump_clock: MockClock) -> None:
    del autojump_clock
    visitors = Visitors(replace(AMPLE, cost_ms_per_second=400, address_cost_ms_per_second=200), lambda _why: None)
    spent = dict.fromkeys((f"203.0.113.{number}" for number in range(20)), 0.0)
    honest = "192.0.2.1"
    waits: list[float] = []
    for tick in range(200):
        for crowd in spent:
            for _ in range(3):
                if not isinstance(visitors.charge(crowd, 2), Refused):
                    spent[crowd] += 2
        if tick % 8 == 0:
            seconds = visitors.charge(honest, 4)
            assert not isinstance(seconds, Refused), tick
            waits.append(seconds)
        await trio.sleep(0.05)
    # Ten seconds: twenty addresses that want 2,400 ms a second each, and one that wants 10.
    assert max(spent.values()) <= 1.5 * min(spent.values())
    assert sum(spent.values()) <= 400 * (10 + 2 + ALL_BURST_SECONDS)
    assert max(waits) <= 0.5


async def test_who_brings_what_the_node_is_glad_of_may_bring_much_to_an_idle_node(autojump_clock: MockClock) -> None:
    del autojump_clock
    limits = replace(AMPLE, cost_ms_per_second=400, address_cost_ms_per_second=50)
    visitors = Visitors(limits, lambda _why: None)
    glad = 0
    for _ in range(200):
        for _ in range(15):
            if visitors.charge("192.0.2.1", 1) == 0:
                visitors.give_back("192.0.2.1", 1)
                glad += 1
        await trio.sleep(0.05)
    # Ten seconds of 300 ms each: far more than the share of 50.
    assert glad == 200 * 15


async def test_to_a_busy_node_it_brings_no_more_than_its_share_and_others_keep_theirs(
    autojump_clock: MockClock,
) -> None:
    del autojump_clock
    limits = replace(AMPLE, cost_ms_per_second=400, address_cost_ms_per_second=50)
    visitors = Visitors(limits, lambda _why: None)
    taken_in, waits = 0, []

    async def bring() -> None:
        nonlocal taken_in
        while True:
            seconds = visitors.charge("192.0.2.1", 1)
            if isinstance(seconds, Refused):
                await trio.sleep(visitors.refusal_seconds())
                continue
            await trio.sleep(seconds + 0.02)
            visitors.give_back("192.0.2.1", 1)
            taken_in += 1

    async with trio.open_nursery() as nursery:
        for _ in range(60):
            nursery.start_soon(bring)
        for _ in range(50):
            seconds = visitors.charge("198.51.100.7", 4)
            assert not isinstance(seconds, Refused)
            waits.append(seconds)
            await trio.sleep(0.4)
        nursery.cancel_scope.cancel()
    # Sixty clients of one address could bring 3,000 a second; the whole has 400.
    assert 100 * 20 <= taken_in <= 400 * (20 + ALL_BURST_SECONDS) + 60
    assert max(waits) <= 0.5


async def test_nothing_is_given_back_to_who_is_forgotten(autojump_clock: MockClock) -> None:
    del autojump_clock
    visitors = Visitors(AMPLE, lambda _why: None)
    visitors.give_back("192.0.2.1", 1)
    assert visitors.remembered == 0


async def test_connections_are_paid_for_but_not_by_a_proxy(autojump_clock: MockClock) -> None:
    del autojump_clock
    limits = replace(AMPLE, address_cost_ms_per_second=50, proxies=frozenset({"127.0.0.1"}))
    visitors = Visitors(limits, lambda _why: None)
    for address, refused in (("127.0.0.1", False), ("192.0.2.1", True)):
        visits = [visitors.enter(address, address) for _ in range(900)]
        assert (Refused.ADDRESS_COST in visits) is refused
        assert (visits.count(Refused.ADDRESS_COST) > 300) is refused


async def test_refusals_are_spread_over_time(autojump_clock: MockClock) -> None:
    del autojump_clock
    visitors = Visitors(AMPLE, lambda _why: None)
    waits = [visitors.refusal_seconds() for _ in range(10 * REFUSALS_PER_SECOND)]
    assert REFUSAL_SECONDS_MIN <= waits[0] < REFUSAL_SECONDS_MIN + 0.1
    assert waits[-1] >= 10


async def test_spending_of_no_more_addresses_than_the_bound_is_remembered(autojump_clock: MockClock) -> None:
    del autojump_clock
    visitors = Visitors(AMPLE, lambda _why: None)
    for number in range(ADDRESSES_MAX + 100):
        visitors.charge(str(number), 100)
    assert visitors.remembered <= ADDRESSES_MAX
    await trio.sleep(BURST_SECONDS + 1_000)
    visitors.charge("one more", 1)
    assert visitors.remembered == 1
