"""Pacing: a publisher waits a little for peers that cannot keep up, and no more for those that did not in that time.

Theory of operation. A burst goes out faster than it is sent, and what waits for a peer is bounded; so the publisher
lets busy peers catch up before it adds to their queues. But a peer may be paused, or behind a link that has fallen
silent: whoever waited for it again and again would send a few messages a second to everybody, which is too slow for
consensus. So a peer that is still busy when the wait is over is not waited for until it has caught up.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Set
from typing import Final, Generic, TypeVar

import trio

WAIT_SECONDS: Final = 0.25
"""For all peers that are busy, together."""
POLL_SECONDS: Final = 0.005

K = TypeVar("K", bound=Hashable)


class Pacing(Generic[K]):
    """`busy` says who has too much waiting at this moment. For one publisher; lives on the event loop."""

    def __init__(self, busy: Callable[[], Set[K]]) -> None:
        self._busy = busy
        self._given_up: set[K] = set()

    async def wait(self) -> None:
        """Wait until nobody is busy but those that have been given up, or for `WAIT_SECONDS`."""
        self._given_up &= self._busy()
        with trio.move_on_after(WAIT_SECONDS):
            while self._busy() - self._given_up:
                await trio.sleep(POLL_SECONDS)
        self._given_up |= self._busy()
