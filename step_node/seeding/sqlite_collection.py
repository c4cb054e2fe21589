"""The display collection as one SQLite file: a table of triangles and an R-tree of their boxes for each level.

A batch of chunks and the count of the level are one transaction, so nothing is ever left half written. The write-ahead
log is synced at checkpoints alone: after a power failure the last seconds may be missing, never torn.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np

from step_node.seeding.collection import LevelSize, LookUp
from step_node.seeding.levels import ChunkOf, SeedingError, triangle_count
from step_node.seeding.packed_boxes import PAGE_BYTES, append_boxes
from step_node.seeding.triangles import Record, boxes, columns, links

APPLICATION_ID: Final = 0x5354454D
"""`STEM`: what says that a file is a display collection."""

FORMAT: Final = 2
"""Of what is in it; in the first one SQLite itself had made the R-trees, to which nothing packed can be added."""

BUSY_TIMEOUT_S: Final = 5.0
CACHE_KIB: Final = 65_536
BEYOND: Final = 1 << 50
"""Added to the id of a triangle's second box; every integer form is below it."""

_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT})

_SCHEMA: Final = (
    "CREATE TABLE levels (level INTEGER PRIMARY KEY, written INTEGER NOT NULL) STRICT",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {FORMAT}",
)
_COLUMNS: Final = "id, triangle_id, parent, longitude, latitude, outline"
_HOLDING: Final = "west <= :east AND east >= :west AND south <= :latitude AND north >= :latitude"


