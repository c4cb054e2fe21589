"""What is written of each triangle, a chunk at a time, by array arithmetic.

An outline is the closed ring of the three corners, `[longitude, latitude]` in degrees, counter-clockwise. Its sides are
great-circle arcs, which is how MongoDB's `2dsphere` joins positions, so there a point is inside when it is on the
ground, at the antimeridian and the poles too. A flat map joins them by straight lines instead: for it the export makes
the outlines of `mesh.outline_geometry`, cut at the antimeridian.

A box is what a flat map's axes know: west, east, south, north in degrees. A triangle that crosses the antimeridian has
two.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from mesh import TriangleId, descendants, descendants_corners
from step_node.seeding.levels import ChunkOf

DECIMALS: Final = 9
"""Of a degree: 0.1 mm on the ground."""

BOX_MARGIN_DEGREES: Final = 1e-6
"""What a box has more than its triangle needs, for the rounding of the sines near the poles."""

FloatArray: TypeAlias = npt.NDArray[np.float64]
Position: TypeAlias = list[float]
Box: TypeAlias = tuple[int, float, float, float, float]
"""The triangle's integer form; west, east, south, north."""


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


def records(chunk: ChunkOf) -> list[Record]:
    """All triangles of a chunk, in the order of their ids."""
    corners = descendants_corners(chunk.root, chunk.level - chunk.root.level)
    positions = _longitude_latitude(corners)
    rings = np.concatenate([positions, positions[:, :1]], axis=1).tolist()
    centroids = _longitude_latitude(corners.sum(axis=1)).tolist()
    return [
        Record(number, chunk.level, parent, centroid, ring, TriangleId.from_int(number).text)
        for (number, parent), centroid, ring in zip(links(chunk), centroids, rings, strict=True)
    ]


def links(chunk: ChunkOf) -> list[tuple[int, int | None]]:
    """The integer forms of a chunk's triangles and their parents, in the order of the ids."""
    depth = chunk.level - chunk.root.level
    numbers = descendants(chunk.root, depth).tolist()
    if depth == 0:
        return [(number, chunk.root.parent_integer) for number in numbers]
    return list(zip(numbers, np.repeat(descendants(chunk.root, depth - 1), 4).tolist(), strict=True))


def boxes(chunk: ChunkOf) -> list[Box]:
    """The boxes of a chunk's triangles, west of the antimeridian first where there are two."""
    depth = chunk.level - chunk.root.level
    numbers = descendants(chunk.root, depth)
    corners = descendants_corners(chunk.root, depth)
    longitudes = np.degrees(np.arctan2(corners[..., 1], corners[..., 0]))
    middle = np.degrees(np.arctan2(corners[..., 1].sum(axis=1), corners[..., 0].sum(axis=1)))
    # No triangle has a pole in its interior, so all of it is within a quarter turn of its middle. At a pole the
    # longitude is free.
    offsets = (longitudes - middle[:, np.newaxis] + 180.0) % 360.0 - 180.0
    offsets[(corners[..., 0] == 0.0) & (corners[..., 1] == 0.0)] = 0.0
    west, east = middle + offsets.min(axis=1), middle + offsets.max(axis=1)
    west, east = west - BOX_MARGIN_DEGREES, east + BOX_MARGIN_DEGREES
    south, north = _latitudes(corners)
    found: list[Box] = []
    for row in zip(numbers.tolist(), west.tolist(), east.tolist(), south.tolist(), north.tolist(), strict=True):
        number, begin, end, low, high = row
        if begin < -180.0:
            found += [(number, begin + 360.0, 180.0, low, high), (number, -180.0, end, low, high)]
        elif end > 180.0:
            found += [(number, begin, 180.0, low, high), (number, -180.0, end - 360.0, low, high)]
        else:
            found.append(row)
    return found


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
