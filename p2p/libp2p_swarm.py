"""A py-libp2p swarm that dials where it is told to, and gives places by rule (`p2p.places`).

The parts of py-libp2p 0.8.1 that are replaced here, and why:

- it gives an accepted connection's place back when the swarm ends, not when the connection does, so that a node refuses
  everybody after enough reconnections; here it is given back at the connection's end;
- whoever comes first gets its places, and the last of several connections to one peer may be on either side; here both
  go by `p2p.places`. Who it is, is known after the handshake only, so there are bounds of their own before it;
- it dials one address of a peer, chosen by its own taste, does not dial a peer for 60 s after a failure, and dials whom
  it has heard of until half its places are in use; here the dialler decides (`p2p.dialling`), and the reason for which
  a dial has failed comes out;
- it replaces the address that it was given of a peer by those that the peer claims; here nothing is dialled that it
  has heard of in that way;
- what it remembers of a peer it remembers for ever; here until the peer is gone.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sized
from contextlib import asynccontextmanager, suppress
from typing import Final

import trio
from libp2p.abc import IMuxedConn, INetConn, IRawConnection
from libp2p.io.abc import ReadWriteCloser
from libp2p.network.auto_connector import AutoConnector
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStore
from libp2p.rcmgr import Direction
from libp2p.security.noise.exceptions import PeerIDMismatchesPubkey
from libp2p.stream_muxer.yamux.yamux import Yamux
from multiaddr import Multiaddr

from p2p.addresses import address_group
from p2p.containment import Containment
from p2p.errors import PeerUnreachable
from p2p.libp2p_faults import LIBP2P_ERRORS
from p2p.libp2p_ids import text_of
from p2p.libp2p_instances import instance_of
from p2p.limits import ACCEPTED_RATE, Shares
from p2p.loop_time import HANDSHAKE_MS, LoopTime
from p2p.network import PeerId
from p2p.places import INSTANCES_PER_PEER_MAX, Limits, Place, admit, better

DIAL_TIMEOUT_SECONDS: Final = 5.0
UPGRADE_TIMEOUT_SECONDS: Final = 5.0
"""How long a socket may take to become an authenticated connection."""
HANDSHAKES_MAX: Final = 128
"""Accepted sockets that are not yet authenticated; one more is closed."""
HANDSHAKES_PER_ADDRESS_MAX: Final = 32
"""Those of them from one IP address."""
CLOSE_TIMEOUT_SECONDS: Final = 1.0

DialFunction = Callable[[str, int], Awaitable[IRawConnection]]
"""(IP address, port) -> the connection."""


class _IdleConnector(AutoConnector):
    """Dials nobody: whom to dial is the dialler's to decide. So it need not remember who has left."""

    async def maybe_connect(self) -> None:
        """Do nothing."""

    def record_disconnect(self, peer_id: ID) -> None:
        """Do nothing."""


class NoAddresses(PeerStore):
    """What py-libp2p knows of peers, without where they are.

    Its identify notes down where a peer claims to listen, in two ways (a list, and a signed record), and its dialling
    would go there. Here nobody has an address, which py-libp2p takes for "not to be dialled".
    """

    def addrs(self, peer_id: ID) -> list[Multiaddr]:
        """None."""
        del peer_id
        return []

    def forget(self, peer_id: ID) -> None:
        """Let go of all that has been noted down of a peer."""
        self.peer_data_map.pop(peer_id, None)
        self.peer_record_map.pop(peer_id, None)


