"""What is written a chunk at a time has the bits of what triangles are one by one, and SQLite's own R-trees have."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from math import ceil
from pathlib import Path

import bson
import numpy as np
import pytest

from mesh import TriangleId, corners
from step_node.seeding.levels import CHUNK_LEVELS, SEEDED_LEVEL_MAX, ChunkOf, chunk_at, chunk_size, triangle_count
from step_node.seeding.packed_boxes import CELLS_MAX, CHUNK_NODES, UPPER_NODES, append_boxes
from step_node.seeding.packed_documents import packed_documents
from step_node.seeding.sqlite_collection import BEYOND, SqliteCollection
from step_node.seeding.triangles import FloatArray, Record, boxes, records

WHOLE_LEVELS = range(1, 7)
DEEP_LEVELS = (8, 10, 12)


def _chunks(level: int) -> Iterator[ChunkOf]:
    for first in range(0, triangle_count(level), chunk_size(level)):
        yield chunk_at(level, first)


def _some_chunks(level: int) -> list[ChunkOf]:
    """The first one, whose integers are small; some between; the last one."""
    size, count = chunk_size(level), triangle_count(level) // chunk_size(level)
    return [chunk_at(level, index * size) for index in (0, 1, count // 3, count // 2 + 5, count - 1)]


def _alone(found: list[Record]) -> list[Record]:
    """The records of the same triangles, from each one's own corners."""
    triangles = [TriangleId.from_int(record.triangle) for record in found]
    vectors = np.array([corners(triangle) for triangle in triangles])
    rings, centroids = _positions(vectors).tolist(), _positions(vectors.sum(axis=1)).tolist()
    return [
        Record(one.integer, one.level, one.parent_integer, centroid, [*ring, ring[0]], one.text)
        for one, ring, centroid in zip(triangles, rings, centroids, strict=True)
    ]


def _positions(vectors: FloatArray) -> FloatArray:
    x, y, z = (vectors[..., axis] + 0.0 for axis in range(3))
    degrees = np.degrees(np.stack([np.arctan2(y, x), np.arctan2(z, np.hypot(x, y))], axis=-1))
    rounded: FloatArray = degrees.round(9) + 0.0
    return rounded


@pytest.mark.parametrize("level", WHOLE_LEVELS)
def test_all_records_of_a_level_are_those_of_triangles_alone(level: int) -> None:
    for chunk in _chunks(level):
        found = records(chunk)
        assert len(found) == chunk.count
        # As text, in which 0.0 and -0.0 differ.
        assert repr(found) == repr(_alone(found))


@pytest.mark.parametrize("level", DEEP_LEVELS)
def test_records_of_deep_levels_are_those_of_triangles_alone(level: int) -> None:
    for chunk in _some_chunks(level):
        found = records(chunk)[::37]
        assert repr(found) == repr(_alone(found))


@pytest.mark.parametrize("level", [*WHOLE_LEVELS, *DEEP_LEVELS])
def test_documents_have_the_bytes_that_pymongo_makes(level: int) -> None:
    for chunk in _chunks(level) if level in WHOLE_LEVELS else _some_chunks(level):
        step = 1 if level in WHOLE_LEVELS else 17
        packed = [document.raw for document in packed_documents(chunk)]
        assert len(packed) == chunk.count
        assert packed[::step] == [bson.encode(record.document()) for record in records(chunk)[::step]]


def _inserted(chunks: list[ChunkOf]) -> list[tuple[float, ...]]:
    """What SQLite's own insertion makes of the boxes."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE VIRTUAL TABLE boxes USING rtree(id, west, east, south, north)")
        for chunk in chunks:
            previous = -1
            numbers, sides = boxes(chunk)
            for number, places in zip(numbers.tolist(), sides.tolist(), strict=True):
                row = (number + BEYOND if number == previous else number, *places)
                connection.execute("INSERT INTO boxes VALUES (?, ?, ?, ?, ?)", row)
                previous = number
        return connection.execute("SELECT * FROM boxes ORDER BY id").fetchall()


@pytest.mark.parametrize("level", [*WHOLE_LEVELS, 8])
def test_boxes_are_those_of_sqlites_own_insertion(level: int, tmp_path: Path) -> None:
    path = tmp_path / "mesh.sqlite"
    chunks = list(_chunks(level))[: 20 if level in WHOLE_LEVELS else 1]
    collection = SqliteCollection(path, create=True)
    collection.begin(level)
    for chunk in chunks:
        collection.append(level, [chunk])
    collection.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(f"SELECT * FROM boxes_{level} ORDER BY id").fetchall() == _inserted(chunks)
        assert connection.execute("SELECT rtreecheck(?)", (f"boxes_{level}",)).fetchone() == ("ok",)


def test_there_are_numbers_enough_for_all_nodes_of_the_deepest_level() -> None:
    chunk_count = triangle_count(SEEDED_LEVEL_MAX) // chunk_size(SEEDED_LEVEL_MAX)
    lower = ceil(chunk_count / CELLS_MAX)
    assert lower <= UPPER_NODES
    assert ceil(lower / CELLS_MAX) <= CELLS_MAX, "two heights below the root"
    # The antimeridian enters a triangle where it crosses a line, and the lines of a chunk have three directions.
    box_count = chunk_size(SEEDED_LEVEL_MAX) + 3 * 2**CHUNK_LEVELS
    leaves = ceil(box_count / CELLS_MAX)
    assert leaves + ceil(leaves / CELLS_MAX) + 1 <= CHUNK_NODES


def test_a_packed_tree_is_whole_after_each_chunk_and_sqlite_can_change_it() -> None:
    chunk_count = CELLS_MAX * CELLS_MAX + 2  # Three heights of nodes above the chunks.
    looked_at = {0, 1, CELLS_MAX - 1, CELLS_MAX, CELLS_MAX + 1, chunk_count - 3, chunk_count - 2, chunk_count - 1}
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE VIRTUAL TABLE boxes USING rtree(id, west, east, south, north)")
        find = "SELECT id FROM boxes WHERE west <= ? AND east >= ? AND south <= 5 AND north >= 5"
        assert connection.execute(find, (0.5, 0.5)).fetchall() == []
        for index in range(chunk_count):
            sides = np.array([[index, index + 1.0, 0.0, 10.0], [index, index + 1.0, -10.0, 0.0]])
            append_boxes(connection, "boxes", index, chunk_count, np.array([2 * index, 2 * index + 1]), sides)
            if index in looked_at:
                assert connection.execute("SELECT rtreecheck('boxes')").fetchone() == ("ok",)
                for place in (0, index // 2, index):
                    assert connection.execute(find, (place + 0.5, place + 0.5)).fetchall() == [(2 * place,)]
        connection.execute("DELETE FROM boxes WHERE id < ?", (chunk_count,))
        connection.execute("INSERT INTO boxes VALUES (0, 0, 1, 0, 10)")
        assert connection.execute("SELECT rtreecheck('boxes')").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM boxes").fetchone() == (chunk_count + 1,)
