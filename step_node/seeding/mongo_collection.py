"""The display collection in MongoDB: a database of its own, a collection of triangles for each level.

The index of places. A `2dsphere` index covers an outline with cells of Google's S2, by default as finely as 500 m and
with up to 50 of them a triangle: that took 820 microseconds and 600 bytes for each. Cells of about twice a triangle's
own side name it as well, for 32 microseconds and 44 bytes, so each level's index is told how fine it may be.

Order of writing. A batch's triangles are written first and counted then, both journalled by the server in this order;
what a killed run left uncounted is deleted before the level is gone on with. No transactions, so a standalone mongod
does. Four chunks are on the way at a time, for which the server uses as many of its cores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

from pymongo import ASCENDING, GEOSPHERE, MongoClient
from pymongo.collection import Collection as MongoTriangles
from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError

from step_node.seeding.collection import LevelSize, LookUp, Timer
from step_node.seeding.levels import CHUNKS_AT_ONCE, ChunkOf, SeedingError, triangle_at, triangle_count
from step_node.seeding.packed_documents import packed_documents
from step_node.seeding.triangles import Record

PREFIX: Final = "mesh_level_"
LEVELS: Final = "mesh_levels"
"""One document for each level: `_id` is the level, `written` how many of its triangles count."""
SAMPLE: Final = "mesh_sample"
"""Where an estimate's triangles are written and dropped again."""
PLACES_INDEX: Final = "outline_2dsphere"
SERVER_SELECTION_TIMEOUT_MS: Final = 5_000
DUPLICATE_KEY: Final = 11_000

Document = dict[str, Any]


