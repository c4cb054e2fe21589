"""What the libp2p network promises beyond the contract: addresses, dialling, and peers that mean harm."""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial

import pytest
import trio
import trio.testing
from libp2p.abc import INetStream, IRawConnection
from libp2p.crypto.secp256k1 import create_new_key_pair
from libp2p.custom_types import TProtocol
from libp2p.host.exceptions import StreamFailure
from libp2p.network.exceptions import SwarmException
from libp2p.network.stream.exceptions import StreamError, StreamReset
from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStore, PeerStoreError
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.rpc_queue import RpcQueue
from libp2p.utils.varint import encode_uvarint, encode_varint_prefixed

import p2p.loop_time as loop_time_module
import p2p.yamux_frames as yamux_frames_module
from p2p.errors import AddressInUse, PeerUnreachable
from p2p.libp2p_faults import LIBP2P_ERRORS
from p2p.libp2p_gossip import RPC_BYTES_MAX, GossipRouter
from p2p.libp2p_host import ChoosingHost, ExclusiveTcp, build_host, peer_id_of, tcp_endpoint
from p2p.libp2p_network import Libp2pNetwork, open_libp2p_network
from p2p.libp2p_publishing import PUBLISH_BUSY_MESSAGES
from p2p.libp2p_settings import Libp2pSettings
from p2p.libp2p_swarm import DialFunction, NoAddresses
from p2p.libp2p_yamux import STREAMS_MAX, UNREAD_BYTES_MAX, BoundedYamux
from p2p.limits import Rate
from p2p.loop_time import HANDSHAKE_MS, Account, Allowance
from p2p.network import Drop, Fault, GossipMessage, Network, Scope, Stream
from p2p.pacing import WAIT_SECONDS
from p2p.places import Limits
from p2p.yamux_frames import HEADER
from tests.p2p.worlds import TEST_TIMEOUT_SECONDS, TOPIC, Names, connected, private_key_of, receive
from tests.support.waiting import until

HELLO, NOISE = b"\x13/multistream/1.0.0\n", b"\x07/noise\n"

SETTINGS = Libp2pSettings(
    private_key=private_key_of("settings"), redial_delay_initial_seconds=0.05, redial_delay_max_seconds=0.2
)


@asynccontextmanager
async def running(name: str, *bootstrap: str, settings: Libp2pSettings = SETTINGS) -> AsyncIterator[Libp2pNetwork]:
    """A started network with its subscription, on a free port unless the settings say otherwise."""
    chosen = replace(settings, private_key=private_key_of(name), bootstrap_addresses=bootstrap)
    with trio.fail_after(TEST_TIMEOUT_SECONDS):
        async with open_libp2p_network(chosen) as network:
            await network.start()
            yield network


@asynccontextmanager
async def gossiping(
    name: str, *bootstrap: str
) -> AsyncIterator[tuple[Libp2pNetwork, trio.MemoryReceiveChannel[GossipMessage]]]:
    """A started network that subscribes to the topic and serves one protocol."""
    chosen = replace(SETTINGS, private_key=private_key_of(name), bootstrap_addresses=bootstrap)
    with trio.fail_after(TEST_TIMEOUT_SECONDS):
        async with open_libp2p_network(chosen) as network:
            channel = network.subscribe(TOPIC, message_bytes_max=1_000, buffer_messages=10)

            async def swallow(stream: object) -> None:
                while await stream.receive_message() is not None:  # type: ignore[attr-defined]
                    pass

            network.serve("/test/swallow/1", swallow, message_bytes_max=10, streams_max_per_peer=1)
            await network.start()
            yield network, channel


@asynccontextmanager
async def stranger(name: str, victim: Network) -> AsyncIterator[ChoosingHost]:
    """A bare py-libp2p host, connected to the victim, that can say what it likes."""
    async with trio.open_nursery() as nursery:
        transport = ExclusiveTcp({}, nursery)
        host = build_host(
            create_new_key_pair(private_key_of(name)),
            transport,
            limits=Limits(connections_max=8, strangers_per_address_max=8),
            reserved=frozenset,
            on_refused=lambda: None,
            on_fault=lambda _peer, _fault: None,
        )
        async with host.run([]):
            await host.dial(victim.listen_addresses[0])
            yield host
            await host.close()
        await transport.close_dialled()
        nursery.cancel_scope.cancel()


DEAF = "/test/deaf/1"


@asynccontextmanager
async def deaf(name: str) -> AsyncIterator[Libp2pNetwork]:
    """A started network with a protocol whose handler never reads."""

    async def never_read(_stream: Stream) -> None:
        await trio.sleep_forever()

    with trio.fail_after(TEST_TIMEOUT_SECONDS):
        async with open_libp2p_network(replace(SETTINGS, private_key=private_key_of(name))) as network:
            network.serve(DEAF, never_read, message_bytes_max=10, streams_max_per_peer=4)
            await network.start()
            yield network


