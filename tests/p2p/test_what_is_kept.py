"""What a network keeps of streams that have ended and of peers who have gone: nothing, or no more for each of them."""

from __future__ import annotations

import types
from collections import deque

import pytest
import trio

import p2p.limits as limits_module
from p2p.libp2p_network import Libp2pNetwork, open_libp2p_network
from p2p.libp2p_settings import Libp2pSettings
from p2p.limits import PEERS_FEW, PEERS_MAX, Rate, Shares
from p2p.network import Network, Stream
from tests.p2p.worlds import TEST_TIMEOUT_SECONDS, TOPIC, Clock, connected, private_key_of
from tests.support.waiting import until

ECHO = "/test/echo/1"
VISITORS_AT_ONCE = 4
ROUNDS = 4
STREAMS = 30

FORGOTTEN_IN_TIME = ("._gossip.seen_messages", "._gossip.router.mcache")
"""Messages of gossip, which go after seconds or minutes, whoever has sent them."""


async def echo(stream: Stream) -> None:
    while (message := await stream.receive_message()) is not None:
        await stream.send_message(message)


def settings(name: str, *bootstrap: str) -> Libp2pSettings:
    return Libp2pSettings(
        private_key=private_key_of(name),
        bootstrap_addresses=bootstrap,
        strangers_per_address_max=2 * VISITORS_AT_ONCE,
        redial_delay_initial_seconds=0.05,
        redial_delay_max_seconds=0.2,
    )


async def start(network: Libp2pNetwork) -> None:
    # Nobody reads it, so that one message waits.
    network.subscribe(TOPIC, message_bytes_max=100, buffer_messages=1)
    network.serve(ECHO, echo, message_bytes_max=100, streams_max_per_peer=4)
    await network.start()


async def talk(network: Network, *, with_: Network) -> None:
    async with await network.open_stream(with_.peer_id, ECHO) as stream:
        await stream.send_message(b"hello")
        assert await stream.receive_message() == b"hello"


async def visit(host: Network, name: str) -> None:
    """Connect as a new peer, say what the topic and the protocol are for, be asked something, and leave."""
    async with open_libp2p_network(settings(name, host.listen_addresses[0])) as visitor:
        await start(visitor)
        await connected(visitor, 1)
        await visitor.publish(TOPIC, name.encode())
        await talk(visitor, with_=host)
        await until(lambda: visitor.peer_id in host.peers())
        await talk(host, with_=visitor)


async def be_visited(host: Network, round_name: str) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(VISITORS_AT_ONCE):
            nursery.start_soon(visit, host, f"{round_name} {number}")
    await until(lambda: host.peers() == () and host.statistics().streams_kept == 0)


def sizes_of_containers(root: object) -> dict[str, int]:
    """Path → how much is in every dict, list, set and deque that can be reached from an object, its own or a library's.

    What has the same path but for keys is added up.
    """
    sizes: dict[str, int] = {}
    seen: set[int] = set()
    pending: list[tuple[str, object]] = [("", root)]
    while pending:
        path, one = pending.pop()
        if id(one) in seen or isinstance(one, (type, types.ModuleType, types.FunctionType, str, bytes)):
            continue
        if type(one).__module__.startswith("trio._core"):
            continue  # Trio's tasks are counted; its heap of deadlines is tidied up now and then.
        seen.add(id(one))
        if isinstance(one, types.MethodType):
            pending.append((path, one.__self__))
        elif isinstance(one, dict):
            sizes[path] = sizes.get(path, 0) + len(one)
            pending += [(f"{path}[]", value) for value in one.values()]
        elif isinstance(one, (list, set, frozenset, tuple, deque)):
            sizes[path] = sizes.get(path, 0) + len(one)
            pending += [(f"{path}[]", value) for value in one]
        pending += [(f"{path}.{name}", value) for name, value in vars(one).items()] if hasattr(one, "__dict__") else []
        for kind in type(one).__mro__:
            names = kind.__dict__.get("__slots__", ())
            for name in (names,) if isinstance(names, str) else names:
                if hasattr(one, name):
                    pending.append((f"{path}.{name}", getattr(one, name)))
    return sizes


async def test_a_stream_that_both_sides_have_ended_is_let_go_of_by_both() -> None:
    with trio.fail_after(TEST_TIMEOUT_SECONDS):
        async with open_libp2p_network(settings("one")) as one:
            await start(one)
            async with open_libp2p_network(settings("two", one.listen_addresses[0])) as two:
                await start(two)
                await connected(two, 1)
                await connected(one, 1)
                # What gossip keeps open: a stream each way.
                await until(lambda: {n.statistics().streams_kept for n in (one, two)} == {2})
                for _ in range(STREAMS):
                    await talk(one, with_=two)
                    await talk(two, with_=one)
                await until(lambda: {n.statistics().streams_kept for n in (one, two)} == {2})


async def test_no_container_grows_with_the_number_of_streams_on_a_connection_that_lasts() -> None:
    """Validators' connections last for months, and peers ask one another something every second."""
    with trio.fail_after(4 * TEST_TIMEOUT_SECONDS):
        async with open_libp2p_network(settings("one")) as one:
            await start(one)
            async with open_libp2p_network(settings("two", one.listen_addresses[0])) as two:
                await start(two)
                await connected(two, 1)
                await connected(one, 1)
                kept: list[dict[str, int]] = []
                for _ in range(3):
                    for _ in range(STREAMS):
                        await talk(one, with_=two)
                        await talk(two, with_=one)
                    await until(lambda: {n.statistics().streams_kept for n in (one, two)} == {2})
                    kept.append(sizes_of_containers((one, two)))
                _, before, after = kept
                grown = {path: size - before.get(path, 0) for path, size in after.items()}
                assert {path: growth for path, growth in grown.items() if growth >= STREAMS // 2} == {}
                assert any(path.endswith(".stream_events") for path in after)


async def test_no_container_grows_with_the_number_of_peers_who_have_come_and_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits_module, "PEERS_FEW", 1)
    with trio.fail_after(8 * TEST_TIMEOUT_SECONDS):
        async with open_libp2p_network(settings("host")) as host:
            await start(host)
            kept: list[dict[str, int]] = []
            tasks: list[int] = []
            for number in range(ROUNDS):
                await be_visited(host, f"round {number}")
                kept.append(sizes_of_containers(host))
                tasks.append(trio.lowlevel.current_statistics().tasks_living)
            first, *_, last = kept
            visitors = (ROUNDS - 1) * VISITORS_AT_ONCE
            grown = {
                path: size - first.get(path, 0) for path, size in last.items() if not path.startswith(FORGOTTEN_IN_TIME)
            }
            assert {path: growth for path, growth in grown.items() if growth >= visitors} == {}
            assert sum(map(len, kept)) > 100 * ROUNDS
            assert tasks[-1] - tasks[0] < visitors


def test_shares_that_are_full_again_are_forgotten_and_others_are_not() -> None:
    clock = Clock()
    shares = Shares(Rate(1, 2, 1, 100), clock)
    for number in range(10 * PEERS_FEW):
        clock.now += 1
        assert shares.of(number).take(10)
        assert len(shares) <= 2 * PEERS_FEW
    assert not shares.of(10 * PEERS_FEW - 1).take(95)


def test_shares_of_more_peers_than_may_be_remembered_start_anew() -> None:
    clock = Clock()
    shares = Shares(Rate(1, 1, 1, 1), clock)
    for number in range(PEERS_MAX + 1):
        assert shares.of(number).take(0)
        assert len(shares) <= PEERS_MAX
    assert len(shares) == 1
