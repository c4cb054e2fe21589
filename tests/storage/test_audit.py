"""Adding up what a store holds: every record of every engine counts."""

from __future__ import annotations

import pytest

from step_node.ledger.commitment import EMPTY_LANES, commit_changes
from step_node.snapshot.audit import StateSum, add_up_state
from step_node.storage.interface import Storage, StorageMismatch
from tests.storage.made_up_chain import MadeUpChain
from tests.storage.made_up_snapshot import records_of


async def test_every_record_of_a_store_is_added_up(started: Storage, chain: MadeUpChain) -> None:
    assert await add_up_state(started) == 0
    for _ in range(3):
        await started.finalise(chain.grow())
    found = StateSum()
    await started.export(found)
    head = chain.head
    records = [
        *head.records,
        *records_of(chain),
    ]
    assert found.records == len(records)
    assert found.lanes == commit_changes(EMPTY_LANES, removed=(), added=records)
    with pytest.raises(StorageMismatch, match="do not add up"):  # A made-up chain has a made-up root.
        await add_up_state(started)