class MongoCollection:
    """See `Collection`. Raises `SeedingError` for a database that has other collections too, such as a node's."""

    def __init__(self, uri: str, database: str) -> None:
        with _meaningful_errors():
            self._client: MongoClient[Document] = MongoClient(
                uri, serverSelectionTimeoutMS=SERVER_SELECTION_TIMEOUT_MS, appname="step-node mesh"
            )
            self._database = self._client[database]
        self.name = f"the database {database}"
        self._pool = ThreadPoolExecutor(CHUNKS_AT_ONCE)
        opened = False
        try:
            self._require_own()
            opened = True
        finally:
            if not opened:
                self.close()

    def levels(self) -> dict[int, int]:
        with _meaningful_errors():
            return {one["_id"]: one["written"] for one in self._database[LEVELS].find(sort=[("_id", ASCENDING)])}

    def begin(self, level: int) -> int:
        with _meaningful_errors():
            self._database[LEVELS].update_one({"_id": level}, {"$setOnInsert": {"written": 0}}, upsert=True)
            triangles = self._triangles(level)
            self._make_index(triangles, level)
            written = self._written(level)
            if written < triangle_count(level):
                triangles.delete_many({"_id": {"$gte": triangle_at(level, written).integer}})
        return written

    def append(self, level: int, chunks: Sequence[ChunkOf]) -> None:
        first, last = chunks[0], chunks[-1]
        with _meaningful_errors():
            if self._written(level) != first.first:
                raise self._seeded_by_another(level)
            try:
                self._insert(self._triangles(level), chunks)
            except BulkWriteError as error:
                if any(one.get("code") == DUPLICATE_KEY for one in error.details.get("writeErrors", ())):
                    raise self._seeded_by_another(level) from error
                raise
            counted = self._database[LEVELS].update_one(
                {"_id": level, "written": first.first}, {"$set": {"written": last.first + last.count}}
            )
        if counted.matched_count != 1:
            raise self._seeded_by_another(level)

    def remove(self, level: int) -> None:
        with _meaningful_errors():
            # In this order: what is left of a collection that does not count is dropped or gone on with by the next.
            self._database[LEVELS].delete_one({"_id": level})
            self._triangles(level).drop()

    def count(self, level: int) -> int:
        with _meaningful_errors():
            return self._triangles(level).count_documents({}, hint="_id_")

    def records(self, level: int) -> Iterator[Record]:
        with _meaningful_errors():
            for one in self._triangles(level).find(sort=[("_id", ASCENDING)]):
                yield _record(one)

    def record(self, level: int, triangle: int) -> Record | None:
        with _meaningful_errors():
            found = self._triangles(level).find_one({"_id": triangle})
        return None if found is None else _record(found)

    def links(self, level: int) -> Iterator[tuple[int, int | None]]:
        with _meaningful_errors():
            for one in self._triangles(level).find(projection={"parent": True}, sort=[("_id", ASCENDING)]):
                yield one["_id"], one["parent"]

    def look_up(self, level: int, latitude: float, longitude: float) -> LookUp:
        with _meaningful_errors():
            found = self._triangles(level).find(_holding(latitude, longitude), projection={"_id": True})
            return LookUp(tuple(sorted(one["_id"] for one in found)))

    def index_used(self, level: int, latitude: float, longitude: float) -> str | None:
        with _meaningful_errors():
            plan = self._triangles(level).find(_holding(latitude, longitude)).explain()["queryPlanner"]["winningPlan"]
        return _index_in(plan)

    def size(self, level: int) -> LevelSize:
        with _meaningful_errors():
            return self._size_of(self._triangles(level))

    def disk_free_bytes(self) -> int | None:
        with _meaningful_errors():
            told = self._database.command("dbStats")
        if "fsTotalSize" not in told:
            return None
        return int(told["fsTotalSize"] - told["fsUsedSize"])

    def close(self) -> None:
        self._pool.shutdown()
        self._client.close()

    def try_out(self, chunks: Sequence[ChunkOf], timer: Timer) -> tuple[LevelSize, float]:
        """Write chunks of a level into a collection that is dropped again; what they took, and how many seconds."""
        sample = self._database[SAMPLE]
        with _meaningful_errors():
            sample.drop()
            try:
                self._make_index(sample, chunks[0].level)
                begun = timer()
                self._insert(sample, chunks)
                seconds = timer() - begun
                return self._size_of(sample), seconds
            finally:
                sample.drop()

    def _triangles(self, level: int) -> MongoTriangles[Document]:
        return self._database[f"{PREFIX}{level}"]

    def _written(self, level: int) -> int:
        found = self._database[LEVELS].find_one({"_id": level})
        return -1 if found is None else int(found["written"])

    def _insert(self, triangles: MongoTriangles[Document], chunks: Sequence[ChunkOf]) -> None:
        list(self._pool.map(lambda chunk: triangles.insert_many(packed_documents(chunk), ordered=False), chunks))

    def _make_index(self, triangles: MongoTriangles[Document], level: int) -> None:
        finest = max(0, level - 2)
        triangles.create_index(
            [("outline", GEOSPHERE)], name=PLACES_INDEX, finestIndexedLevel=finest, coarsestIndexedLevel=0
        )

    def _size_of(self, triangles: MongoTriangles[Document]) -> LevelSize:
        """On disk if this user may ask the server to write all down (`fsync`), else at least as much."""
        try:
            self._client.admin.command("fsync")
            on_disk = True
        except OperationFailure:
            on_disk = False
        told = self._database.command("collStats", triangles.name)
        return LevelSize(told["storageSize"] if on_disk else told["size"], told["totalIndexSize"])

    def _require_own(self) -> None:
        with _meaningful_errors():
            names = self._database.list_collection_names()
        others = [name for name in names if not name.startswith(("mesh_", "system."))]
        if others:
            raise SeedingError(
                f"{self.name} has other collections ({', '.join(sorted(others)[:3])}), perhaps a node's ledger; name a"
                " database of its own"
            )

    def _seeded_by_another(self, level: int) -> SeedingError:
        return SeedingError(
            f"{self.name}: level {level} is being seeded by another program; let it finish, then run this again"
        )


def _record(document: Document) -> Record:
    (ring,) = document["outline"]["coordinates"]
    centroid = document["centroid"]["coordinates"]
    return Record(document["_id"], document["level"], document["parent"], centroid, ring, document["triangle_id"])


def _holding(latitude: float, longitude: float) -> Document:
    point = {"type": "Point", "coordinates": [longitude, latitude]}
    return {"outline": {"$geoIntersects": {"$geometry": point}}}


def _index_in(plan: Document) -> str | None:
    """The name of the index that a stage of the plan, or one of those below it, looks into."""
    if plan.get("stage") == "IXSCAN":
        return str(plan["indexName"])
    below = [plan[key] for key in ("inputStage", "queryPlan") if key in plan] + plan.get("inputStages", [])
    return next((name for one in below if (name := _index_in(one)) is not None), None)


@contextmanager
def _meaningful_errors() -> Iterator[None]:
    try:
        yield
    except BulkWriteError as error:
        first, *_ = error.details.get("writeErrors", [{}])
        raise SeedingError(f"MongoDB refuses a triangle: {first.get('errmsg', error)}") from error
    except OperationFailure as error:
        raise SeedingError(f"MongoDB refuses: {error}; give --mongodb-uri a user who may do this") from error
    except (PyMongoError, ValueError) as error:
        # Not the URI itself: it may hold a password.
        raise SeedingError(f"MongoDB does not answer: {error}; run the command again once that is mended") from error
