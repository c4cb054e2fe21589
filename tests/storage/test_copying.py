"""A store copied into another engine is the same store, whatever cut the copying short."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from step_node.snapshot import copying
from step_node.snapshot.copying import CopyPlan, copy_store
from step_node.storage.interface import Kept, Prunable, Storage, StorageMismatch, StorageUnavailable
from step_node.storage.open import SqliteSettings, open_storage
from tests.storage.made_up_chain import assert_holds, begin
from tests.storage.sound_chain import SoundChain

PATH = "copied.sqlite"


async def grown(store: Storage, chain: SoundChain, batches: int = 6) -> None:
    for _ in range(batches):
        await store.finalise(chain.grow())


async def in_sqlite(path: Path, work: Callable[[Storage], Awaitable[None]]) -> None:
    async with open_storage(SqliteSettings(path)) as store:
        await work(store)


async def test_a_copy_holds_what_was_copied_and_goes_on(store: Storage, tmp_path: Path) -> None:
    chain = SoundChain(seed=5)
    async with open_storage(SqliteSettings(tmp_path / PATH)) as other:
        await begin(other, chain)
        await grown(other, chain)
        # Into every engine, and back from there.
        await begin(store, chain)
        plan = await copy_store(other, store)
        assert (plan.head, plan.batches) == (chain.head, 6)
        await assert_holds(store, chain)
        assert await store.level_counts() == await other.level_counts()
        async with open_storage(SqliteSettings(tmp_path / "back.sqlite")) as back:
            await begin(back, chain)
            await copy_store(store, back)
            await assert_holds(back, chain)
            assert list(await back.batches(1, 10)) == [batch.stored for batch in chain.batches]
            await grown(back, chain, batches=1)
            await assert_holds(back, chain)


async def test_a_pruned_store_is_copied_as_it_is(store: Storage, tmp_path: Path) -> None:
    chain = SoundChain(seed=5)
    await begin(store, chain)
    await grown(store, chain)
    await store.prune(Prunable.BATCHES, below=4)
    await store.prune(Prunable.HISTORIES, below=3)
    async with open_storage(SqliteSettings(tmp_path / PATH)) as other:
        await begin(other, chain)
        await copy_store(store, other)
        assert await other.kept() == Kept(4, 3)
        assert await other.history_ends() == await store.history_ends()
        assert (await other.totals()).proofs == (await store.totals()).proofs


async def test_a_copy_that_was_cut_short_is_gone_on_with_and_never_taken_for_whole(
    store: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "BATCHES_AT_ONCE", 2)
    monkeypatch.setattr(copying, "PAGE_MAX", 7)
    chain = SoundChain(seed=5)
    async with open_storage(SqliteSettings(tmp_path / PATH)) as other:
        await begin(other, chain)
        await grown(other, chain)
        await begin(store, chain)
        for steps in range(1, 40):
            left = steps
            take = type(store).take_history

            async def cut(self: Storage, history: object, take: object = take) -> None:
                nonlocal left
                left -= 1
                if left == 0:
                    raise StorageUnavailable("cut short")
                await take(self, history)  # type: ignore[operator]  # as it was

            with monkeypatch.context() as patched:
                patched.setattr(type(store), "take_history", cut)
                try:
                    await copy_store(other, store)
                except StorageUnavailable:
                    assert (await store.head()).chain.height == 0
                    continue
            break
        await assert_holds(store, chain)


async def test_a_copy_that_is_not_what_was_copied_is_noticed(store: Storage, tmp_path: Path) -> None:
    chain = SoundChain(seed=5)
    async with open_storage(SqliteSettings(tmp_path / PATH)) as other:
        await begin(other, chain)
        await grown(other, chain)
        await begin(store, chain)
        await copy_store(other, store)
        await other.prune(Prunable.BATCHES, below=2)
        with pytest.raises(StorageMismatch, match="their past differ"):
            await copy_store(other, store)
        await grown(other, chain, batches=1)
        with pytest.raises(StorageMismatch, match="stands at height 6, and the other one at 7"):
            await copy_store(other, store)


async def test_a_plan_says_how_much_there_is(started: Storage) -> None:
    assert str(await CopyPlan.of(started)).startswith("height 0: 0 batches, 0 proofs, 6 accounts")
