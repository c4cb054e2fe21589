"""Strangers' reads wait for one another, and the node's own never for them."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import pytest
import trio
import trio.testing

from step_node.storage.interface import STRANGERS_READS_MAX, Storage
from step_node.storage.sqlite import SqliteStorage
from step_node.storage.sqlite_reads import SqliteReads
from tests.storage.made_up_chain import MadeUpChain, begin
from tests.storage.test_storage_contract import grow


async def test_the_node_reads_while_strangers_hold_all_their_turns(tmp_path: Path) -> None:
    store = await SqliteStorage.open(tmp_path / "store.sqlite")
    await begin(store, MadeUpChain(seed=1))
    strangers = store.for_strangers()
    assert isinstance(strangers, SqliteReads)
    release = Event()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(strangers._read, lambda _connection: release.wait())
            await trio.testing.wait_all_tasks_blocked()
            assert strangers._turns.statistics().borrowed_tokens == STRANGERS_READS_MAX
            try:
                # A cancelled read still waits for its thread, so a time limit would not end a wrong line.
                heads: list[int] = []

                async def read_head() -> None:
                    heads.append((await store.head()).chain.height)

                nursery.start_soon(read_head)
                await trio.sleep(0)
                with trio.move_on_after(20):
                    while not heads:
                        await trio.sleep(0.01)
                assert heads == [0]
            finally:
                release.set()
    await store.close()


async def test_strangers_see_what_the_node_has_written(started: Storage, chain: MadeUpChain) -> None:
    await grow(started, chain, 2)
    assert (await started.for_strangers().head()).chain.height == 2
    assert await started.for_strangers().batches(1, 2) == await started.batches(1, 2)


async def test_an_account_beyond_the_last_place_has_no_rank(
    started: Storage, chain: MadeUpChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    await grow(started, chain, 2)
    for module in ("memory", "sqlite_accounts", "mongo_accounts"):
        monkeypatch.setattr(f"step_node.storage.{module}.RANK_MAX", 2)
    accounts = await started.leaderboard(limit=4)
    ranks = [await started.account_rank(account.address) for account in accounts]
    assert ranks[:2] == [1, 2]
    assert set(ranks[2:]) == {None}
    assert len(ranks) > 2
