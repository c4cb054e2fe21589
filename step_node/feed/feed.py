"""The feed of one node: what has happened, for whoever follows it.

Nothing here waits for a follower, and none has a queue. Of the chain the feed knows how far it is final, and keeps the
last few batches, so that who follows closely need not read the store; who is further behind reads it there. What only
this node can tell of is kept in a ring of the last events. Each follower has its own place in both, and looks when
there is news. So it costs consensus the same whether nobody follows or a thousand do.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Final

import trio
from blake3 import blake3

from step_node.chain.judging import JudgedBatch
from step_node.feed.events import AcceptedProof, EventKind, FeedEvent, ProofDrop, events_of, of_proof
from step_node.feed.history import read_events
from step_node.feed.position import LocalPosition
from step_node.offload import run_blocking
from step_node.proofs.proof import Refusal, SignedProof
from step_node.storage.interface import StorageReads

RECENT_BATCHES_MAX: Final = 8
"""Batches that are kept as they were finalised, while anybody follows; older ones are read from the store."""

LOCAL_EVENTS_MAX: Final = 4_096
"""Local events that are kept; the oldest goes first, and who has not seen it by then has missed it."""

SMALL_BATCH_PROOFS_MAX: Final = 16
"""Of so many proofs a batch is taken apart on the event loop; a larger one on a worker thread."""


class Feed:
    """See the module's docstring. To be used from the event loop.

    `name` and `began_ms` tell this run of this node from every other; `height` is the chain's at its beginning.
    """

    def __init__(self, *, name: str, began_ms: int, height: int) -> None:
        self.run: Final = blake3(f"{name} {began_ms}".encode()).hexdigest(length=4)
        self.height = height
        """The last final height that is told of."""
        self.joined_at = 0
        """Heights up to this one were skipped in this run: the node has joined from a snapshot of it. 0: none were."""
        self.local_count = 0
        """How many local events there have been in this run."""
        self.followers = 0
        self.is_stopping = False
        self._local: deque[FeedEvent] = deque(maxlen=LOCAL_EVENTS_MAX)
        self._recent: OrderedDict[int, JudgedBatch] = OrderedDict()
        self._news = trio.Event()

    @property
    def local_position(self) -> LocalPosition:
        """All local events so far."""
        return LocalPosition(self.run, self.local_count)

    async def wait_for_news(self) -> None:
        """Wait until something happens, or the feed stops."""
        if not self.is_stopping:
            await self._news.wait()

    # --- what happens -------------------------------------------------------------------------------------------------

    def finalised(self, judged: JudgedBatch) -> None:
        """A batch is in the store."""
        self.height = judged.batch.header.height
        if self.followers:
            self._recent[self.height] = judged
            if len(self._recent) > RECENT_BATCHES_MAX:
                self._recent.popitem(last=False)
        else:
            self._recent.clear()
        self._tell()

    def jumped(self, height: int) -> None:
        """The node has joined from a snapshot of `height`."""
        self.height = self.joined_at = height
        self._tell()

    def accepted(self, proofs: Sequence[SignedProof], now_ms: int) -> None:
        """Proofs wait here from now on."""
        for proof in proofs:
            self._add(of_proof(EventKind.PROOF_ACCEPTED, AcceptedProof(proof, now_ms)))
        self._tell()

    def dropped(self, drops: Sequence[tuple[SignedProof, Refusal]], now_ms: int) -> None:
        """Proofs wait no longer, and never will be final."""
        for proof, refusal in drops:
            self._add(of_proof(EventKind.PROOF_DROPPED, ProofDrop(proof, refusal, now_ms)))
        self._tell()

    def stop(self) -> None:
        """The node is about to stop: whoever follows shall end."""
        self.is_stopping = True
        self._tell()

    def _add(self, event: FeedEvent) -> None:
        self._local.append(event)
        self.local_count += 1

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()

    # --- what has happened --------------------------------------------------------------------------------------------

    @property
    def local_kept_from(self) -> int:
        """How many local events are kept no more: those after them are."""
        return self.local_count - len(self._local)

    def local_since(self, seen: int, limit: int) -> list[FeedEvent]:
        """Up to `limit` of the local events after the first `seen`, of which none may have been let go."""
        start = seen - self.local_kept_from
        if start < 0:
            raise ValueError(f"local events up to {self.local_kept_from} are kept no more; {seen} have been seen")
        end = min(start + limit, len(self._local))
        return [self._local[index] for index in range(start, end)]

    async def events_at(self, height: int, storage: StorageReads) -> tuple[FeedEvent, ...] | None:
        """The events of the batch at `height`; None if this node does not have it. Raises `StorageUnavailable`."""
        judged = self._recent.get(height)
        if judged is not None:
            done = judged.transition
            if len(done.receipts) <= SMALL_BATCH_PROOFS_MAX:
                return events_of(judged.batch, done.receipts, done.slashings, done.validator_changes)
            return await run_blocking(events_of, judged.batch, done.receipts, done.slashings, done.validator_changes)
        return await read_events(height, storage)
