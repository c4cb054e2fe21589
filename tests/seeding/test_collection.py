"""The display collection, in both engines: what is in it, what a crash leaves, and what verifying finds."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import shapely
from pymongo import MongoClient

from mesh import TriangleId, contains, locate, outline
from step_node.seeding.collection import Collection
from step_node.seeding.exporting import ExportFormat, exported
from step_node.seeding.levels import SEEDED_LEVEL_MAX, SeedingError, chunk_at, parse_levels, triangle_at, triangle_count
from step_node.seeding.mongo_collection import MongoCollection
from step_node.seeding.seeder import (
    Interrupted,
    LevelPlan,
    MongoTarget,
    SqliteTarget,
    Target,
    open_collection,
    plan,
    require_disk,
    seed,
)
from step_node.seeding.sqlite_collection import SqliteCollection
from step_node.seeding.triangles import boxes
from step_node.seeding.verifying import LOOK_UP_MS_MAX, verify_level
from tests.seeding.conftest import Told
from tests.support.mongod import new_database_name


def _never() -> bool:
    return False


def _after(batches: int) -> Callable[[], bool]:
    asked = count()
    return lambda: next(asked) >= batches


def _still() -> float:
    return 0.0


def _everything(collection: Collection, levels: range) -> list[str]:
    return list(exported(collection, levels, ExportFormat.NDJSON))


def _edit(target: Target, level: int, change: str) -> None:
    """Do harm to a level, as a hand would."""
    first = triangle_at(level, 1).integer
    match target:
        case SqliteTarget(path):
            statement = {
                "lose": f"DELETE FROM triangles_{level} WHERE id = {first}",
                "move": f"UPDATE triangles_{level} SET longitude = longitude + 0.001 WHERE id = {first}",
                "reparent": f"UPDATE triangles_{level} SET parent = parent + 1 WHERE id = {first}",
            }[change]
            with sqlite3.connect(path) as connection:
                connection.execute(statement)
            connection.close()
        case MongoTarget(uri, database):
            client: MongoClient[dict[str, Any]] = MongoClient(uri)
            triangles = client[database][f"mesh_level_{level}"]
            if change == "lose":
                triangles.delete_one({"_id": first})
            elif change == "move":
                triangles.update_one({"_id": first}, {"$inc": {"centroid.coordinates.0": 0.001}})
            else:
                triangles.update_one({"_id": first}, {"$inc": {"parent": 1}})
            client.close()


def test_the_counts_are_those_of_the_mesh() -> None:
    assert sum(map(triangle_count, parse_levels("1-5"))) == 6_820
    assert sum(map(triangle_count, parse_levels("1-10"))) == 6_990_500
    assert triangle_count(8) == 327_680


@pytest.mark.parametrize(
    "text", ["", "0", "0-3", "3-2", "1-13", "1-", "-2", "a", "1_0", "1,2", f"{SEEDED_LEVEL_MAX + 1}"]
)
def test_levels_that_cannot_be_seeded_are_refused(text: str) -> None:
    with pytest.raises(SeedingError, match="--levels: "):
        parse_levels(text)


def test_a_seeded_level_is_the_mesh_and_verifies(collection: Collection) -> None:
    told = Told()
    seed(collection, range(1, 5), told, _never)
    assert collection.levels() == {level: triangle_count(level) for level in range(1, 5)}
    for level in range(1, 5):
        verdict = verify_level(collection, level, timer=_still)
        assert (verdict.problems, verdict.triangles) == ([], triangle_count(level))
        assert verdict.index is not None
        assert collection.size(level).data_bytes
    assert told.lines[-1] == (4, triangle_count(4))


def test_the_index_finds_what_holds_a_point_at_poles_and_antimeridian_too(collection: Collection) -> None:
    seed(collection, range(1, 4), Told(), _never)
    points = [(90.0, 0.0), (-90.0, 12.0), (89.9, 77.0), (0.5, 180.0), (-40.2, -180.0), (47.5, 19.04), (12.0, 179.99)]
    for level in range(1, 4):
        for latitude, longitude in points:
            assert (
                locate(latitude, longitude, level).integer in collection.look_up(level, latitude, longitude).triangles
            )


def test_seeding_again_changes_nothing(collection: Collection) -> None:
    seed(collection, range(1, 4), Told(), _never)
    before, told = _everything(collection, range(1, 4)), Told()
    seed(collection, range(1, 4), told, _never)
    assert told.lines == [(level, triangle_count(level)) for level in range(1, 4)]
    assert _everything(collection, range(1, 4)) == before


def test_an_interrupted_run_is_gone_on_with_and_gives_the_same(target: Target, tmp_path: Path) -> None:
    straight = SqliteCollection(tmp_path / "straight.sqlite", create=True)
    seed(straight, range(4, 6), Told(), _never)
    for batches in (4, 3, 1):
        collection = open_collection(target, create=True)
        with pytest.raises(Interrupted, match="level "):
            seed(collection, range(4, 6), Told(), _after(batches))
        collection.close()
    collection = open_collection(target)
    present = collection.levels()
    assert 0 < present[5] < triangle_count(5)
    assert "not whole" in verify_level(collection, 5, timer=_still).problems[0]
    seed(collection, range(4, 6), Told(), _never)
    assert _everything(collection, range(4, 6)) == _everything(straight, range(4, 6))
    assert verify_level(collection, 5, timer=_still).problems == []
    collection.close()
    straight.close()


def test_what_a_killed_run_left_uncounted_in_mongodb_is_taken_away_first(mongodb_uri: str) -> None:
    name = new_database_name()
    collection = MongoCollection(mongodb_uri, name)
    collection.begin(3)
    client: MongoClient[dict[str, Any]] = MongoClient(mongodb_uri)
    database = client[name]
    collection.append(3, [chunk_at(3, first) for first in range(0, 160, 16)])
    # As if killed after a batch was written, whole or in part, and before it was counted.
    database["mesh_levels"].update_one({"_id": 3}, {"$set": {"written": 32}})
    database["mesh_level_3"].delete_one({"_id": triangle_at(3, 40).integer})
    seed(collection, range(3, 4), Told(), _never)
    assert verify_level(collection, 3, timer=_still).problems == []
    client.close()
    collection.close()


def test_a_level_is_taken_away_and_the_others_stay(collection: Collection) -> None:
    seed(collection, range(1, 4), Told(), _never)
    collection.remove(2)
    collection.remove(2)
    assert collection.levels() == {1: 20, 3: 320}
    assert verify_level(collection, 3, timer=_still).problems == []
    seed(collection, range(1, 4), Told(), _never)
    assert verify_level(collection, 2, timer=_still).problems == []


@pytest.mark.parametrize(
    ("change", "told"), [("lose", "is missing"), ("move", "its centroid is"), ("reparent", "its parent is")]
)
def test_verifying_finds_what_a_hand_has_changed(target: Target, change: str, told: str) -> None:
    collection = open_collection(target, create=True)
    seed(collection, range(2, 3), Told(), _never)
    collection.close()
    _edit(target, 2, change)
    collection = open_collection(target)
    try:
        problems = "; ".join(verify_level(collection, 2, timer=_still).problems)
    except SeedingError as error:  # SQLite counts its boxes too.
        problems = f"{error}: is missing"
        assert change == "lose"
    collection.close()
    assert told in problems
    assert change == "lose" or str(triangle_at(2, 1)) in problems


def test_a_slow_look_up_is_a_problem(collection: Collection) -> None:
    seed(collection, range(1, 2), Told(), _never)
    slow = count(step=LOOK_UP_MS_MAX / 1_000.0)
    assert "a look-up takes 10.0 ms" in verify_level(collection, 1, timer=lambda: next(slow)).problems[0]


def test_a_plan_counts_what_is_missing_and_leaves_nothing(target: Target) -> None:
    plans = plan(target, range(1, 11), timer=_still)
    assert sum(one.triangles for one in plans) == 6_990_500
    assert all(one.bytes > 100 * one.triangles for one in plans)
    if isinstance(target, SqliteTarget):
        assert list(target.path.parent.iterdir()) == []
    collection = open_collection(target, create=True)
    assert collection.levels() == {}
    seed(collection, range(1, 3), Told(), _never)
    collection.close()
    first, second, third = plan(target, range(1, 4), timer=_still)
    assert (first.present, first.bytes, second.present, second.bytes) == (20, 0, 80, 0)
    assert third.bytes > 0


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(collection: Collection) -> None:
    with pytest.raises(SeedingError, match="free some, or seed fewer levels"):
        require_disk(collection, [LevelPlan(12, triangle_count(12), 0, 1 << 60, 1.0)])


def test_a_nodes_own_store_is_refused(target: Target, tmp_path: Path) -> None:
    match target:
        case SqliteTarget():
            path = tmp_path / "ledger.sqlite"
            with sqlite3.connect(path) as connection:
                connection.execute("CREATE TABLE chain (id INTEGER)")
            connection.close()
            before = path.read_bytes()
            with pytest.raises(SeedingError, match="name a file of its own"):
                SqliteCollection(path, create=True)
            assert path.read_bytes() == before
        case MongoTarget(uri, database):
            client: MongoClient[dict[str, Any]] = MongoClient(uri)
            client[database]["triangles"].insert_one({"_id": 1})
            client.close()
            with pytest.raises(SeedingError, match="name a database of its own"):
                MongoCollection(uri, database)


def test_a_file_that_is_damaged_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mesh.sqlite"
    path.write_bytes(b"no SQLite file at all" * 100)
    with pytest.raises(SeedingError, match="delete it and seed anew"):
        SqliteCollection(path, create=True)


def test_a_file_of_the_first_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mesh.sqlite"
    SqliteCollection(path, create=True).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    with pytest.raises(SeedingError, match="has format 1, must be 2; delete it and seed anew"):
        SqliteCollection(path, create=True)


def test_two_that_seed_at_once_are_told(collection: Collection) -> None:
    collection.begin(3)
    collection.append(3, [chunk_at(3, 0)])
    with pytest.raises(SeedingError, match="is being seeded by another program"):
        collection.append(3, [chunk_at(3, 0)])


def test_geojson_is_one_collection_for_flat_maps(collection: Collection) -> None:
    seed(collection, range(1, 3), Told(), _never)
    written = json.loads("".join(exported(collection, range(1, 3), ExportFormat.GEOJSON)))
    assert len(written["features"]) == 100
    for feature in written["features"]:
        triangle = TriangleId.parse(feature["id"])
        assert feature["geometry"]["type"] == outline(triangle).geom_type
        assert feature["properties"]["level"] == triangle.level
    assert "MultiPolygon" in {feature["geometry"]["type"] for feature in written["features"]}


def test_every_box_holds_its_triangle_and_hardly_more() -> None:
    for level in range(1, 4):
        margin = 8.0 * 0.5**level  # An outline is drawn to a thousandth of its side, and near a pole that is far.
        for first in range(0, triangle_count(level), 4 ** (level - 1)):
            found: dict[int, list[shapely.Polygon]] = {}
            numbers, sides = boxes(chunk_at(level, first))
            for number, (west, east, south, north) in zip(numbers.tolist(), sides.tolist(), strict=True):
                found.setdefault(number, []).append(shapely.box(west, south, east, north))
            for number, its in found.items():
                drawn, covered = outline(TriangleId.from_int(number)), shapely.union_all(its)
                assert covered.buffer(margin).contains(drawn)
                assert drawn.envelope.buffer(margin).contains(covered) or len(its) == 2


def test_every_centroid_is_in_its_triangle(collection: Collection) -> None:
    seed(collection, range(1, 3), Told(), _never)
    for level in (1, 2):
        for record in collection.records(level):
            longitude, latitude = record.centroid
            assert contains(TriangleId.from_int(record.triangle), latitude, longitude)
