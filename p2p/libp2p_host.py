"""A py-libp2p host with TCP, Noise and Yamux, and every limit set on purpose (docs/adr/0003-gossip-settings.md).

The parts of py-libp2p 0.8.1 that are replaced here, and why:

- its TCP listener binds with SO_REUSEPORT, so that two nodes on one port share the connections between them instead
  of the second being refused; here the sockets are bound before, exclusively;
- it reads lines of any promised length in negotiations (`p2p.libp2p_negotiation`);
- its muxer takes in more than it has allowed a peer to send (`p2p.libp2p_yamux`);
- its swarm (`p2p.libp2p_swarm`).
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final
from weakref import WeakSet

import trio
from libp2p import generate_peer_id_from
from libp2p.abc import IRawConnection
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.secp256k1 import create_new_key_pair as create_secp256k1_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_x25519_key_pair
from libp2p.custom_types import TMuxerClass, TProtocol
from libp2p.host.basic_host import BasicHost
from libp2p.io.abc import ReadWriteCloser
from libp2p.io.trio import TrioTCPStream
from libp2p.network.config import ConnectionConfig, RetryConfig
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.network.swarm import _NegativePeerCache
from libp2p.peer.id import ID
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE_PROTOCOL
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX_PROTOCOL
from libp2p.stream_muxer.yamux.yamux import Yamux
from libp2p.transport.exceptions import OpenConnectionError
from libp2p.transport.tcp.tcp import TCP, TCPListener
from libp2p.transport.upgrader import TransportUpgrader
from multiaddr import Multiaddr

from p2p.addresses import parse_multiaddr, parse_peer_address, plain_ip
from p2p.containment import Containment
from p2p.errors import AddressInUse
from p2p.libp2p_faults import LIBP2P_ERRORS
from p2p.libp2p_ids import text_of
from p2p.libp2p_negotiation import bound_lines
from p2p.libp2p_swarm import DIAL_TIMEOUT_SECONDS, UPGRADE_TIMEOUT_SECONDS, NoAddresses, PlacedSwarm
from p2p.libp2p_turns import Turn, as_lock, lighten_streams
from p2p.libp2p_yamux import BoundedMuxer, FaultReport, bound_windows
from p2p.loop_time import LoopTime
from p2p.network import PeerId
from p2p.places import Limits
from p2p.read_ahead import ReadAhead

PRIVATE_KEY_BYTES: Final = 32
NEVER_REACHED: Final = 1_000_000
"""In place of py-libp2p's own limits of connections: `p2p.places` decides, before they could."""
NEGOTIATION_TIMEOUT_SECONDS: Final = 5
LISTEN_BACKLOG: Final = 128
KEEPALIVE_OPTIONS: Final = (
    ("TCP_KEEPIDLE", 10),
    ("TCP_KEEPINTVL", 5),
    ("TCP_KEEPCNT", 4),
    ("TCP_USER_TIMEOUT", 30_000),
)
"""Seconds, seconds, probes, milliseconds: a peer that answers nothing is lost after half a minute."""

_ConnectionHandler = Callable[[ReadWriteCloser], Awaitable[None]]


def key_pair_from_bytes(private_key: bytes) -> KeyPair:
    """A secp256k1 identity. Raises ValueError unless it is 32 bytes and a number in the curve's range."""
    if len(private_key) != PRIVATE_KEY_BYTES:
        raise ValueError(f"private_key must have {PRIVATE_KEY_BYTES} bytes, not {len(private_key)}")
    return create_secp256k1_key_pair(private_key)


def peer_id_of(private_key: bytes) -> PeerId:
    """The peer id that belongs to a secp256k1 private key of 32 bytes. Raises ValueError if it is none."""
    return text_of(generate_peer_id_from(key_pair_from_bytes(private_key)))


