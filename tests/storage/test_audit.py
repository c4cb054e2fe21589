"""Adding up what a store holds: every record of every engine counts."""

from __future__ import annotations

import pytest

from step_node.ledger.commitment import EMPTY_LANES, commit_changes
from step_node.snapshot.audit import StateSum, add_up_state
from step_node.storage.interface import Storage, StorageMismatch
from tests.storage.made_up_chain import MadeUpChain
from tests.storage.made_up_snapshot import records_of


async def test_every_record_of_a_store_is_added_up(started: Storage, chain: MadeUpChain) -> None:
    for batches in (0, 3):
        for _ in range(batches):
            await started.finalise(chain.grow())
        found = StateSum()
        await started.export(found)
        records = [*chain.head.records, *records_of(chain)]
        assert found.records == len(records)
        assert found.sum.lanes == commit_changes(EMPTY_LANES, removed=(), added=records)
        assert found.sum.accounts == len(chain.accounts)
        assert found.sum.balances_ustep == sum(one.balance_ustep for one in chain.accounts.values())
        assert (found.sum.triangles, found.sum.nonces) == (len(chain.triangles), len(chain.nonces))
        with pytest.raises(StorageMismatch, match="do not add up"):  # A made-up chain has a made-up root.
            await add_up_state(started)