async def still_gossips(victim: Network, channel: trio.MemoryReceiveChannel[GossipMessage]) -> None:
    """An honest newcomer can still reach the victim."""
    async with gossiping("honest", victim.listen_addresses[0]) as (honest, _):
        await connected(honest, 1)
        await honest.publish(TOPIC, b"still there?")
        assert (await channel.receive()).data == b"still there?"


# Addresses.


async def test_a_port_of_the_systems_choice_is_reported_as_it_is() -> None:
    async with running("one") as network:
        (address,) = network.listen_addresses
        assert address.startswith("/ip4/127.0.0.1/tcp/")
        assert address.endswith(f"/p2p/{peer_id_of(private_key_of('one'))}")
        assert int(address.split("/")[4]) > 0


async def test_a_port_in_use_is_refused_by_its_address_even_by_another_node() -> None:
    async with running("one") as network:
        taken = network.listen_addresses[0].partition("/p2p/")[0]
        with pytest.raises(AddressInUse, match=f"cannot listen on {taken}: ") as caught:
            async with running("two", settings=replace(SETTINGS, listen_addresses=("/ip4/127.0.0.1/tcp/0", taken))):
                pytest.fail("two nodes share a port")
        assert caught.value.address == taken


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"private_key": b"short"}, "private_key must have 32 bytes, not 5"),
        ({"listen_addresses": ("/ip4/127.0.0.1/udp/1",)}, "listen_addresses: .* must be /ip4/"),
        ({"listen_addresses": ("nonsense",)}, "listen_addresses: 'nonsense' is not a multiaddr"),
        ({"bootstrap_addresses": ("/ip4/127.0.0.1/tcp/1",)}, "bootstrap_addresses: .* must .*ends in /p2p/<peer id>"),
        ({"connections_max": 0}, "connections_max must be at least 1, not 0"),
        ({"redial_delay_initial_seconds": 9.0, "redial_delay_max_seconds": 1.0}, "at most redial_delay_max_seconds"),
    ],
)
def test_impossible_settings_are_refused_by_name(change: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        replace(SETTINGS, **change)  # type: ignore[arg-type]


# Dialling.


async def test_a_node_does_not_dial_itself() -> None:
    async with running("one") as network:
        own = network.listen_addresses[0]
    port = own.partition("/p2p/")[0]
    async with (
        running("one", own, settings=replace(SETTINGS, listen_addresses=(port,))) as network,
        running("two", own) as other,
    ):
        await connected(other, 1)
        assert network.peers() == (other.peer_id,)


async def test_any_number_of_tasks_may_dial_one_peer_at_once_and_fail() -> None:
    async with running("a") as a:
        address = f"/ip4/127.0.0.1/tcp/1/p2p/{peer_id_of(private_key_of('nobody'))}"
        failures: list[PeerUnreachable] = []

        async def dial() -> None:
            try:
                await a.connect(address)
            except PeerUnreachable as error:
                failures.append(error)

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(dial)
        assert len(failures) == 4


async def test_of_two_connections_that_cross_both_sides_keep_the_one_dialled_by_the_lesser_peer_id() -> None:
    async with gossiping("one") as (one, heard_by_one), gossiping("two") as (two, heard_by_two):
        both_are_open = Meeting(2)
        for network in (one, two):
            assert network._host is not None
            swarm = network._host.swarm
            swarm.dial_socket = both_are_open.after(swarm.dial_socket)
        async with trio.open_nursery() as nursery:
            for near, far in ((one, two), (two, one)):
                nursery.start_soon(ignoring_refusals, near, far)
        lesser, greater = sorted((one, two), key=lambda network: network.peer_id)
        await until(lambda: settled(lesser, greater) and settled(greater, lesser))
        assert lesser.connections()[greater.peer_id].outbound
        assert not greater.connections()[lesser.peer_id].outbound
        await one.publish(TOPIC, b"from one")
        await two.publish(TOPIC, b"from two")
        assert (await heard_by_two.receive()).data == b"from one"
        assert (await heard_by_one.receive()).data == b"from two"


class Meeting:
    """Where dials wait until so many sockets are open."""

    def __init__(self, count: int) -> None:
        self._missing = count
        self._all_are_there = trio.Event()

    def after(self, dial: DialFunction) -> DialFunction:
        async def dial_and_wait(host: str, port: int) -> IRawConnection:
            connection = await dial(host, port)
            self._missing -= 1
            if not self._missing:
                self._all_are_there.set()
            await self._all_are_there.wait()
            return connection

        return dial_and_wait


async def ignoring_refusals(near: Network, far: Network) -> None:
    with suppress(PeerUnreachable):
        await near.connect(far.listen_addresses[0])


def settled(near: Libp2pNetwork, far: Network) -> bool:
    """Whether there is exactly one connection, and it is the one that is told of."""
    assert near._host is not None
    open_now = near._host.get_network().get_connections(ID.from_string(far.peer_id))
    return len(open_now) == 1 and near.peers() == (far.peer_id,)


async def test_six_nodes_with_six_places_that_all_dial_one_another_have_fifteen_connections() -> None:
    settings = replace(SETTINGS, connections_max=6)
    async with AsyncExitStack() as stack:
        networks = [await stack.enter_async_context(running(f"node{number}", settings=settings)) for number in range(6)]
        addresses = [network.listen_addresses[0] for network in networks]
        for network in networks:
            network.keep_connected(addresses)
        await until(lambda: fully_connected(networks))


def fully_connected(networks: Sequence[Libp2pNetwork]) -> bool:
    """Whether each pair has one connection, and its two ends are of one mind on who dialled."""
    ends = {(near.peer_id, far): how.outbound for near in networks for far, how in near.connections().items()}
    pairs = len(networks) * (len(networks) - 1)
    return len(ends) == sum(map(open_connections, networks)) == pairs and all(
        outbound != ends.get((far, near), outbound) for (near, far), outbound in ends.items()
    )


def open_connections(network: Libp2pNetwork) -> int:
    assert network._host is not None
    return len(network._host.get_network().get_connections())


async def test_a_lost_bootstrap_peer_is_dialled_until_it_is_back() -> None:
    async with running("one") as one:
        address = one.listen_addresses[0]
    same_port = replace(SETTINGS, listen_addresses=(address.partition("/p2p/")[0],))
    async with running("two", address) as two:
        for _ in range(2):
            async with running("one", settings=same_port) as one:
                await connected(two, 1)
                await connected(one, 1)
            await connected(two, 0)


async def test_a_place_is_given_back_when_its_connection_ends() -> None:
    async with running("small", settings=replace(SETTINGS, connections_max=2)) as network:
        for number in range(5):
            async with stranger(f"passer-by {number}", network):
                await connected(network, 1)
            await connected(network, 0)


async def test_connections_over_the_limit_are_refused_and_counted() -> None:
    async with (
        running("small", settings=replace(SETTINGS, connections_max=1)) as network,
        running("first", *network.listen_addresses) as first,
    ):
        await connected(first, 1)
        with pytest.raises(BaseExceptionGroup) as refused:
            async with stranger("second", network):
                pytest.fail("two strangers have the one place")
        assert refused.group_contains(PeerUnreachable)
        assert network.peers() == (first.peer_id,)
        assert network.statistics().dropped == {Drop.CONNECTION_LIMIT: 1}


async def test_sockets_that_never_say_who_they_are_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p2p.libp2p_swarm.HANDSHAKES_PER_ADDRESS_MAX", 1)
    async with running("small") as network:
        port = int(network.listen_addresses[0].split("/")[4])
        first = await trio.open_tcp_stream("127.0.0.1", port)
        second = await trio.open_tcp_stream("127.0.0.1", port)
        async with first, second:
            await until(lambda: network.statistics().dropped == {Drop.CONNECTION_LIMIT: 1})


async def test_members_get_in_where_a_crowd_from_one_address_has_taken_what_it_could() -> None:
    """Twenty identities; and then as many as there are places, each from an address of its own as it were."""
    settings = replace(SETTINGS, connections_max=6, strangers_per_address_max=3)
    async with running("node", settings=settings) as node, AsyncExitStack() as crowd:
        for number in range(20):
            with suppress(BaseExceptionGroup):  # What `PeerUnreachable` is, out of a nursery.
                await crowd.enter_async_context(stranger(f"identity {number}", node))
        await connected(node, 3)
        await until(lambda: node.statistics().dropped[Drop.CONNECTION_LIMIT] >= 17)
        assert node._host is not None
        node._host.swarm.limits = Limits(connections_max=6, strangers_per_address_max=6)
        for number in range(3):
            await crowd.enter_async_context(stranger(f"other {number}", node))
        await connected(node, 6)
        async with running("member") as member, running("another") as another, running("late") as late:
            node.keep_connected(network.listen_addresses[0] for network in (member, another))
            await until(lambda: {member.peer_id, another.peer_id} <= set(node.peers()))
            await connected(node, 6)
            with pytest.raises(PeerUnreachable, match=r"hung up|no place"):
                await late.connect(node.listen_addresses[0])
            assert {member.peer_id, another.peer_id} <= set(node.peers())


async def test_a_member_that_dials_is_let_in_too_and_a_stranger_goes_for_it() -> None:
    async with (
        running("node", settings=replace(SETTINGS, connections_max=2)) as node,
        stranger("first", node),
        stranger("second", node),
    ):
        member = peer_id_of(private_key_of("member"))
        node.keep_connected([f"/ip4/127.0.0.1/tcp/1/p2p/{member}"])  # It does not answer there.
        async with running("member", *node.listen_addresses) as dialling:
            await connected(dialling, 1)
            await until(lambda: member in node.peers() and len(node.peers()) == 2)


async def test_an_added_peer_is_dialled_again_until_it_is_dropped_and_a_banned_one_is_not() -> None:
    async with running("one") as one, running("two") as two:
        await two.add_peer(one.listen_addresses[0])
        assert two.peers() == (one.peer_id,)
        assert two.is_kept(one.peer_id)
        two.keep_connected([])
        assert two.is_kept(one.peer_id), "the chain's set does not take it away"
        await two.disconnect(one.peer_id)
        await connected(two, 1)
        two.ban(one.peer_id, 60)
        await until(lambda: not two.peers())
        with pytest.raises(PeerUnreachable, match="banned"):
            await two.add_peer(one.listen_addresses[0])
        assert two.unban(one.peer_id)
        await connected(two, 1)
        await two.drop_peer(one.peer_id)
        assert not two.is_kept(one.peer_id)
        assert two.peers() == ()
        with pytest.raises(ValueError, match="own"):
            await two.add_peer(two.listen_addresses[0])


async def test_whoever_is_no_longer_kept_is_not_dialled_any_more_and_stays_connected() -> None:
    async with running("one") as one, running("two") as two:
        two.keep_connected(one.listen_addresses)
        await connected(two, 1)
        two.keep_connected([])
        await trio.testing.wait_all_tasks_blocked(0.3)
        assert two.peers() == (one.peer_id,)
        await one.disconnect(two.peer_id)
        await connected(two, 0)
        await trio.sleep(0.5)  # Some of the longest delays between dials.
        assert two.peers() == ()


async def test_a_banned_peer_is_not_dialled() -> None:
    async with running("one") as one, running("two") as two:
        two.penalise(one.peer_id, Fault.WRONG_CHAIN)
        with pytest.raises(PeerUnreachable, match="it is banned"):
            await two.connect(one.listen_addresses[0])
        assert two.is_banned(one.peer_id)
        assert one.peers() == ()


async def test_an_address_is_verified_without_a_connection_that_anybody_hears_of() -> None:
    async with running("one") as one, running("two") as two:
        events = one.peer_events()
        where = one.listen_addresses[0].partition("/p2p/")[0]
        await two.verify(one.listen_addresses[0])
        with pytest.raises(PeerUnreachable, match=r"another peer is at 127\.0\.0\.1 port .* the peer id is wrong"):
            await two.verify(where + _someone())
        with pytest.raises(PeerUnreachable, match=r"127\.0\.0\.1 port 1: Connection refused"):
            await two.verify("/ip4/127.0.0.1/tcp/1" + _someone())
        with pytest.raises(PeerUnreachable, match="may not be dialled"):
            await two.verify(one.listen_addresses[0], narrowest=Scope.PUBLIC)
        await two.connect(one.listen_addresses[0])
        await two.verify(one.listen_addresses[0])
        assert (await events.receive()).connected
        assert events.statistics().current_buffer_used == 0
        assert one.peers() == (two.peer_id,)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        HELLO,
        HELLO + NOISE,
        HELLO + NOISE + b"\x00\x01x",
        HELLO + NOISE + bytes(99),
    ],
    ids=["nothing", "HTTP", "multistream", "noise", "one byte", "zeros"],
)
async def test_whatever_answers_where_a_peer_should_be_does_the_node_no_harm(
    answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def serve(connection: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):
            async with connection:
                await connection.send_all(answer)
                await connection.send_eof()
                while await connection.receive_some():
                    pass

    async with running("two") as two, trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]
        for dial in (two.connect, two.verify):
            with pytest.raises(PeerUnreachable):
                await dial(f"/ip4/127.0.0.1/tcp/{port}" + _someone())
        assert caplog.text == ""
        nursery.cancel_scope.cancel()