async def bind_listeners(addresses: Sequence[str]) -> dict[str, list[trio.SocketListener]]:
    """Bind every address exclusively. Raises `AddressInUse`, with nothing left open, and ValueError."""
    bound: dict[str, list[trio.SocketListener]] = {}
    for address in addresses:
        host, port = tcp_endpoint(address)
        try:
            bound[address] = list(await trio.open_tcp_listeners(port, host=host, backlog=LISTEN_BACKLOG))
        except OSError as error:
            for listeners in bound.values():
                for listener in listeners:
                    await listener.aclose()
            raise AddressInUse(address, error.strerror or str(error)) from error
    return bound


def tcp_endpoint(address: str) -> tuple[str, int]:
    """The IP address and port of `/ip4/…/tcp/…` or `/ip6/…/tcp/…`. Raises ValueError, naming the address."""
    parts = parse_multiaddr(address)
    names = [protocol.name for protocol in parts.protocols()]
    if len(names) < 2 or names[0] not in ("ip4", "ip6") or names[1:] not in (["tcp"], ["tcp", "p2p"]):
        raise ValueError(f"{address!r} must be /ip4/<address>/tcp/<port> or /ip6/<address>/tcp/<port>")
    return str(parts.value_for_protocol(names[0])), int(parts.value_for_protocol("tcp"))


