"""What waits for the driver of consensus, in one bounded queue.

Two bounds: events, and bytes of the batches inside them. What comes from peers never waits for a place: it is dropped
and counted when the queue is full, since peers say everything again. What must not be lost, a timer or a batch that
somebody waits to see applied, waits for its place.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TypeAlias

import trio

from consensus import inputs as event
from consensus.messages import Commit, Evidence, Message, ProofBatch
from step_node.batch.batch import Batch
from step_node.metrics import NodeMetrics
from step_node.storage.interface import RestoredState

EVENTS_MAX = 4_096
"""Events that wait for the driver; a message beyond that is dropped and counted: peers say it again."""

WAITING_BATCH_BYTES_MAX = 32 * 1024 * 1024
"""Batches inside the messages that wait: a validator may sign any number of proposals, of up to 1 MB each. A proposal
beyond that is dropped and counted."""

LATER_MESSAGES_MAX = 1_024
"""Messages kept until their height has come, or this node takes part; the oldest goes first."""

LATER_PROPOSALS_MAX = 8
"""How many of them may be proposals, of up to 1 MB each; a further one is dropped, and comes again."""


@dataclass(frozen=True, slots=True, eq=False)
class Decided:
    """A batch and its commit, already checked, from somebody who finalised it before."""

    batch: Batch
    commit: Commit
    done: trio.Event


@dataclass(frozen=True, slots=True, eq=False)
class Restored:
    """A verified snapshot, to go on from. What its pages raise goes into `failures`."""

    state: RestoredState
    done: trio.Event
    failures: list[OSError] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Repeat:
    """Time to send own messages again."""


@dataclass(frozen=True, slots=True)
class LookAround:
    """Time to see again whether this validator may take part."""


@dataclass(frozen=True, slots=True)
class TimerDue:
    """A timer's time is over. It says for which height it was set: by now that may be past."""

    height: int
    fired: event.TimerFired


Reminder: TypeAlias = event.WorkAvailable | Repeat | LookAround
Event: TypeAlias = event.MessageReceived | Reminder | Decided | Restored | TimerDue


class EventQueue:
    """See the module's docstring. One reader; lives on the event loop."""

    def __init__(self, metrics: NodeMetrics) -> None:
        self._metrics = metrics
        self._send, self._receive = trio.open_memory_channel[Event](EVENTS_MAX)
        self._batch_bytes = 0
        self._reminders: set[Reminder] = set()

    def __len__(self) -> int:
        return self._receive.statistics().current_buffer_used

    async def next(self) -> Event:
        """The event that has waited longest."""
        item = await self._receive.receive()
        if isinstance(item, event.MessageReceived):
            self._batch_bytes -= _batch_bytes(item)
        elif isinstance(item, event.WorkAvailable | Repeat | LookAround):
            self._reminders.discard(item)
        return item

    async def put(self, item: Decided | Restored | TimerDue) -> None:
        """Add what must not be lost, waiting for a place."""
        await self._send.send(item)

    def offer(self, item: event.MessageReceived) -> None:
        """Add a message, unless the queue is full. Never waits."""
        batch_bytes = _batch_bytes(item)
        if self._batch_bytes + batch_bytes > WAITING_BATCH_BYTES_MAX:
            self._metrics.consensus_event_dropped()
        elif self._offer(item):
            self._batch_bytes += batch_bytes

    def remind(self, item: Reminder) -> None:
        """Add a reminder, unless the same one waits already. Never waits.

        While the driver waits for a store, reminders would otherwise fill the queue, and no message would find a place.
        """
        if item not in self._reminders and self._offer(item):
            self._reminders.add(item)

    def _offer(self, item: Event) -> bool:
        try:
            self._send.send_nowait(item)
        except trio.WouldBlock:
            self._metrics.consensus_event_dropped()
            return False
        return True


def _batch_bytes(item: event.MessageReceived) -> int:
    return len(item.message.batch) if isinstance(item.message, ProofBatch) else 0


class LaterMessages:
    """Messages of peers whose time has not come: of the next height, which they may have begun already, or of the
    present one, while this node only follows. What is later still comes by sync."""

    def __init__(self) -> None:
        self._kept: deque[Message] = deque(maxlen=LATER_MESSAGES_MAX)
        self._commit: Commit | None = None
        """One of the latest height: what a quorum has signed finds a place whatever else is said."""

    def keep(self, message: Message) -> None:
        """Until `take`; peers repeat what finds no place."""
        if isinstance(message, Commit):
            if self._commit is None or self._commit.height < message.height:
                self._commit = message
            return
        proposals = sum(isinstance(kept, ProofBatch) for kept in self._kept)
        if not isinstance(message, ProofBatch) or proposals < LATER_PROPOSALS_MAX:
            self._kept.append(message)

    def take(self, height: int) -> tuple[Commit | None, list[Message]]:
        """Those of this height: a commit, if there is one, and the others in the order in which they came. Those of
        earlier heights are dropped."""
        taken = [message for message in self._kept if message_height(message) == height]
        commit = None
        if self._commit is not None and self._commit.height <= height:
            commit = self._commit if self._commit.height == height else None
            self._commit = None
        later = (message for message in self._kept if message_height(message) > height)
        self._kept = deque(later, maxlen=LATER_MESSAGES_MAX)
        return commit, taken


def message_height(message: Message) -> int:
    """The height that a message is about."""
    return message.first.height if isinstance(message, Evidence) else message.height
