"""One client's way through the feed: where it is, and what comes next for it.

Local events come first, so that a proof is accepted before it is final. What cannot be told any more is said in an
event `gap`; who falls behind while it follows is let go with a reason (`TooSlow`), and can go on from its last id.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from step_node.api.events.texts import EventTexts
from step_node.feed.feed import Feed
from step_node.feed.filters import EventFilter
from step_node.feed.position import LocalPosition, Position

RESUMED_BATCHES_MAX: Final = 3_600
"""How many batches back a client may begin; from further back it is told of a gap, and begins there. So far ahead of
this node it may be, too: a node that has fallen further behind is not the one to follow."""

BEHIND_BATCHES_MAX: Final = 64
"""How many batches a client may fall behind while it follows; then it is let go, as too slow."""

TURN_BYTES_MAX: Final = 64 * 1024
"""Text that a client is given at once, before others have their turn; one event may be more."""

TURN_LOCAL_EVENTS_MAX: Final = 512
"""Local events that are looked at in one turn."""

EVENT_COST_MS: Final = 0.0005
"""What it costs to ask whether an event is wanted."""

KIB_COST_MS: Final = 0.005
"""What a KiB of text costs, to be put together and sent."""

BATCH_COST_MS: Final = 0.1
"""What a batch costs, whatever is in it: it may have to be read."""


class TooSlow(Exception):
    """The client does not keep up."""


class FarAhead(Exception):
    """The client has come from a node that is far ahead of this one."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What a client is sent next, and what that has cost. `text` is empty where nothing was wanted."""

    text: bytes
    cost_ms: float


class Follower:
    """See the module's docstring. Begins at `since`; without one, with what happens from now on."""

    def __init__(self, feed: Feed, texts: EventTexts, wanted: EventFilter, since: Position | None) -> None:
        self._feed = feed
        self._texts = texts
        self._wanted = wanted
        at = since if since is not None and wanted.wants_final else Position(feed.height + 1)
        self._height, self._index = at.height, at.index
        self._behind_max = BEHIND_BATCHES_MAX + max(0, feed.height - self._height)
        self._local: LocalPosition | None = None
        self._lost: list[bytes] = []
        """Gaps of which the client is to be told."""
        if wanted.wants_local:
            self._local = feed.local_position
            if since is not None and since.local is not None:
                self._resume_local(since.local)

    @property
    def position(self) -> Position:
        """All events up to here have been considered."""
        return Position(self._height, self._index, self._local)

    def has_news(self) -> bool:
        """Whether there is anything to look at."""
        if self._lost or (self._local is not None and self._local.seen < self._feed.local_count):
            return True
        return self._height <= self._feed.height

    async def begin(self) -> None:
        """Find out what of the batches is out of reach. Raises `FarAhead` and `StorageUnavailable`."""
        if self._height > self._feed.height + RESUMED_BATCHES_MAX:
            raise FarAhead
        if self._height > self._feed.height:
            return
        first = max(await self._texts.first_height(), self._feed.height - RESUMED_BATCHES_MAX + 1)
        if self._height < first:
            self._skip_to(first, f"this node tells of batches from height {first} on")

    async def take(self) -> Turn:
        """What comes next. Raises `TooSlow` and `StorageUnavailable`."""
        pieces = self._lost
        self._lost = []
        cost_ms = self._take_local(pieces)
        size = sum(map(len, pieces))
        if not self._wanted.wants_final:
            self._height, self._index = self._feed.height + 1, 0
        elif size < TURN_BYTES_MAX and self._height <= self._feed.height:
            cost_ms += await self._take_batch(pieces, size)
        text = b"".join(pieces)
        return Turn(text, cost_ms + len(text) / 1024 * KIB_COST_MS)

    def control_text(self, event: str, **data: object) -> bytes:
        """An event that is about the stream itself, with the present position."""
        return f"id: {self.position}\nevent: {event}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()

    def _resume_local(self, since: LocalPosition) -> None:
        now = self._feed.local_position
        if since.run != now.run:
            reason = "another node, or an earlier run of this one, has given the id; what waits now is not told again"
        elif self._feed.local_kept_from <= since.seen:
            self._local = min(since, now, key=lambda position: position.seen)
            return
        else:
            self._local = LocalPosition(now.run, self._feed.local_kept_from)
            reason = "so many proofs have been accepted since that the first of them are not kept any more"
        message = f"proof_accepted, proof_dropped: some are missing: {reason}; ask for the status of your own proofs"
        self._lost.append(self.control_text("gap", missing="local", message=message))

    def _skip_to(self, height: int, reason: str) -> None:
        missing_from = self._height
        self._height, self._index = height, 0
        self._lost.append(
            self.control_text(
                "gap",
                missing="final",
                fromHeight=missing_from,
                toHeight=height - 1,
                message=f"heights {missing_from} to {height - 1} are missing: {reason}; read what you need of them"
                " from the lists of the API (`after`), here or at another node",
            )
        )

    def _take_local(self, pieces: list[bytes]) -> float:
        if self._local is None:
            return 0.0
        if self._local.seen < self._feed.local_kept_from:
            raise TooSlow
        events = self._feed.local_since(self._local.seen, TURN_LOCAL_EVENTS_MAX)
        number = self._local.seen
        for event in events:
            number += 1
            if self._wanted.passes(event):
                position = Position(self._height, self._index, LocalPosition(self._local.run, number))
                pieces += (f"id: {position}\n".encode(), self._texts.local(number, event))
        self._local = LocalPosition(self._local.run, number)
        return len(events) * EVENT_COST_MS

    async def _take_batch(self, pieces: list[bytes], size: int) -> float:
        """Some of the events of the present height, all if they are few."""
        if self._height <= self._feed.joined_at:
            height = self._feed.joined_at
            self._skip_to(height + 1, f"this node has joined the chain from a snapshot of height {height}")
            pieces += self._lost
            self._lost = []
            return 0.0
        if self._feed.height - self._height > self._behind_max:
            raise TooSlow
        batch = await self._texts.batch(self._height)
        if batch is None:
            first = max(await self._texts.first_height(), self._height + 1)
            self._skip_to(first, f"this node tells of batches from height {first} on")
            return BATCH_COST_MS
        looked_at = len(batch.events) - self._index
        suffix = "" if self._local is None else f"-{self._local.run}.{self._local.seen}"
        for index in batch.wanted(self._wanted, self._index):
            if size >= TURN_BYTES_MAX:
                self._index = index
                return BATCH_COST_MS + looked_at * EVENT_COST_MS
            pieces += (f"id: {self._height}.{index + 1}{suffix}\n".encode(), batch.texts[index])
            size += len(batch.texts[index])
        self._height, self._index = self._height + 1, 0
        return BATCH_COST_MS + looked_at * EVENT_COST_MS
