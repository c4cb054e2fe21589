"""A store on three members: each can be killed, frozen, or left behind, and nothing that was acknowledged is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
import trio
from pymongo.server_description import ServerDescription

from step_node.storage.interface import Storage, StorageMismatch
from step_node.storage.mongo import MongoStorage
from step_node.storage.mongo_driver import server_for
from step_node.storage.open import MongoSettings, open_storage
from step_node.testing.mongod import ThrowawayMongod
from step_node.testing.mongod_set import ThrowawayReplicaSet, command
from tests.storage.made_up_chain import MadeUpChain, assert_holds, begin
from tests.support.mongo_commands import SentCommands
from tests.support.mongod import new_database_name

pytestmark = [pytest.mark.slow, pytest.mark.long]

QUICK_ELECTION_MS = 2_500
LONGEST_SECONDS = 120.0
POLL_SECONDS = 0.02


@pytest.fixture(scope="module")
def replica_set() -> Iterator[ThrowawayReplicaSet]:
    """Three members; a test leaves all of them running."""
    made = ThrowawayReplicaSet(election_timeout_ms=QUICK_ELECTION_MS)
    try:
        made.start()
        trio.run(made.ready)
        yield made
    finally:
        made.discard()


@asynccontextmanager
async def begun(settings: MongoSettings, chain: MadeUpChain) -> AsyncIterator[Storage]:
    async with open_storage(settings) as store:
        await begin(store, chain)
        yield store


async def grow(store: Storage, chain: MadeUpChain, batches: int) -> None:
    for _ in range(batches):
        await store.finalise(chain.grow())


async def secondary_of(replica_set: ThrowawayReplicaSet, database: str) -> ThrowawayMongod:
    """The one that a node of this database asks."""
    primary = await replica_set.settled()
    secondaries = [member for member in replica_set.members if member is not primary]
    descriptions = [ServerDescription(("127.0.0.1", int(one.address.partition(":")[2]))) for one in secondaries]
    (chosen,) = server_for(database)(descriptions)
    return secondaries[descriptions.index(chosen)]


@contextmanager
def left_behind(member: ThrowawayMongod) -> Iterator[None]:
    """The member answers, and applies nothing that is new."""
    command(member, {"fsync": 1, "lock": True})
    try:
        yield
    finally:
        command(member, {"fsyncUnlock": 1})


def port_of(member: ThrowawayMongod) -> int:
    return int(member.address.partition(":")[2])


async def until_it_has_the_head(store: Storage, commands: SentCommands, primary: ThrowawayMongod) -> None:
    """Wait until an answer as of the head does not trouble the primary."""
    while True:
        before = commands.reads_at(port_of(primary))
        await store.for_strangers().head()
        if commands.reads_at(port_of(primary)) == before:
            return


async def test_a_store_goes_on_with_the_next_primary_and_has_lost_nothing(replica_set: ThrowawayReplicaSet) -> None:
    chain = MadeUpChain(seed=1)
    settings = MongoSettings(replica_set.uri, new_database_name(), retry_max_s=LONGEST_SECONDS)
    with trio.fail_after(LONGEST_SECONDS):
        async with begun(settings, chain) as store:
            acknowledged = 0

            async def write() -> None:
                nonlocal acknowledged
                for _ in range(20):
                    await grow(store, chain, 1)
                    acknowledged = chain.head.chain.height

            async def look() -> None:
                """The next primary's first snapshots may lack what the last one has acknowledged."""
                while acknowledged < 20:
                    known = acknowledged
                    assert (await store.head()).chain.height >= known

            async with trio.open_nursery() as nursery:
                nursery.start_soon(write)
                nursery.start_soon(look)
                while acknowledged < 6:
                    await trio.sleep(POLL_SECONDS)
                primary = await replica_set.settled()
                await trio.to_thread.run_sync(primary.kill)
            await assert_holds(store, chain)
            primary.start()
            assert await replica_set.settled() is not primary
        async with open_storage(settings, alone=True) as reopened:
            await begin(reopened, chain)
            await assert_holds(reopened, chain)


@pytest.mark.long
async def test_a_frozen_primary_that_wakes_up_is_not_believed(replica_set: ThrowawayReplicaSet) -> None:
    """For a moment it still takes itself for the primary, with the state of before."""
    chain = MadeUpChain(seed=2)
    settings = MongoSettings(replica_set.uri, new_database_name(), retry_max_s=LONGEST_SECONDS)
    with trio.fail_after(LONGEST_SECONDS):
        async with begun(settings, chain) as store:
            await grow(store, chain, 2)
            primary = await replica_set.settled()
            primary.pause()
            try:
                await grow(store, chain, 5)
            finally:
                primary.resume()
            for _ in range(50):
                assert (await store.head()).chain.height == chain.head.chain.height
            await grow(store, chain, 2)
            await assert_holds(store, chain)
            await replica_set.settled()


