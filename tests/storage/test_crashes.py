"""Killed at any point of finalising a batch, a store holds all of the batch or nothing, and a retry completes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import monitoring

from step_node.storage.open import MongoSettings, SqliteSettings, StorageSettings, open_storage
from step_node.testing.mongod import ThrowawayMongod, throwaway_mongod
from tests.storage.crash_points import CHAIN_SEED, SNAPSHOT_HEIGHT
from tests.storage.made_up_chain import MadeUpChain, assert_holds, begin
from tests.storage.made_up_snapshot import restored_of
from tests.support.mongod import new_database_name

REPOSITORY = Path(__file__).parents[2]


async def crash_at_every_point(*arguments: str) -> int:
    """How many points there were."""
    command = [sys.executable, "-m", "tests.storage.crash_points", *arguments]
    done = await trio.run_process(command, capture_stdout=True, stderr=subprocess.STDOUT, cwd=REPOSITORY)
    return int(done.stdout.splitlines()[-1])  # In front of it may be lines of the log.


async def height_after_crash(settings: StorageSettings) -> int:
    """Opens what a killed process has left, checks that it is whole, and completes it."""
    chain = MadeUpChain(CHAIN_SEED)
    first = chain.grow()
    async with open_storage(settings, alone=True) as store:
        height = (await store.head()).chain.height
        assert height in (1, 2)
        if height == 1:
            await assert_holds(store, chain)
        second = chain.grow()
        if height == 2:
            await assert_holds(store, chain)
        await store.finalise(second)
        await store.finalise(first)
        await assert_holds(store, chain)
    return height


@pytest.mark.slow
async def test_sqlite_killed_at_any_statement_holds_all_or_nothing(tmp_path: Path) -> None:
    points = await crash_at_every_point("finalise", "sqlite", str(tmp_path))
    assert points >= 10
    heights = [await height_after_crash(SqliteSettings(tmp_path / f"{point}.sqlite")) for point in range(1, points + 2)]
    # The last statement but one is COMMIT: killed before it, nothing is there, and after it everything. At the last one
    # memory is given back, and the process after that survived.
    assert heights == [1] * (points - 1) + [2, 2]


@pytest.mark.long
async def test_mongodb_client_killed_at_any_command_holds_all_or_nothing(mongodb_uri: str) -> None:
    prefix = new_database_name()[:40]
    points = await crash_at_every_point("finalise", "mongodb", mongodb_uri, prefix)
    assert points >= 20
    heights = [
        await height_after_crash(MongoSettings(mongodb_uri, f"{prefix}{point}")) for point in range(1, points + 2)
    ]
    # Nothing until the commit has been sent, everything once it has been answered.
    assert sorted(heights) == heights
    assert heights[0] == 1
    assert heights[-1] == 2


async def height_after_a_restore_that_crashed(settings: StorageSettings) -> int:
    """Opens what a killed process has left, as a node does, and restores once more."""
    chain = MadeUpChain(CHAIN_SEED)
    async with open_storage(settings, alone=True) as store:
        await begin(store, chain)
        height = (await store.head()).chain.height
        assert height in (0, SNAPSHOT_HEIGHT)
        if height == 0:
            await assert_holds(store, chain)
        for _ in range(SNAPSHOT_HEIGHT):
            chain.grow()
        await store.restore(restored_of(chain))
        loaded = await store.load(chain.all_keys())
        assert loaded.head == chain.head
        assert {key: one for key, one in loaded.accounts.items() if one is not None} == chain.accounts
        assert {key: one for key, one in loaded.triangles.items() if one is not None} == chain.triangles
        assert {key: one for key, one in loaded.nonces.items() if one is not None} == chain.nonces
        assert await store.batches(SNAPSHOT_HEIGHT, 2) == (chain.batches[-1].stored,)
        await store.finalise(chain.grow())
    return height


async def require_restored_or_not(stores: list[StorageSettings]) -> None:
    heights = [await height_after_a_restore_that_crashed(settings) for settings in stores]
    assert sorted(heights) == heights
    assert (heights[0], heights[-1]) == (0, SNAPSHOT_HEIGHT)


@pytest.mark.slow
async def test_sqlite_killed_at_any_statement_of_restoring_is_at_genesis_or_whole(tmp_path: Path) -> None:
    points = await crash_at_every_point("restore", "sqlite", str(tmp_path))
    assert points >= 8
    await require_restored_or_not([SqliteSettings(tmp_path / f"{point}.sqlite") for point in range(1, points + 2)])


@pytest.mark.long
async def test_mongodb_client_killed_at_any_command_of_restoring_is_at_genesis_or_whole(mongodb_uri: str) -> None:
    prefix = new_database_name()[:40]
    points = await crash_at_every_point("restore", "mongodb", mongodb_uri, prefix)
    assert points >= 20
    await require_restored_or_not([MongoSettings(mongodb_uri, f"{prefix}{point}") for point in range(1, points + 2)])


@pytest.mark.long
async def test_mongodb_client_killed_at_any_command_of_dropping_leaves_the_whole_store_or_an_empty_one(
    mongodb_uri: str,
) -> None:
    prefix = new_database_name()[:40]
    points = await crash_at_every_point("drop", "mongodb", mongodb_uri, prefix)
    assert points >= 18
    heights = []
    for point in range(1, points + 2):
        chain = MadeUpChain(CHAIN_SEED)
        async with open_storage(MongoSettings(mongodb_uri, f"{prefix}{point}"), alone=True) as store:
            await begin(store, chain)
            heights.append((await store.head()).chain.height)
            batch = chain.grow()
            if heights[-1] == 0:
                await store.finalise(batch)
            await assert_holds(store, chain)
    # Whole until the mark has been sent, empty once it has been answered.
    assert sorted(heights, reverse=True) == heights
    assert (heights[0], heights[2]) == (1, 0)


class KillsMongod(monitoring.CommandListener):
    """Kills mongod when the n-th command since `arm` has been answered."""

    def __init__(self, mongod: ThrowawayMongod) -> None:
        self._mongod = mongod
        self._left = 0
        self.killed = trio.Event()

    def arm(self, commands: int) -> None:
        self._trio_token = trio.lowlevel.current_trio_token()
        self.killed = trio.Event()
        self._left = commands

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Counted when it is answered."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Only what was answered well is counted."""

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        del event
        self._left -= 1
        if self._left == 0:
            self._mongod.kill()
            self._trio_token.run_sync_soon(self.killed.set)


@pytest.mark.long
@pytest.mark.slow
async def test_mongod_killed_after_any_command_loses_nothing_and_applies_nothing_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chain = MadeUpChain(CHAIN_SEED)
    async with throwaway_mongod() as mongod:
        listener = KillsMongod(mongod)

        def client_that_listens(uri: str, **options: Any) -> object:
            return AsyncIOMotorClient(uri, event_listeners=[listener], **options)

        monkeypatch.setattr("step_node.storage.mongo_driver.AsyncClient", client_that_listens)
        async with open_storage(MongoSettings(mongod.uri, "killed", retry_max_s=60)) as store:
            await begin(store, chain)
            await store.finalise(chain.grow())
            point = 0
            killed = True
            while killed:
                point += 1
                listener.arm(point)
                async with trio.open_nursery() as nursery:

                    async def restart() -> None:
                        await listener.killed.wait()
                        await mongod.restart()

                    nursery.start_soon(restart)
                    await store.finalise(chain.grow())
                    killed = listener.killed.is_set()
                    if not killed:
                        nursery.cancel_scope.cancel()
                listener.arm(0)
                await assert_holds(store, chain)
    assert point >= 10
