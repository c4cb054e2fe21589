"""A chain that begins with more than its allocations: the same promises of every engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest

from step_node.ledger.level_counts import counts_of_triangles
from step_node.storage.interface import (
    InitialPages,
    NoChain,
    Storage,
    StorageMismatch,
    StorageUnavailable,
    StoredRecord,
)
from step_node.storage.open import MongoSettings, StorageSettings, open_storage
from tests.storage.made_up_chain import MadeUpChain, assert_holds
from tests.storage.made_up_snapshot import Exported, records_of, restored_of


@pytest.fixture
def initial() -> MadeUpChain:
    """A chain that has come far, whose records another one begins with."""
    grown = MadeUpChain(seed=2)
    for _ in range(6):
        grown.grow()
    return grown


async def begin_with(store: Storage, chain: MadeUpChain, pages: InitialPages) -> None:
    await store.initialise(chain.genesis_hash, chain.genesis_head, (), pages)


async def assert_began_with(store: Storage, initial: MadeUpChain, chain: MadeUpChain) -> None:
    loaded = await store.load(initial.all_keys())
    assert loaded.head == chain.genesis_head
    assert {key: one for key, one in loaded.accounts.items() if one is not None} == initial.accounts
    assert {key: one for key, one in loaded.triangles.items() if one is not None} == initial.triangles
    assert {key: one for key, one in loaded.nonces.items() if one is not None} == initial.nonces
    assert (await store.totals()).accounts == len(initial.accounts)
    expected = counts_of_triangles(initial.triangles.values())
    counted = {level: one for level, one in (await store.level_counts()).items() if level in expected}
    assert counted == expected


async def test_a_store_begins_with_an_initial_state_once(
    store: Storage, chain: MadeUpChain, initial: MadeUpChain
) -> None:
    await begin_with(store, chain, restored_of(initial).pages)
    await assert_began_with(store, initial, chain)

    def unwanted() -> Iterator[Sequence[StoredRecord]]:
        raise AssertionError("the store has its state")

    await begin_with(store, chain, unwanted)
    await assert_began_with(store, initial, chain)


def cut_short(initial: MadeUpChain) -> InitialPages:
    def pages() -> Iterator[Sequence[StoredRecord]]:
        yield next(iter(restored_of(initial).pages()))
        raise OSError("the disk is gone")

    return pages


async def test_a_state_that_is_cut_short_leaves_no_chain_and_the_next_start_has_all_of_it(
    settings: StorageSettings, store: Storage, chain: MadeUpChain, initial: MadeUpChain
) -> None:
    with pytest.raises(OSError, match="the disk is gone"):
        await begin_with(store, chain, cut_short(initial))
    with pytest.raises(NoChain):
        await store.head()
    if isinstance(settings, MongoSettings):
        async with open_storage(settings) as again:
            await begin_with(again, chain, restored_of(initial).pages)
            await assert_began_with(again, initial, chain)
    else:
        await begin_with(store, chain, restored_of(initial).pages)
    await assert_began_with(store, initial, chain)


async def test_what_an_earlier_try_left_is_not_there_for_a_chain_without_an_initial_state(
    store: Storage, chain: MadeUpChain, initial: MadeUpChain
) -> None:
    with pytest.raises(OSError, match="the disk is gone"):
        await begin_with(store, chain, cut_short(initial))
    await store.initialise(chain.genesis_hash, chain.genesis_head, chain.genesis_accounts)
    await assert_holds(store, chain)
    batch = chain.grow()
    await store.finalise(batch)
    await store.initialise(chain.genesis_hash, chain.genesis_head, chain.genesis_accounts)
    assert await store.head() == chain.head, "nothing of the earlier try is cleared away later"


async def test_a_snapshot_takes_the_place_of_the_initial_state(
    store: Storage, chain: MadeUpChain, initial: MadeUpChain
) -> None:
    await begin_with(store, chain, restored_of(initial).pages)
    for _ in range(4):
        chain.grow()
    await store.restore(restored_of(chain))
    exported = Exported()
    await store.export(exported)
    assert exported.records == records_of(chain)
    expected = counts_of_triangles(chain.triangles.values())
    assert {level: one for level, one in (await store.level_counts()).items() if one.clicks} == {
        level: one for level, one in expected.items() if one.clicks
    }


async def test_a_restore_that_is_cut_short_leaves_the_initial_state_after_the_next_start(
    settings: StorageSettings, store: Storage, chain: MadeUpChain, initial: MadeUpChain
) -> None:
    await begin_with(store, chain, restored_of(initial).pages)
    genesis = MadeUpChain(seed=1)
    for _ in range(4):
        chain.grow()
    cut = restored_of(chain)
    with pytest.raises(OSError, match="the disk is gone"):
        await store.restore(type(cut)(cut.head, cut.base, cut_short(chain)))
    exported = Exported()
    if isinstance(settings, MongoSettings):
        with pytest.raises(StorageUnavailable, match="is being filled with a state, or that was cut short"):
            await store.export(exported)
    else:
        await store.export(exported)
        assert exported.records == records_of(initial), "one transaction: nothing of it is left"
    await begin_with(store, genesis, restored_of(initial).pages)
    await assert_began_with(store, initial, genesis)


@pytest.mark.parametrize("make_pages", [lambda initial: restored_of(initial).pages, cut_short])
async def test_another_chains_store_is_left_as_it_is(
    store: Storage,
    chain: MadeUpChain,
    initial: MadeUpChain,
    make_pages: Callable[[MadeUpChain], InitialPages],
) -> None:
    await begin_with(store, chain, restored_of(initial).pages)
    with pytest.raises(StorageMismatch, match="holds the chain of genesis"):
        await store.initialise(bytes(32), chain.genesis_head, (), make_pages(initial))
    await assert_began_with(store, initial, chain)