@pytest.mark.long
async def test_each_read_after_a_handover_sees_all_that_was_acknowledged(replica_set: ThrowawayReplicaSet) -> None:
    chain = MadeUpChain(seed=3)
    settings = MongoSettings(replica_set.uri, new_database_name(), retry_max_s=LONGEST_SECONDS)
    with trio.fail_after(LONGEST_SECONDS):
        async with begun(settings, chain) as store:
            for _ in range(3):
                await grow(store, chain, 2)
                await replica_set.step_down()
                for _ in range(20):
                    state = await store.load(chain.all_keys())
                    assert state.head == chain.head
                await replica_set.settled()
            await assert_holds(store, chain)


async def test_strangers_are_answered_by_a_secondary_as_of_the_head(
    replica_set: ThrowawayReplicaSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = SentCommands(monkeypatch)
    chain, name = MadeUpChain(seed=4), new_database_name()
    settings = MongoSettings(replica_set.uri, name, answers_from="secondaries")
    with trio.fail_after(LONGEST_SECONDS):
        primary = await replica_set.settled()
        async with begun(settings, chain) as store:
            strangers = store.for_strangers()
            for _ in range(3):
                batch = chain.grow()
                await store.finalise(batch)
                assert (await strangers.head()).chain.height == chain.head.chain.height
                assert await strangers.batches(batch.stored.height, 1) == (batch.stored,)
                ids = [proof.proof_id for proof in batch.proofs]
                assert {one.proof_id for one in await strangers.receipts(ids)} == set(ids)
            await until_it_has_the_head(store, commands, primary)
            before = commands.reads_at(port_of(primary))
            richest = await strangers.leaderboard(limit=3)
            account = await strangers.account(chain.addresses[0])
            assert commands.reads_at(port_of(primary)) == before
            assert (richest, account) == (await store.leaderboard(limit=3), await store.account(chain.addresses[0]))


async def test_a_secondary_that_lags_tells_history_and_never_that_something_final_is_missing(
    replica_set: ThrowawayReplicaSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = SentCommands(monkeypatch)
    chain, name = MadeUpChain(seed=5), new_database_name()
    settings = MongoSettings(replica_set.uri, name, answers_from="secondaries")
    with trio.fail_after(LONGEST_SECONDS):
        behind = await secondary_of(replica_set, name)
        primary = await replica_set.settled()
        async with begun(settings, chain) as store:
            await grow(store, chain, 4)
            strangers = store.for_strangers()
            await until_it_has_the_head(store, commands, primary)
            with left_behind(behind):
                await grow(store, chain, 3)
                newest = chain.batches[-1]
                # What it has not: from the primary.
                ids = [proof.proof_id for proof in newest.proofs]
                assert {one.proof_id for one in await strangers.receipts(ids)} == set(ids)
                assert await strangers.batches(7, 1) == (newest.stored,)
                assert (await strangers.head()).chain.height == 7
                account = newest.proofs[0].account
                assert await strangers.account(account) == chain.accounts[account]
                page = await strangers.account_proofs(account, before=None, limit=100)
                assert page == await store.account_proofs(account, before=None, limit=100)
                # What it has: from there, though it is behind.
                at_primary, at_secondary = commands.reads_at(port_of(primary)), commands.reads_at(port_of(behind))
                assert await strangers.batches(1, 4) == tuple(batch.stored for batch in chain.batches[:4])
                older = await strangers.account_proofs(account, before=(4, 0), limit=100)
                assert commands.reads_at(port_of(primary)) == at_primary
                assert commands.reads_at(port_of(behind)) > at_secondary
                assert older == await store.account_proofs(account, before=(4, 0), limit=100)


async def test_strangers_are_answered_while_there_is_no_primary(
    replica_set: ThrowawayReplicaSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = SentCommands(monkeypatch)
    chain = MadeUpChain(seed=6)
    settings = MongoSettings(replica_set.uri, new_database_name(), answers_from="secondaries")
    with trio.fail_after(LONGEST_SECONDS):
        primary = await replica_set.settled()
        async with begun(settings, chain) as store:
            await grow(store, chain, 3)
            strangers = store.for_strangers()
            await until_it_has_the_head(store, commands, primary)
            await trio.to_thread.run_sync(primary.kill)
            try:
                assert await strangers.batches(1, 3) == tuple(batch.stored for batch in chain.batches)
                assert (await strangers.head()).chain.height == 3
            finally:
                primary.start()
                await replica_set.settled()


async def test_a_uri_that_keeps_to_one_of_several_members_is_refused(replica_set: ThrowawayReplicaSet) -> None:
    primary = await replica_set.settled()
    uri = f"mongodb://{primary.address}/?directConnection=true"
    with pytest.raises(StorageMismatch, match="its option directConnection: must be left out: the set has 2 members"):
        await MongoStorage.open(uri, new_database_name())