async def test_a_peer_that_cannot_be_reached_is_told_of_once_and_again_when_the_reason_changes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def told() -> list[str]:
        return [line.getMessage() for line in caplog.records if "cannot be reached" in line.getMessage()]

    caplog.set_level(logging.INFO, "p2p")
    wrong = peer_id_of(private_key_of("wrong"))
    async with running("one") as one:
        where = one.listen_addresses[0].partition("/p2p/")[0]
        same_port = replace(SETTINGS, listen_addresses=(where,))
        async with running("two", f"{where}/p2p/{wrong}") as two:
            await until(lambda: len(told()) == 1)
            assert f"peer {wrong} cannot be reached" in told()[0]
            assert told()[0].endswith("the peer id is wrong")
            await one.shut()
            await until(lambda: len(told()) == 2)
            assert told()[1].endswith("Connection refused")
            await trio.sleep(0.5)  # Some of the longest delays between dials.
            assert len(told()) == 2
            async with running("wrong", settings=same_port):
                await connected(two, 1)
            assert f"peer {wrong} is reached" in caplog.text


async def test_a_name_whose_address_has_changed_leads_to_the_new_one() -> None:
    names = Names()
    async with running("one") as one:
        port = one.listen_addresses[0].split("/")[4]
        trio.socket.set_custom_hostname_resolver(names)
        names.known["node1"] = ["127.0.0.9"]
        async with running("two", f"/dns4/node1/tcp/{port}/p2p/{one.peer_id}") as two:
            await trio.sleep(0.2)
            assert two.peers() == ()
            names.known["node1"] = ["127.0.0.1"]
            await connected(two, 1)
            assert two.connections()[one.peer_id].address == f"/ip4/127.0.0.1/tcp/{port}"