class PlacedSwarm(Swarm):
    """See the module's docstring."""

    limits: Limits
    reserved: Callable[[], frozenset[PeerId]]
    """Who has a reserved place, now."""
    on_refused: Callable[[], None]
    """Called for each connection that gets no place, or loses it to somebody else."""
    dial_socket: DialFunction
    loop_time: LoopTime
    containment: Containment

    def _init_connection_management(self) -> None:
        super()._init_connection_management()
        self._accepted = Shares(ACCEPTED_RATE, trio.current_time)
        self._handshakes: Counter[str] = Counter()
        self._places: dict[INetConn, Place] = {}
        self._own = text_of(self.self_id)
        self.auto_connector = _IdleConnector(swarm=self)

    # Dialling.

    async def connect(self, peer_id: ID, host: str, port: int) -> None:
        """Connect to the peer at an IP address. Raises `PeerUnreachable`, saying why."""
        raw = await self._open(peer_id, host, port)
        try:
            async with self._handshake(peer_id, host, port):
                connection = await self.upgrade_outbound_raw_conn(raw, peer_id)
            # Whatever ends the connection, its socket is closed.
            self.manager.run_task(self._close_after, connection.muxed_conn, raw)
        except PeerUnreachable:
            await _close(raw)
            raise
        if not self.connections.get(peer_id):
            raise PeerUnreachable(text_of(peer_id), f"{host} port {port}: no place is free, here or there")

    async def authenticate(self, peer_id: ID, host: str, port: int) -> None:
        """See whether the peer is at an IP address, and hang up. Raises `PeerUnreachable`, saying why it is not."""
        raw = await self._open(peer_id, host, port)
        try:
            async with self._handshake(peer_id, host, port):
                await self.upgrader.upgrade_security(raw, True, peer_id)
        finally:
            await _close(raw)

    @asynccontextmanager
    async def _handshake(self, peer_id: ID, host: str, port: int) -> AsyncIterator[None]:
        """Turn what a handshake raises into `PeerUnreachable`, and end it in time."""
        with self.containment.of(f"the handshake with {host} port {port}"):
            try:
                with trio.fail_after(UPGRADE_TIMEOUT_SECONDS):
                    yield
            except LIBP2P_ERRORS as error:
                raise PeerUnreachable(text_of(peer_id), _why(error, host, port)) from error
            return
        raise PeerUnreachable(text_of(peer_id), f"{host} port {port}: the handshake has failed by a bug, see the log")

    async def _close_after(self, muxed: IMuxedConn, raw: IRawConnection) -> None:
        try:
            if isinstance(muxed, Yamux):
                await muxed.event_closed.wait()
        finally:
            await _close(raw)

    async def _open(self, peer_id: ID, host: str, port: int) -> IRawConnection:
        try:
            with trio.fail_after(DIAL_TIMEOUT_SECONDS):
                return await self.dial_socket(host, port)
        except LIBP2P_ERRORS as error:
            raise PeerUnreachable(text_of(peer_id), _why(error, host, port)) from error

    # Accepting.

    async def _handle_inbound_connection(self, read_write_closer: ReadWriteCloser, maddr: Multiaddr) -> None:
        remote = read_write_closer.get_remote_address()
        if remote is None:
            await read_write_closer.close()  # It is gone already.
            return
        group = address_group(remote[0])
        if (
            not self._accepted.of(group).take(0)
            or self._handshakes.total() >= HANDSHAKES_MAX
            or self._handshakes[group] >= HANDSHAKES_PER_ADDRESS_MAX
            or self._has_no_place_for_anybody()
        ):
            self.on_refused()
            await read_write_closer.close()
            return
        raw_connection = RawConnection(read_write_closer, False)
        account = self.loop_time.of_address(group)
        try:
            self._handshakes[group] += 1
            try:
                # A crowd waits in line, so that it takes no more of the loop's time than its address may.
                account.spend(HANDSHAKE_MS)
                await trio.sleep(account.debt_seconds())
                muxed_connection = await self.upgrade_inbound_raw_conn(raw_connection, maddr)
            finally:
                self._handshakes[group] -= 1
                if not self._handshakes[group]:
                    del self._handshakes[group]
            if isinstance(muxed_connection, Yamux):
                await muxed_connection.event_closed.wait()
        finally:
            await _close(raw_connection)

    def _has_no_place_for_anybody(self) -> bool:
        """Whether all places are taken, and everybody with a reserved one is there: then no handshake is needed."""
        return len(self._places) >= self.limits.connections_max and self.reserved() - {self._own} <= {
            place.peer_id for place in self._places.values()
        }

    # What is kept.

    def streams_kept(self) -> int:
        """Streams of all connections that are not let go of yet."""
        return sum(len(connection.get_streams()) for held in self.connections.values() for connection in held)

    def entries_by_peer(self) -> int:
        """What is kept by peer id or by IP address."""
        held: tuple[Sized, ...] = (
            self.peerstore.peer_ids(),
            self._accepted,
            self._places,
            self._handshakes,
            self.loop_time,
        )
        return sum(map(len, held))

    # Places.

    async def notify_connected(self, conn: INetConn) -> None:
        """A connection has been made, and stands among the others: give it a place, or let it go, before it is used."""
        self._take_in(conn)
        if conn in self._places:
            await super().notify_connected(conn)

    async def notify_disconnected(self, conn: INetConn) -> None:
        """A connection has ended."""
        peer_id = conn.muxed_conn.peer_id
        if not self.connections.get(peer_id) and isinstance(self.peerstore, NoAddresses):
            self.peerstore.forget(peer_id)
        await super().notify_disconnected(conn)

    def remove_conn(self, swarm_conn: SwarmConn) -> None:
        """A connection has left the table."""
        self._places.pop(swarm_conn, None)
        super().remove_conn(swarm_conn)

    def _take_in(self, conn: INetConn) -> None:
        newcomer = _place_of(conn)
        if conn not in self.connections.get(conn.muxed_conn.peer_id, ()):
            return  # It has ended already.
        held = {place: other for other, place in self._places.items()}
        beside = [place for place in held if place.peer_id == newcomer.peer_id]
        same = next((place for place in beside if place.instance == newcomer.instance), None)
        if same is not None:
            if better(same, newcomer, own=self._own) is same:
                self._let_go(conn)
                return
            self._let_go(held[same])
        elif len(beside) >= INSTANCES_PER_PEER_MAX:
            self.on_refused()
            self._let_go(held[min(beside, key=lambda place: place.began_at)])
        else:
            admission = admit(newcomer, held, self.reserved(), self.limits)
            if not admission.admitted:
                self.on_refused()
                self._let_go(conn)
                return
            if admission.evicted is not None:
                self.on_refused()
                self._let_go(held[admission.evicted])
        self._places[conn] = newcomer

    def _select_connection(self, connections: list[INetConn], peer_id: ID) -> INetConn:
        """The newest: of two to one peer id the older one may lead to a machine that has vanished."""
        del peer_id
        return max(connections, key=lambda one: self._places[one].began_at if one in self._places else 0.0)

    def _let_go(self, conn: INetConn) -> None:
        """Close a connection, which from now on is not chosen for anything."""
        self._places.pop(conn, None)
        peer_id = conn.muxed_conn.peer_id
        self.connections[peer_id] = [other for other in self.connections.get(peer_id, []) if other is not conn]
        if not self.connections[peer_id]:
            del self.connections[peer_id]
        self.manager.run_task(self._close_connection_async, conn)


