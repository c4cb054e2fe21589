"""The network over libp2p: TCP, Noise, Yamux and GossipSub, by py-libp2p 0.8.1 on trio.

Theory of operation. `open_libp2p_network` gives a network that is not yet listening; `start` binds the sockets
(the only step that can fail because of the machine), then runs the host, the gossip, the dialler of the bootstrap list
and mDNS as tasks of the network's own nursery. Publications go through bounded queues, urgent ones through one of their
own; the others wait there while a peer's send queue is long, so that a burst is paced instead of lost. Connections are
watched through libp2p's notifications; a peer is announced with its first connection and taken leave of with its last.

Nothing of py-libp2p passes out of this package: `p2p.libp2p_faults` says which of its errors mean that a peer is gone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

import trio
from libp2p.abc import INetConn, INetStream
from libp2p.custom_types import TProtocol
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2
from libp2p.tools.anyio_service import background_trio_service

from p2p.addresses import PeerAddress, parse_multiaddr, parse_peer_address, resolve
from p2p.base import BaseNetwork, ServedProtocol, logger, open_plain_nursery
from p2p.dialling import Dialler
from p2p.discovery import LocalDiscovery
from p2p.errors import NetworkClosed, PeerUnreachable, ProtocolUnsupported
from p2p.framing import FramedStream
from p2p.libp2p_faults import LIBP2P_ERRORS, LIBP2P_SINGLE_ERRORS, quieten_libp2p
from p2p.libp2p_gossip import Gossip, GossipRouter
from p2p.libp2p_hooks import ConnectionWatcher, StreamServer
from p2p.libp2p_host import (
    ChoosingHost,
    ExclusiveTcp,
    bind_listeners,
    build_host,
    key_pair_from_bytes,
    peer_id_of,
)
from p2p.libp2p_ids import text_of
from p2p.libp2p_instances import open_connections, open_stream_on
from p2p.libp2p_publishing import Publications
from p2p.libp2p_settings import Libp2pSettings
from p2p.libp2p_stream import Libp2pByteStream
from p2p.libp2p_swarm import PlacedSwarm
from p2p.network import ADDED_PEERS_MAX, Drop, Fault, PeerId, Scope
from p2p.penalties import NO_BANS, Bans
from p2p.places import Limits

OPEN_STREAM_TIMEOUT_SECONDS: Final = 10.0
DISCONNECT_TIMEOUT_SECONDS: Final = 3.0
CLOSE_TIMEOUT_SECONDS: Final = 3.0
SHUTDOWN_TIMEOUT_SECONDS: Final = 5.0


@asynccontextmanager
async def open_libp2p_network(
    settings: Libp2pSettings, *, clock: Callable[[], float] = trio.current_time, bans: Bans = NO_BANS
) -> AsyncIterator[Libp2pNetwork]:
    """A network that is constructed and not yet listening; leaving the context closes it, within bounds of time.

    `clock` (seconds) is for penalties, shares and bans; `bans` are those that outlive the process.
    """
    quieten_libp2p()
    async with open_plain_nursery() as nursery:
        network = Libp2pNetwork(settings, nursery, clock, bans)
        try:
            yield network
        finally:
            await network.shut()
            nursery.cancel_scope.cancel()


class Libp2pNetwork(BaseNetwork):
    """A `p2p.network.Network` over libp2p."""

    def __init__(self, settings: Libp2pSettings, nursery: trio.Nursery, clock: Callable[[], float], bans: Bans) -> None:
        super().__init__(peer_id_of(settings.private_key), clock, bans)
        self._settings = settings
        self._chosen = settings.bootstrap_addresses
        self._nursery = nursery
        self._host: ChoosingHost | None = None
        self._gossip: Gossip | None = None
        self._listen_addresses: tuple[str, ...] = ()
        self._publications = Publications()
        self._stop = trio.Event()
        self._stopped = trio.Event()
        self._peers_changed = trio.Event()
        self._members_scopes: dict[str, Scope] = {}
        self._added: dict[PeerId, str] = {}
        """Whom the operator has added at run time, and where each is."""
        self._dialling: dict[PeerId, trio.Event] = {}
        """Peers that are being dialled now: two connections of one side would each be the better one for somebody."""
        self._swarm_connections: dict[PeerId, INetConn] = {}
        """The connection of each peer that has been told of."""
        self._dialler = Dialler(
            nursery,
            connect=self._connect,
            is_welcome=self._is_welcome,
            wait_until_lost=self._wait_until_lost,
            delay_initial_seconds=settings.redial_delay_initial_seconds,
            delay_max_seconds=settings.redial_delay_max_seconds,
        )

    @property
    def listen_addresses(self) -> tuple[str, ...]:
        """See `p2p.network.Network.listen_addresses`."""
        return self._listen_addresses

    async def start(self) -> None:
        """See `p2p.network.Network.start`."""
        self._mark_started()
        bound = await bind_listeners(self._settings.listen_addresses)
        await self._nursery.start(self._run, bound)
        self.keep_connected(())
        if self._settings.mdns:
            discovery = LocalDiscovery(self._peer_id, self._listen_addresses, self._found)
            self._nursery.start_soon(discovery.run)

    async def publish(self, topic: str, data: bytes) -> None:
        """See `p2p.network.Network.publish`."""
        subscription = self._check_publication(topic, data)
        try:
            await self._publications.put(topic, data, urgent=subscription.urgent)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise NetworkClosed("the network has been closed") from error
        subscription.messages_out += 1
        subscription.bytes_out += len(data)

    def instances(self, peer_id: PeerId) -> tuple[bytes, ...]:
        """See `p2p.network.Network.instances`."""
        if self._host is None or peer_id not in self._peers:
            return ()
        return tuple(sorted(open_connections(self._host, ID.from_string(peer_id))))

    async def open_stream(
        self, peer_id: PeerId, protocol: str, *, message_bytes_max: int | None = None, instance: bytes | None = None
    ) -> FramedStream:
        """See `p2p.network.Network.open_stream`."""
        self._require_running("open_stream()")
        limit = self._stream_message_bytes_max(protocol, message_bytes_max)
        if peer_id not in self._peers or self._host is None or self._penalties.is_banned(peer_id):
            await trio.lowlevel.checkpoint()
            raise PeerUnreachable(peer_id, "it is not connected")
        try:
            with trio.fail_after(OPEN_STREAM_TIMEOUT_SECONDS):
                stream = await self._open_stream(self._host, peer_id, TProtocol(protocol), instance)
        except LIBP2P_ERRORS as error:
            # py-libp2p tells this case apart in the text of its error only.
            if "not supported" in f"{error} {error.__cause__}":
                raise ProtocolUnsupported(peer_id, protocol) from error
            raise PeerUnreachable(peer_id, f"no stream for {protocol}: {error}") from error
        self._streams_opened += 1
        return FramedStream(peer_id, protocol, Libp2pByteStream(stream), message_bytes_max=limit)

    async def _open_stream(
        self, host: ChoosingHost, peer_id: PeerId, protocol: TProtocol, instance: bytes | None
    ) -> INetStream:
        if instance is None:
            return await host.new_stream(ID.from_string(peer_id), [protocol])
        connection = open_connections(host, ID.from_string(peer_id)).get(instance)
        if connection is None:
            raise PeerUnreachable(peer_id, "this instance of it is not connected")
        return await open_stream_on(host, connection, [protocol])

    def keep_connected(self, addresses: Iterable[str], *, narrowest: Scope = Scope.LOOPBACK) -> None:
        """See `p2p.network.Network.keep_connected`."""
        if self._closed:
            return
        self._require_running("keep_connected()")
        scopes = dict.fromkeys(addresses, narrowest)
        self._members = frozenset(parse_peer_address(text).peer_id for text in scopes)
        self._members_scopes = scopes
        self._keep()

    def _keep(self) -> None:
        if self._closed:
            return
        # The operator's own choice may be anywhere, and is tried first.
        chosen = (*self._chosen, *self._added.values())
        scopes = dict.fromkeys(chosen, Scope.LOOPBACK) | {
            text: scope for text, scope in self._members_scopes.items() if text not in chosen
        }
        peers: dict[PeerId, dict[PeerAddress, Scope]] = {}
        for text, scope in scopes.items():
            address = parse_peer_address(text)
            if address.peer_id != self._peer_id:
                peers.setdefault(address.peer_id, {}).setdefault(address, scope)
        self._dialler.keep(peers)

    def choose(self, addresses: Iterable[str]) -> None:
        """See `p2p.network.Network.choose`."""
        chosen = tuple(addresses)
        for address in chosen:
            parse_peer_address(address)
        self._chosen = chosen
        self._keep()

    async def add_peer(self, address: str) -> None:
        """See `p2p.network.Network.add_peer`."""
        self._require_running("add_peer()")
        where = parse_peer_address(address)
        if where.peer_id == self._peer_id:
            raise ValueError("the peer id is this node's own")
        if where.peer_id not in self._added and len(self._added) >= ADDED_PEERS_MAX:
            raise ValueError(f"{ADDED_PEERS_MAX} peers have been added; drop one, or name them in the configuration")
        self._added[where.peer_id] = address
        self._keep()
        await self._connect(where)

    async def drop_peer(self, peer_id: PeerId) -> None:
        """See `p2p.network.Network.drop_peer`."""
        self._require_running("drop_peer()")
        if self._added.pop(peer_id, None) is not None:
            self._keep()
        await self.disconnect(peer_id)

    def is_kept(self, peer_id: PeerId) -> bool:
        """See `p2p.network.Network.is_kept`."""
        return peer_id in self._dialler.kept

    async def connect(self, address: str, *, narrowest: Scope = Scope.LOOPBACK) -> None:
        """See `p2p.network.Network.connect`."""
        self._require_running("connect()")
        await self._connect(parse_peer_address(address), narrowest)

    async def verify(self, address: str, *, narrowest: Scope = Scope.LOOPBACK) -> None:
        """See `p2p.network.Network.verify`."""
        self._require_running("verify()")
        where = parse_peer_address(address)
        peer_id = ID.from_string(where.peer_id)
        await self._at_each(where, narrowest, lambda swarm, host: swarm.authenticate(peer_id, host, where.port))

    async def disconnect(self, peer_id: PeerId) -> None:
        """See `p2p.network.Network.disconnect`."""
        if peer_id in self._peers:
            await self._close_connections(peer_id)
        else:
            await trio.lowlevel.checkpoint()

    async def _close_connections(self, peer_id: PeerId) -> None:
        host = self._host
        if host is None:
            return
        with trio.move_on_after(DISCONNECT_TIMEOUT_SECONDS):
            try:
                await host.disconnect(ID.from_string(peer_id))
            except LIBP2P_ERRORS as error:
                logger.debug("disconnecting %s: %s", peer_id, error)
        self._refresh(peer_id)

    def _expel(self, peer_id: PeerId) -> None:
        if not self._closed:
            self._nursery.start_soon(self.disconnect, peer_id)

    def _is_member(self) -> bool:
        return self._peer_id in self._members

    def _reaches_all(self, publisher: ID) -> bool:
        """Members are connected with one another, and publish to everybody they are connected with."""
        return text_of(publisher) in self._members

    def _streams_kept(self) -> int:
        return 0 if self._host is None else self._host.swarm.streams_kept()

    def _entries_by_peer(self) -> int:
        return (
            super()._entries_by_peer()
            + (0 if self._host is None else self._host.swarm.entries_by_peer())
            + (0 if self._gossip is None else self._gossip.entries_by_peer())
        )

    async def shut(self) -> None:
        """Stop everything within `SHUTDOWN_TIMEOUT_SECONDS`."""
        running = self._host is not None
        self._mark_closed()
        self._publications.close()
        self._stop.set()
        if running:
            with trio.CancelScope(deadline=trio.current_time() + SHUTDOWN_TIMEOUT_SECONDS, shield=True):
                await self._stopped.wait()

    # The tasks.

    async def _run(
        self,
        bound: dict[str, list[trio.SocketListener]],
        task_status: Any = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """The host and the gossip, from `start` to `shut`."""
        transport = ExclusiveTcp(bound, self._nursery, self._containment)
        try:
            async with trio.open_nursery() as nursery:
                key_pair = key_pair_from_bytes(self._settings.private_key)
                host = build_host(
                    key_pair,
                    transport,
                    limits=Limits(self._settings.connections_max, self._settings.strangers_per_address_max),
                    reserved=lambda: self._dialler.kept,
                    on_refused=self._count_refusal,
                    on_fault=self._charge,
                )
                router = GossipRouter(self._reaches_all)
                gossip = Gossip(
                    host,
                    router,
                    frozenset(self._subscriptions),
                    receive=self._take_gossip,
                    on_fault=self._charge,
                    on_drop=self._count_send_drop,
                    urgent=frozenset(topic for topic, one in self._subscriptions.items() if one.urgent),
                )
                for protocol, served in self._protocols.items():
                    host.set_stream_handler(TProtocol(protocol), StreamServer(self._serve_stream, protocol, served))
                for topic in self._subscriptions:
                    await gossip.subscribe(topic)
                host.get_network().register_notifee(ConnectionWatcher(lambda peer_id: self._refresh(text_of(peer_id))))
                # The gossip first: it must know of every connection from the beginning.
                async with background_trio_service(router), background_trio_service(gossip):
                    await gossip.wait_until_ready()
                    async with host.run([parse_multiaddr(address) for address in bound]):
                        self._host, self._gossip = host, gossip
                        self._listen_addresses = tuple(
                            f"{_without_peer_id(str(address))}/p2p/{self._peer_id}"
                            for address in host.get_transport_addrs()
                        )
                        nursery.start_soon(self._publications.publish_urgent, gossip)
                        nursery.start_soon(
                            self._publications.publish_bulk, gossip, lambda: self._peer_id in self._members
                        )
                        task_status.started()
                        try:
                            await self._stop.wait()
                        finally:
                            # Shielded, because a cancelled network has sockets to close too.
                            with trio.CancelScope(deadline=trio.current_time() + CLOSE_TIMEOUT_SECONDS, shield=True):
                                await host.close()
                nursery.cancel_scope.cancel()
        except* LIBP2P_SINGLE_ERRORS as errors:
            if not self._stop.is_set():
                raise RuntimeError("py-libp2p has ended with an error") from errors
            logger.debug("while closing: %s", errors)
        finally:
            with trio.CancelScope(deadline=trio.current_time() + CLOSE_TIMEOUT_SECONDS, shield=True):
                await transport.close_dialled()
            self._stopped.set()

    def _is_welcome(self, peer_id: PeerId) -> bool:
        return self._host is not None and not self._closed and not self._penalties.is_banned(peer_id)

    async def _wait_until_lost(self, peer_id: PeerId) -> None:
        while peer_id in self._peers:
            await self._peers_changed.wait()

    async def _connect(self, address: PeerAddress, narrowest: Scope = Scope.LOOPBACK) -> None:
        """Connect to a peer, unless it is connected. Raises `PeerUnreachable`, saying why it is not."""
        peer_id = address.peer_id
        while peer_id in self._dialling:
            await self._dialling[peer_id].wait()
        if peer_id in self._peers:
            return
        if not self._is_welcome(peer_id):
            raise PeerUnreachable(peer_id, "it is banned, or the network is not running")
        done = self._dialling[peer_id] = trio.Event()
        try:
            target = ID.from_string(peer_id)
            await self._at_each(address, narrowest, lambda swarm, host: swarm.connect(target, host, address.port))
        finally:
            done.set()
            del self._dialling[peer_id]
        self._refresh(peer_id)
        if peer_id not in self._peers:
            raise PeerUnreachable(peer_id, "it has hung up at once")

    async def _at_each(
        self, address: PeerAddress, narrowest: Scope, dial: Callable[[PlacedSwarm, str], Awaitable[None]]
    ) -> None:
        """Do it at the IP addresses that an address comes to, one after the other, until it succeeds once."""
        hosts = await resolve(address, narrowest=narrowest)
        for host in hosts:
            if self._host is None or self._closed:
                raise PeerUnreachable(address.peer_id, "the network is not running")
            try:
                await dial(self._host.swarm, host)
            except PeerUnreachable:
                if host == hosts[-1]:
                    raise
            else:
                return

    def _found(self, address: str) -> None:
        """Dial a peer that mDNS has found."""
        try:
            where = parse_peer_address(address)
        except ValueError as error:
            logger.debug("mDNS: %s", error)
            return
        if where.peer_id not in {self._peer_id, *self._peers} and not self._closed:
            self._nursery.start_soon(self._dial_found, where)

    async def _dial_found(self, address: PeerAddress) -> None:
        try:
            await self._connect(address)
        except PeerUnreachable as error:
            logger.debug("mDNS: %s", error)

    # What py-libp2p calls.

    def _take_gossip(self, sender: ID, message: rpc_pb2.Message) -> bool:
        return self._receive_gossip(message.topicIDs[0], message.data, text_of(sender), text_of(ID(message.from_id)))

    def _charge(self, peer_id: ID, fault: Fault) -> None:
        self.penalise(text_of(peer_id), fault)

    def _count_send_drop(self, messages: int) -> None:
        if messages:
            self._dropped[Drop.SEND_QUEUE_FULL] += messages

    def _count_refusal(self) -> None:
        self._dropped[Drop.CONNECTION_LIMIT] += 1

    async def _serve_stream(self, protocol: str, served: ServedProtocol, stream: INetStream) -> None:
        peer_id = text_of(stream.muxed_conn.peer_id)
        framed = FramedStream(peer_id, protocol, Libp2pByteStream(stream), message_bytes_max=served.message_bytes_max)
        await self._run_handler(served, framed)

    def _refresh(self, peer_id: PeerId) -> None:
        """Compare what we believe of a peer with py-libp2p's table of connections."""
        if self._host is None or self._closed:
            return
        open_connections = [
            connection
            for connection in self._host.get_network().get_connections(ID.from_string(peer_id))
            if not connection.is_closed
        ]
        if not open_connections:
            self._swarm_connections.pop(peer_id, None)
            self._disconnected(peer_id)
        elif self._penalties.is_banned(peer_id):
            self._dropped[Drop.BANNED] += 1
            self._nursery.start_soon(self._close_connections, peer_id)
        elif self._swarm_connections.get(peer_id) is not open_connections[0]:
            self._replace_connection(peer_id, open_connections[0])
        self._peers_changed.set()
        self._peers_changed = trio.Event()

    def _replace_connection(self, peer_id: PeerId, connection: INetConn) -> None:
        """A peer has a connection that it had not before; what began on another has to begin again."""
        self._swarm_connections[peer_id] = connection
        self._disconnected(peer_id)
        self._connected(peer_id, address=_address_of(connection), outbound=_is_outbound(connection))
        if self._gossip is not None:
            self._gossip.begin_again(connection.muxed_conn)


def _is_outbound(connection: INetConn) -> bool:
    return isinstance(connection, SwarmConn) and connection.direction.name == "OUTBOUND"


def _address_of(connection: INetConn) -> str:
    """The other end; `/ip4/0.0.0.0` if its socket was gone before it could be asked."""
    addresses = connection.get_transport_addresses()
    return _without_peer_id(str(addresses[0])) if addresses else "/ip4/0.0.0.0"


def _without_peer_id(address: str) -> str:
    return address.partition("/p2p/")[0]
