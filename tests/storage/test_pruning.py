"""What every engine keeps of the past, and lets go of, a little at a time."""

from __future__ import annotations

import pytest

from step_node.storage.interface import (
    PRUNED_BATCHES_MAX,
    PRUNED_ENTRIES_MAX,
    Kept,
    Prunable,
    Storage,
)
from tests.storage.made_up_chain import MadeUpChain, assert_holds, begin
from tests.storage.made_up_snapshot import Exported, restored_of


async def grow(store: Storage, chain: MadeUpChain, batches: int, proofs: int = 5) -> None:
    for _ in range(batches):
        await store.finalise(chain.grow(proofs))


async def pruned(store: Storage, what: Prunable, *, below: int, before_ms: int | None = None) -> int:
    """Prune to the end; how many steps it took."""
    steps = 1
    while await store.prune(what, below=below, before_ms=before_ms):
        steps += 1
    return steps


async def records(store: Storage) -> Exported:
    exported = Exported()
    await store.export(exported)
    return exported


async def test_a_store_that_was_never_pruned_has_all_of_the_past(started: Storage, chain: MadeUpChain) -> None:
    assert await started.kept() == Kept(1, 1)
    await grow(started, chain, batches=2)
    assert await started.kept() == Kept(1, 1)


async def test_a_store_that_began_with_a_snapshot_has_its_batch_and_what_follows(
    store: Storage, chain: MadeUpChain
) -> None:
    for _ in range(4):
        chain.grow()
    await begin(store, chain)
    await store.restore(restored_of(chain))
    assert await store.kept() == Kept(4, 5)


async def test_pruning_batches_leaves_those_from_the_height_on_and_the_state_as_it_is(
    started: Storage, chain: MadeUpChain
) -> None:
    await grow(started, chain, batches=9)
    before, totals = await records(started), await started.totals()
    assert await pruned(started, Prunable.BATCHES, below=4) == 1
    assert await started.first_height() == 4
    assert (await started.kept()) == Kept(4, 1)
    assert list(await started.batches(1, 9)) == []
    assert [one.height for one in await started.batches(4, 9)] == [4, 5, 6, 7, 8, 9]
    after = await records(started)
    assert (after.head, after.records) == (before.head, before.records)
    assert await started.totals() == totals
    receipt = chain.batches[0].receipts[0]
    assert list(await started.receipts([receipt.proof_id])) == [receipt]


async def test_many_batches_are_pruned_in_steps(started: Storage, chain: MadeUpChain) -> None:
    await grow(started, chain, batches=2 * PRUNED_BATCHES_MAX + 3, proofs=1)
    assert await pruned(started, Prunable.BATCHES, below=2 * PRUNED_BATCHES_MAX + 2) == 3
    assert (await started.kept()).batches_from == 2 * PRUNED_BATCHES_MAX + 2


async def test_the_last_batch_always_stays(started: Storage, chain: MadeUpChain) -> None:
    await grow(started, chain, batches=3)
    await pruned(started, Prunable.BATCHES, below=1_000)
    assert [one.height for one in await started.batches(3, 5)] == [3]
    assert await started.kept() == Kept(3, 1)
    await grow(started, chain, batches=2)
    assert [one.height for one in await started.batches(3, 5)] == [3, 4, 5]


async def test_a_history_stays_as_long_as_its_batch(started: Storage, chain: MadeUpChain) -> None:
    await grow(started, chain, batches=6)
    await pruned(started, Prunable.HISTORIES, below=5)
    assert await started.kept() == Kept(1, 1)
    await assert_holds(started, chain)


async def test_pruned_histories_are_nowhere_and_the_others_where_they_were(
    started: Storage, chain: MadeUpChain
) -> None:
    await grow(started, chain, batches=8)
    before = await records(started)
    await pruned(started, Prunable.BATCHES, below=5)
    await pruned(started, Prunable.HISTORIES, below=4)
    assert await started.kept() == Kept(5, 4)
    receipts = [receipt for batch in chain.batches for receipt in batch.receipts]
    found = await started.receipts([receipt.proof_id for receipt in receipts])
    assert sorted(found, key=lambda one: (one.height, one.index)) == [one for one in receipts if one.height >= 4]
    for address in chain.addresses:
        proofs = await started.account_proofs(address, limit=500)
        wanted = [one for one in receipts if one.height >= 4 and one.account == address]
        assert [one.receipt for one in proofs] == wanted[::-1]
        assert all(
            (one.height if hasattr(one, "height") else one.receipt.height) >= 4
            for one in await started.transactions(address, limit=500)
        )
    for triangle in {one.triangle for one in receipts}:
        proofs = await started.triangle_proofs(triangle, limit=500)
        assert {one.receipt.height for one in proofs} == {
            one.height for one in receipts if one.triangle == triangle and one.height >= 4
        }
    operations = [one for batch in chain.batches for one in batch.operations]
    kept = await started.operations([one.operation_id for one in operations])
    assert {one.operation_id for one in kept} == {one.operation_id for one in operations if one.height >= 4}
    after = await records(started)
    assert (after.head, after.records) == (before.head, before.records)
    await grow(started, chain, batches=2)
    assert (await started.head()).chain.height == 10


async def test_what_is_not_older_stays(started: Storage, chain: MadeUpChain) -> None:
    await grow(started, chain, batches=8)
    before_ms = chain.batches[4].stored.timestamp_ms
    await pruned(started, Prunable.BATCHES, below=8, before_ms=before_ms)
    await pruned(started, Prunable.HISTORIES, below=8, before_ms=before_ms - 1_000)
    assert await started.kept() == Kept(5, 4)


async def test_histories_are_pruned_by_whole_heights_in_small_steps(started: Storage, chain: MadeUpChain) -> None:
    await grow(started, chain, batches=5, proofs=PRUNED_ENTRIES_MAX // 2 - 10)
    await pruned(started, Prunable.BATCHES, below=5)
    assert await started.prune(Prunable.HISTORIES, below=5)
    assert 2 <= (await started.kept()).histories_from <= 3
    assert await pruned(started, Prunable.HISTORIES, below=5) <= 3
    assert (await started.kept()).histories_from == 5


async def test_what_is_pruned_twice_is_pruned_once(started: Storage, chain: MadeUpChain) -> None:
    await grow(started, chain, batches=5)
    await pruned(started, Prunable.BATCHES, below=3)
    assert not await started.prune(Prunable.BATCHES, below=2)
    assert await started.kept() == Kept(3, 1)
    with pytest.raises(ValueError, match="below is 0"):
        await started.prune(Prunable.BATCHES, below=0)
