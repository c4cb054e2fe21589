"""Telling apart the processes that share one peer identity, and talking to a certain one of them.

Theory of operation. A peer id is a key, and a key can be copied: a home that was copied whole and started beside the
original is, to everybody, the same peer. But each process makes a Noise key of its own when it starts, and signs it
with its identity in every handshake. So the other end's Noise key names the *instance*, the one process; nobody
else can claim it, and it is another one after each restart.
"""

from __future__ import annotations

from collections.abc import Sequence

import trio
from libp2p.abc import IMuxedConn, INetConn, INetStream
from libp2p.crypto.keys import KeyType
from libp2p.custom_types import TProtocol
from libp2p.host.basic_host import BasicHost
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.peer.id import ID
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator
from libp2p.security.secure_session import SecureSession

from p2p.libp2p_yamux import BoundedYamux


def instance_of(connection: IMuxedConn) -> bytes:
    """The Noise key of the process at the other end, 32 bytes; empty if it is no connection of Noise and Yamux."""
    session = connection.session if isinstance(connection, BoundedYamux) else None
    if not isinstance(session, SecureSession):
        return b""
    # What py-libp2p calls the permanent key of the session is the Noise key; the identity's is not kept there.
    noise_key = session.get_remote_public_key()
    return noise_key.to_bytes() if noise_key.get_type() is KeyType.X25519 else b""


def open_connections(host: BasicHost, peer_id: ID) -> dict[bytes, INetConn]:
    """One open connection, the oldest, to each instance of a peer."""
    found: dict[bytes, INetConn] = {}
    for connection in host.get_network().get_connections(peer_id):
        if not connection.is_closed:
            found.setdefault(instance_of(connection.muxed_conn), connection)
    return found


async def open_stream_on(host: BasicHost, connection: INetConn, protocols: Sequence[TProtocol]) -> INetStream:
    """A stream on this connection and no other. Raises what py-libp2p raises."""
    if isinstance(connection, SwarmConn):
        await connection.event_started.wait()
    stream = await connection.new_stream()
    try:
        protocol = await host.multiselect_client.select_one_of(
            protocols, MultiselectCommunicator(stream), host.negotiate_timeout
        )
    except BaseException:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1.0):
            await stream.reset()
        raise
    stream.set_protocol(protocol)
    return stream
