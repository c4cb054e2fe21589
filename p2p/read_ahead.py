"""Reading much at once for who asks for little at a time.

A few bytes more cost nothing, but each time that a socket or a stream of py-libp2p is asked for some costs locks, turns
of the event loop, and on a stream a frame of Yamux that says that there is room again.

But a socket takes a buffer from the heap for all that it is asked for, and keeps of it what has come. What else is put
behind those few hundred bytes leaves a hole in which the next such buffer has no room. With 64 KiB each time a node's
heap grew for hours, by 400 KiB a minute at first, while no more of it was used. So much is asked for only where as much
may be waiting, and what has come is copied.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from libp2p.io.abc import Reader

READ_AHEAD_BYTES: Final = 64 * 1024
"""What is asked for at once where the last time gave much, and is held at most."""

READ_FIRST_BYTES: Final = 4 * 1024
"""What is asked for else, and from which on it was much. Votes, and batches of a few proofs, have less."""


class ReadAhead(Reader):
    """The bytes that `read` gives, which is asked for `READ_AHEAD_BYTES` at most whenever nothing is left."""

    def __init__(self, read: Callable[[int], Awaitable[bytes]]) -> None:
        self._read = read
        self._asked_bytes = READ_FIRST_BYTES
        self._data = b""
        self._position = 0

    async def read(self, n: int | None = None) -> bytes:
        """The next 1 to `n` bytes, or none at the end. Raises what `read` raises."""
        if n == 0:
            return b""
        if self._position == len(self._data):
            # By way of a view: `bytes` of bytes are the same ones, at the beginning of their large buffer.
            self._data, self._position = bytes(memoryview(await self._read(self._asked_bytes))), 0
            self._asked_bytes = READ_AHEAD_BYTES if len(self._data) >= READ_FIRST_BYTES else READ_FIRST_BYTES
        end = len(self._data) if n is None else min(self._position + n, len(self._data))
        data = self._data[self._position : end]
        self._position = end
        return data
