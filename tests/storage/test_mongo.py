"""What is MongoDB's own: the replica set, the indexes, the geometry, and what can be wrong with the server."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymongo
import pymongo.errors
import pytest
import trio.testing

from mesh import LEVEL_MAX, TriangleId, centroid, locate, polygon
from step_node.storage.interface import SCHEMA_VERSION, NoChain, StorageMismatch, StorageUnavailable
from step_node.storage.mongo import MongoStorage
from step_node.storage.mongo_documents import triangle_centroid
from step_node.storage.mongo_driver import SOCKET_TIMEOUT_MS
from step_node.storage.mongo_replica_set import initiate_replica_set
from step_node.storage.mongo_session import NODE_APPLICATION
from step_node.storage.open import MongoSettings, open_storage
from step_node.testing import mongod as throwaway
from tests.storage.made_up_chain import MadeUpChain, assert_holds, begin
from tests.support.mongod import new_database_name

NOBODY = "mongodb://127.0.0.1:1/?replicaSet=step&serverSelectionTimeoutMS=300"
"""Nothing listens on port 1."""


@pytest.fixture
def database(mongodb_uri: str) -> Iterator[Any]:
    """A database of its own, seen with a plain client."""
    with pymongo.MongoClient[dict[str, Any]](mongodb_uri) as client:
        yield client[new_database_name()]


async def test_a_standalone_mongod_is_refused_saying_what_to_do() -> None:
    async with throwaway.throwaway_mongod(replica_set=False) as mongod:
        for uri in (mongod.uri, f"{mongod.uri}?replicaSet=step&serverSelectionTimeoutMS=300"):
            with pytest.raises(StorageMismatch, match=r"standalone mongod.*--replSet step.*`step-node store init`"):
                await MongoStorage.open(uri, "any")
        with pytest.raises(StorageMismatch, match=r"standalone mongod.*--replSet step"):
            await initiate_replica_set(mongod.uri)


async def test_a_set_is_initiated_once_and_until_then_refused() -> None:
    mongod = throwaway.ThrowawayMongod()
    try:
        mongod.start()
        # Waits for the server to answer, which is all there is to wait for: the set has no member by this name.
        with pytest.raises(StorageMismatch, match="refuses to form the set"):
            await initiate_replica_set(mongod.uri, members=["198.51.100.1:27017"])
        with pytest.raises(StorageMismatch, match="has not been initiated: run `step-node store init`"):
            await MongoStorage.open(f"{mongod.uri}&serverSelectionTimeoutMS=300", "any")
        said: list[str] = []
        await initiate_replica_set(mongod.uri, report=said.append)
        assert said[-1].endswith("has a primary")
        await initiate_replica_set(mongod.uri)
        async with open_storage(MongoSettings(mongod.uri, "any")) as store:
            await begin(store, MadeUpChain(seed=1))
    finally:
        mongod.discard()


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(StorageUnavailable, match="MongoDB does not answer"):
        await MongoStorage.open(NOBODY, "any")
    with pytest.raises(StorageUnavailable, match=r"127\.0\.0\.1:1 has no primary after 0\.1 s"):
        await initiate_replica_set(NOBODY, wait_max_s=0.1)


@pytest.mark.parametrize("uri", ["http://localhost/", "mongodb://", "mongodb://user:secret@host:99999/"])
async def test_a_uri_that_is_none_is_refused_without_showing_its_password(uri: str) -> None:
    with pytest.raises(StorageMismatch, match=r"MongoDB URI.* cannot be used") as refusal:
        await MongoStorage.open(uri, "any")
    assert "secret" not in str(refusal.value)
    with pytest.raises(StorageMismatch, match=r"MongoDB URI.* cannot be used"):
        await initiate_replica_set(uri)


@pytest.mark.parametrize(
    ("option", "rule"),
    [
        ("readPreference=nearest", "readpreference: must be primary, or be left out, not 'nearest'"),
        ("readPreference=secondaryPreferred", "readpreference: must be primary"),
        ("readConcernLevel=local", "readconcernlevel: must be majority, or be left out, not 'local'"),
        ("w=0", "w: must be majority, or be left out, not 0"),
        ("w=1", "w: must be majority, or be left out, not 1"),
        ("journal=false", "journal: must be true, or be left out, not False"),
    ],
)
async def test_an_option_that_breaks_transactions_is_refused_naming_it_and_no_password(option: str, rule: str) -> None:
    with pytest.raises(StorageMismatch) as refusal:
        await MongoStorage.open(f"mongodb://user:secret@127.0.0.1:1/?replicaSet=rs0&{option}", "any")
    assert f"storage.mongodb_uri): its option {rule}" in str(refusal.value)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("name", ["", "a.b", "a b", "x" * 64])
async def test_a_name_that_no_database_can_have_is_refused(name: str) -> None:
    with pytest.raises(StorageMismatch, match="the MongoDB database is named"):
        await MongoStorage.open(NOBODY, name)


async def test_closing_a_store_cuts_short_a_call_under_way() -> None:
    async with throwaway.throwaway_mongod() as mongod:
        store = await MongoStorage.open(f"{mongod.uri}&serverSelectionTimeoutMS=300", "any", retry_max_s=3_600)
        await begin(store, MadeUpChain(seed=1))
        mongod.kill()

        async def read() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await store.head()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            await store.close()


async def test_a_database_that_goes_away_is_unavailable_and_comes_back() -> None:
    chain = MadeUpChain(seed=1)
    async with throwaway.throwaway_mongod() as mongod:
        uri = f"{mongod.uri}&serverSelectionTimeoutMS=2000"
        async with open_storage(MongoSettings(uri, "any", retry_max_s=0.1)) as store:
            await begin(store, chain)
            batch = chain.grow()
            mongod.kill()
            with pytest.raises(StorageUnavailable, match=r"does not answer, tried for 0\.1 s"):
                await store.finalise(batch)
            with pytest.raises(StorageUnavailable):
                await store.head()
            await mongod.restart()
            async with open_storage(MongoSettings(mongod.uri, "any"), alone=True) as reopened:
                await reopened.finalise(batch)
                await assert_holds(reopened, chain)


async def test_a_server_that_hangs_is_given_up_long_before_a_call_would_be() -> None:
    """A node that is told to stop waits for the calls that are under way."""
    chain = MadeUpChain(seed=1)
    async with throwaway.throwaway_mongod() as mongod, open_storage(MongoSettings(mongod.uri, "any")) as store:
        await begin(store, chain)
        mongod.pause()
        try:
            with trio.fail_after(SOCKET_TIMEOUT_MS / 1000 - 2), trio.move_on_after(0.5) as stopping:
                await store.head()
            assert stopping.cancelled_caught
        finally:
            mongod.resume()
        await store.finalise(chain.grow())


async def test_a_newer_schema_is_refused_naming_both_versions(mongodb_uri: str, database: Any) -> None:
    database.meta.insert_one({"_id": "schema", "version": 7})
    with pytest.raises(StorageMismatch, match=rf"schema version 7.*versions up to {SCHEMA_VERSION}"):
        await MongoStorage.open(mongodb_uri, database.name)


async def test_who_only_reads_makes_nothing_and_ends_nothing_that_was_being_dropped(
    mongodb_uri: str, database: Any
) -> None:
    settings = MongoSettings(mongodb_uri, database.name)
    async with open_storage(settings, only_reads=True) as store:
        with pytest.raises(NoChain):
            await store.head()
    assert database.list_collection_names() == []
    database.meta.insert_one({"_id": "removing", "removing": True})
    with pytest.raises(StorageMismatch, match="is being dropped, or that was cut short: the next start ends it"):
        async with open_storage(settings, only_reads=True):
            pass
    assert database.list_collection_names() == ["meta"]
    with pytest.raises(ValueError, match="is not only reading"):
        async with open_storage(settings, alone=True, only_reads=True):
            pass


async def test_a_closed_store_is_reopened_as_it_was(mongodb_uri: str) -> None:
    chain = MadeUpChain(seed=1)
    settings = MongoSettings(mongodb_uri, new_database_name())
    async with open_storage(settings) as store:
        await begin(store, chain)
        await store.finalise(chain.grow())
    async with open_storage(settings) as store:
        await begin(store, chain)
        await assert_holds(store, chain)


async def test_two_openers_of_one_database_apply_a_height_once(mongodb_uri: str) -> None:
    chain = MadeUpChain(seed=1)
    settings = MongoSettings(mongodb_uri, new_database_name())
    async with open_storage(settings) as first, open_storage(settings) as second:
        await begin(first, chain)
        await begin(second, chain)
        batch = chain.grow()
        await first.finalise(batch)
        await second.finalise(batch)
        await second.finalise(chain.grow())
        await assert_holds(first, chain)


@pytest.mark.parametrize("alone", [False, True])
async def test_a_node_goes_on_while_others_open_its_store(mongodb_uri: str, alone: bool) -> None:
    """Backups and audits of a running node do, and so does a node of another home that names its database.

    Opening ended the transactions that it found open; the node's then failed in a way that was not tried again, and the
    node ended. The one that is `alone` still ends them.
    """
    chain = MadeUpChain(seed=1)
    settings = MongoSettings(mongodb_uri, new_database_name())
    opened = 0
    async with open_storage(settings) as store, trio.open_nursery() as nursery:
        await begin(store, chain)

        async def open_for_ever() -> None:
            nonlocal opened
            while True:
                async with open_storage(settings, alone=alone):
                    opened += 1

        nursery.start_soon(open_for_ever)
        nursery.start_soon(open_for_ever)
        while opened < 40:
            await store.finalise(chain.grow())
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await assert_holds(store, chain)


async def test_only_who_is_alone_ends_transactions_that_are_open(mongodb_uri: str) -> None:
    settings = MongoSettings(mongodb_uri, new_database_name())
    async with open_storage(settings):
        pass
    node: Any = pymongo.MongoClient(mongodb_uri, appname=f"{NODE_APPLICATION} {settings.database}")
    with node, node.start_session() as session:
        for alone in (False, True):
            session.start_transaction()
            node[settings.database].meta.insert_one({"_id": f"of a node, {alone}"}, session=session)
            async with open_storage(settings, alone=alone):
                pass
            if alone:
                with pytest.raises(pymongo.errors.OperationFailure):
                    session.commit_transaction()
            else:
                session.commit_transaction()


async def test_the_promised_indexes_are_there(mongodb_uri: str, database: Any) -> None:
    async with open_storage(MongoSettings(mongodb_uri, database.name)):
        pass
    nonces = database.nonces.index_information()
    assert nonces["account_1_nonce_1"]["unique"]
    assert "timestamp_ms_1_account_1_nonce_1" in nonces
    assert "account_1_height_-1_index_-1" in database.proofs.index_information()
    assert "balance_ustep_-1__id_1" in database.accounts.index_information()
    assert "centroid_2dsphere" in database.triangles.index_information()


def awkward_triangles() -> list[TriangleId]:
    """All of levels 1 to 3, and at every level those at the poles and across the antimeridian."""
    small = [
        TriangleId.from_int(face << 45 | path << (47 - 2 * level) | level)
        for level in (1, 2, 3)
        for face, path in itertools.product(range(20), range(4 ** (level - 1)))
    ]
    latitudes = (90.0, 89.9999999, 58.2825255, 31.7174744, 10.0, 0.0)
    places = [(sign * lat, lon) for lat in latitudes for sign in (1, -1) for lon in (180.0, -179.9999999, 0.0, 90.0)]
    deep = [locate(lat, lon, level) for lat, lon in places for level in range(1, 22)]
    return list(dict.fromkeys(small + deep))


async def test_every_triangle_can_be_indexed_and_is_found_where_it_is(mongodb_uri: str, database: Any) -> None:
    async with open_storage(MongoSettings(mongodb_uri, database.name)):
        pass
    triangles = awkward_triangles()
    database.triangles.insert_many([{"_id": int(one), "centroid": triangle_centroid(int(one))} for one in triangles])
    for one in triangles:
        point = {"type": "Point", "coordinates": list(centroid(one))}
        assert database.triangles.find_one({"_id": int(one), "centroid": {"$geoIntersects": {"$geometry": point}}}), one


async def test_a_map_finds_the_touched_triangles_of_an_area_and_those_inside_one(
    mongodb_uri: str, database: Any
) -> None:
    chain = MadeUpChain(seed=1)
    async with open_storage(MongoSettings(mongodb_uri, database.name)) as store:
        await begin(store, chain)
        batch = chain.grow()
        await store.finalise(batch)
    touched = TriangleId.from_int(batch.changes.triangles[0].id)
    area = {"type": "Polygon", "coordinates": [polygon(touched)]}
    found = database.triangles.find({"centroid": {"$geoWithin": {"$geometry": area}}})
    assert int(touched) in {document["_id"] for document in found}
    # Ids are numbered so that a triangle's descendants follow it, up to its last one of the last level.
    parent = touched.parent
    assert parent is not None
    last = parent
    while last.level < LEVEL_MAX:
        last = last.children[-1]
    inside = database.triangles.find({"_id": {"$gt": int(parent), "$lte": int(last)}})
    assert {document["_id"] for document in inside} == {
        one.id for one in batch.changes.triangles if parent.is_ancestor_of(TriangleId.from_int(one.id))
    }


def test_without_a_binary_the_error_names_the_ways_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StorageUnavailable, match=r"step-node\[mongod\].*PATH.*URI"):
        throwaway.find_mongod()


async def test_a_mongod_that_ends_by_itself_is_reported_with_its_log() -> None:
    with pytest.raises(StorageUnavailable, match="ended by itself"):
        async with throwaway.throwaway_mongod(cache_gb=0.0):
            pass
