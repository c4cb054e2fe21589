"""Which levels are seeded, how many triangles each has, and the chunks in which a level is written.

A level's triangles are written in the order of their ids, a chunk at a time. A chunk is all the descendants of one
triangle six levels up (or of a base face), so its corners are made from that triangle's by array arithmetic, and how
far a level has come is one number: that of its triangles which are there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from mesh import FACE_COUNT, TriangleId
from step_node.errors import StepNodeError

SEEDED_LEVEL_MAX: Final = 12
"""The deepest level that can be seeded: 83,886,080 triangles. A deeper one is refused; each has four times as many."""

CHUNK_LEVELS: Final = 6
"""How far above its triangles a chunk's root lies: 4,096 triangles a chunk."""

CHUNKS_AT_ONCE: Final = 4
"""How many of them are written before they are counted."""


class SeedingError(StepNodeError):
    """The display collection cannot be made or read; the message says what to do."""


@dataclass(frozen=True, slots=True)
class ChunkOf:
    """The descendants of `root` at `level`; `first` is how many triangles of the level come before them."""

    root: TriangleId
    level: int
    first: int

    @property
    def count(self) -> int:
        """How many they are."""
        return 1 << 2 * (self.level - self.root.level)


def parse_levels(text: str) -> range:
    """The levels of `3` or `1-10`. Raises `SeedingError` for anything else."""
    match = re.fullmatch(r"([0-9]{1,2})(?:-([0-9]{1,2}))?", text)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= first <= last <= SEEDED_LEVEL_MAX:
        raise SeedingError(
            f"--levels: {text!r}, must be a level such as 8, or a range such as 1-10, between 1 and {SEEDED_LEVEL_MAX}"
        )
    return range(first, last + 1)


def triangle_count(level: int) -> int:
    """How many triangles a level has: 20 * 4^(level - 1)."""
    return FACE_COUNT << 2 * (level - 1)


def chunk_size(level: int) -> int:
    """How many triangles each chunk of a level has."""
    return 1 << 2 * (level - _root_level(level))


def chunk_at(level: int, first: int) -> ChunkOf:
    """The chunk that begins with the triangle of this index; `first` is a multiple of `chunk_size(level)`."""
    root_level = _root_level(level)
    face, path = divmod(first // chunk_size(level), 1 << 2 * (root_level - 1))
    return ChunkOf(TriangleId(face, root_level, path), level, first)


def triangle_at(level: int, index: int) -> TriangleId:
    """The triangle of a level that has `index` others of it before it."""
    face, path = divmod(index, 1 << 2 * (level - 1))
    return TriangleId(face, level, path)


def _root_level(level: int) -> int:
    return max(1, level - CHUNK_LEVELS)
