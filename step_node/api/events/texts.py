"""The events as text, made once for all who follow: of a batch when the first of them comes to it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import trio

from step_node.api.models.events import event_text
from step_node.feed.events import FeedEvent
from step_node.feed.feed import SMALL_BATCH_PROOFS_MAX, Feed
from step_node.feed.filters import EventFilter
from step_node.offload import run_blocking
from step_node.storage.interface import StorageReads

KEPT_EVENTS_MAX: Final = 16_384
"""Events of batches whose texts are kept, some 25 MB; beyond, those of the batch that was asked for the longest ago
go."""

LOCAL_TEXTS_MAX: Final = 1_024
"""Texts of local events that are kept; beyond, the one that was made first goes, and is made again if it is wanted."""

TURNS_MAX: Final = 8
"""Followers that look through events in one step of the event loop; the others wait for theirs, and so does nothing
else."""


@dataclass(frozen=True, slots=True)
class BatchTexts:
    """The events of one batch, and the text of each without its id."""

    events: tuple[FeedEvent, ...]
    texts: tuple[bytes, ...]
    by_account: dict[bytes, list[int]]
    """Where the events about each account are."""

    def wanted(self, wanted: EventFilter, seen: int) -> list[int]:
        """Which of the events after the first `seen` pass the filter."""
        if wanted.accounts:
            found = {index for account in wanted.accounts for index in self.by_account.get(account, ())}
            candidates: Iterable[int] = sorted(index for index in found if index >= seen)
        else:
            candidates = range(seen, len(self.events))
        return [index for index in candidates if wanted.passes(self.events[index])]


class EventTexts:
    """See the module's docstring. To be used from the event loop."""

    def __init__(self, feed: Feed, storage: StorageReads) -> None:
        self._feed = feed
        self._storage = storage
        self._batches: OrderedDict[int, BatchTexts] = OrderedDict()
        self._kept_events = 0
        self._local: OrderedDict[int, bytes] = OrderedDict()
        self._one_at_a_time = trio.Lock()
        self.turns = trio.Semaphore(TURNS_MAX)

    async def batch(self, height: int) -> BatchTexts | None:
        """The events at `height`; None if this node does not have that batch. Raises `StorageUnavailable`."""
        if height not in self._batches:
            async with self._one_at_a_time:
                if height not in self._batches:
                    return await self._make(height)
        self._batches.move_to_end(height)
        return self._batches[height]

    def local(self, number: int, event: FeedEvent) -> bytes:
        """The text of the local event with this number."""
        if number not in self._local:
            self._local[number] = event_text(event)
            if len(self._local) > LOCAL_TEXTS_MAX:
                self._local.popitem(last=False)
        return self._local[number]

    async def first_height(self) -> int:
        """The lowest height whose events this node can tell. Raises `StorageUnavailable`."""
        return await self._storage.first_height() or 1

    async def _make(self, height: int) -> BatchTexts | None:
        events = await self._feed.events_at(height, self._storage)
        if events is None:
            return None
        is_small = len(events) <= SMALL_BATCH_PROOFS_MAX
        made = _texts_of(events) if is_small else await run_blocking(_texts_of, events)
        self._batches[height] = made
        self._kept_events += len(events)
        while self._kept_events > KEPT_EVENTS_MAX and len(self._batches) > 1:
            _, dropped = self._batches.popitem(last=False)
            self._kept_events -= len(dropped.events)
        return made


def _texts_of(events: tuple[FeedEvent, ...]) -> BatchTexts:
    by_account: dict[bytes, list[int]] = {}
    for index, event in enumerate(events):
        for account in event.accounts:
            by_account.setdefault(account, []).append(index)
    return BatchTexts(events, tuple(map(event_text, events)), by_account)
