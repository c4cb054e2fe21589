"""A store that is pruned as it grows stays level on its disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from step_node.storage.interface import Prunable, Storage
from step_node.storage.open import SqliteSettings, open_storage
from tests.storage.made_up_chain import MadeUpChain, begin

KEPT_BATCHES = 100


async def prune_to_kept(store: Storage, height: int) -> None:
    for what in (Prunable.BATCHES, Prunable.HISTORIES):
        while await store.prune(what, below=max(1, height + 1 - KEPT_BATCHES)):
            pass


@pytest.mark.long
@pytest.mark.parametrize("prunes", [True, False])
async def test_the_file_of_a_store_that_is_pruned_stays_level_and_grows_if_it_is_not(
    tmp_path: Path, prunes: bool
) -> None:
    path = tmp_path / "store.sqlite"
    chain = MadeUpChain(seed=9, accounts=50)
    sizes = []
    for _ in range(5):
        async with open_storage(SqliteSettings(path)) as store:
            await begin(store, chain)
            for _ in range(150):
                await store.finalise(chain.grow())
                if prunes and chain.head.chain.height % 10 == 0:
                    await prune_to_kept(store, chain.head.chain.height)
        # Closed, so that all of the log is in the file.
        sizes.append(path.stat().st_size)
    grown = sizes[-1] / sizes[0]
    # Slashings and validators' changes, of which this chain has many, are never pruned.
    assert grown < 2.0 if prunes else grown > 4.0, sizes
