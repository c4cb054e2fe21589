"""Staying connected to peers, wherever they are.

Theory of operation. One task for each peer dials until the peer is connected, with a delay that doubles up to a cap,
and some jitter so that nodes restarted together do not dial in step; then it waits until the peer is gone, and begins
again. It goes on for as long as the peer is kept. Where a peer has several addresses, they are tried in turn. No more
than `DIALS_MAX` are tried at once.

That a peer cannot be reached is told once, and again when the reason changes: an operator needs to know of a wrong
address or peer id, and a log that says it every half minute says nothing any more. The first failure is kept quiet: two
peers that dial one another hang up on one of the two connections, and networks are started node by node.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import trio

from p2p.addresses import PeerAddress
from p2p.base import logger
from p2p.errors import PeerUnreachable
from p2p.network import PeerId, Scope

JITTER: Final = 0.25
"""Each delay is varied by up to this fraction."""
DIALS_MAX: Final = 16
"""Dials under way at once."""


async def stay_connected(
    dial: Callable[[], Awaitable[bool]],
    wait_until_lost: Callable[[], Awaitable[None]],
    *,
    delay_initial_seconds: float,
    delay_max_seconds: float,
) -> None:
    """Dial for ever. `dial` returns whether the peer is connected; `wait_until_lost` returns when it no longer is.

    A connection that is lost sooner than the next dial would have been due is no success: a peer that accepts and hangs
    up (it has no place, say) is dialled no more often than one that does not answer.
    """
    delay_seconds = delay_initial_seconds
    while True:
        if await dial():
            connected_at = trio.current_time()
            await wait_until_lost()
            if trio.current_time() - connected_at >= delay_seconds:
                delay_seconds = delay_initial_seconds
        await trio.sleep(delay_seconds * random.uniform(1 - JITTER, 1 + JITTER))
        delay_seconds = min(delay_seconds * 2, delay_max_seconds)


@dataclass(slots=True)
class _Kept:
    """A peer that is kept: where it is, the task that dials it, and what was last told of it."""

    addresses: Mapping[PeerAddress, Scope]
    task: trio.CancelScope = field(default_factory=trio.CancelScope)
    failed: str | None = None
    """Why the last dial has failed."""
    told: str | None = None
    """The reason that the log has."""
    dialling: bool = False
    dropped: bool = False

    def drop(self) -> None:
        """Keep it no longer. A dial under way comes to its end: the connection may stand already, and is to stay."""
        self.dropped = True
        if not self.dialling:
            self.task.cancel()


class Dialler:
    """Keeps peers connected, in tasks of `nursery`.

    `connect(address, narrowest)` returns when that peer is connected, and raises `PeerUnreachable` if it cannot be;
    `is_welcome` says whether a peer may be dialled at all now; `wait_until_lost` returns when it is not connected (any
    more).
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        *,
        connect: Callable[[PeerAddress, Scope], Awaitable[None]],
        is_welcome: Callable[[PeerId], bool],
        wait_until_lost: Callable[[PeerId], Awaitable[None]],
        delay_initial_seconds: float,
        delay_max_seconds: float,
    ) -> None:
        self._nursery = nursery
        self._connect = connect
        self._is_welcome = is_welcome
        self._wait_until_lost = wait_until_lost
        self._delay_initial_seconds = delay_initial_seconds
        self._delay_max_seconds = delay_max_seconds
        self._kept: dict[PeerId, _Kept] = {}
        self._places = trio.CapacityLimiter(DIALS_MAX)

    @property
    def kept(self) -> frozenset[PeerId]:
        """Whom it keeps."""
        return frozenset(self._kept)

    def keep(self, peers: Mapping[PeerId, Mapping[PeerAddress, Scope]]) -> None:
        """Keep these peers from now on, and no others; those that are connected stay so in any case.

        Each address comes with the narrowest scope that may be dialled for it.
        """
        for peer_id in self._kept.keys() - peers.keys():
            self._kept.pop(peer_id).drop()
        for peer_id, addresses in peers.items():
            kept = self._kept.get(peer_id)
            if kept is not None:
                kept.addresses = addresses
            else:
                kept = self._kept[peer_id] = _Kept(addresses)
                self._nursery.start_soon(self._stay_connected, peer_id, kept)

    async def _stay_connected(self, peer_id: PeerId, kept: _Kept) -> None:
        with kept.task:
            await stay_connected(
                lambda: self._dial(peer_id, kept),
                lambda: self._wait_until_lost(peer_id),
                delay_initial_seconds=self._delay_initial_seconds,
                delay_max_seconds=self._delay_max_seconds,
            )

    async def _dial(self, peer_id: PeerId, kept: _Kept) -> bool:
        if not self._is_welcome(peer_id):
            return False
        kept.dialling = True
        try:
            return await self._reach(peer_id, kept)
        finally:
            kept.dialling = False
            if kept.dropped:
                kept.task.cancel()

    async def _reach(self, peer_id: PeerId, kept: _Kept) -> bool:
        reason = ""
        for address, narrowest in kept.addresses.items():
            if kept.dropped:
                return False
            try:
                async with self._places:
                    await self._connect(address, narrowest)
            except PeerUnreachable as error:
                reason = f"{address}: {error.detail}"
            else:
                if kept.told is not None:
                    logger.info("peer %s is reached at %s", peer_id, address)
                kept.failed = kept.told = None
                return True
        if kept.failed is not None and reason != kept.told:
            logger.warning("peer %s cannot be reached, and is tried again and again: %s", peer_id, reason)
            kept.told = reason
        kept.failed = reason
        return False