# Peers that mean harm.


@pytest.mark.parametrize(
    "garbage",
    [b"\n", b"GET / HTTP/1.1\r\n\r\n", bytes(100_000), HELLO * 500, HELLO + NOISE + b"\0\x01\0"],
    ids=["empty line", "HTTP", "zeros", "hello after hello", "a Noise message of one byte"],
)
async def test_garbage_on_the_port_does_no_harm(garbage: bytes) -> None:
    async with gossiping("victim") as (victim, channel):
        port = int(victim.listen_addresses[0].split("/")[4])
        for _ in range(3):
            connection = await trio.open_tcp_stream("127.0.0.1", port)
            async with connection:
                try:
                    await connection.send_all(garbage)
                    await connection.send_eof()
                except trio.BrokenResourceError:
                    continue
        await still_gossips(victim, channel)


def unparsable() -> bytes:
    return encode_varint_prefixed(b"\xff\xff\xff\xff")


def oversized() -> bytes:
    return encode_varint_prefixed(bytes(RPC_BYTES_MAX + 1))


def without_signature() -> bytes:
    message = rpc_pb2.Message(data=b"x", topicIDs=[TOPIC], from_id=b"\x00\x01", seqno=b"1", key=b"junk", signature=b"1")
    return encode_varint_prefixed(rpc_pb2.RPC(publish=[message]).SerializeToString())


