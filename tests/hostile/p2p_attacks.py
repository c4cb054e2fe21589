"""Attacks on the P2P port, by raw sockets where a handshake is not needed, else by py-libp2p without its manners."""

from __future__ import annotations

import secrets
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count, cycle
from typing import Final

import trio
from libp2p.abc import IRawConnection
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.secp256k1 import create_new_key_pair
from libp2p.custom_types import TProtocol
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.validators import PUBSUB_SIGNING_PREFIX
from libp2p.utils.varint import encode_uvarint, encode_varint_prefixed

from consensus.messages import Commit, CommitSignature, encode_message
from p2p.errors import NetworkError
from p2p.libp2p_faults import LIBP2P_ERRORS
from p2p.libp2p_gossip import RPC_BYTES_MAX
from p2p.libp2p_host import ChoosingHost, ExclusiveTcp, WatchedStream, build_host
from p2p.libp2p_yamux import BoundedYamux
from p2p.places import Limits
from p2p.yamux_frames import FLAG_SYN, HEADER, TYPE_DATA
from step_node.network.protocols import HELLO_PROTOCOL, consensus_topic
from step_node.testing.devnet.network import CHAIN_ID
from tests.hostile.http_attacks import OWN, addresses, connect, for_ever, talk
from tests.hostile.siege import Attack, Target

HELLO: Final = b"\x13/multistream/1.0.0\n\x07/noise\n"
ONE_BYTE_NOISE: Final = HELLO + struct.pack(">H", 1) + b"\0"
"""31 bytes: negotiation, and a Noise message of one byte."""
TYPE_WINDOW_UPDATE: Final = 1
TYPE_PING: Final = 2
FLAG_RST: Final = 8
SIGNATURES: Final = 100
FRAMES_AT_ONCE: Final = 500
CUT_OFF: Final[tuple[type[Exception], ...]] = (*LIBP2P_ERRORS, NetworkError)
"""What comes of an attack that is refused."""


@dataclass(frozen=True, slots=True)
class Where:
    """A node under attack."""

    port: int
    peer_id: str


async def one_byte_noise(target: Target) -> None:
    """A Noise message of one byte, ten times a second."""
    async with trio.open_nursery() as nursery:
        for port in cycle(target.p2p_ports):
            nursery.start_soon(talk, port, OWN, ONE_BYTE_NOISE)
            await trio.sleep(0.1)


async def unfinished_handshakes(target: Target) -> None:
    """Connections of fifty addresses that begin a handshake and say no more, opened again when they are closed."""
    await _in_many_places(target, addresses(50) * 4, lambda where, source: talk(where.port, source, HELLO))


async def promised_lines(target: Target) -> None:
    """Lines of a negotiation that promise 2**50 bytes, as fast as they are refused."""
    await _in_many_places(target, [OWN] * 16, lambda where, source: talk(where.port, source, encode_uvarint(2**50)))


async def connecting_and_hanging_up_on_p2p(target: Target) -> None:
    """Connections that are closed as soon as they stand, from sixteen addresses."""
    await _in_many_places(target, addresses(16), _hang_up)


async def _hang_up(where: Where, source: str) -> None:
    await (await connect(where.port, source)).aclose()


async def idle_identities(target: Target) -> None:
    """New identities of thirty addresses, each of which stays a while and says nothing."""
    await _in_many_places(target, addresses(30), _stay)


async def _stay(where: Where, source: str) -> None:
    async with _identity(where, source):
        await trio.sleep(5)


async def streams_opened_and_reset(target: Target) -> None:
    """Yamux streams that are opened and reset in one frame, as fast as the node reads."""
    await _in_many_places(target, [OWN] * 4, partial(_frames, TYPE_WINDOW_UPDATE, FLAG_SYN | FLAG_RST))


async def yamux_pings(target: Target) -> None:
    """Pings, as fast as the node reads."""
    await _in_many_places(target, [OWN] * 4, partial(_frames, TYPE_PING, FLAG_SYN))


async def tiny_frames(target: Target) -> None:
    """Frames of one byte for streams that are not there, as fast as the node reads."""
    await _in_many_places(target, [OWN] * 4, partial(_frames, TYPE_DATA, 0))


async def _frames(kind: int, flags: int, where: Where, source: str) -> None:
    async with _identity(where, source) as (_host, muxed):
        for begin in count(1_001, 2 * FRAMES_AT_ONCE):
            frames = bytearray()
            for number in range(begin, begin + 2 * FRAMES_AT_ONCE, 2):
                length = int(kind == TYPE_DATA)
                frames += HEADER.pack(0, kind, flags, 0 if kind == TYPE_PING else number, length) + b"x" * length
            await muxed.session.write(bytes(frames))


