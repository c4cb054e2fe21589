"""What the in-memory network adds for tests: cuts, partitions, losses, order."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
import trio

from p2p.memory import MemoryHub, MemoryNetwork
from p2p.network import GossipMessage, PeerId

TOPIC = "/test/topic/1"
Reader = trio.MemoryReceiveChannel[GossipMessage]


async def join(stack: AsyncExitStack, hub: MemoryHub, names: str) -> tuple[list[MemoryNetwork], list[Reader]]:
    networks = [await stack.enter_async_context(hub.join(name)) for name in names]
    readers = [network.subscribe(TOPIC, message_bytes_max=100, buffer_messages=100) for network in networks]
    for network in networks:
        await network.start()
    return networks, readers


def waiting(reader: Reader) -> list[bytes]:
    return [reader.receive_nowait().data for _ in range(reader.statistics().current_buffer_used)]


async def test_delivery_is_immediate_and_in_order() -> None:
    async with AsyncExitStack() as stack:
        (one, *_), readers = await join(stack, MemoryHub(), "abc")
        sent = [b"%d" % number for number in range(20)]
        for data in sent:
            await one.publish(TOPIC, data)
        assert [waiting(reader) for reader in readers] == [[], sent, sent]


async def test_a_partition_separates_gossip_and_peers_until_it_heals() -> None:
    async with AsyncExitStack() as stack:
        hub = MemoryHub()
        (one, two, three), readers = await join(stack, hub, "abc")
        hub.partition({"a"}, {"b", "c"})
        assert [one.peers(), two.peers(), three.peers()] == [(), ("c",), ("b",)]
        await one.publish(TOPIC, b"unheard")
        await two.publish(TOPIC, b"among us")
        assert [waiting(reader) for reader in readers] == [[], [], [b"among us"]]
        hub.heal()
        await one.publish(TOPIC, b"heard")
        assert [waiting(reader) for reader in readers] == [[], [b"heard"], [b"heard"]]


async def test_the_drop_function_decides_each_hop() -> None:
    hops: list[tuple[str, str]] = []

    def drop(sender: PeerId, receiver: PeerId, topic: str, data: bytes) -> bool:
        assert (topic, data) == (TOPIC, b"x")
        hops.append((sender, receiver))
        return receiver == "b" and sender == "a"

    async with AsyncExitStack() as stack:
        (one, *_), readers = await join(stack, MemoryHub(drop=drop), "abc")
        await one.publish(TOPIC, b"x")
        assert [waiting(reader) for reader in readers] == [[], [b"x"], [b"x"]]
        assert hops == [("a", "b"), ("a", "c"), ("c", "b")]


async def test_a_name_can_be_taken_once_at_a_time() -> None:
    hub = MemoryHub()
    async with hub.join("a"):
        with pytest.raises(ValueError, match="'a' has joined already"):
            async with hub.join("a"):
                pass
    async with hub.join("a") as again:
        await again.start()
