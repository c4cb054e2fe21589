"""What is written of each triangle, a chunk at a time, by array arithmetic.

An outline is the closed ring of the three corners, `[longitude, latitude]` in degrees, counter-clockwise. Its sides are
great-circle arcs, which is how MongoDB's `2dsphere` joins positions, so there a point is inside when it is on the
ground, at the antimeridian and the poles too. A flat map joins them by straight lines instead: for it the export makes
the outlines of `mesh.outline_geometry`, cut at the antimeridian.

A box is what a flat map's axes know: west, east, south, north in degrees. A triangle that crosses the antimeridian has
two.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from mesh import TriangleId, descendants, descendants_corners, descendants_text
from step_node.seeding.levels import ChunkOf

DECIMALS: Final = 9
"""Of a degree: 0.1 mm on the ground."""

BOX_MARGIN_DEGREES: Final = 1e-6
"""What a box has more than its triangle needs, for the rounding of the sines near the poles."""

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntegerArray: TypeAlias = npt.NDArray[np.int64]
Position: TypeAlias = list[float]


class Record(NamedTuple):
    """A triangle of the collection. Positions are `[longitude, latitude]` in degrees, rounded to 1e-9."""

    triangle: int
    """The integer form of its id."""
    level: int
    parent: int | None
    """The integer form of its parent's id; None at level 1."""
    centroid: Position
    ring: list[Position]
    """The three corners and the first again, joined by great-circle arcs."""
    triangle_id: str
    """The text form of its id."""

    def document(self) -> dict[str, Any]:
        """As MongoDB has it, and as it is exported."""
        return {
            "_id": self.triangle,
            "triangle_id": self.triangle_id,
            "level": self.level,
            "parent": self.parent,
            "centroid": {"type": "Point", "coordinates": self.centroid},
            "outline": {"type": "Polygon", "coordinates": [self.ring]},
        }


class Columns(NamedTuple):
    """What is written of a chunk's triangles, in the order of their ids, with each vertex that they share once."""

    numbers: IntegerArray
    """The integer forms of their ids."""
    parents: IntegerArray | None
    """Those of their parents; None at level 1."""
    texts: list[str]
    """The text forms of their ids."""
    centroids: FloatArray
    positions: FloatArray
    """Of the vertices."""
    corners: IntegerArray
    """Three for each triangle: which of `positions`."""


def columns(chunk: ChunkOf) -> Columns:
    """All triangles of a chunk."""
    depth = chunk.level - chunk.root.level
    vectors = descendants_corners(chunk.root, depth)
    vertices, corners = _shared_vertices(vectors, depth)
    return Columns(
        descendants(chunk.root, depth),
        _parents(chunk),
        descendants_text(chunk.root, depth),
        _longitude_latitude(vectors.sum(axis=1)),
        _longitude_latitude(vertices),
        corners,
    )


def records(chunk: ChunkOf) -> list[Record]:
    """All triangles of a chunk, in the order of their ids."""
    found = columns(chunk)
    rings = found.positions[found.corners[:, [0, 1, 2, 0]]].tolist()
    return [
        Record(number, chunk.level, parent, centroid, ring, text)
        for (number, parent), centroid, ring, text in zip(
            links(chunk), found.centroids.tolist(), rings, found.texts, strict=True
        )
    ]


def links(chunk: ChunkOf) -> list[tuple[int, int | None]]:
    """The integer forms of a chunk's triangles and their parents, in the order of the ids."""
    numbers = descendants(chunk.root, chunk.level - chunk.root.level).tolist()
    parents = _parents(chunk)
    return list(zip(numbers, [None] * len(numbers) if parents is None else parents.tolist(), strict=True))


