"""Greeting peers, and remembering how far each has come.

Whoever dials sends a hello first; both sides learn the other's height, and a stranger from another chain is sent away.
The same greeting is repeated now and then with a peer chosen by turns, so that a node that missed every announcement
still learns that the chain has moved on.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog
import trio

from consensus.wire import WireError, decode, encode
from p2p.errors import NetworkError, PeerFault
from p2p.network import Fault, Network, PeerId, Stream
from step_node.chain.chain import Chain
from step_node.network.protocols import HELLO_BYTES_MAX, HELLO_PROTOCOL, HELLO_STREAMS_MAX, Hello

GREETING_INTERVAL_MS = 2_000
"""How often one peer, by turns, is asked how far it has come."""

log = structlog.get_logger("peers")


class Peers:
    """The peers that have greeted this node. Construct before `network.start`."""

    def __init__(self, network: Network, chain: Chain, *, on_height: Callable[[PeerId, int], None]) -> None:
        self._network = network
        self._chain = chain
        self._on_height = on_height
        self._heights: dict[PeerId, int] = {}
        self._turn = 0
        network.serve(
            HELLO_PROTOCOL, self._answer, message_bytes_max=HELLO_BYTES_MAX, streams_max_per_peer=HELLO_STREAMS_MAX
        )

    def height(self, peer_id: PeerId) -> int | None:
        """The height that a connected peer last told; None before its hello."""
        return self._heights.get(peer_id)

    def ahead(self, height: int) -> list[PeerId]:
        """The connected peers that say they have finalised `height`."""
        return [peer_id for peer_id in self._network.peers() if self._heights.get(peer_id, -1) >= height]

    def distrust_height(self, peer_id: PeerId) -> None:
        """The peer did not deliver what it said it has; until its next hello it counts as no further than this node."""
        if peer_id in self._heights:
            self._heights[peer_id] = min(self._heights[peer_id], self._chain.head.chain.height)

    def note_height(self, peer_id: PeerId, height: int) -> None:
        """A peer has shown in another way that it has come this far."""
        if peer_id in self._heights and height > self._heights[peer_id]:
            self._heights[peer_id] = height
            self._on_height(peer_id, height)

    async def run(self) -> None:
        """Greet every peer that this node dials, and one peer by turns, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._greet_by_turns)
            async for event in self._network.peer_events():
                if not event.connected:
                    self._heights.pop(event.peer_id, None)
                elif event.outbound:
                    nursery.start_soon(self._greet, event.peer_id)

    async def _greet_by_turns(self) -> None:
        while True:
            await trio.sleep(GREETING_INTERVAL_MS / 1000)
            peers = self._network.peers()
            # A greeting may cross a disconnection; so that such heights do not add up, only the connected are kept.
            self._heights = {peer_id: self._heights[peer_id] for peer_id in peers if peer_id in self._heights}
            if peers:
                self._turn = (self._turn + 1) % len(peers)
                await self._greet(peers[self._turn])

    async def _greet(self, peer_id: PeerId) -> None:
        try:
            async with await self._network.open_stream(peer_id, HELLO_PROTOCOL) as stream:
                await stream.send_message(self._hello())
                await self._receive_hello(stream)
        except PeerFault as error:
            log.warning("a peer's greeting is refused", peer=peer_id, reason=error.detail)
            self._network.penalise(peer_id, error.fault)
        except NetworkError as error:
            log.debug("a peer could not be greeted", peer=peer_id, reason=str(error))

    async def _answer(self, stream: Stream) -> None:
        # Ours first: one who dials the wrong chain shall see in its own log why it is sent away.
        await stream.send_message(self._hello())
        await self._receive_hello(stream)

    def _hello(self) -> bytes:
        return encode(Hello(self._chain.chain_id, self._chain.genesis.hash, self._chain.head.chain.height))

    async def _receive_hello(self, stream: Stream) -> None:
        data = await stream.receive_message()
        if data is None:
            raise PeerFault(stream.peer_id, Fault.MALFORMED, "hello: is missing")
        try:
            hello = decode(Hello, data, bytes_max=HELLO_BYTES_MAX)
        except WireError as error:
            raise PeerFault(stream.peer_id, Fault.MALFORMED, str(error)) from error
        genesis = self._chain.genesis
        if (hello.chain_id, hello.genesis_hash) != (genesis.chain_id, genesis.hash):
            raise PeerFault(
                stream.peer_id,
                Fault.WRONG_CHAIN,
                f"hello: chain {hello.chain_id!r} with genesis 0x{hello.genesis_hash.hex()}, not"
                f" {genesis.chain_id!r} with 0x{genesis.hash.hex()}",
            )
        self._heights[stream.peer_id] = hello.height
        self._on_height(stream.peer_id, hello.height)