class SqliteCollection:
    """See `Collection`. `create` makes the file where there is none; else one that is not there is an error."""

    def __init__(self, path: Path, *, create: bool) -> None:
        self.name = str(path)
        self._path = path
        if not create and not path.exists():
            raise SeedingError(f"{path}: is not there; make it with `step-node mesh seed --store sqlite:{path}`")
        with _meaningful_errors(path):
            self._connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            try:
                self._recognise()
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute("PRAGMA synchronous = NORMAL")
                self._connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            except BaseException:
                self._connection.close()
                raise

    def levels(self) -> dict[int, int]:
        with _meaningful_errors(self._path):
            return dict(self._connection.execute("SELECT level, written FROM levels ORDER BY level").fetchall())

    def begin(self, level: int) -> int:
        with self._transaction():
            self._connection.execute("INSERT OR IGNORE INTO levels VALUES (?, 0)", (level,))
            self._connection.execute(
                f"CREATE TABLE IF NOT EXISTS {_table(level)} (id INTEGER PRIMARY KEY, triangle_id TEXT NOT NULL,"
                " parent INTEGER, longitude REAL NOT NULL, latitude REAL NOT NULL, outline TEXT NOT NULL) STRICT"
            )
            self._connection.execute(
                f"CREATE VIRTUAL TABLE IF NOT EXISTS {_boxes(level)} USING rtree(id, west, east, south, north)"
            )
            return self._written(level)

    def append(self, level: int, chunks: Sequence[ChunkOf]) -> None:
        with self._transaction():
            for chunk in chunks:
                if self._written(level) != chunk.first:
                    raise SeedingError(f"{self.name}: level {level} is being seeded by another program; let it finish")
                self._connection.executemany(f"INSERT INTO {_table(level)} VALUES (?, ?, ?, ?, ?, ?)", _rows(chunk))
                self._append_boxes(chunk)
                self._connection.execute(
                    "UPDATE levels SET written = ? WHERE level = ?", (chunk.first + chunk.count, level)
                )

    def remove(self, level: int) -> None:
        with self._transaction():
            self._connection.execute(f"DROP TABLE IF EXISTS {_boxes(level)}")
            self._connection.execute(f"DROP TABLE IF EXISTS {_table(level)}")
            self._connection.execute("DELETE FROM levels WHERE level = ?", (level,))

    def count(self, level: int) -> int:
        with _meaningful_errors(self._path):
            (triangles,) = self._connection.execute(f"SELECT count(*) FROM {_table(level)}").fetchone()
            # A triangle that crosses the antimeridian has a second box.
            sql = f"SELECT count(*) FROM {_boxes(level)}_rowid WHERE rowid < ?"
            (boxed,) = self._connection.execute(sql, (BEYOND,)).fetchone()
        if boxed != triangles:
            raise SeedingError(
                f"{self.name}: level {level} has {triangles} triangles and boxes of {boxed}; make it anew: `step-node"
                f" mesh unseed --level {level}`, then `step-node mesh seed`"
            )
        return int(triangles)

    def records(self, level: int) -> Iterator[Record]:
        with _meaningful_errors(self._path):
            for row in self._connection.execute(f"SELECT {_COLUMNS} FROM {_table(level)} ORDER BY id"):
                yield _record(level, row)

    def record(self, level: int, triangle: int) -> Record | None:
        sql = f"SELECT {_COLUMNS} FROM {_table(level)} WHERE id = ?"
        with _meaningful_errors(self._path):
            row = self._connection.execute(sql, (triangle,)).fetchone()
        return None if row is None else _record(level, row)

    def links(self, level: int) -> Iterator[tuple[int, int | None]]:
        with _meaningful_errors(self._path):
            yield from self._connection.execute(f"SELECT id, parent FROM {_table(level)} ORDER BY id")

    def look_up(self, level: int, latitude: float, longitude: float) -> LookUp:
        sql = f"SELECT id FROM {_boxes(level)} WHERE {_HOLDING}"
        with _meaningful_errors(self._path):
            rows = self._connection.execute(sql, _bounds(latitude, longitude)).fetchall()
        return LookUp(tuple(sorted({number % BEYOND for (number,) in rows})))

    def index_used(self, level: int, latitude: float, longitude: float) -> str | None:
        sql = (
            f"EXPLAIN QUERY PLAN SELECT triangle_id FROM {_boxes(level)} AS boxes JOIN {_table(level)} AS triangles"
            f" ON triangles.id = boxes.id % {BEYOND} WHERE {_HOLDING}"
        )
        with _meaningful_errors(self._path):
            rows = self._connection.execute(sql, _bounds(latitude, longitude)).fetchall()
        plan = "; ".join(str(row[-1]) for row in rows)
        return plan if "VIRTUAL TABLE INDEX 2:" in plan and "USING INTEGER PRIMARY KEY" in plan else None

    def size(self, level: int) -> LevelSize:
        sql = "SELECT sum(pgsize) FROM dbstat WHERE aggregate = TRUE AND name {}"
        with _meaningful_errors(self._path):
            try:
                (data,) = self._connection.execute(sql.format("= ?"), (_table(level),)).fetchone()
                parts = [f"{_boxes(level)}_{part}" for part in ("node", "parent", "rowid")]
                (index,) = self._connection.execute(sql.format("IN (?, ?, ?)"), parts).fetchone()
            except sqlite3.OperationalError as error:
                if "no such table: dbstat" not in str(error):
                    raise
                return LevelSize(None, None)  # This SQLite was built without it.
        return LevelSize(data, index)

    def disk_free_bytes(self) -> int | None:
        return shutil.disk_usage(self._path.parent).free

    def close(self) -> None:
        with _meaningful_errors(self._path):
            self._connection.close()

    def _append_boxes(self, chunk: ChunkOf) -> None:
        numbers, sides = boxes(chunk)
        numbers[1:] += np.where(numbers[1:] == numbers[:-1], BEYOND, 0)
        index, chunk_count = chunk.first // chunk.count, triangle_count(chunk.level) // chunk.count
        append_boxes(self._connection, _boxes(chunk.level), index, chunk_count, numbers, sides)

    def _written(self, level: int) -> int:
        row = self._connection.execute("SELECT written FROM levels WHERE level = ?", (level,)).fetchone()
        written = -1 if row is None else int(row[0])
        if written > triangle_count(level):
            raise SeedingError(f"{self.name}: level {level} claims {written} triangles, more than there are")
        return written

    def _recognise(self) -> None:
        (application_id,) = self._connection.execute("PRAGMA application_id").fetchone()
        (objects,) = self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if application_id == 0 and objects == 0:
            # An R-tree's nodes are as large as a page lets them be.
            self._connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            self._connection.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA:
                self._connection.execute(statement)
            self._connection.execute("COMMIT")
        elif application_id != APPLICATION_ID:
            raise SeedingError(
                f"{self.name}: is not a display collection of the mesh but another program's file, perhaps a node's"
                " ledger; name a file of its own"
            )
        else:
            (form,) = self._connection.execute("PRAGMA user_version").fetchone()
            if form != FORMAT:
                raise SeedingError(f"{self.name}: has format {form}, must be {FORMAT}; delete it and seed anew")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _meaningful_errors(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")


def _bounds(latitude: float, longitude: float) -> dict[str, float]:
    """What a box has to meet. A pole is on every meridian."""
    west, east = (-180.0, 180.0) if abs(latitude) == 90.0 else (longitude, longitude)
    return {"west": west, "east": east, "latitude": latitude}


def _table(level: int) -> str:
    return f"triangles_{level}"


def _boxes(level: int) -> str:
    return f"boxes_{level}"


def _rows(chunk: ChunkOf) -> Iterator[tuple[object, ...]]:
    found = columns(chunk)
    # Writing a number shortly takes longer than all else, so it is done once for each vertex.
    places = [f"[{longitude},{latitude}]" for longitude, latitude in found.positions.tolist()]
    rows = zip(links(chunk), found.texts, found.centroids.tolist(), found.corners.tolist(), strict=True)
    for (number, parent), text, (longitude, latitude), (first, second, third) in rows:
        ring = f"{places[first]},{places[second]},{places[third]},{places[first]}"
        yield number, text, parent, longitude, latitude, f'{{"type":"Polygon","coordinates":[[{ring}]]}}'


def _record(level: int, row: tuple[int, str, int | None, float, float, str]) -> Record:
    number, text, parent, longitude, latitude, outline = row
    (ring,) = json.loads(outline)["coordinates"]
    return Record(number, level, parent, [longitude, latitude], ring, text)


@contextmanager
def _meaningful_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise SeedingError(f"{path}: SQLite does not answer: {error}; run the command again once that is mended") from (
            error
        )
    except sqlite3.DatabaseError as error:
        # Absent where the sqlite3 module itself complains, of misuse: a bug, and left as it is.
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE) & 0xFF not in _DAMAGED:
            raise
        raise SeedingError(f"{path}: is damaged or no SQLite file: {error}; delete it and seed anew") from error