def boxes(chunk: ChunkOf) -> tuple[IntegerArray, FloatArray]:
    """The boxes of a chunk's triangles: the integer form that each belongs to; west, east, south, north.

    In the order of the ids, and west of the antimeridian first where there are two.
    """
    depth = chunk.level - chunk.root.level
    corners = descendants_corners(chunk.root, depth)
    vertices, shared = _shared_vertices(corners, depth)
    longitudes = np.degrees(np.arctan2(vertices[:, 1], vertices[:, 0]))[shared]
    middle = np.degrees(np.arctan2(corners[..., 1].sum(axis=1), corners[..., 0].sum(axis=1)))
    # No triangle has a pole in its interior, so all of it is within a quarter turn of its middle. At a pole the
    # longitude is free.
    offsets = (longitudes - middle[:, np.newaxis] + 180.0) % 360.0 - 180.0
    offsets[(corners[..., 0] == 0.0) & (corners[..., 1] == 0.0)] = 0.0
    west, east = middle + offsets.min(axis=1), middle + offsets.max(axis=1)
    west, east = west - BOX_MARGIN_DEGREES, east + BOX_MARGIN_DEGREES
    beyond_west = west < -180.0
    beyond_east = ~beyond_west & (east > 180.0)
    crossing = beyond_west | beyond_east
    of = np.repeat(np.arange(len(west)), 1 + crossing)
    second = np.zeros(len(of), dtype=bool)
    second[1:] = of[1:] == of[:-1]
    first = crossing[of] & ~second
    sides = np.stack([west, east, *_latitudes(corners)], axis=1)[of]
    sides[first & beyond_west[of], 0] += 360.0
    sides[first, 1] = 180.0
    sides[second, 0] = -180.0
    sides[second & beyond_east[of], 1] -= 360.0
    return descendants(chunk.root, depth)[of], sides


def _parents(chunk: ChunkOf) -> IntegerArray | None:
    depth = chunk.level - chunk.root.level
    if depth > 0:
        return np.repeat(descendants(chunk.root, depth - 1), 4)
    parent = chunk.root.parent_integer
    return None if parent is None else np.array([parent], dtype=np.int64)


def _shared_vertices(corners: FloatArray, depth: int) -> tuple[FloatArray, IntegerArray]:
    """The vertices of all descendants `depth` levels down, each once, and which of them each triangle's corners are."""
    first, which = _sharing(depth)
    return corners.reshape(-1, 3)[first], which


@cache
def _sharing(depth: int) -> tuple[IntegerArray, IntegerArray]:
    """Where each vertex stands first among the corners, and which vertex each corner is.

    The same below each triangle: where two triangles meet, both make the midpoint of the same two ends, and `a + b` has
    the bits of `b + a`, so a vertex has the same bits in all triangles around it.
    """
    some = descendants_corners(TriangleId(0, 1, 0), depth).reshape(-1, 3)
    _, first, which = np.unique(some, axis=0, return_index=True, return_inverse=True)
    return first, which.reshape(-1, 3)


def _longitude_latitude(vectors: FloatArray) -> FloatArray:
    # Adding 0.0 turns a -0.0 into 0.0, as mesh.longitude_latitude does.
    x, y, z = (vectors[..., axis] + 0.0 for axis in range(3))
    degrees = np.degrees(np.stack([np.arctan2(y, x), np.arctan2(z, np.hypot(x, y))], axis=-1))
    rounded: FloatArray = degrees.round(DECIMALS) + 0.0
    return rounded


def _latitudes(corners: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The lowest and the highest latitude of each triangle: of a corner, or of an arc that bulges beyond its ends."""
    low, high = corners[..., 2].min(axis=1), corners[..., 2].max(axis=1)
    for a, b in ((0, 1), (1, 2), (2, 0)):
        start, end = corners[:, a], corners[:, b]
        cosine = (start * end).sum(axis=1)
        leaving, arriving = end[:, 2] - cosine * start[:, 2], start[:, 2] - cosine * end[:, 2]
        across = np.cross(start, end)
        apex = np.hypot(across[:, 0], across[:, 1]) / np.sqrt((across * across).sum(axis=1))
        high = np.where((leaving > 0.0) & (arriving > 0.0), np.maximum(high, apex), high)
        low = np.where((leaving < 0.0) & (arriving < 0.0), np.minimum(low, -apex), low)
    south, north = (np.degrees(np.arcsin(np.clip(values, -1.0, 1.0))) for values in (low, high))
    return south - BOX_MARGIN_DEGREES, north + BOX_MARGIN_DEGREES
