"""Two processes with one peer id: a home that was copied whole, and started beside the original."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

import pytest
import trio

from p2p.errors import PeerUnreachable
from p2p.libp2p_network import open_libp2p_network
from p2p.libp2p_settings import Libp2pSettings
from p2p.memory import MemoryHub
from p2p.network import Drop, GossipMessage, Network, Stream
from p2p.places import INSTANCES_PER_PEER_MAX
from tests.p2p.worlds import TEST_TIMEOUT_SECONDS, TOPIC, private_key_of
from tests.support.waiting import until

WHO = "/test/who/1"
LIMIT = 1_000


@dataclass
class Member:
    """A started network that says its own name to whoever asks, and keeps what it hears."""

    name: str
    network: Network
    channel: trio.MemoryReceiveChannel[GossipMessage]
    own: list[bytes]
    leave: trio.Event = field(default_factory=trio.Event)

    async def hears(self, data: bytes) -> None:
        """Wait until this is delivered."""
        while (await self.channel.receive()).data != data:
            pass


class Home(Protocol):
    """A place where twins meet others."""

    def join(self, key: str, *linked: Member) -> AbstractAsyncContextManager[Network]:
        """A network with this key, which dials those it is linked to."""
        ...


class MemoryHome:
    """Twins in one hub."""

    def __init__(self) -> None:
        self._hub = MemoryHub()

    def join(self, key: str, *_linked: Member) -> AbstractAsyncContextManager[Network]:
        return self._hub.join(key, twin=True)


class Libp2pHome:
    """Twins that are real hosts, on loopback."""

    def join(self, key: str, *linked: Member) -> AbstractAsyncContextManager[Network]:
        return open_libp2p_network(
            Libp2pSettings(
                private_key=private_key_of(key),
                bootstrap_addresses=tuple(member.network.listen_addresses[0] for member in linked),
                redial_delay_initial_seconds=0.05,
                redial_delay_max_seconds=0.2,
            )
        )


class World:
    """Members come and go in any order, each in a task of its own."""

    def __init__(self, home: Home, nursery: trio.Nursery) -> None:
        self._home = home
        self._nursery = nursery

    async def join(self, name: str, key: str, *linked: Member) -> Member:
        member: Member = await self._nursery.start(self._live, name, key, linked)
        return member

    async def _live(
        self, name: str, key: str, linked: tuple[Member, ...], task_status: trio.TaskStatus[Member]
    ) -> None:
        own: list[bytes] = []

        async def say_name(stream: Stream) -> None:
            await stream.send_message(name.encode())

        async with self._home.join(key, *linked) as network:
            channel = network.subscribe(TOPIC, message_bytes_max=LIMIT, buffer_messages=100, on_own=own.append)
            network.serve(WHO, say_name, message_bytes_max=LIMIT, streams_max_per_peer=4)
            await network.start()
            member = Member(name, network, channel, own)
            task_status.started(member)
            await member.leave.wait()


@pytest.fixture(params=[MemoryHome, Libp2pHome], ids=["memory", "libp2p"])
def home(request: pytest.FixtureRequest) -> Home:
    made: Home = request.param()
    return made


@asynccontextmanager
async def meeting(home: Home) -> AsyncIterator[World]:
    """A world that ends in time."""
    with trio.fail_after(TEST_TIMEOUT_SECONDS):
        async with trio.open_nursery() as nursery:
            yield World(home, nursery)
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def twins(home: Home) -> AsyncIterator[tuple[World, Member, Member, Member]]:
    """A third node, the original, and its copy, which came second."""
    async with meeting(home) as world:
        third = await world.join("third", "third")
        original = await world.join("original", "shared", third)
        await until(lambda: third.network.peers() == (original.network.peer_id,))
        await reached(third, original)
        copy = await world.join("copy", "shared", third)
        await instances_are(third, original, 2)
        yield world, third, original, copy


async def instances_are(third: Member, shared: Member, count: int) -> None:
    await until(lambda: len(third.network.instances(shared.network.peer_id)) == count)


async def reached(speaker: Member, *listeners: Member) -> None:
    """Wait until what the speaker publishes arrives: subscriptions take a moment to be exchanged."""
    for listener in listeners:
        with trio.CancelScope() as over:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(repeat, speaker, f"for {listener.name}".encode())
                await listener.hears(f"for {listener.name}".encode())
                over.cancel()


async def repeat(speaker: Member, data: bytes) -> None:
    while True:
        await speaker.network.publish(TOPIC, data)
        await trio.sleep(0.05)


async def test_a_peer_id_that_is_used_once_has_one_instance(home: Home) -> None:
    async with meeting(home) as world:
        third = await world.join("third", "third")
        other = await world.join("other", "other", third)
        await until(lambda: bool(third.network.peers()))
        assert len(third.network.instances(other.network.peer_id)) == 1
        assert third.network.instances(third.network.peer_id) == ()


async def test_each_instance_of_a_shared_peer_id_can_be_asked(home: Home) -> None:
    async with twins(home) as (_, third, original, _):
        names = []
        for instance in third.network.instances(original.network.peer_id):
            async with await third.network.open_stream(original.network.peer_id, WHO, instance=instance) as stream:
                names.append(await stream.receive_message())
        assert set(names) == {b"copy", b"original"}
        with pytest.raises(PeerUnreachable):
            await third.network.open_stream(original.network.peer_id, WHO, instance=b"another")


async def test_gossip_reaches_both_instances_and_comes_from_both(home: Home) -> None:
    async with twins(home) as (_, third, original, copy):
        await reached(third, original, copy)
        await reached(copy, third)
        await reached(original, third)


async def test_an_instance_hears_what_the_other_publishes_and_nothing_that_is_its_own(home: Home) -> None:
    async with twins(home) as (_, third, original, copy):
        await reached(third, original, copy)
        while b"from the copy" not in original.own or b"from the original" not in copy.own:
            await original.network.publish(TOPIC, b"from the original")
            await copy.network.publish(TOPIC, b"from the copy")
            await trio.sleep(0.05)
        assert b"from the original" not in original.own
        assert b"from the copy" not in copy.own


@pytest.mark.parametrize("leaving", ["original", "copy"])
async def test_the_instance_that_stays_goes_on_when_the_other_leaves(home: Home, leaving: str) -> None:
    async with twins(home) as (world, third, original, copy):
        await reached(third, original, copy)
        leaves, stays = (original, copy) if leaving == "original" else (copy, original)
        leaves.leave.set()
        await instances_are(third, original, 1)
        await reached(third, stays)
        await reached(stays, third)
        # And the other comes back, as after a restart.
        back = await world.join("back", "shared", third)
        await instances_are(third, original, 2)
        await reached(third, back, stays)
        await reached(back, third)


async def test_no_more_than_two_instances_of_a_peer_have_a_connection() -> None:
    async with twins(Libp2pHome()) as (world, third, original, copy):
        another = await world.join("another", "shared", third)
        # The newest has thrown out the oldest, which dials again, and so on: nobody is kept out for ever.
        for member in (original, copy, another):
            await reached(member, third)
            assert len(third.network.instances(original.network.peer_id)) <= INSTANCES_PER_PEER_MAX
        assert third.network.statistics().dropped[Drop.CONNECTION_LIMIT] >= 1
