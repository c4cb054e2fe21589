"""Reading a node's chain over the sync protocol, by somebody who is no node: only to look through it.

Whoever reads believes nothing of what comes: it is for `step_node.economy.verifying` to say what it is worth.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import trio

from consensus.wire import WireError, decode, encode
from p2p.addresses import parse_peer_address
from p2p.errors import NetworkError, PeerFault, PeerUnreachable
from p2p.libp2p_network import open_libp2p_network
from p2p.libp2p_settings import Libp2pSettings
from p2p.network import Fault, Network, PeerId, Stream
from step_node.chain.genesis import Genesis
from step_node.economy.verifying.replay import BatchRejected
from step_node.errors import StepNodeError
from step_node.network.protocols import (
    HELLO_BYTES_MAX,
    HELLO_PROTOCOL,
    HELLO_STREAMS_MAX,
    SYNC_BYTES_MAX,
    SYNC_PROTOCOL,
    SYNC_STREAMS_MAX,
    BatchesRequest,
    FinalisedBatchMessage,
    Hello,
    asked,
)

ASKED_BATCHES: Final = 16
"""Batches that are asked for at once: full ones have 3 MB."""
PATIENCE_SECONDS: Final = 10.0
TRIES_MAX: Final = 4
"""How often the same is asked of a peer that does not give it."""
TRY_AGAIN_SECONDS: Final = 2.0


class PeerOutOfReach(StepNodeError):
    """No connection to the peer can be made; the message says to which addresses, and why."""


@asynccontextmanager
async def connected_reader(addresses: Sequence[str], genesis: Genesis) -> AsyncIterator[tuple[Network, str]]:
    """A network that is connected to the peer at the first of these addresses that answers, and that address.

    Raises `PeerOutOfReach`, and ValueError for what is no address.
    """

    hello = encode(Hello(genesis.chain_id, genesis.hash, 0))

    async def greet(stream: Stream) -> None:
        await stream.send_message(hello)

    async def give_nothing(stream: Stream) -> None:
        """Who asks for batches is answered like by any node that lacks them."""
        await stream.receive_message()

    async with open_libp2p_network(Libp2pSettings(private_key=secrets.token_bytes(32))) as network:
        network.serve(HELLO_PROTOCOL, greet, message_bytes_max=HELLO_BYTES_MAX, streams_max_per_peer=HELLO_STREAMS_MAX)
        network.serve(
            SYNC_PROTOCOL, give_nothing, message_bytes_max=SYNC_BYTES_MAX, streams_max_per_peer=SYNC_STREAMS_MAX
        )
        await network.start()
        reasons = []
        for address in addresses:
            try:
                await network.connect(address)
            except PeerUnreachable as error:
                reasons.append(f"{address}: {error.detail}")
                continue
            yield network, address
            return
        raise PeerOutOfReach(
            f"the node cannot be reached over libp2p, so its batches cannot be read: {'; '.join(reasons)}. Name another"
            " address of it with --peer /ip4/…/tcp/…/p2p/…"
        )


async def read_batches(network: Network, address: str, first: int, last: int) -> AsyncGenerator[tuple[bytes, bytes]]:
    """The batches from `first` to `last` with their commits, as the peer at this address gives them; a connection that
    is lost meanwhile is made again.

    Raises `BatchRejected` where it gives none, `NetworkError` where it cannot be asked.
    """
    at, tries, peer_id = first, 0, PeerId(parse_peer_address(address).peer_id)
    while at <= last:
        try:
            found = await _asked_for(network, peer_id, at, min(last, at + ASKED_BATCHES - 1))
        except PeerFault:
            raise
        except NetworkError:
            found = []
            if tries == TRIES_MAX:
                raise
            with suppress(NetworkError):
                await network.connect(address)
        for one in found:
            yield one
        at += len(found)
        tries = 0 if found else tries + 1
        if tries > TRIES_MAX:
            raise BatchRejected(
                at, "the node does not give it: it has it no more (earliestHeight in its /status), or not yet"
            )
        if tries:
            await trio.sleep(TRY_AGAIN_SECONDS)


async def _asked_for(network: Network, peer_id: PeerId, first: int, last: int) -> list[tuple[bytes, bytes]]:
    request = encode(BatchesRequest(first, last - first + 1))
    found: list[tuple[bytes, bytes]] = []
    async with asked(network, peer_id, SYNC_PROTOCOL, request, patience_seconds=PATIENCE_SECONDS) as (_, answer):
        while len(found) <= last - first and (data := await answer.receive()) is not None:
            try:
                message = decode(FinalisedBatchMessage, data, bytes_max=SYNC_BYTES_MAX)
            except WireError as error:
                raise PeerFault(peer_id, Fault.MALFORMED, str(error)) from error
            found.append((message.batch, encode(message.commit)))
    return found
