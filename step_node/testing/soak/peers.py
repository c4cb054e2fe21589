"""Peers that come and go: each visit is a new libp2p identity, as strangers' are.

One after the other greets, talks and leaves; connects and says nothing; begins a handshake and breaks the connection
off; opens streams and resets them.
"""

from __future__ import annotations

import secrets
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import trio

from consensus.wire import encode
from p2p.addresses import parse_peer_address
from p2p.errors import NetworkError
from p2p.libp2p_network import Libp2pNetwork, open_libp2p_network
from p2p.libp2p_settings import Libp2pSettings
from p2p.network import Stream
from step_node import __version__
from step_node.chain.genesis import Genesis
from step_node.network.protocols import (
    FETCH_BYTES_MAX,
    FETCH_PROTOCOL,
    HELLO_BYTES_MAX,
    HELLO_PROTOCOL,
    HELLO_STREAMS_MAX,
    SYNC_BYTES_MAX,
    SYNC_PROTOCOL,
    BatchesRequest,
    Hello,
    InventoryRequest,
    consensus_topic,
)

STAY_SECONDS: Final = 5.0
"""How long a peer that has talked goes on listening to gossip."""
IDLE_SECONDS: Final = 20.0
"""How long a peer that says nothing stays."""
RESETS: Final = 10
"""Streams that a visitor opens and resets; far fewer than a second's share."""
GOSSIP_BYTES_MAX: Final = 1_000_000

_BEGINNING: Final = b"\x13/multistream/1.0.0\n\x07/noise\n"
"""What opens a negotiation, and asks for Noise."""


async def greet_and_talk(address: str, genesis: Genesis) -> None:
    """Do as an honest node does that has come to look: greet, ask for batches and for what waits, listen, leave."""
    async with _connected(address, genesis) as network:
        peer_id = parse_peer_address(address).peer_id
        hello = encode(Hello(genesis.chain_id, genesis.hash, 0, __version__))
        for protocol, question, answer_bytes_max in (
            (HELLO_PROTOCOL, hello, HELLO_BYTES_MAX),
            (SYNC_PROTOCOL, encode(BatchesRequest(1, 8)), SYNC_BYTES_MAX),
            (FETCH_PROTOCOL, encode(InventoryRequest()), FETCH_BYTES_MAX),
        ):
            async with await network.open_stream(peer_id, protocol, message_bytes_max=answer_bytes_max) as stream:
                await stream.send_message(question)
                await stream.receive_message()
        await trio.sleep(STAY_SECONDS)


async def say_nothing(address: str, genesis: Genesis) -> None:
    """Connect, and leave after a while."""
    async with _connected(address, genesis):
        await trio.sleep(IDLE_SECONDS)


async def reset_streams(address: str, genesis: Genesis) -> None:
    """Open streams, and reset each in the middle of a question."""
    async with _connected(address, genesis) as network:
        peer_id = parse_peer_address(address).peer_id
        for _ in range(RESETS):
            # The node resets them too, when there are too many at once.
            with suppress(NetworkError):
                stream = await network.open_stream(peer_id, SYNC_PROTOCOL, message_bytes_max=SYNC_BYTES_MAX)
                await stream.send_message(encode(BatchesRequest(1, 8)))
                await stream.reset()


async def break_off(address: str, genesis: Genesis) -> None:
    """Begin a handshake, and reset the connection."""
    del genesis
    where = parse_peer_address(address)
    with suppress(OSError, trio.BrokenResourceError):
        async with await trio.open_tcp_stream(where.host, where.port) as stream:
            await stream.send_all(_BEGINNING)
            await stream.receive_some(1)
            # A close that waits for nothing is a reset.
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


VISITS: Final[tuple[Callable[[str, Genesis], Awaitable[None]], ...]] = (
    greet_and_talk,
    say_nothing,
    greet_and_talk,
    reset_streams,
    greet_and_talk,
    break_off,
)


@asynccontextmanager
async def _connected(address: str, genesis: Genesis) -> AsyncIterator[Libp2pNetwork]:
    """A peer with an identity of its own that is connected to this address. It answers greetings, and hears gossip."""

    async def answer(stream: Stream) -> None:
        await stream.send_message(encode(Hello(genesis.chain_id, genesis.hash, 0, __version__)))

    async with open_libp2p_network(Libp2pSettings(private_key=secrets.token_bytes(32))) as network:
        gossip = network.subscribe(
            consensus_topic(genesis.chain_id), message_bytes_max=GOSSIP_BYTES_MAX, buffer_messages=1
        )
        network.serve(HELLO_PROTOCOL, answer, message_bytes_max=HELLO_BYTES_MAX, streams_max_per_peer=HELLO_STREAMS_MAX)
        await network.start()
        with gossip:
            await network.connect(address)
            yield network


class VisitingPeers:
    """Begins a visit so often, at the nodes in turn.

    `made` and `failed` count, since a visit may fail on a busy machine; `last_failure` says why the last one did.
    """

    def __init__(self, addresses: Sequence[str], genesis: Genesis, *, per_minute: float) -> None:
        self._addresses = addresses
        self._genesis = genesis
        self._interval_seconds = 60 / per_minute
        self.made = 0
        self.failed = 0
        self.last_failure = ""

    async def run(self) -> None:
        """Until cancelled."""
        number = 0
        async with trio.open_nursery() as nursery:
            while True:
                visit = VISITS[number % len(VISITS)]
                # All kinds come to all nodes: neither number is a multiple of the other, or the turn moves on.
                turn = number + number // len(VISITS)
                nursery.start_soon(self._visit, visit, self._addresses[turn % len(self._addresses)])
                number += 1
                await trio.sleep(self._interval_seconds)

    async def _visit(self, visit: Callable[[str, Genesis], Awaitable[None]], address: str) -> None:
        self.made += 1
        try:
            await visit(address, self._genesis)
        except NetworkError as error:
            self.failed += 1
            self.last_failure = f"{visit.__name__}: {error}"
