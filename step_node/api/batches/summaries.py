"""Summaries of batches, which never change: made when they are first asked for, and kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import trio

from step_node.api.server.bill import Charge
from step_node.batch.summary import BatchSummary, stored_summary
from step_node.offload import run_blocking
from step_node.storage.interface import StorageReads, StoredBatch

KEPT_MAX: Final = 4_096
"""Summaries that are kept, some 3 MB; beyond, the one that was asked for the longest ago is dropped."""

READ_AT_ONCE_MAX: Final = 10
"""Batches that are read from the store at once: a full one has 200 KB."""

READ_COST_MS: Final = 3.0
"""What that costs."""


class BatchPruned(Exception):
    """The store has let go of a batch that it had a moment ago."""


class BatchSummaries:
    """The summaries over one store. To be used from the event loop."""

    def __init__(self, storage: StorageReads) -> None:
        self._storage = storage
        self._kept: OrderedDict[int, BatchSummary] = OrderedDict()
        self._one_at_a_time = trio.Lock()

    async def between(self, first: int, last: int, charge: Charge) -> list[BatchSummary]:
        """Those of the heights `first` to `last`, which the store has; what is read is charged for.

        Raises `BatchPruned`, `StorageUnavailable`, and what `charge` does.
        """
        found: dict[int, BatchSummary] = {}
        height = first
        while height <= last:
            if height in self._kept:
                self._kept.move_to_end(height)
                found[height] = self._kept[height]
                height += 1
                continue
            await charge(READ_COST_MS)
            async with self._one_at_a_time:
                for summary in await self._read(height, min(READ_AT_ONCE_MAX, last - height + 1)):
                    found[summary.header.height] = summary
                    height += 1
        return [found[height] for height in range(first, last + 1)]

    async def _read(self, height: int, limit: int) -> list[BatchSummary]:
        stored = await self._storage.batches(height, limit)
        if not stored:
            raise BatchPruned
        summaries = await run_blocking(_summaries, stored)
        for summary in summaries:
            self._kept[summary.header.height] = summary
            if len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
        return summaries


def _summaries(stored: Sequence[StoredBatch]) -> list[BatchSummary]:
    return [stored_summary(batch.batch) for batch in stored]
