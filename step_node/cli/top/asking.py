"""Asking nodes over their API, all at once, again and again.

A node is asked for its status, its consensus and its health each time, for its metrics (of which only finality and the
mempool are looked at), and for the batches that are new since the last time, whose commits tell who takes part.
Answers are bounded, and so is the time that they may take.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

import anyio
import httpx

from step_node.cli.certificates import distrust
from step_node.cli.output import plain
from step_node.cli.top.readings import (
    HEIGHTS_WATCHED_MAX,
    Consensus,
    Finality,
    Health,
    NetworkSeen,
    NodeReading,
    NodeSeen,
    Participation,
    Status,
    UnreadableReading,
    mempool_places,
    read_part,
    signers_of,
)
from step_node.client.errors import UnreadableAnswer
from step_node.client.events import EVENTS_PATH, SILENCE_SECONDS_MAX, Event, EventParser
from step_node.client.transport import FAILURES, Body, no_reply, parts_of

ANSWER_SECONDS_MAX: Final = 5.0
"""How long an answer may take; a node that takes longer counts as away until it answers again."""

BATCHES_AT_ONCE_MAX: Final = 25
"""Batches that are read of a node in one look; the others of the last heights are read in the next ones."""

WINDOW_SECONDS: Final = 60.0
"""Finality is that of the proofs of so long."""

_WINDOW_READINGS_MAX: Final = 120
"""Readings of the metrics that are kept; with more in a minute, the window is shorter."""

_MISSING: Final = 404
_REFUSAL_LETTERS_MAX: Final = 200
_SHOWN_KINDS: Final = "batch,validator,triangle_subdivided,triangle_exhausted,proof_dropped,operation_applied"
"""Of the feed: accepted and finalised proofs, which may be hundreds a second, are counted in `batch`."""


class NoAnswer(Exception):
    """A node does not answer, or not as one; the message says why."""


@dataclass(slots=True)
class _Watched:
    """What is kept of one node between two looks."""

    url: str
    reading: NodeReading | None = None
    away_since: float | None = None
    commits: dict[int, frozenset[str]] = field(default_factory=dict)
    """Height -> who has signed the commit that this node keeps, of the last heights."""
    finality: deque[tuple[float, Finality]] = field(default_factory=lambda: deque(maxlen=_WINDOW_READINGS_MAX))

    def in_window(self, now: float, finality: Finality) -> Finality:
        """Of the proofs of the last minute; of the whole life of the node at the first look."""
        while len(self.finality) > 1 and self.finality[1][0] <= now - WINDOW_SECONDS:
            self.finality.popleft()
        earlier = self.finality[0][1] if self.finality else Finality()
        self.finality.append((now, finality))
        return finality.since(earlier)


class Asker:
    """Looks at the nodes at `urls`. `http` asks, and `now` gives seconds that never go back."""

    def __init__(self, urls: Sequence[str], http: httpx.AsyncClient, now: Callable[[], float]) -> None:
        self._watched = [_Watched(url.rstrip("/")) for url in urls]
        self._http = http
        self._now = now
        self._participation = Participation()

    async def look(self, *, batches_max: int = BATCHES_AT_ONCE_MAX) -> NetworkSeen:
        """Ask all of them. A node that does not answer is shown as it was last seen, with the reason."""
        seen: dict[str, NodeSeen] = {}

        async def see(watched: _Watched) -> None:
            seen[watched.url] = await self._see(watched)

        async with anyio.create_task_group() as tasks:
            for watched in self._watched:
                tasks.start_soon(see, watched)
        nodes = tuple(seen[watched.url] for watched in self._watched)
        return NetworkSeen(nodes, await self._read_commits(nodes, batches_max))

    async def _see(self, watched: _Watched) -> NodeSeen:
        try:
            watched.reading = await self._ask(watched)
        except NoAnswer as error:
            now = self._now()
            watched.away_since = now if watched.away_since is None else watched.away_since
            return NodeSeen(watched.url, watched.reading, str(error), now - watched.away_since)
        watched.away_since = None
        return NodeSeen(watched.url, watched.reading)

    async def _ask(self, watched: _Watched) -> NodeReading:
        url = watched.url
        try:
            health = read_part(Health, await self._health(url))
            status = read_part(Status, await self._json(url, "/status"))
            consensus = read_part(Consensus, await self._json(url, "/consensus"))
            code, body = await self._get(url, "/metrics")
            metrics = body.decode(errors="replace")
            finality = None if code == _MISSING else watched.in_window(self._now(), Finality.of(metrics))
            return NodeReading(status, consensus, health, finality, mempool_places(metrics))
        except UnreadableReading as error:
            raise NoAnswer(f"what answers is no STEP node: {error}") from error

    async def _health(self, url: str) -> object:
        code, body = await self._get(url, "/health")
        answer = _parsed("/health", body)
        # A node that is down has a status of its own, and its reasons all the same. A refusal has words, such as that
        # it speaks TLS.
        if code == httpx.codes.BAD_REQUEST and isinstance(answer, dict):
            raise NoAnswer(f"/health: status {code}: {plain(answer.get('message'))[:_REFUSAL_LETTERS_MAX]}")
        return answer

    async def _read_commits(self, nodes: Sequence[NodeSeen], batches_max: int) -> Participation:
        """Whose votes stand in the last commits, of the chain of the node that is the furthest.

        A node keeps the first commit that it has, which may be no more than a quorum: a vote counts that any of the
        nodes has. Of each node so many are read at a time, the newest first; what is missing follows at the next look.
        """
        heads = {node.url: node.reading.status for node in nodes if node.reading is not None and not node.trouble}
        if not heads:
            return self._participation
        ahead = max(heads.values(), key=lambda status: status.height)
        heights = range(ahead.height, max(0, ahead.height - HEIGHTS_WATCHED_MAX), -1)
        found: dict[int, frozenset[str]] = {}
        async with anyio.create_task_group() as tasks:
            for watched in self._watched:
                # A chain that has begun anew at this address has nothing to do with the one before.
                watched.commits = {height: one for height, one in watched.commits.items() if height in heights}
                head = heads.get(watched.url)
                if head is not None and head.chain_id == ahead.chain_id:
                    missing = [one for one in heights if one <= head.height and one not in watched.commits]
                    tasks.start_soon(self._read_commits_of, watched, missing[:batches_max])
        for watched in self._watched:
            for height, signers in watched.commits.items():
                found[height] = found.get(height, frozenset()) | signers
        self._participation = Participation.of(list(found.values()))
        return self._participation

    async def _read_commits_of(self, watched: _Watched, heights: Sequence[int]) -> None:
        for height in heights:
            try:
                watched.commits[height] = signers_of(await self._json(watched.url, f"/batch/{height}"))
            except (NoAnswer, UnreadableReading):
                return

    async def _json(self, url: str, path: str) -> object:
        code, body = await self._get(url, path)
        if code != httpx.codes.OK:
            raise NoAnswer(f"{path}: status {code}")
        return _parsed(path, body)

    async def _get(self, url: str, path: str) -> tuple[int, bytes]:
        body = Body(ANSWER_SECONDS_MAX)
        try:
            async with self._http.stream("GET", url + path, timeout=ANSWER_SECONDS_MAX) as response:
                async with aclosing(parts_of(response)) as parts:
                    async for part in parts:
                        body.add(part)
                return response.status_code, body.reply(response).body
        except FAILURES as error:
            raise NoAnswer(distrust(error) or no_reply(error, ANSWER_SECONDS_MAX).reason) from error

    async def events(self, url: str) -> AsyncGenerator[Event, None]:
        """What happens at the node, until its feed ends. Raises NoAnswer."""
        parser = EventParser(url)
        timeout = httpx.Timeout(ANSWER_SECONDS_MAX, read=SILENCE_SECONDS_MAX)
        try:
            async with self._http.stream(
                "GET", url.rstrip("/") + EVENTS_PATH, params={"kinds": _SHOWN_KINDS}, timeout=timeout
            ) as response:
                if response.status_code != httpx.codes.OK:
                    raise NoAnswer(f"{EVENTS_PATH}: status {response.status_code}")
                async with aclosing(parts_of(response)) as parts:
                    async for part in parts:
                        for event in parser.feed(part):
                            yield event
        except FAILURES as error:
            raise NoAnswer(distrust(error) or no_reply(error, SILENCE_SECONDS_MAX).reason) from error
        except UnreadableAnswer as error:
            raise NoAnswer(str(error)) from error


def _parsed(path: str, body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NoAnswer(f"{path}: the answer is not JSON; is this a STEP node?") from error
