"""What py-libp2p calls when connections and streams come and go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from libp2p.abc import INetConn, INetStream, INetwork, INotifee
from libp2p.peer.id import ID
from multiaddr import Multiaddr

from p2p.base import ServedProtocol


class ConnectionWatcher(INotifee):
    """Tells the network when a peer's connections change."""

    def __init__(self, refresh: Callable[[ID], None]) -> None:
        self._refresh = refresh

    async def connected(self, network: INetwork, conn: INetConn) -> None:
        """A connection has been made."""
        del network
        self._refresh(conn.muxed_conn.peer_id)

    async def disconnected(self, network: INetwork, conn: INetConn) -> None:
        """A connection has ended."""
        del network
        self._refresh(conn.muxed_conn.peer_id)

    async def opened_stream(self, network: INetwork, stream: INetStream) -> None:
        """Of no interest."""

    async def closed_stream(self, network: INetwork, stream: INetStream) -> None:
        """Of no interest."""

    async def listen(self, network: INetwork, multiaddr: Multiaddr) -> None:
        """Of no interest."""

    async def listen_close(self, network: INetwork, multiaddr: Multiaddr) -> None:
        """Of no interest."""


class StreamServer:
    """A py-libp2p stream handler, bound to its protocol."""

    def __init__(self, serve: Callable[[str, ServedProtocol, INetStream], Any], protocol: str, served: ServedProtocol):
        self._serve = serve
        self._protocol = protocol
        self._served = served

    async def __call__(self, stream: INetStream) -> None:
        await self._serve(self._protocol, self._served, stream)
