"""Seeding: what it will take, measured on a sample; then level by level, from where each stands."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Protocol

from step_node.seeding.collection import Collection, LevelSize, Timer
from step_node.seeding.levels import (
    CHUNKS_AT_ONCE,
    ChunkOf,
    SeedingError,
    chunk_at,
    chunk_size,
    triangle_count,
)
from step_node.seeding.mongo_collection import MongoCollection
from step_node.seeding.sqlite_collection import SqliteCollection
from step_node.seeding.triangles import columns

SAMPLE_LEVEL_MIN = 7
"""A sample is taken at this level at least, where a chunk is as large as it ever is."""


@dataclass(frozen=True, slots=True)
class SqliteTarget:
    """A file, which is made where there is none."""

    path: Path


@dataclass(frozen=True, slots=True)
class MongoTarget:
    """A database of a server or a replica set. The URI may hold a password, and is in no error."""

    uri: str = field(repr=False)
    database: str


Target = SqliteTarget | MongoTarget


@dataclass(frozen=True, slots=True)
class LevelPlan:
    """What a level needs: triangles in all, those that are there, and what the others will take (estimates)."""

    level: int
    triangles: int
    present: int
    bytes: int
    seconds: float


class Progress(Protocol):
    """Is told how far each level is."""

    def begin(self, level: int, total: int, present: int) -> None:
        """A level begins, or is gone on with."""
        ...

    def advance(self, level: int, present: int) -> None:
        """So many of its triangles are there."""
        ...


class Interrupted(Exception):
    """Stopped between two batches because somebody asked for it."""

    def __init__(self, level: int, present: int) -> None:
        super().__init__(f"level {level} has {present} of {triangle_count(level)} triangles")
        self.level = level
        self.present = present


def open_collection(target: Target, *, create: bool = False) -> Collection:
    """Open it. Raises `SeedingError` when it is not there, is something else, or does not answer."""
    match target:
        case SqliteTarget(path):
            return SqliteCollection(path, create=create)
        case MongoTarget(uri, database):
            return MongoCollection(uri, database)


def plan(target: Target, levels: Sequence[int], *, timer: Timer = perf_counter) -> list[LevelPlan]:
    """What each level will take, by a sample that is written where the collection is to be, and taken away again.

    Nothing stays behind; a SQLite file that is not there is not made.
    """
    present = _present(target)
    sample = _next_chunks(max(max(levels), SAMPLE_LEVEL_MIN), 0)
    columns(sample[0])  # What is made once for all chunks is not what a chunk takes.
    size, seconds = _tried_out(target, sample, timer)
    triangles = sum(chunk.count for chunk in sample)
    seconds_each = seconds / triangles
    bytes_each = ((size.data_bytes or 0) + (size.index_bytes or 0)) / triangles
    plans = []
    for level in levels:
        there = present.get(level, 0)
        missing = triangle_count(level) - there
        plans.append(
            LevelPlan(level, triangle_count(level), there, round(missing * bytes_each), missing * seconds_each)
        )
    return plans


def require_disk(collection: Collection, plans: Sequence[LevelPlan]) -> None:
    """Raises `SeedingError` when less is free than will be needed."""
    needed, free = sum(one.bytes for one in plans), collection.disk_free_bytes()
    if free is not None and needed > free:
        raise SeedingError(
            f"{collection.name}: needs some {needed:,} bytes, and {free:,} are free there: free some, or seed fewer"
            " levels"
        )


def seed(collection: Collection, levels: Sequence[int], progress: Progress, should_stop: Callable[[], bool]) -> None:
    """Write what is missing of the levels, in this order. A level that is whole is left as it is.

    Raises `Interrupted` soon after `should_stop` says so; the same call goes on from there, as it does after a crash.
    """
    for level in levels:
        total, present = triangle_count(level), collection.begin(level)
        progress.begin(level, total, present)
        while present < total:
            if should_stop():
                raise Interrupted(level, present)
            chunks = _next_chunks(level, present)
            collection.append(level, chunks)
            present += sum(chunk.count for chunk in chunks)
            progress.advance(level, present)


def _next_chunks(level: int, present: int) -> list[ChunkOf]:
    firsts = range(present, triangle_count(level), chunk_size(level))[:CHUNKS_AT_ONCE]
    return [chunk_at(level, first) for first in firsts]


def _present(target: Target) -> dict[int, int]:
    if isinstance(target, SqliteTarget) and not target.path.exists():
        return {}
    collection = open_collection(target)
    try:
        return collection.levels()
    finally:
        collection.close()


def _tried_out(target: Target, sample: Sequence[ChunkOf], timer: Timer) -> tuple[LevelSize, float]:
    """What the chunks take on disk, and the seconds in which they were written."""
    match target:
        case SqliteTarget(path):
            with tempfile.TemporaryDirectory(prefix=".mesh-sample-", dir=path.parent) as folder:
                file = Path(folder) / "sample.sqlite"
                trial = SqliteCollection(file, create=True)
                try:
                    trial.begin(sample[0].level)
                    begun = timer()
                    trial.append(sample[0].level, sample)
                    seconds = timer() - begun
                finally:
                    trial.close()
                return LevelSize(file.stat().st_size, 0), seconds
        case MongoTarget(uri, database):
            server = MongoCollection(uri, database)
            try:
                return server.try_out(sample, timer)
            finally:
                server.close()
