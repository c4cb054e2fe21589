"""The events of any batch that the store has, made again: bit for bit those that were told when it became final."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from step_node.batch.batch import decode_batch
from step_node.feed.events import FeedEvent, events_of
from step_node.offload import run_blocking
from step_node.storage.interface import PAGE_MAX, Place, StorageReads


class _Placed(Protocol):
    @property
    def height(self) -> int: ...

    @property
    def index(self) -> int: ...


PlacedT = TypeVar("PlacedT", bound=_Placed)


async def read_events(height: int, storage: StorageReads) -> tuple[FeedEvent, ...] | None:
    """The events of the batch at `height`; None if the store does not have it. Raises `StorageUnavailable`."""
    stored = await storage.batches(height, 1)
    if not stored:
        return None
    batch = await run_blocking(decode_batch, stored[0].batch)
    slashings = await _all_at(height, lambda after: storage.slashings(limit=PAGE_MAX, after=after))
    changes = await _all_at(height, lambda after: storage.validator_changes(limit=PAGE_MAX, after=after))
    receipts = await storage.receipts([proof.proof_id for proof in batch.proofs]) if batch.proofs else ()
    if len(receipts) < len(batch.proofs):
        return None  # Pruned, since the batch was read.
    in_order = sorted(receipts, key=lambda receipt: receipt.index)
    return await run_blocking(events_of, batch, in_order, slashings, changes)


async def _all_at(height: int, read: Callable[[Place], Awaitable[Sequence[PlacedT]]]) -> list[PlacedT]:
    """The entries of one height of a history that is read page by page."""
    found: list[PlacedT] = []
    after: Place = (height, -1)
    while True:
        page = await read(after)
        found += [entry for entry in page if entry.height == height]
        if len(page) < PAGE_MAX or page[-1].height > height:
            return found
        after = (height, page[-1].index)
