"""What every `Network` promises: the same tests for libp2p and for the in-memory one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio

from p2p.errors import MessageTooLarge, NetworkClosed, PeerFault, PeerUnreachable, ProtocolUnsupported
from p2p.network import Drop, Fault, GossipMessage, Network, PeerEvent, PeerId, Stream
from p2p.penalties import BAN_SECONDS
from tests.p2p.worlds import (
    TEST_TIMEOUT_SECONDS,
    TOPIC,
    Libp2pWorld,
    MemoryWorld,
    World,
    cluster,
    connected,
    receive,
)
from tests.support.waiting import until

ECHO = "/test/echo/1"
LIMIT = 900_000


@pytest.fixture(params=[MemoryWorld, Libp2pWorld], ids=["memory", "libp2p"])
def world(request: pytest.FixtureRequest) -> World:
    make: Callable[[], World] = request.param
    return make()


class Readers:
    """Subscribes each network that it prepares."""

    def __init__(self, limit: int = LIMIT, buffer: int = 1_000) -> None:
        self.channels: dict[PeerId, trio.MemoryReceiveChannel[GossipMessage]] = {}
        self.limit = limit
        self.buffer = buffer

    def __call__(self, network: Network) -> None:
        self.channels[network.peer_id] = network.subscribe(
            TOPIC, message_bytes_max=self.limit, buffer_messages=self.buffer
        )

    async def read(self, network: Network, count: int = 1) -> list[bytes]:
        return await receive(self.channels[network.peer_id], count)


async def echo(stream: Stream) -> None:
    while (message := await stream.receive_message()) is not None:
        await stream.send_message(message)


def serve_echo(network: Network) -> None:
    network.serve(ECHO, echo, message_bytes_max=LIMIT, streams_max_per_peer=4)


async def ask_echo(near: Network, far: Network, message: bytes) -> bytes | None:
    async with await near.open_stream(far.peer_id, ECHO) as stream:
        await stream.send_message(message)
        return await stream.receive_message()


# Gossip.


async def test_a_publication_reaches_every_other_node_and_not_its_publisher(world: World) -> None:
    readers = Readers()
    async with cluster(world, 4, readers) as networks:
        for network in networks:
            await network.publish(TOPIC, f"from {network.peer_id}".encode())
        for network in networks:
            others = sorted(f"from {other.peer_id}".encode() for other in networks if other is not network)
            assert await readers.read(network, 3) == others
            assert network.statistics().topics[TOPIC].messages_in == 3


async def test_a_burst_of_200_messages_arrives_whole_at_every_node(world: World) -> None:
    readers = Readers()
    burst = [f"{number:03}".encode() for number in range(200)]
    async with cluster(world, 4, readers) as networks:
        for data in burst:
            await networks[0].publish(TOPIC, data)
        for network in networks[1:]:
            assert await readers.read(network, len(burst)) == burst
            assert not network.statistics().dropped
        assert networks[0].statistics().topics[TOPIC].messages_out == len(burst)


@pytest.mark.parametrize("size_bytes", [0, 1, 256 * 1024, LIMIT])
async def test_messages_up_to_the_limit_arrive_intact(world: World, size_bytes: int) -> None:
    readers = Readers()
    data = bytes(number % 251 for number in range(size_bytes))
    async with cluster(world, 3, readers) as networks:
        await networks[1].publish(TOPIC, data)
        assert await readers.read(networks[0]) == [data]
        assert await readers.read(networks[2]) == [data]
        assert networks[0].statistics().topics[TOPIC].bytes_in == size_bytes


async def test_the_same_bytes_published_again_are_delivered_again(world: World) -> None:
    readers = Readers()
    async with cluster(world, 2, readers) as (one, two):
        for _ in range(3):
            await one.publish(TOPIC, b"vote")
            assert await readers.read(two) == [b"vote"]
        await two.publish(TOPIC, b"vote")
        assert await readers.read(one) == [b"vote"]


async def test_gossip_is_passed_on_between_nodes_that_are_not_connected(world: World) -> None:
    readers = Readers()
    async with cluster(world, 3, readers, chain=True) as (one, two, three):
        await one.publish(TOPIC, b"hello")
        message = await readers.channels[three.peer_id].receive()
        assert message == GossipMessage(TOPIC, b"hello", two.peer_id)


async def test_what_the_validator_refuses_is_not_delivered_nor_passed_on_and_is_charged_to_its_sender(
    world: World,
) -> None:
    channels = {}

    def prepare(network: Network) -> None:
        def validate(sender: PeerId, data: bytes) -> Fault | None:
            del sender
            return Fault.INVALID_DATA if data == b"bad" else None

        channels[network.peer_id] = network.subscribe(
            TOPIC, message_bytes_max=100, buffer_messages=10, validate=validate
        )

    async with cluster(world, 3, prepare, chain=True) as (one, two, three):
        await one.publish(TOPIC, b"bad")
        await until(lambda: bool(two.statistics().dropped))
        await one.publish(TOPIC, b"good")
        assert (await channels[two.peer_id].receive()).data == b"good"
        assert (await channels[three.peer_id].receive()).data == b"good"
        assert two.statistics().dropped == {Drop.INVALID: 1}
        assert two.statistics().penalties == {Fault.INVALID_DATA: 1}
        assert not three.statistics().dropped


async def test_an_oversized_publication_is_refused_by_name(world: World) -> None:
    async with cluster(world, 1, Readers(limit=10)) as (network,):
        with pytest.raises(MessageTooLarge, match=f"11 bytes is over the limit of {TOPIC}, 10 bytes"):
            await network.publish(TOPIC, bytes(11))
        assert network.statistics().topics[TOPIC].messages_out == 0


async def test_oversized_gossip_is_dropped_and_its_sender_penalised(world: World) -> None:
    limits = iter([10, 1_000])
    channels = {}

    def prepare(network: Network) -> None:
        channels[network.peer_id] = network.subscribe(TOPIC, message_bytes_max=next(limits), buffer_messages=5)

    async with cluster(world, 2, prepare) as (small, large):
        await large.publish(TOPIC, bytes(11))
        await until(lambda: bool(small.statistics().dropped))
        await large.publish(TOPIC, bytes(10))
        assert (await channels[small.peer_id].receive()).data == bytes(10)
        assert small.statistics().dropped == {Drop.OVERSIZED: 1}
        assert small.statistics().penalties == {Fault.OVERSIZED: 1}


async def test_a_full_subscriber_loses_the_newest_and_counts_it(world: World) -> None:
    readers = Readers(buffer=2)
    async with cluster(world, 2, readers) as (one, two):
        for number in range(2):
            await one.publish(TOPIC, f"kept {number}".encode())
        await until(lambda: two.statistics().topics[TOPIC].messages_in == 2)
        await one.publish(TOPIC, b"lost")
        await until(lambda: two.statistics().dropped.get(Drop.SUBSCRIBER_FULL) == 1)
        assert await readers.read(two, 2) == [b"kept 0", b"kept 1"]


# Streams.


async def test_requests_and_responses_go_both_ways_in_order(world: World) -> None:
    messages = [b"", b"one", bytes(LIMIT), b"last"]
    async with cluster(world, 2, serve_echo) as (one, two):
        for near, far in ((one, two), (two, one)):
            async with await near.open_stream(far.peer_id, ECHO) as stream:
                assert (stream.peer_id, stream.protocol) == (far.peer_id, ECHO)
                for message in messages:
                    await stream.send_message(message)
                    assert await stream.receive_message() == message
            assert near.statistics().streams_opened == 1
            assert far.statistics().streams_served == 1


async def test_far_more_than_a_window_passes_through_one_stream(world: World) -> None:
    def prepare(network: Network) -> None:
        network.serve(ECHO, echo, message_bytes_max=400_000, streams_max_per_peer=1)

    async with cluster(world, 2, prepare) as (one, two), await one.open_stream(two.peer_id, ECHO) as stream:
        for number in range(12):
            message = bytes([number]) * 400_000
            await stream.send_message(message)
            assert await stream.receive_message() == message


async def test_the_end_of_a_conversation_is_none_after_everything_was_received(world: World) -> None:
    async def count_down(stream: Stream) -> None:
        assert await stream.receive_message() == b"go"
        for number in (b"2", b"1"):
            await stream.send_message(number)
        await stream.close()
        assert await stream.receive_message() is None

    def prepare(network: Network) -> None:
        network.serve("/test/count/1", count_down, message_bytes_max=10, streams_max_per_peer=1)

    async with cluster(world, 2, prepare) as (one, two):
        async with await one.open_stream(two.peer_id, "/test/count/1") as stream:
            await stream.send_message(b"go")
            assert [await stream.receive_message() for _ in range(4)] == [b"2", b"1", None, None]
        await until(lambda: two.statistics().handler_failures == 0 and two.statistics().streams_served == 1)


async def test_an_oversized_message_is_refused_before_it_is_sent_and_the_stream_goes_on(world: World) -> None:
    async with cluster(world, 2, serve_echo) as (one, two):
        stream = await one.open_stream(two.peer_id, ECHO, message_bytes_max=5)
        async with stream:
            with pytest.raises(MessageTooLarge, match=f"6 bytes is over the limit of {ECHO}, 5 bytes"):
                await stream.send_message(bytes(6))
            await stream.send_message(bytes(5))
            assert await stream.receive_message() == bytes(5)


async def test_a_peer_that_sends_an_oversized_message_is_penalised_and_its_stream_reset(world: World) -> None:
    def prepare(network: Network) -> None:
        network.serve(ECHO, echo, message_bytes_max=5, streams_max_per_peer=1)

    async with cluster(world, 2, prepare) as (one, two):
        async with await one.open_stream(two.peer_id, ECHO, message_bytes_max=6) as stream:
            await stream.send_message(bytes(6))
            with pytest.raises(PeerUnreachable):
                await stream.receive_message()
        await until(lambda: two.statistics().penalties == {Fault.OVERSIZED: 1})
        assert await ask_echo(one, two, b"again") == b"again"


async def test_an_oversized_answer_is_the_servers_fault(world: World) -> None:
    async with cluster(world, 2, serve_echo) as (one, two):
        async with await one.open_stream(two.peer_id, ECHO, message_bytes_max=LIMIT) as stream:
            stream._message_bytes_max = 4  # type: ignore[attr-defined]  # what we accept, not what we send
            with pytest.raises(MessageTooLarge):
                await stream.send_message(bytes(5))
            stream._message_bytes_max = 5  # type: ignore[attr-defined]
            await stream.send_message(bytes(5))
            stream._message_bytes_max = 4  # type: ignore[attr-defined]
            with pytest.raises(PeerFault, match="over the limit") as caught:
                await stream.receive_message()
        assert (caught.value.peer_id, caught.value.fault) == (two.peer_id, Fault.OVERSIZED)


async def test_a_handler_that_raises_resets_only_its_own_stream(world: World, caplog: pytest.LogCaptureFixture) -> None:
    async def stumble(stream: Stream) -> None:
        await stream.receive_message()
        raise KeyError("a bug")

    def prepare(network: Network) -> None:
        serve_echo(network)
        network.serve("/test/stumble/1", stumble, message_bytes_max=10, streams_max_per_peer=1)

    async with cluster(world, 2, prepare) as (one, two):
        async with await one.open_stream(two.peer_id, ECHO) as healthy:
            async with await one.open_stream(two.peer_id, "/test/stumble/1") as stream:
                await stream.send_message(b"x")
                with pytest.raises(PeerUnreachable):
                    await stream.receive_message()
            await healthy.send_message(b"still here")
            assert await healthy.receive_message() == b"still here"
        assert two.statistics().handler_failures == 1
        assert two.statistics().penalties == {}
        assert "a bug" in caplog.text


async def test_a_handler_that_names_the_peers_fault_has_it_penalised(world: World) -> None:
    async def judge(stream: Stream) -> None:
        await stream.receive_message()
        raise PeerFault(stream.peer_id, Fault.MALFORMED, "it does not decode")

    def prepare(network: Network) -> None:
        network.serve("/test/judge/1", judge, message_bytes_max=10, streams_max_per_peer=1)

    async with cluster(world, 2, prepare) as (one, two):
        async with await one.open_stream(two.peer_id, "/test/judge/1") as stream:
            await stream.send_message(b"x")
            with pytest.raises(PeerUnreachable):
                await stream.receive_message()
        await until(lambda: two.statistics().penalties == {Fault.MALFORMED: 1})
        assert two.statistics().handler_failures == 0


async def test_streams_over_the_limit_of_a_peer_are_reset_and_the_others_go_on(world: World) -> None:
    def prepare(network: Network) -> None:
        network.serve(ECHO, echo, message_bytes_max=100, streams_max_per_peer=1)

    async with cluster(world, 2, prepare) as (one, two):
        async with await one.open_stream(two.peer_id, ECHO) as first:
            await first.send_message(b"first")
            assert await first.receive_message() == b"first"
            with pytest.raises(PeerUnreachable):
                await ask_echo(one, two, b"second")
            await first.send_message(b"on")
            assert await first.receive_message() == b"on"
        assert two.statistics().dropped == {Drop.STREAM_LIMIT: 1}
        assert await ask_echo(one, two, b"third") == b"third"


async def test_an_unknown_protocol_and_an_unknown_peer_are_refused_by_name(world: World) -> None:
    async with cluster(world, 2, serve_echo) as (one, two):
        with pytest.raises(ProtocolUnsupported, match="does not serve the protocol /test/none/1"):
            await one.open_stream(two.peer_id, "/test/none/1", message_bytes_max=10)
        with pytest.raises(PeerUnreachable, match="not connected"):
            await one.open_stream(PeerId("16Uiu2HAmStranger"), ECHO)
        with pytest.raises(ValueError, match="needs message_bytes_max"):
            await one.open_stream(two.peer_id, "/test/none/1")


# Peers.


async def test_peer_events_tell_of_connections_and_of_those_there_already(world: World) -> None:
    with trio.fail_after(30):
        async with world.join("one", []) as one:
            await one.start()
            events = one.peer_events()
            async with world.join("two", [one]) as two:
                await two.start()
                event = await events.receive()
                assert (event.peer_id, event.connected) == (two.peer_id, True)
                await connected(two, 1)
                assert one.peers() == (two.peer_id,)
                late = await two.peer_events().receive()
                assert late == PeerEvent(one.peer_id, connected=True, outbound=not event.outbound)
            event = await events.receive()
            assert (event.peer_id, event.connected) == (two.peer_id, False)
            assert one.peers() == ()


async def test_a_connection_tells_its_other_end_and_who_dialled(world: World) -> None:
    async with cluster(world, 2, serve_echo) as (one, two):
        seen = [one.connections()[two.peer_id], two.connections()[one.peer_id]]
        assert sorted(connection.outbound for connection in seen) == [False, True]
        for network, other in ((one, two), (two, one)):
            ((peer_id, connection),) = network.connections().items()
            assert peer_id == other.peer_id
            assert 0 <= trio.current_time() - connection.began_at < TEST_TIMEOUT_SECONDS
            listening = [address.partition("/p2p/")[0] for address in other.listen_addresses]
            if connection.outbound:
                assert connection.address in listening
            else:
                assert connection.address.split("/")[:3] == listening[0].split("/")[:3]


async def test_disconnecting_ends_the_connection_and_its_streams_on_both_sides(world: World) -> None:
    async with cluster(world, 2, serve_echo) as (one, two):
        events = one.peer_events()
        assert (await events.receive()).connected
        stream = await two.open_stream(one.peer_id, ECHO)
        await one.disconnect(two.peer_id)
        assert (await events.receive()).connected is False
        with pytest.raises(PeerUnreachable):
            await stream.receive_message()
        await one.disconnect(two.peer_id)  # Nothing to do, or it has come back; either way no error.


async def test_a_banned_peer_is_refused_until_its_ban_ends(world: World) -> None:
    readers = Readers()

    def prepare(network: Network) -> None:
        readers(network)
        serve_echo(network)

    async with cluster(world, 2, prepare) as (judge, culprit):
        judge.penalise(culprit.peer_id, Fault.MALFORMED)
        assert judge.statistics().banned == 0
        judge.penalise(culprit.peer_id, Fault.WRONG_CHAIN)
        assert judge.statistics().banned == 1
        assert judge.statistics().penalties == {Fault.MALFORMED: 1, Fault.WRONG_CHAIN: 1}
        await connected(judge, 0)
        with pytest.raises(PeerUnreachable):
            await judge.open_stream(culprit.peer_id, ECHO)
        world.clock.now += BAN_SECONDS + 1
        await world.ban_has_ended()
        await connected(judge, 1)
        await connected(culprit, 1)
        assert judge.statistics().banned == 0
        await culprit.publish(TOPIC, b"reformed")
        assert await readers.read(judge) == [b"reformed"]


# Life.


async def test_registrations_are_checked(world: World) -> None:
    async with world.join("one", []) as network:
        network.subscribe(TOPIC, message_bytes_max=1, buffer_messages=1)
        network.serve(ECHO, echo, message_bytes_max=1, streams_max_per_peer=1)
        with pytest.raises(ValueError, match="has a subscription already"):
            network.subscribe(TOPIC, message_bytes_max=1, buffer_messages=1)
        with pytest.raises(ValueError, match="has a handler already"):
            network.serve(ECHO, echo, message_bytes_max=1, streams_max_per_peer=1)
        with pytest.raises(ValueError, match="message_bytes_max must be at least 1 and at most 1000000, not 1000001"):
            network.subscribe("/other", message_bytes_max=1_000_001, buffer_messages=1)
        with pytest.raises(ValueError, match="buffer_messages must be at least 1, not 0"):
            network.subscribe("/other", message_bytes_max=1, buffer_messages=0)
        with pytest.raises(ValueError, match="streams_max_per_peer must be at least 1, not 0"):
            network.serve("/other", echo, message_bytes_max=1, streams_max_per_peer=0)


async def test_calls_out_of_turn_are_refused(world: World) -> None:
    async with world.join("one", []) as network:
        network.subscribe(TOPIC, message_bytes_max=1, buffer_messages=1)
        assert not list(network.listen_addresses)
        with pytest.raises(RuntimeError, match="must come after start"):
            await network.publish(TOPIC, b"")
        await network.start()
        assert network.listen_addresses[0].endswith(f"/p2p/{network.peer_id}")
        with pytest.raises(RuntimeError, match="must come before start"):
            network.subscribe("/other", message_bytes_max=1, buffer_messages=1)
        with pytest.raises(RuntimeError, match="must come before start"):
            network.serve(ECHO, echo, message_bytes_max=1, streams_max_per_peer=1)
        with pytest.raises(RuntimeError, match="only once"):
            await network.start()
        with pytest.raises(ValueError, match="does not subscribe to"):
            await network.publish("/other", b"")
    with pytest.raises(NetworkClosed):
        await network.publish(TOPIC, b"")


async def test_closing_ends_every_channel_and_leaves_no_task_behind(world: World) -> None:
    readers = Readers()

    def prepare(network: Network) -> None:
        readers(network)
        serve_echo(network)

    await trio.lowlevel.checkpoint()
    tasks_before = trio.lowlevel.current_statistics().tasks_living
    async with cluster(world, 3, prepare) as networks:
        events = networks[0].peer_events()
        stream = await networks[0].open_stream(networks[1].peer_id, ECHO)
        await networks[0].publish(TOPIC, b"last words")
    assert trio.lowlevel.current_statistics().tasks_living == tasks_before
    assert networks[0].peers() == ()
    with pytest.raises(trio.EndOfChannel):
        await readers.channels[networks[0].peer_id].receive()
    assert [event.connected async for event in events].count(True) == 2
    with pytest.raises(PeerUnreachable):
        await stream.receive_message()


async def test_a_network_that_never_started_closes_too(world: World) -> None:
    async with world.join("one", []) as network:
        reader = network.subscribe(TOPIC, message_bytes_max=1, buffer_messages=1)
    with pytest.raises(trio.EndOfChannel):
        await reader.receive()
