"""Adding up a store's records: whether they are still what its state root says.

A database tells of damage to its own structure, not of a balance that a hand or a flipped bit has changed. The records
are read as one snapshot, page by page, while the chain may go on; some 3 µs each, and no more memory than a page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from step_node.ledger.commitment import EMPTY_LANES, commit_encoded
from step_node.ledger.records import Record, records_bytes
from step_node.ledger.state import StateHead
from step_node.storage.interface import RecordSink, Storage, StorageMismatch, StoredBatch


class StateSum(RecordSink):
    """Adds up what an export gives; `progress` is told after each page how many records that are."""

    def __init__(self, progress: Callable[[int], None] = lambda _records: None) -> None:
        self._progress = progress
        self._head: StateHead | None = None
        self.lanes = EMPTY_LANES
        self.records = 0

    def begin(self, head: StateHead, base: StoredBatch) -> None:
        del base
        self._head, self.lanes, self.records = head, EMPTY_LANES, 0
        self.add(head.records)

    def add(self, records: Sequence[Record]) -> None:
        self.lanes = commit_encoded(self.lanes, records_bytes(records))
        self.records += len(records)
        self._progress(self.records)

    def require_sound(self) -> None:
        """Raises `StorageMismatch` where the records are not those of the state root."""
        if self._head is None or self.lanes != self._head.lanes:
            raise StorageMismatch(
                "the records of the store do not add up to its state root: the store has been changed from outside, or"
                " the disk has changed it. Its node would contradict all others. Check the disk, and fetch the store"
                " anew from the peers: `step-node store rebuild`"
            )


async def add_up_state(
    storage: Storage, progress: Callable[[int], None] = lambda _records: None, *, share: float = 1.0
) -> int:
    """How many records the state has, once they are found to be those of the state root; 0 at height 0, which genesis
    describes. It takes `share` of a core at most. Raises `StorageMismatch`, `StorageUnavailable`."""
    if (await storage.head()).chain.height == 0:
        return 0
    found = StateSum(progress)
    await storage.export(found, share=share)
    found.require_sound()
    return found.records
