"""Adding up a store's records: whether they are still what its state root says.

A database tells of damage to its own structure, not of a balance that a hand or a flipped bit has changed. The records
are read as one snapshot, page by page, while the chain may go on; some 3 µs each, and no more memory than a page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from step_node.ledger.records import Record, records_bytes
from step_node.ledger.state import StateHead
from step_node.snapshot.sums import RecordSum
from step_node.storage.interface import RecordSink, Storage, StorageMismatch, StoredBatch


class StateSum(RecordSink):
    """Adds up what an export gives; `progress` is told after each page how many records that are."""

    def __init__(self, progress: Callable[[int], None] = lambda _records: None) -> None:
        self._progress = progress
        self._head: StateHead | None = None
        self.sum = RecordSum()
        self.records = 0

    def begin(self, head: StateHead, base: StoredBatch | None) -> None:
        del base
        self._head, self.sum, self.records = head, RecordSum(), 0
        self.add(head.records)

    def add(self, records: Sequence[Record]) -> None:
        self.sum.add(records, records_bytes(records))
        self.records += len(records)
        self._progress(self.records)

    def require_sound(self) -> None:
        """Raises `StorageMismatch` where the records are not those of the state root."""
        head = self._head
        if head is not None and self.sum.lanes == head.lanes:
            return
        differ = ""
        if head is not None and self.sum.balances_ustep != head.chain.balances_ustep:
            differ = (
                f" (its {self.sum.accounts} accounts hold {self.sum.balances_ustep} µSTEP, and the head of its chain"
                f" says {head.chain.balances_ustep})"
            )
        raise StorageMismatch(
            f"the records of the store do not add up to its state root{differ}: the store has been changed from"
            " outside, or the disk has changed it. Its node would contradict all others. Check the disk, and fetch the"
            " store anew from the peers: `step-node store rebuild`"
        )


async def add_up_state(
    storage: Storage, progress: Callable[[int], None] = lambda _records: None, *, share: float = 1.0
) -> StateSum:
    """All records of the state, once they are found to be those of the state root. It takes `share` of a core at most.

    Raises `StorageMismatch`, `StorageUnavailable`.
    """
    found = StateSum(progress)
    await storage.export(found, share=share)
    found.require_sound()
    return found
