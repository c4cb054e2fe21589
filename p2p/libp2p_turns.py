"""Locks that cost nothing while they are free, in place of py-libp2p's.

Theory of operation. trio's lock gives every other task a turn each time that it is taken, also where nobody holds it.
py-libp2p takes six on the way of each message, and each turn of the event loop costs more than what the lock guards: it
was two fifths of all turns that a validator's loop made. These locks are as fair to those who wait. That whoever takes
them has others come to their turn is left to those who read and write (`p2p.libp2p_yamux`, `p2p.libp2p_gossip`).
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, cast

import trio
from libp2p.network.connection import swarm_connection
from libp2p.network.stream.net_stream import NetStream


class Turn:
    """A lock. Who waits for it gets it in the order in which they came."""

    def __init__(self) -> None:
        self._is_held = False
        self._waiting = trio.lowlevel.ParkingLot()

    async def acquire(self) -> None:
        """Wait for it, if somebody holds it."""
        if self._is_held:
            await self._waiting.park()  # Whoever lets go of it hands it over, held.
        self._is_held = True

    def release(self) -> None:
        """Let go of it."""
        if self._waiting:
            self._waiting.unpark()
        else:
            self._is_held = False

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def as_lock(turn: Turn) -> trio.Lock:
    """For py-libp2p, which names trio's, and asks for no more than taking it and letting go of it."""
    return cast(trio.Lock, turn)


class LightNetStream(NetStream):
    """A stream of py-libp2p whose own lock is a `Turn`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._state_lock = as_lock(Turn())


def lighten_streams() -> None:
    """Have py-libp2p make its streams with light locks; it names their class in a module."""
    swarm_connection.NetStream = LightNetStream  # type: ignore[attr-defined]
