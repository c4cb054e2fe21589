"""Which triangle holds a point, for many points at once.

The arithmetic is that of location.py, operation by operation and in the same order, each applied to whole arrays:
NumPy's `+ - * /` and `sqrt` round every element as IEEE-754 says, whatever vector unit it uses. There is no matrix
product, since those add in an order of their own and use fused multiply-add.

The state of the descent is one array `corners[corner, coordinate, point]`, so that a level costs some fifty NumPy
calls whatever the number of points. Points are taken `POINTS_PER_CHUNK` at a time, so that the working set stays in
the processor's cache. A point's triangle at a level is the ancestor of its triangle at any deeper level, so a chunk
descends to its deepest level, and the paths of the others are cut short.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from mesh.icosahedron import FACES, VERTICES, face_of_array
from mesh.triangle_id import (
    FACE_COUNT,
    FACE_SHIFT,
    LEVEL_BITS,
    LEVEL_MASK,
    LEVEL_MAX,
    LEVEL_MIN,
    PATH_BITS,
    PATH_MASK,
    TriangleId,
    TriangleIdError,
)
from mesh.trigonometry import FloatArray, number_array, unit_vector_array

IntegerArray: TypeAlias = npt.NDArray[np.int64]

POINTS_PER_CHUNK: Final = 8_192
"""Points that descend together; more than this are taken in several rounds. At level 21 each point took 5.3 to 6.5 µs
with 1,024, 4.1 to 4.6 with 8,192 and 8.5 with 16,384 (on a busy machine)."""

_FACE_CORNERS: Final = np.array([[VERTICES[vertex] for vertex in face] for face in FACES])


def locate_array(lats: npt.ArrayLike, lons: npt.ArrayLike, levels: npt.ArrayLike) -> IntegerArray:
    """The integer forms of the triangles that hold many points: the same triangles as `locate` gives one by one.

    `lats` and `lons` are degrees, arrays of one shape; `levels` is one level (1 to 21) or an array of that shape.
    The result is an int64 array of that shape; `TriangleId.from_int` reads its elements.

    Raises ValueError naming the argument that is out of range, not numeric, or of another shape.
    """
    x, y, z = unit_vector_array(lats, lons)
    checked = _checked_levels(levels)
    if checked.ndim > 0 and checked.shape != x.shape:
        raise ValueError(f"levels: shape {checked.shape} differs from the shape {x.shape} of lats")
    points = np.stack((x.ravel(), y.ravel(), z.ravel()))
    depths = np.broadcast_to(checked, x.shape).ravel() - 1
    result = np.empty(depths.shape, dtype=np.int64)
    for start in range(0, depths.size, POINTS_PER_CHUNK):
        chunk = slice(start, start + POINTS_PER_CHUNK)
        result[chunk] = _locate_chunk(points[:, chunk], depths[chunk])
    return result.reshape(x.shape)


def contains_array(triangles: npt.ArrayLike, lats: npt.ArrayLike, lons: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Whether each triangle holds the point of the same index: the same answers as `contains` gives one by one.

    `triangles` are integer forms, `lats` and `lons` degrees; all three are arrays of one shape.

    Raises `TriangleIdError` for an integer that names no triangle, and ValueError naming the argument that is out of
    range, not numeric, or of another shape.
    """
    numbers = _checked_triangles(triangles)
    if np.shape(lats) != numbers.shape:
        raise ValueError(f"lats: shape {np.shape(lats)} differs from the shape {numbers.shape} of triangles")
    matches: npt.NDArray[np.bool_] = locate_array(lats, lons, numbers & LEVEL_MASK) == numbers
    return matches


def _checked_levels(levels: npt.ArrayLike) -> IntegerArray:
    values = number_array("levels", levels, "iu")
    if not np.all((values >= LEVEL_MIN) & (values <= LEVEL_MAX)):
        raise ValueError(f"levels: every element must be {LEVEL_MIN} to {LEVEL_MAX}")
    return values.astype(np.int64)


