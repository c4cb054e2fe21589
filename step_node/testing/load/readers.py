"""Apps that look: an open-loop load of questions, the kinds that a map, a wallet and an explorer ask.

As many questions a second as are asked for, whatever the answers take: each is counted from when it was due, so that a
node that stands still for a second is seen to. Every node has connections of its own.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import trio

from step_node.testing.load.connection import Connection, Endpoint, NoAnswer
from step_node.testing.load.provers import Provers
from step_node.testing.load.report import percentiles_ms

CONNECTIONS: Final = 16
"""To each node; a node gives one address 128."""
NEARBY_M: Final = 2_000
"""How far around it a map of a place looks: level 10 has sides of some 14 km."""
BOX_DEGREES: Final = 0.2
"""The sides of the part of the map that is searched."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What there is to ask for: the first `count` of `provers` are in the ledger."""

    provers: Provers
    count: int


def _triangle_at(chance: random.Random, there: Surroundings) -> str:
    lat, lon = there.provers.place(chance.randrange(there.count))
    return f"/mesh/triangleAt?lat={lat:.7f}&lon={lon:.7f}&level=active"


def _nearby(chance: random.Random, there: Surroundings) -> str:
    lat, lon = there.provers.place(chance.randrange(there.count))
    return f"/mesh/nearby?lat={lat:.7f}&lon={lon:.7f}&radius_m={NEARBY_M}&level=active"


def _search(chance: random.Random, there: Surroundings) -> str:
    west, south = chance.uniform(-170, 170), chance.uniform(-80, 80)
    box = f"{west:.4f},{south:.4f},{west + BOX_DEGREES:.4f},{south + BOX_DEGREES:.4f}"
    return f"/mesh/search?bbox={box}&level={there.provers.level}&includePolygon=true"


def _account(chance: random.Random, there: Surroundings) -> str:
    return f"/account/0x{there.provers.address(chance.randrange(there.count)).hex()}"


def _account_proofs(chance: random.Random, there: Surroundings) -> str:
    return f"{_account(chance, there)}/proofs"


def _triangle(chance: random.Random, there: Surroundings) -> str:
    return f"/triangle/{there.provers.triangle(chance.randrange(there.count)).text}"


def _batch(_chance: random.Random, _there: Surroundings) -> str:
    # Not by heights: a chain that was made to have grown begins with a batch that nobody can decode.
    return "/batch/latest"


def _batches(_chance: random.Random, _there: Surroundings) -> str:
    return "/batches?limit=20"


def _leaderboard(_chance: random.Random, _there: Surroundings) -> str:
    return "/leaderboard"


KINDS: Final[Mapping[Callable[[random.Random, Surroundings], str], int]] = {
    _triangle_at: 30,
    _account: 20,
    _nearby: 15,
    _triangle: 10,
    _account_proofs: 10,
    _search: 5,
    _batches: 4,
    _leaderboard: 4,
    _batch: 2,
}
"""Of a hundred questions, how many are of each kind."""


def questions(seed: int, there: Surroundings) -> Iterator[str]:
    """Paths with their queries, without end; the same for the same seed. Pure."""
    chance = random.Random(seed)
    kinds, weights = list(KINDS), list(KINDS.values())
    while True:
        (kind,) = chance.choices(kinds, weights)
        yield kind(chance, there)


@dataclass(slots=True)
class ReadReport:
    """`seconds` are of answered questions, from when they were due; `kinds` the same by the beginning of their path."""

    asked: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    unanswered: int = 0
    seconds: list[float] = field(default_factory=list)
    kinds: dict[str, list[float]] = field(default_factory=dict)

    @property
    def latency_ms(self) -> dict[str, float | None]:
        """Percentiles of all."""
        return percentiles_ms(self.seconds)

    @property
    def failed(self) -> int:
        """Questions that were not answered with 200."""
        return self.unanswered + sum(count for status, count in self.statuses.items() if status != 200)


class Readers:
    """One load of questions, to be run once."""

    def __init__(self, urls: Sequence[str], rate: float, seconds: float, asks: Iterator[str]) -> None:
        self._endpoints = [Endpoint.of(url) for url in urls]
        self._rate = rate
        self._seconds = seconds
        self._asks = asks
        self._report = ReadReport()
        self._began_at = 0.0

    async def run(self) -> ReadReport:
        """Ask, at the nodes in turn, and wait for the last answer."""
        total = int(self._rate * self._seconds)
        self._began_at = trio.current_time()
        async with trio.open_nursery() as nursery:
            lanes = []
            for endpoint in self._endpoints:
                # As large as everything: what is due must not wait for what was due before it.
                send, receive = trio.open_memory_channel[tuple[float, str]](total)
                lanes.append(send)
                for _ in range(CONNECTIONS):
                    nursery.start_soon(self._work, endpoint, receive.clone())
                receive.close()
            for number in range(total):
                due_seconds = number / self._rate
                await trio.sleep_until(self._began_at + due_seconds)
                lanes[number % len(lanes)].send_nowait((due_seconds, next(self._asks)))
            for lane in lanes:
                lane.close()
        return self._report

    async def _work(self, endpoint: Endpoint, asks: trio.MemoryReceiveChannel[tuple[float, str]]) -> None:
        connection = Connection(endpoint)
        async with asks:
            async for due_seconds, path in asks:
                self._report.asked += 1
                try:
                    answer = await connection.request("GET", path)
                except NoAnswer:
                    self._report.unanswered += 1
                    continue
                seconds = trio.current_time() - self._began_at - due_seconds
                self._report.statuses[answer.status] += 1
                self._report.seconds.append(seconds)
                self._report.kinds.setdefault(_kind_of(path), []).append(seconds)
        with trio.CancelScope(shield=True):
            await connection.close()


def _kind_of(path: str) -> str:
    """`/mesh/nearby`, `/account`, `/account/proofs`: the path without what differs from question to question."""
    parts = path.partition("?")[0].split("/")[1:]
    return "/" + "/".join(part for part in parts if part.isalpha())
