"""What a set of several members rests on: each write is on a majority's disks, each read of what is there to stay."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from step_node.storage.interface import StorageUnavailable
from step_node.storage.mongo import MongoStorage
from step_node.storage.mongo_removal import drop_database
from step_node.storage.open import MongoSettings, open_storage
from tests.storage.made_up_chain import MadeUpChain, assert_holds, begin
from tests.storage.made_up_snapshot import restored_of
from tests.support.mongo_commands import READS, Sent, SentCommands
from tests.support.mongod import new_database_name

WRITES = frozenset({"insert", "update", "delete", "findAndModify", "createIndexes", "create", "drop"})
BATCHES = 6
"""Enough for nonces that leave, and for another set of validators."""
LOOKS = 3


async def use_all_of_it(uri: str) -> None:
    """Everything that a node or its operator has a store do."""
    chain, name = MadeUpChain(seed=1), new_database_name()
    async with open_storage(MongoSettings(uri, name)) as store:
        await begin(store, chain)
        for _ in range(BATCHES):
            await store.finalise(chain.grow())
        await assert_holds(store, chain)
    newcomer, other = MadeUpChain(seed=1), new_database_name()
    async with open_storage(MongoSettings(uri, other)) as store:
        await begin(store, newcomer)
        await store.restore(restored_of(chain))
    await drop_database(uri, name)


@pytest.fixture
async def sent(mongodb_uri: str, monkeypatch: pytest.MonkeyPatch) -> list[Sent]:
    """All that was sent for that."""
    commands = SentCommands(monkeypatch)
    await use_all_of_it(mongodb_uri)
    return commands.sent


async def test_every_write_waits_for_the_disks_of_a_majority(sent: list[Sent]) -> None:
    # Of `dropDatabase` nothing is asked: the server waits for a majority by itself.
    alone = [one for one in sent if one.name in {*WRITES, "commitTransaction"} and not one.is_in_transaction]
    assert {one.name for one in alone} >= {"commitTransaction", "createIndexes", "update", "insert", "delete", "drop"}
    for one in alone:
        concern: dict[str, Any] = one.body.get("writeConcern", {})
        assert (concern.get("w"), concern.get("j")) == ("majority", True), one
    # Within a transaction the commit speaks for all.
    assert not [one for one in sent if one.is_in_transaction and "writeConcern" in one.body]


async def test_a_batch_is_written_in_one_transaction_and_nowhere_else(sent: list[Sent]) -> None:
    of_batches = [one for one in sent if one.name in WRITES and one.body[one.name] == "batches"]
    inserts = [one for one in of_batches if one.name == "insert"]
    assert len(inserts) == BATCHES + 1
    assert all(one.is_in_transaction for one in inserts)


async def test_nothing_is_read_that_could_be_rolled_back(sent: list[Sent]) -> None:
    reads = [one for one in sent if one.name in READS and one.database != "admin"]
    levels = {one.body.get("readConcern", {}).get("level") for one in reads if not one.is_in_transaction}
    assert levels == {"snapshot", "majority"}
    begun = {
        one.body["readConcern"]["level"] for one in sent if one.is_in_transaction and one.body.get("startTransaction")
    }
    assert begun == {"snapshot"}


async def test_a_node_reads_from_the_primary(sent: list[Sent]) -> None:
    asked = {one.body.get("$readPreference", {}).get("mode", "primary") for one in sent}
    # A driver tells a lone member that any would do; where there are several, it asks the primary and says nothing.
    assert asked <= {"primary", "primaryPreferred"}


async def test_a_snapshot_below_what_a_majority_has_is_not_taken_for_the_state(
    mongodb_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member that has just become the primary may not know yet that a majority has the last batch."""
    commands = SentCommands(monkeypatch)
    chain, settings = MadeUpChain(seed=1), MongoSettings(mongodb_uri, new_database_name())
    async with open_storage(settings) as store, open_storage(settings) as other:
        assert isinstance(store, MongoStorage)
        await begin(store, chain)
        await begin(other, chain)
        await store.finalise(chain.grow())
        store._database.durable.note(2)
        heights: list[int] = []

        async def look() -> None:
            heights.append((await store.head()).chain.height)
            heights.append((await store.load(chain.all_keys())).head.chain.height)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)
            looked = len(commands.sent)
            while len(commands.sent) < looked + LOOKS:
                await trio.sleep(0.01)
            assert heights == []
            # What lies below the missing height is told meanwhile: no later moment can have another.
            assert [one.height for one in await store.batches(1, 1)] == [1]
            await other.finalise(chain.grow())
        assert heights == [2, 2]
        await assert_holds(store, chain)


async def test_a_snapshot_that_stays_behind_is_told_with_both_heights(mongodb_uri: str) -> None:
    chain = MadeUpChain(seed=1)
    async with open_storage(MongoSettings(mongodb_uri, new_database_name(), retry_max_s=0.1)) as store:
        assert isinstance(store, MongoStorage)
        await begin(store, chain)
        store._database.durable.note(7)
        with pytest.raises(StorageUnavailable, match="its snapshot is of height 0, and a majority has height 7"):
            await store.head()