def keep_watch(stream: trio.SocketStream) -> None:
    """Have the kernel notice a peer whose machine is gone; Yamux's pings measure, but end nothing."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE_OPTIONS:
        if hasattr(socket, name):  # Not every system has them all.
            stream.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class WatchedStream(TrioTCPStream):
    """A TCP stream that the kernel watches, that knows its other end, over IPv6 too (py-libp2p's does not), and that is
    read ahead: Noise asks for the two bytes of a length, then for as many as that says."""

    def __init__(self, stream: trio.SocketStream) -> None:
        super().__init__(stream)
        self.read_lock = as_lock(Turn())
        self.write_lock = as_lock(Turn())
        self._ahead = ReadAhead(super().read)
        keep_watch(stream)
        try:
            host, port = stream.socket.getpeername()[:2]
        except OSError:
            return  # It is gone already, which whoever reads from it will see.
        self._cached_remote_address = str(plain_ip(host)), port

    async def read(self, n: int | None = None) -> bytes:
        """See `Reader.read`."""
        return await self._ahead.read(n)


class _BoundListener(TCPListener):
    """A listener on sockets that are bound already."""

    def __init__(self, handler: _ConnectionHandler, transport: ExclusiveTcp) -> None:
        super().__init__(handler)
        self._transport = transport
        self._serving = trio.CancelScope()

    async def listen(self, maddr: Multiaddr) -> None:
        """Take over the sockets bound for this address, and serve them in the network's own nursery."""
        self.listeners.extend(self._transport.bound[str(maddr)])
        self._transport.nursery.start_soon(self._serve)

    async def close(self) -> None:
        """Stop serving; trio closes the sockets on its way out."""
        self._serving.cancel()
        self.listeners.clear()
        await trio.lowlevel.checkpoint()

    async def _serve(self) -> None:
        with self._serving:
            await trio.serve_listeners(self._accept, list(self.listeners))

    async def _accept(self, socket_stream: trio.SocketStream) -> None:
        with self._transport.containment.of("an accepted connection"):
            try:
                await self.handler(WatchedStream(socket_stream))
            except LIBP2P_ERRORS:
                return  # Somebody connected who does not speak libp2p, or went away; trio closes the socket.


class ExclusiveTcp(TCP):
    """TCP whose listeners were bound by `bind_listeners`."""

    def __init__(
        self,
        bound: Mapping[str, list[trio.SocketListener]],
        nursery: trio.Nursery,
        containment: Containment | None = None,
    ) -> None:
        super().__init__()
        self.containment = Containment() if containment is None else containment
        self.bound = {str(Multiaddr(address)): listeners for address, listeners in bound.items()}
        self.nursery = nursery
        self._dialled: WeakSet[trio.SocketStream] = WeakSet()

    async def open(self, host: str, port: int) -> RawConnection:
        """Connect to an IP address. Raises OSError."""
        stream = await trio.open_tcp_stream(host, port)
        self._dialled.add(stream)
        return RawConnection(WatchedStream(stream), True)

    async def dial(self, maddr: Multiaddr) -> IRawConnection:
        """Refuse: py-libp2p would dial where its own judgement leads it."""
        raise OpenConnectionError(f"{maddr} is dialled by nobody but `PlacedSwarm.connect`")

    async def close_dialled(self) -> None:
        """Close the sockets that were dialled and that py-libp2p, cancelled in the middle of closing, left open."""
        for stream in tuple(self._dialled):
            await trio.aclose_forcefully(stream)

    def create_listener(self, handler_function: _ConnectionHandler) -> _BoundListener:
        """See `ITransport.create_listener`."""
        return _BoundListener(handler_function, self)


class ChoosingHost(BasicHost):
    """A host that dials where it is told to, each time."""

    def __init__(self, swarm: PlacedSwarm) -> None:
        super().__init__(
            network=swarm, negotiate_timeout=NEGOTIATION_TIMEOUT_SECONDS, disable_identify_address_discovery=True
        )
        self.swarm = swarm

    async def dial(self, address: str) -> None:
        """Connect to the peer at a full multiaddr with an IP address. Raises `PeerUnreachable`, ValueError."""
        where = parse_peer_address(address)
        await self.swarm.connect(ID.from_string(where.peer_id), where.host, where.port)


def build_host(
    key_pair: KeyPair,
    transport: ExclusiveTcp,
    *,
    limits: Limits,
    reserved: Callable[[], frozenset[PeerId]],
    on_refused: Callable[[], None],
    on_fault: FaultReport,
) -> ChoosingHost:
    """A host that is not running yet."""
    bound_lines()
    bound_windows()
    lighten_streams()
    muxers: Mapping[TProtocol, TMuxerClass] = {TProtocol(YAMUX_PROTOCOL): Yamux}
    upgrader = TransportUpgrader(
        secure_transports_by_protocol={
            TProtocol(NOISE_PROTOCOL): NoiseTransport(key_pair, noise_privkey=create_x25519_key_pair().private_key)
        },
        muxer_transports_by_protocol=muxers,
        negotiate_timeout=NEGOTIATION_TIMEOUT_SECONDS,
    )
    loop_time = LoopTime(trio.current_time, reserved)
    upgrader.muxer_multistream = BoundedMuxer(
        muxers, negotiate_timeout=NEGOTIATION_TIMEOUT_SECONDS, on_fault=on_fault, loop_time=loop_time
    )
    peer_id = generate_peer_id_from(key_pair)
    peer_store = NoAddresses()
    peer_store.add_key_pair(peer_id, key_pair)
    # No resource manager: its rates, memory watermarks and circuit breakers are per process and load, and refuse
    # honest peers on a busy machine. The limits that count are these, and those of `serve`.
    swarm = PlacedSwarm(
        peer_id,
        peer_store,
        upgrader,
        transports=[transport],
        retry_config=RetryConfig(max_retries=0),
        connection_config=ConnectionConfig(
            max_connections=NEVER_REACHED,
            min_connections=0,
            low_watermark=0,
            high_watermark=NEVER_REACHED,
            max_connections_per_peer=NEVER_REACHED,
            dial_timeout=DIAL_TIMEOUT_SECONDS,
            inbound_upgrade_timeout=UPGRADE_TIMEOUT_SECONDS,
            outbound_upgrade_timeout=UPGRADE_TIMEOUT_SECONDS,
            inbound_stream_protocol_negotiation_timeout=float(NEGOTIATION_TIMEOUT_SECONDS),
            outbound_stream_protocol_negotiation_timeout=float(NEGOTIATION_TIMEOUT_SECONDS),
            enable_health_monitoring=False,
        ),
    )
    swarm.limits, swarm.reserved, swarm.on_refused = limits, reserved, on_refused
    swarm.loop_time, swarm.containment = loop_time, transport.containment
    swarm.dial_socket = transport.open
    swarm._negative_peer_cache = _NegativePeerCache(ttl=0.0)
    return ChoosingHost(swarm)
