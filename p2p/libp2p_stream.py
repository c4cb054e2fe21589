"""A py-libp2p stream as a `p2p.framing.ByteStream`: trio's errors in place of py-libp2p's."""

from __future__ import annotations

from typing import cast

import trio
from libp2p.abc import INetStream
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.network.stream.net_stream import NetStream
from libp2p.stream_muxer.yamux.yamux import Yamux, YamuxStream

from p2p.libp2p_faults import LIBP2P_ERRORS


class Libp2pByteStream:
    """The bytes of one Yamux stream."""

    def __init__(self, stream: INetStream) -> None:
        # The interface lacks the half-close that its only implementation has.
        self._stream = cast(NetStream, stream)
        self._has_closed = False

    async def read(self, size_bytes_max: int) -> bytes:
        """See `ByteStream.read`."""
        try:
            return bytes(await self._stream.read(size_bytes_max))
        except StreamEOF as error:
            if self._is_broken():
                raise trio.BrokenResourceError("the stream was reset, or its connection is gone") from error
            if self._has_closed:
                # Both sides have ended it. py-libp2p lets go of it in the other order only, and would keep each stream
                # that this node has opened for as long as the connection lasts.
                await self._stream.remove()
            return b""
        except LIBP2P_ERRORS as error:
            raise trio.BrokenResourceError(str(error)) from error

    def _is_broken(self) -> bool:
        """Whether an end is not a clean one: Yamux reports resets and lost connections as ends too."""
        muxed, connection = self._stream.muxed_stream, self._stream.muxed_conn
        return (
            connection.is_closed
            or (isinstance(connection, Yamux) and connection.event_shutting_down.is_set())
            or (isinstance(muxed, YamuxStream) and muxed.reset_received)
        )

    async def write(self, data: bytes) -> None:
        """See `ByteStream.write`."""
        try:
            await self._stream.write(data)
        except LIBP2P_ERRORS as error:
            raise trio.BrokenResourceError(str(error)) from error

    async def close(self) -> None:
        """See `ByteStream.close`."""
        try:
            await self._stream.close_write()
            self._has_closed = True
        except LIBP2P_ERRORS as error:
            raise trio.BrokenResourceError(str(error)) from error

    async def reset(self) -> None:
        """See `ByteStream.reset`."""
        try:
            await self._stream.reset()
        except LIBP2P_ERRORS as error:
            raise trio.BrokenResourceError(str(error)) from error