def strange_control() -> bytes:
    control = rpc_pb2.ControlMessage(
        graft=[rpc_pb2.ControlGraft(topicID="/nobody/knows/it")],
        prune=[rpc_pb2.ControlPrune(topicID="/nobody/knows/it", backoff=2**60)],
        iwant=[rpc_pb2.ControlIWant(messageIDs=[b"not hex"])],
        ihave=[rpc_pb2.ControlIHave(topicID="/nobody/knows/it", messageIDs=[b"zz"])],
    )
    return encode_varint_prefixed(rpc_pb2.RPC(control=control, senderRecord=b"junk").SerializeToString())


@pytest.mark.parametrize("attack", [unparsable, oversized, without_signature, strange_control])
async def test_a_malformed_rpc_hurts_only_the_one_that_sent_it(attack: Callable[[], bytes]) -> None:
    async with gossiping("victim") as (victim, channel), stranger("attacker", victim) as attacker:
        stream = await attacker.new_stream(ID.from_string(victim.peer_id), [PROTOCOL_ID_V11])
        with suppress(StreamError):  # The victim may hang up before all of it is written.
            await stream.write(attack())
        await still_gossips(victim, channel)


async def test_passing_on_what_nobody_has_signed_ends_in_a_ban() -> None:
    async with gossiping("victim") as (victim, _), stranger("attacker", victim) as attacker:
        for _ in range(3):
            charged = victim.statistics().penalties.get(Fault.BAD_SIGNATURE, 0)
            stream = await attacker.new_stream(ID.from_string(victim.peer_id), [PROTOCOL_ID_V11])
            await stream.write(without_signature())
            await until(lambda before=charged: victim.statistics().penalties.get(Fault.BAD_SIGNATURE, 0) > before)  # type: ignore[misc]
        await connected(victim, 0)
        assert victim.statistics().banned == 1


async def test_a_flood_of_ones_own_gossip_is_dropped_charged_and_ends_in_a_ban(monkeypatch: pytest.MonkeyPatch) -> None:
    for rate in ("BULK_PUBLISHED_RATE", "MEMBER_BULK_PUBLISHED_RATE"):
        monkeypatch.setattr(f"p2p.limits.{rate}", Rate(1, 20, 1_000_000, 1_000_000))
    monkeypatch.setattr("p2p.limits.CHARGE_RATE", Rate(100, 100, 1, 1))
    async with (
        gossiping("victim") as (victim, channel),
        gossiping("attacker", victim.listen_addresses[0]) as (attacker, _),
    ):
        await connected(attacker, 1)
        async with trio.open_nursery() as nursery:

            async def flood() -> None:
                while True:
                    await attacker.publish(TOPIC, b"buy")

            nursery.start_soon(flood)
            await until(lambda: victim.statistics().banned == 1)
            nursery.cancel_scope.cancel()
        assert set(victim.statistics().penalties) == {Fault.FLOOD}
        assert victim.statistics().dropped[Drop.FLOOD] >= 5
        await connected(victim, 0)
        while channel.statistics().current_buffer_used:
            channel.receive_nowait()
        await still_gossips(victim, channel)


async def test_a_peer_over_its_share_is_read_more_slowly_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p2p.libp2p_gossip.READ_RATE", Rate(100, 1, 10**9, 10**9))
    async with (
        gossiping("victim") as (victim, channel),
        gossiping("talker", victim.listen_addresses[0]) as (talker, _),
    ):
        await connected(talker, 1)
        started_at = trio.current_time()
        for _ in range(30):
            await talker.publish(TOPIC, b"again")
        for _ in range(30):
            await channel.receive()
        assert trio.current_time() - started_at > 0.2
        assert victim.statistics().penalties == {}


