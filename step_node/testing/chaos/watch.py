"""Watching a network from outside while things are done to it: the longest stall, and nodes that end by themselves."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress

import httpx
import trio

from step_node.testing.devnet.network import Devnet
from step_node.testing.devnet.node_client import NodeClient, Unavailable

POLL_SECONDS = 0.1
"""A stall is measured as exactly as this, and what a question takes."""


class StallClock:
    """The longest time without a new height while something waited. Pure: the caller says what time it is, seconds."""

    def __init__(self, now: float) -> None:
        self._height = 0
        self._since = now
        self._is_waiting = False
        self.longest_seconds = 0.0
        self.longest_at_height = 0
        """The height that was reached before the longest stall."""

    def note(self, now: float, *, height: int, waiting: bool) -> None:
        """The highest height of any node at this moment, and whether a proof waits."""
        if self._is_waiting and now - self._since > self.longest_seconds:
            self.longest_seconds = now - self._since
            self.longest_at_height = self._height
        if height > self._height or not self._is_waiting:
            # Waiting begins anew with every batch, and with the first proof after an idle time.
            self._since = now
        self._height = max(self._height, height)
        self._is_waiting = waiting


class Watch:
    """Asks every node for its height, over connections of its own, since the walkers may keep theirs busy."""

    def __init__(self, devnet: Devnet, *, waiting: Callable[[], bool], may_end: Collection[int]) -> None:
        self._devnet = devnet
        self._waiting = waiting
        self._may_end = may_end
        self._heights = [0] * len(devnet.nodes)
        self.stalls = StallClock(trio.current_time())
        self.deaths: dict[int, str] = {}
        """Nodes that ended though nobody asked them to, and how."""

    @property
    def height(self) -> int:
        """The highest height that any node has told."""
        return max(self._heights)

    async def run(self) -> None:
        """Watch until cancelled."""
        async with httpx.AsyncClient(trust_env=False) as http, trio.open_nursery() as nursery:
            for index, url in enumerate(self._devnet.urls):
                nursery.start_soon(self._follow, index, NodeClient(http, url))
            while True:
                self.stalls.note(trio.current_time(), height=self.height, waiting=self._waiting())
                for node in self._devnet.nodes:
                    if node.has_died and node.index not in self._may_end and node.index not in self.deaths:
                        self.deaths[node.index] = str(node.death())
                await trio.sleep(POLL_SECONDS)

    async def _follow(self, index: int, client: NodeClient) -> None:
        while True:
            with suppress(Unavailable):  # It is down, or stands still; the others are asked by tasks of their own.
                self._heights[index] = (await client.status()).height
            await trio.sleep(POLL_SECONDS)
