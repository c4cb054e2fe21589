"""Reading much at once for who asks for little at a time.

A few bytes more cost nothing, but each time that a socket or a stream of py-libp2p is asked for some costs locks, turns
of the event loop, and on a stream a frame of Yamux that says that there is room again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from libp2p.io.abc import Reader

READ_AHEAD_BYTES: Final = 64 * 1024
"""What is asked for at once, and is held at most."""


class ReadAhead(Reader):
    """The bytes that `read` gives, which is asked for `READ_AHEAD_BYTES` whenever nothing is left."""

    def __init__(self, read: Callable[[int], Awaitable[bytes]]) -> None:
        self._read = read
        self._data = b""
        self._position = 0

    async def read(self, n: int | None = None) -> bytes:
        """The next 1 to `n` bytes, or none at the end. Raises what `read` raises."""
        if n == 0:
            return b""
        if self._position == len(self._data):
            self._data, self._position = bytes(await self._read(READ_AHEAD_BYTES)), 0
        end = len(self._data) if n is None else min(self._position + n, len(self._data))
        data = self._data[self._position : end]
        self._position = end
        return data