def _checked_triangles(triangles: npt.ArrayLike) -> IntegerArray:
    values = number_array("triangles", triangles, "iu")
    in_range = (values >= 0) & (values < FACE_COUNT << FACE_SHIFT)
    numbers = np.where(in_range, values, 0).astype(np.int64)
    levels = numbers & LEVEL_MASK
    level_is_right = (levels >= LEVEL_MIN) & (levels <= LEVEL_MAX)
    padding = (1 << PATH_BITS - 2 * (np.where(level_is_right, levels, LEVEL_MIN) - 1)) - 1
    right = level_is_right & (numbers >> LEVEL_BITS & padding & PATH_MASK == 0)
    if not right.all():
        index = int(np.argmin(right))
        try:
            TriangleId.from_int(int(values.flat[index]))
        except TriangleIdError as error:
            raise TriangleIdError(f"triangles, element {index}: {error}") from error
    return numbers


def _locate_chunk(points: FloatArray, depths: IntegerArray) -> IntegerArray:
    """Integer forms for points[coordinate, point] at level depths[point] + 1."""
    faces = face_of_array(points[0], points[1], points[2])
    corners = np.ascontiguousarray(_FACE_CORNERS[faces].transpose(1, 2, 0))
    depth_max = int(depths.max())
    paths = np.zeros_like(depths)
    for _ in range(depth_max):
        midpoints = _midpoints(corners)
        outside = _sides(midpoints, points) < 0.0
        # The first edge that the point is outside of decides.
        outside[1] &= ~outside[0]
        outside[2] &= ~(outside[0] | outside[1])
        digits = 3 - 3 * outside[0] - 2 * outside[1] - 1 * outside[2]
        paths = paths << 2 | digits
        corners = _child_corners(corners, midpoints, outside)
    paths >>= 2 * (depth_max - depths)
    paths <<= PATH_BITS - 2 * depths
    return faces << FACE_SHIFT | paths << LEVEL_BITS | depths + 1


def _midpoints(corners: FloatArray) -> FloatArray:
    """m01, m12, m20 of corners[corner, coordinate, point], in the same layout."""
    sums = np.empty_like(corners)
    np.add(corners[0], corners[1], out=sums[0])
    np.add(corners[1], corners[2], out=sums[1])
    np.add(corners[2], corners[0], out=sums[2])
    squares = sums * sums
    norms = np.sqrt(squares[:, 0] + squares[:, 1] + squares[:, 2])
    sums /= norms[:, np.newaxis]
    return sums


def _sides(midpoints: FloatArray, points: FloatArray) -> FloatArray:
    """location.side of the point for the edges m20->m01, m01->m12, m12->m20: an array [edge, point]."""
    starts = midpoints[_PREVIOUS]
    edge = midpoints - starts
    to_point = points - starts
    return (
        starts[:, 0] * (edge[:, 1] * to_point[:, 2] - edge[:, 2] * to_point[:, 1])
        + starts[:, 1] * (edge[:, 2] * to_point[:, 0] - edge[:, 0] * to_point[:, 2])
        + starts[:, 2] * (edge[:, 0] * to_point[:, 1] - edge[:, 1] * to_point[:, 0])
    )


def _child_corners(corners: FloatArray, midpoints: FloatArray, outside: npt.NDArray[np.bool_]) -> FloatArray:
    """The corners of each point's child; row k of `outside` marks the points of child k, child 3 being the rest."""
    m01, m12, m20 = midpoints
    children = midpoints.copy()
    np.copyto(children[0], corners[0], where=outside[0])
    np.copyto(children[1], m01, where=outside[0])
    np.copyto(children[1], corners[1], where=outside[1])
    np.copyto(children[2], m12, where=outside[1])
    np.copyto(children[0], m20, where=outside[2])
    np.copyto(children[2], corners[2], where=outside[2])
    return children


_PREVIOUS: Final = [2, 0, 1]
