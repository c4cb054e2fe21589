"""A pair of bounded pipes in memory: the byte stream of networks that have no wire.

What is written is read when it has arrived, which is at once unless a subclass says when.
"""

from __future__ import annotations

import math
from typing import Final, TypeVar

import trio

PIPE_CHUNKS_MAX: Final = 64
"""Writes that wait in a pipe; beyond it the writer waits."""

End = TypeVar("End", bound="PipeEnd")


class PipeEnd:
    """One end; a `p2p.framing.ByteStream`. Of use once `connect` has given it its other end."""

    def __init__(self) -> None:
        self._sender, self._outgoing = trio.open_memory_channel[tuple[float, bytes]](PIPE_CHUNKS_MAX)
        self._receiver = self._outgoing
        self._unread = b""
        self._broken = False
        self._closed = False
        self._other: PipeEnd = self

    @staticmethod
    def connect(first: End, second: End) -> tuple[End, End]:
        """Make these the two ends of one conversation."""
        first._receiver, second._receiver = second._outgoing, first._outgoing
        first._other, second._other = second, first
        return first, second

    @property
    def is_over(self) -> bool:
        """Whether both sides have ended the conversation, or it is broken."""
        return self._broken or (self._closed and self._other._closed)

    async def read(self, size_bytes_max: int) -> bytes:
        """See `ByteStream.read`."""
        if not self._unread:
            try:
                arrival, self._unread = await self._receiver.receive()
            except trio.EndOfChannel:
                if self._broken:
                    raise trio.BrokenResourceError from None
                return b""
            if arrival > trio.current_time():
                await trio.sleep_until(arrival)
        chunk, self._unread = self._unread[:size_bytes_max], self._unread[size_bytes_max:]
        return chunk

    async def write(self, data: bytes) -> None:
        """See `ByteStream.write`."""
        arrival = self._arrival()
        if data:
            await self._sender.send((arrival, data))

    async def close(self) -> None:
        """See `ByteStream.close`."""
        self._closed = True
        self._sender.close()
        await trio.lowlevel.checkpoint()

    async def reset(self) -> None:
        """See `ByteStream.reset`."""
        self.break_now()
        await trio.lowlevel.checkpoint()

    def break_now(self) -> None:
        """Break both ends at once."""
        for end in (self, self._other):
            end._broken = True
            end._receiver.close()
            end._sender.close()

    def _arrival(self) -> float:
        """When what is written now can be read, in trio's seconds. A subclass may raise `trio.BrokenResourceError`."""
        return -math.inf