async def replayed_far_commits(target: Target) -> None:
    """A commit of a height far ahead with a hundred made-up signatures, signed anew for each copy that is gossiped."""
    commit = encode_message(
        Commit(
            10**6,
            0,
            secrets.token_bytes(32),
            tuple(CommitSignature(secrets.token_bytes(20), secrets.token_bytes(65)) for _ in range(SIGNATURES)),
        )
    )
    await _in_many_places(target, [OWN] * 4, partial(_gossip, commit))


async def _gossip(data: bytes, where: Where, source: str) -> None:
    key_pair = create_new_key_pair(secrets.token_bytes(32))
    async with _identity(where, source, key_pair) as (host, muxed):
        stream = await host.new_stream(muxed.peer_id, [PROTOCOL_ID_V11])
        for number in count(1):
            message = rpc_pb2.Message(
                data=data,
                topicIDs=[consensus_topic(CHAIN_ID)],
                from_id=ID.from_pubkey(key_pair.public_key).to_bytes(),
                seqno=number.to_bytes(8, "big"),
            )
            message.signature = key_pair.private_key.sign(PUBSUB_SIGNING_PREFIX.encode() + message.SerializeToString())
            message.key = key_pair.public_key.serialize()
            await stream.write(encode_varint_prefixed(rpc_pb2.RPC(publish=[message]).SerializeToString()))


async def oversized_and_slow_messages(target: Target) -> None:
    """Streams on which a message begins that is too long, or that never ends; and RPCs of gossip that do."""
    await _in_many_places(target, [OWN] * 4, _begin_messages)


async def _begin_messages(where: Where, source: str) -> None:
    async with _identity(where, source) as (host, muxed):
        for protocol, beginning in (
            (HELLO_PROTOCOL, struct.pack(">I", 2**31)),
            (HELLO_PROTOCOL, struct.pack(">I", 1_000) + b"x"),
            (PROTOCOL_ID_V11, encode_uvarint(RPC_BYTES_MAX + 1)),
            (PROTOCOL_ID_V11, encode_uvarint(RPC_BYTES_MAX) + b"x"),
        ):
            stream = await host.new_stream(muxed.peer_id, [TProtocol(protocol)])
            await stream.write(beginning)
        await trio.sleep(2)


@asynccontextmanager
async def _identity(
    where: Where, source: str, key_pair: KeyPair | None = None
) -> AsyncIterator[tuple[ChoosingHost, BoundedYamux]]:
    """A new peer that is connected to a node, from `source`. Raises `PeerUnreachable`."""

    async def dial_socket(_host: str, port: int) -> IRawConnection:
        return RawConnection(WatchedStream(await connect(port, source)), True)

    async with trio.open_nursery() as nursery:
        transport = ExclusiveTcp({}, nursery)
        host = build_host(
            create_new_key_pair(secrets.token_bytes(32)) if key_pair is None else key_pair,
            transport,
            limits=Limits(connections_max=8, strangers_per_address_max=8),
            reserved=frozenset,
            on_refused=lambda: None,
            on_fault=lambda _peer, _fault: None,
        )
        host.swarm.dial_socket = dial_socket
        peer_id = ID.from_string(where.peer_id)
        async with host.run([]):
            await host.swarm.connect(peer_id, "127.0.0.1", where.port)
            muxed = host.get_network().get_connections(peer_id)[0].muxed_conn
            if not isinstance(muxed, BoundedYamux):
                raise TypeError(f"a connection of {type(muxed).__name__}")
            muxed.secured_conn = muxed.session  # It takes any number of answers.
            yield host, muxed
            await host.close()
        nursery.cancel_scope.cancel()


async def _in_many_places(target: Target, sources: Sequence[str], act: Callable[[Where, str], Awaitable[None]]) -> None:
    """`act(where, source)` for ever, one task for each source at each node, whatever becomes of its connections."""

    async def once(where: Where, source: str) -> None:
        try:
            await act(where, source)
        except CUT_OFF:
            return

    async with trio.open_nursery() as nursery:
        for where in map(Where, target.p2p_ports, target.peer_ids):
            for source in sources:
                nursery.start_soon(for_ever, partial(once, where, source))


ATTACKS: Final[tuple[Attack, ...]] = (
    one_byte_noise,
    unfinished_handshakes,
    promised_lines,
    connecting_and_hanging_up_on_p2p,
    idle_identities,
    streams_opened_and_reset,
    yamux_pings,
    tiny_frames,
    replayed_far_commits,
    oversized_and_slow_messages,
)
