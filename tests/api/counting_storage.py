"""A store that counts what is read of it: a batch that is asked for by many is read once."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from step_node.storage.interface import StoredBatch
from step_node.storage.memory import MemoryStorage


class CountingStorage(MemoryStorage):
    """Counts the batches that are read."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[int] = []

    async def batches(self, from_height: int, limit: int) -> Sequence[StoredBatch]:
        """Take a turn of the loop, so that others ask meanwhile."""
        self.read.append(from_height)
        await trio.lowlevel.checkpoint()
        return await super().batches(from_height, limit)
