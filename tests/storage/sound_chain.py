"""A made-up chain whose state root is that of its records, for what adds them up."""

from __future__ import annotations

from dataclasses import replace

from step_node.ledger.commitment import EMPTY_LANES, commit_changes
from step_node.storage.interface import FinalisedBatch
from tests.storage.made_up_chain import MadeUpChain
from tests.storage.made_up_snapshot import records_of


class SoundChain(MadeUpChain):
    """See the module's docstring."""

    def grow(self, proofs: int = 5) -> FinalisedBatch:
        batch = super().grow(proofs)
        head = self.head
        records = [*head.records, *records_of(self)]
        self.head = replace(head, lanes=commit_changes(EMPTY_LANES, removed=(), added=records))
        sound = replace(batch, changes=replace(batch.changes, head=self.head))
        self.batches[-1] = sound
        return sound
