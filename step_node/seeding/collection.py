"""One interface to the display collection in either engine.

Each level is by itself: a table, or a MongoDB collection, of its triangles and an index of their places, so taking a
level back is dropping it. Beside them stands, for each level, how many of its triangles are there: the first ones in
the order of their ids. What an interrupted run has written beyond that is taken away before the level is gone on with,
so a run may be killed at any moment.

The collection is for displays alone: nothing that decides validity reads it, and no store of a node is touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from step_node.seeding.levels import ChunkOf
from step_node.seeding.triangles import Record

Timer = Callable[[], float]
"""Seconds, from anywhere."""


@dataclass(frozen=True, slots=True)
class LevelSize:
    """What a level takes, in bytes; of an engine that does not say it for each level, None."""

    data_bytes: int | None
    index_bytes: int | None


@dataclass(frozen=True, slots=True)
class LookUp:
    """Which triangles of a level the index of places names for a point, ascending, as integer forms.

    MongoDB names those that hold it, SQLite those whose box does.
    """

    triangles: tuple[int, ...]


class Collection(Protocol):
    """An open display collection. Its calls raise `SeedingError` when the engine does not do as it is asked."""

    name: str
    """For people, without a password."""

    def levels(self) -> dict[int, int]:
        """How many triangles are there, by level, of the levels that have been begun."""
        ...

    def begin(self, level: int) -> int:
        """Make the level if it is not there, take away what lies beyond what counts, and say how many count."""
        ...

    def append(self, level: int, chunks: Sequence[ChunkOf]) -> None:
        """Write the next triangles of a level that has been begun here, and then count them."""
        ...

    def remove(self, level: int) -> None:
        """Take a level away, whole or not; nothing happens where it is not there."""
        ...

    def count(self, level: int) -> int:
        """How many triangles there really are."""
        ...

    def records(self, level: int) -> Iterator[Record]:
        """All triangles of a level in the order of their ids."""
        ...

    def record(self, level: int, triangle: int) -> Record | None:
        """The triangle with this integer form, if it is there."""
        ...

    def links(self, level: int) -> Iterator[tuple[int, int | None]]:
        """The integer forms of each triangle and its parent, in the order of their ids."""
        ...

    def look_up(self, level: int, latitude: float, longitude: float) -> LookUp:
        """By the index of places."""
        ...

    def index_used(self, level: int, latitude: float, longitude: float) -> str | None:
        """The index with which the engine says it would look up the point; None if it would read all triangles."""
        ...

    def size(self, level: int) -> LevelSize:
        """What it takes on disk."""
        ...

    def disk_free_bytes(self) -> int | None:
        """What is free where the collection is; None if the engine does not say."""
        ...

    def close(self) -> None:
        """Let go of the engine."""
        ...
