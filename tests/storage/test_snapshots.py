"""Exporting the whole state, and beginning with one: the same promises of every engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio

from step_node.snapshot.chunks import ChunkWriter
from step_node.storage import mongo_snapshot, sqlite
from step_node.storage.interface import Storage, StorageMismatch, StoredRecord
from step_node.storage.open import MemorySettings, MongoSettings, SqliteSettings, StorageSettings, open_storage
from tests.storage.made_up_chain import MadeUpChain, assert_holds, begin
from tests.storage.made_up_snapshot import Exported, records_of, restored_of
from tests.support.mongod import new_database_name


async def grow(store: Storage, chain: MadeUpChain, batches: int) -> None:
    for _ in range(batches):
        await store.finalise(chain.grow())


@asynccontextmanager
async def another_store(settings: StorageSettings) -> AsyncIterator[Storage]:
    """A second, empty store of the same engine."""
    match settings:
        case SqliteSettings(path):
            second: StorageSettings = SqliteSettings(path.with_name("second.sqlite"))
        case MongoSettings():
            second = replace(settings, database=new_database_name())
        case MemorySettings():
            second = settings
    async with open_storage(second) as store:
        yield store


@pytest.fixture(params=[2, 5_000])
def page_records(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read in pages of two, and of all."""
    monkeypatch.setattr(sqlite, "EXPORT_PAGE_RECORDS", request.param)
    monkeypatch.setattr(mongo_snapshot, "PAGE_RECORDS", request.param)


@pytest.mark.usefixtures("page_records")
async def test_an_export_has_every_record_once_and_in_order(started: Storage, chain: MadeUpChain) -> None:
    await grow(started, chain, 6)
    exported = Exported()
    await started.export(exported)
    assert exported.head == chain.head
    assert exported.base == chain.batches[-1].stored
    assert exported.records == records_of(chain)


async def test_an_export_is_of_one_moment_while_the_chain_goes_on(
    started: Storage, chain: MadeUpChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "EXPORT_PAGE_RECORDS", 1)
    monkeypatch.setattr(mongo_snapshot, "PAGE_RECORDS", 1)
    await grow(started, chain, 3)
    expected = {chain.head.chain.height: records_of(chain)}
    exports = [Exported() for _ in range(3)]

    async def grow_on() -> None:
        for _ in range(4):
            batch = chain.grow()
            expected[batch.stored.height] = records_of(chain)
            await started.finalise(batch)

    async with trio.open_nursery() as nursery:
        for one in exports:
            nursery.start_soon(started.export, one)
        nursery.start_soon(grow_on)
    for one in exports:
        assert one.head is not None
        assert one.base is not None
        assert one.head.chain.height == one.base.height
        assert one.records == expected[one.base.height]


async def test_genesis_is_exported_without_a_batch(started: Storage, chain: MadeUpChain) -> None:
    exported = Exported()
    await started.export(exported)
    assert (exported.head, exported.base) == (chain.head, None)
    assert exported.records == records_of(chain)


async def test_no_snapshot_is_made_of_genesis(started: Storage) -> None:
    with pytest.raises(ValueError, match="height 0"):
        await started.export(ChunkWriter(lambda _number, _chunk: None))


async def test_an_empty_store_has_no_export_and_takes_no_snapshot(store: Storage, chain: MadeUpChain) -> None:
    chain.grow()
    for call in (lambda: store.export(Exported()), lambda: store.restore(restored_of(chain)), store.first_height):
        with pytest.raises(StorageMismatch, match="no chain"):
            await call()


async def test_a_store_that_began_with_a_snapshot_goes_on_like_any_other(
    started: Storage, chain: MadeUpChain, settings: StorageSettings
) -> None:
    assert await started.first_height() is None
    await grow(started, chain, 6)
    assert await started.first_height() == 1
    async with another_store(settings) as second:
        await begin(second, chain)
        await second.restore(restored_of(chain))
        assert await second.head() == chain.head
        assert await second.first_height() == 6
        assert await second.batches(6, 10) == (chain.batches[-1].stored,)
        for below in (1, 5):
            assert await second.batches(below, 10) == ()
        assert await second.receipts([chain.batches[-1].proofs[0].proof_id]) == ()
        for _ in range(4):
            batch = chain.grow()
            await started.finalise(batch)
            await second.finalise(batch)
        exports = (Exported(), Exported())
        await started.export(exports[0])
        await second.export(exports[1])
        assert exports[0].__dict__ == exports[1].__dict__
        assert await second.load(chain.all_keys()) == await started.load(chain.all_keys())
        assert len(await second.batches(6, 10)) == 5
        one = chain.batches[-1].proofs[0]
        (receipt,) = await second.receipts([one.proof_id])
        assert receipt.height == 10
        assert [entry.receipt.height for entry in await second.account_proofs(one.account, before=None, limit=50)] == [
            entry.receipt.height
            for entry in await started.account_proofs(one.account, before=None, limit=50)
            if entry.receipt.height > 6
        ]


async def test_a_snapshot_is_restored_once(started: Storage, chain: MadeUpChain, settings: StorageSettings) -> None:
    await grow(started, chain, 2)
    async with another_store(settings) as second:
        await begin(second, chain)
        await second.restore(restored_of(chain))
        await second.restore(restored_of(chain))
        await begin(second, chain)
        assert await second.head() == chain.head
        chain.grow()
        with pytest.raises(ValueError, match="stands at height 2"):
            await second.restore(restored_of(chain))
        assert await second.first_height() == 2


async def test_a_snapshot_whose_parts_do_not_fit_is_refused(started: Storage, chain: MadeUpChain) -> None:
    chain.grow()
    good = restored_of(chain)
    for bad in (
        replace(good, base=replace(good.base, height=2)),
        replace(good, base=replace(good.base, batch_hash=bytes(32))),
        replace(good, head=replace(good.head, lanes=b"")),
        replace(good, head=chain.genesis_head),
    ):
        with pytest.raises(ValueError, match=r"base|lanes"):
            await started.restore(bad)
    genesis = MadeUpChain(seed=1)
    await assert_holds(started, genesis)


async def test_a_store_that_is_restored_in_part_is_recognised_and_begins_anew(
    settings: StorageSettings, started: Storage, chain: MadeUpChain
) -> None:
    genesis = MadeUpChain(seed=1)
    for _ in range(6):
        chain.grow()
    good = restored_of(chain)

    def cut_short() -> Iterator[Sequence[StoredRecord]]:
        yield next(iter(good.pages()))
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        await started.restore(replace(good, pages=cut_short))
    if isinstance(settings, MongoSettings):
        async with open_storage(settings) as again:
            # What a restart finds.
            await begin(again, genesis)
            await assert_holds(again, genesis)
    await assert_holds(started, genesis)
    await started.restore(good)
    exported = Exported()
    await started.export(exported)
    assert exported.records == records_of(chain)
    await begin(started, genesis)
    assert await started.head() == chain.head