def _place_of(connection: INetConn) -> Place:
    addresses = connection.get_transport_addresses()
    host = str(addresses[0]).split("/")[2] if addresses else "0.0.0.0"
    outbound = isinstance(connection, SwarmConn) and connection.direction is Direction.OUTBOUND
    muxed = connection.muxed_conn
    return Place(text_of(muxed.peer_id), instance_of(muxed), address_group(host), outbound, trio.current_time())


async def _close(raw: IRawConnection) -> None:
    with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_TIMEOUT_SECONDS), suppress(*LIBP2P_ERRORS):
        await raw.close()


def _why(error: BaseException, host: str, port: int) -> str:
    """Why a dial has failed, in a few words that are the same as long as the reason is."""
    at = f"{host} port {port}"
    for cause in _causes(error):
        if isinstance(cause, PeerIDMismatchesPubkey):
            return f"another peer is at {at}: the peer id is wrong"
        if isinstance(cause, trio.TooSlowError):
            return f"no answer from {at} in time"
        if isinstance(cause, OSError) and cause.errno:
            return f"{at}: {os.strerror(cause.errno)}"
    return f"{at}: it hung up during the handshake; it may have no place for this node, or refuse it"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and all that it came from."""
    pending: list[BaseException] = [error]
    while pending:
        cause = pending.pop(0)
        yield cause
        pending.extend(cause.exceptions if isinstance(cause, BaseExceptionGroup) else ())
        if (origin := cause.__cause__ or cause.__context__) is not None:
            pending.append(origin)