async def test_a_peer_that_ignores_its_windows_is_cut_off_before_it_fills_the_memory() -> None:
    async with deaf("victim") as victim, stranger("attacker", victim) as attacker:
        stream = await attacker.new_stream(ID.from_string(victim.peer_id), [TProtocol(DEAF)])
        sent_bytes = 0
        with suppress(*LIBP2P_ERRORS):
            while True:
                stream.muxed_stream.send_window = 10**9  # type: ignore[attr-defined]
                await stream.write(bytes(64_000))
                sent_bytes += 64_000
        assert sent_bytes < 4 * UNREAD_BYTES_MAX
        await until(lambda: victim.statistics().penalties == {Fault.FLOOD: 1})
        await connected(victim, 0)


async def test_streams_beyond_the_limit_of_a_connection_are_reset_and_charged() -> None:
    async with deaf("victim") as victim, stranger("attacker", victim) as attacker:
        connection = attacker.get_network().get_connections(ID.from_string(victim.peer_id))[0]
        with suppress(*LIBP2P_ERRORS):
            for _ in range(STREAMS_MAX * 2):
                await connection.muxed_conn.open_stream()
        await until(lambda: victim.statistics().penalties.get(Fault.FLOOD, 0) >= 1)


@pytest.mark.parametrize(
    ("kind", "flags"),
    [(1, 1 | 8), (1, 1), (2, 1), (1, 8)],
    ids=["streams opened and reset at once", "streams opened", "pings", "resets of no stream"],
)
async def test_a_loop_of_frames_ends_its_connection_and_is_charged(
    kind: int, flags: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streams that are never open, or of which few are at a time, do not count against how many may be."""
    for rate in ("EMPTY_RATE", "STREAMS_RATE"):
        # However slowly this machine sends, it is a flood.
        monkeypatch.setattr(yamux_frames_module, rate, Rate(1e-9, 50, 1, 1))
    async with running("victim") as victim:
        async with stranger("mallory", victim) as mallory:
            muxed = mallory.get_network().get_connections(ID.from_string(victim.peer_id))[0].muxed_conn
            assert isinstance(muxed, BoundedYamux)
            muxed.secured_conn = muxed.session  # It takes any number of answers.
            with suppress(*LIBP2P_ERRORS):
                for number in range(1_001, 1_401, 2):
                    await muxed._write_frame(HEADER.pack(0, kind, flags, number if kind == 1 else 0, 0))
            await until(lambda: victim.peers() == ())
            assert victim.statistics().penalties[Fault.FLOOD] >= 1
        async with running("honest", victim.listen_addresses[0]) as honest:
            await connected(honest, 1)


async def test_a_stranger_that_uses_up_the_loops_time_waits_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_time_module, "STRANGERS", Allowance(ms_per_second=20, burst_ms=0.1))
    waits: list[float] = []
    debt_seconds = Account.debt_seconds

    def watched(account: Account) -> float:
        waits.append(debt_seconds(account))
        return waits[-1]

    monkeypatch.setattr(Account, "debt_seconds", watched)
    async with gossiping("victim") as (victim, channel), gossiping("chatty", victim.listen_addresses[0]) as (chatty, _):
        await connected(chatty, 1)
        waits.clear()
        for number in range(5):
            await chatty.publish(TOPIC, b"%d" % number)
        assert await receive(channel, 5) == [b"0", b"1", b"2", b"3", b"4"]
        assert sum(wait > 0 for wait in waits) >= 5
        assert victim.statistics().penalties == {}


async def test_handshakes_beyond_the_loops_time_of_their_address_wait_in_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_time_module, "STRANGERS", Allowance(ms_per_second=1e-6, burst_ms=2 * HANDSHAKE_MS))
    begun = 0

    async def begin(_raw: IRawConnection, _address: object) -> None:
        nonlocal begun
        begun += 1
        raise OSError("planted: it does not matter what comes of it")

    async with running("victim") as victim:
        assert victim._host is not None
        swarm = victim._host.swarm
        monkeypatch.setattr(swarm, "upgrade_inbound_raw_conn", begin)
        port = int(victim.listen_addresses[0].split("/")[4])
        async with AsyncExitStack() as stack:
            for _ in range(3):
                await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", port))
            await until(lambda: begun == 2 and swarm._handshakes.total() == 1)
            await trio.testing.wait_all_tasks_blocked()
            assert (begun, swarm._handshakes.total()) == (2, 1)
            for account in swarm.loop_time._accounts.values():
                assert account.debt_seconds() > 0


def _subscribers(network: Libp2pNetwork) -> set[ID]:
    assert network._gossip is not None
    return network._gossip.peer_topics.get(TOPIC, set())


async def test_what_a_member_publishes_is_passed_on_only_to_who_asks_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passed_on: list[tuple[ID, bytes]] = []
    send_rpc = GossipRouter.send_rpc

    def noting(router: GossipRouter, peer_id: ID, rpc: rpc_pb2.RPC, priority: bool = False) -> None:
        assert router.pubsub is not None
        passed_on.extend((peer_id, each.data) for each in rpc.publish if each.from_id != router.pubsub.my_id.to_bytes())
        send_rpc(router, peer_id, rpc, priority)

    monkeypatch.setattr(GossipRouter, "send_rpc", noting)
    async with (
        gossiping("publisher") as (publisher, _),
        gossiping("middle", *publisher.listen_addresses) as (middle, heard_in_the_middle),
        gossiping("friend", *publisher.listen_addresses, *middle.listen_addresses) as (friend, heard_by_a_friend),
        gossiping("far", *middle.listen_addresses) as (far, heard_far_away),
    ):
        for network in (middle, friend):
            network.keep_connected(publisher.listen_addresses)  # Who is kept is a member.
        networks = (publisher, middle, friend, far)
        await until(lambda: [len(_subscribers(network)) for network in networks] == [2, 3, 2, 1])
        for data in (b"asked for", b"sent at once"):
            await publisher.publish(TOPIC, data)
            for heard in (heard_in_the_middle, heard_by_a_friend, heard_far_away):
                assert (await heard.receive()).data == data
            assert middle._gossip is not None
            if data == b"asked for":
                # From now on nobody has to be told: no heartbeat comes any more.
                monkeypatch.setattr(middle._gossip.router, "gossip_heartbeat", lambda: {})
    far_id = ID.from_string(peer_id_of(private_key_of("far")))
    # Who is slow to take in what it has asked for asks once more.
    assert list(dict.fromkeys(passed_on)) == [(far_id, b"asked for"), (far_id, b"sent at once")]


async def test_pairs_of_peers_that_lack_one_another_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p2p.libp2p_gossip.LACKING_MAX", 2)
    router = GossipRouter()
    ids = [ID.from_string(peer_id_of(private_key_of(name))) for name in ("a", "b", "c")]
    for peer_id in ids:
        router._note_lacking(peer_id, b"publisher")
    assert [router._lacks(peer_id, b"publisher") for peer_id in ids] == [True, True, False]
    router._lacking[ids[0], b"publisher"] = 0.0
    router._note_lacking(ids[2], b"publisher")
    assert [router._lacks(peer_id, b"publisher") for peer_id in ids] == [False, True, True]


async def test_asking_for_missed_gossip_again_and_again_costs_no_more_than_asking_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[rpc_pb2.RPC] = []
    monkeypatch.setattr(GossipRouter, "send_rpc", lambda _router, _peer, rpc: sent.append(rpc))
    router = GossipRouter()
    messages = [rpc_pb2.Message(data=bytes(600), from_id=b"a", seqno=bytes([n]), topicIDs=[TOPIC]) for n in (1, 2)]
    for message in messages:
        router.mcache.put(message)
    ids = [(message.from_id + message.seqno).hex().encode() for message in messages]
    asker = ID.from_string(peer_id_of(private_key_of("asker")))
    await router.handle_iwant(rpc_pb2.ControlIWant(messageIDs=[*ids * 2_000, b"zz"]), asker)
    assert [list(rpc.publish) for rpc in sent] == [[message] for message in messages]


async def test_a_length_beyond_the_limit_is_refused_before_anything_is_read() -> None:
    async with gossiping("victim") as (victim, channel), stranger("attacker", victim) as attacker:
        stream = await attacker.new_stream(ID.from_string(victim.peer_id), [TProtocol("/test/swallow/1")])
        await stream.write(b"\xff\xff\xff\xff")
        await until(lambda: victim.statistics().penalties == {Fault.OVERSIZED: 1})
        await still_gossips(victim, channel)


@pytest.mark.parametrize("promised", [2**50, 2**31, 2**20])
async def test_a_line_that_promises_more_than_a_line_may_have_ends_its_connection_and_not_the_node(
    promised: int,
) -> None:
    async with gossiping("victim") as (victim, channel), stranger("attacker", victim) as attacker:
        line = encode_uvarint(promised) + b"/multistream/1.0.0"
        async with await trio.open_tcp_stream(
            *tcp_endpoint(victim.listen_addresses[0].partition("/p2p/")[0])
        ) as socket:
            await socket.send_all(line)
            with suppress(trio.BrokenResourceError):
                while await socket.receive_some():
                    pass
        connection = attacker.get_network().get_connections(ID.from_string(victim.peer_id))[0]
        stream = await connection.muxed_conn.open_stream()
        await stream.write(line)
        await still_gossips(victim, channel)


async def test_a_banned_peer_that_connects_again_is_turned_away() -> None:
    async with gossiping("victim") as (victim, channel):
        async with stranger("attacker", victim):
            await connected(victim, 1)
            victim.penalise(victim.peers()[0], Fault.WRONG_CHAIN)
            await connected(victim, 0)
        async with stranger("attacker", victim):
            await until(lambda: victim.statistics().dropped.get(Drop.BANNED, 0) >= 1)
            await connected(victim, 0)
        await still_gossips(victim, channel)


async def test_a_network_that_is_cancelled_closes_its_sockets_too() -> None:
    async with running("one") as one, trio.open_nursery() as nursery:
        async with running("two", one.listen_addresses[0]) as two:
            await connected(one, 1)
            nursery.cancel_scope.cancel()
            await trio.lowlevel.checkpoint()
        assert two.peers() == ()


async def test_py_libp2p_stays_out_of_the_log() -> None:
    handlers_before = list(logging.root.handlers)
    async with running("one") as one, running("two", one.listen_addresses[0], "/ip4/127.0.0.1/tcp/1" + _someone()):
        await connected(one, 1)
    assert logging.root.handlers == handlers_before
    assert logging.getLogger("libp2p.network.auto_connector").getEffectiveLevel() == logging.CRITICAL


def _someone() -> str:
    return f"/p2p/{peer_id_of(private_key_of('someone'))}"


async def test_an_ipv6_address_works_where_the_machine_has_one() -> None:
    if not _has_ipv6():
        pytest.skip("no IPv6 loopback here")
    async with (
        running("one", settings=replace(SETTINGS, listen_addresses=("/ip6/::1/tcp/0",))) as one,
        running("two", one.listen_addresses[0]) as two,
    ):
        # Who is dialled hears of it a moment later.
        await connected(two, 1)
        await connected(one, 1)
        assert two.connections()[one.peer_id].address == one.listen_addresses[0].partition("/p2p/")[0]
        assert one.connections()[two.peer_id].address.startswith("/ip6/::1/tcp/")


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


async def test_gossip_flows_again_after_its_stream_to_a_peer_that_stays_connected_has_broken() -> None:
    """As it breaks when the peer's process is paused for some seconds. Only one direction is torn."""
    async with gossiping("torn") as (sender, _), gossiping("reader", *sender.listen_addresses) as (reader, received):
        await connected(sender, 1)
        reader_id = ID.from_string(reader.peer_id)
        gossip = sender._gossip
        assert gossip is not None
        await until(lambda: reader_id in gossip.peer_topics.get(TOPIC, ()) and reader_id in gossip.peers)
        before = gossip.peers[reader_id]
        await before.reset()
        await sender.publish(TOPIC, b"finds the stream broken, and may be lost")
        await until(lambda: gossip.peers.get(reader_id) not in (None, before))
        await sender.publish(TOPIC, b"after")
        while (await received.receive()).data != b"after":
            pass


@pytest.mark.parametrize("error", [StreamFailure("no answer in time"), StreamReset("by the peer"), SwarmException("")])
async def test_a_gossip_stream_that_could_not_be_opened_is_tried_again(error: Exception) -> None:
    """As on a busy machine, where a peer that is connected does not answer in time."""
    refusals = [error, error]
    async with gossiping("unlucky") as (unlucky, _):
        host = unlucky._host
        assert host is not None
        open_stream = host.new_stream

        async def refuse_at_first(peer_id: ID, protocol_ids: Sequence[TProtocol]) -> INetStream:
            if PROTOCOL_ID_V11 in protocol_ids and refusals:
                raise refusals.pop()
            return await open_stream(peer_id, protocol_ids)

        host.new_stream = refuse_at_first  # type: ignore[method-assign]
        async with gossiping("reader", *unlucky.listen_addresses) as (reader, received):
            gossip = unlucky._gossip
            assert gossip is not None
            await until(lambda: ID.from_string(reader.peer_id) in gossip.peers)
            await until(lambda: ID.from_string(reader.peer_id) in gossip.peer_topics.get(TOPIC, ()))
            await unlucky.publish(TOPIC, b"after all")
            assert (await received.receive()).data == b"after all"
    assert not refusals


async def test_a_peer_that_takes_nothing_does_not_hold_up_what_others_are_sent() -> None:
    """A quarter of a second for each message would be twice the test's time limit."""
    messages = round(2 * TEST_TIMEOUT_SECONDS / WAIT_SECONDS)
    async with gossiping("sender") as (sender, _), gossiping("reader", *sender.listen_addresses) as (reader, received):
        gossip = sender._gossip
        assert gossip is not None
        await until(lambda: ID.from_string(reader.peer_id) in gossip.peer_topics.get(TOPIC, ()))
        gossip.peer_queues[ID(b"paused")] = stuck = RpcQueue()
        while len(stuck) <= PUBLISH_BUSY_MESSAGES:
            stuck.push(rpc_pb2.RPC())
        for number in range(messages):
            await sender.publish(TOPIC, str(number).encode())
            await received.receive()


async def test_a_host_does_not_dial_a_peer_where_identify_says_it_listens() -> None:
    """The claim does come in, and is even true; but this host was not told to dial there any more."""
    async with running("claimant") as claimant, stranger("dialler", claimant) as dialler:
        peer_id = ID.from_string(claimant.peer_id)
        store, swarm = dialler.get_peerstore(), dialler.get_network()
        assert isinstance(store, NoAddresses)
        await until(lambda: claimant.listen_addresses[0] in claims(store, peer_id))
        assert store.addrs(peer_id) == []
        await dialler.disconnect(peer_id)
        await until(lambda: not swarm.get_connections(peer_id))
        with pytest.raises(SwarmException, match=r"[Nn]o known addresses"):
            await swarm.dial_peer(peer_id)


def claims(store: PeerStore, peer_id: ID) -> list[str]:
    """Where py-libp2p has noted down that the peer listens; what it would dial, if a node did not choose."""
    with suppress(PeerStoreError):
        return [str(address) for address in PeerStore.addrs(store, peer_id)]
    return []
