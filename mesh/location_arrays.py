"""Which triangle holds a point, for many points at once: the same triangles as one by one, to the last bit.

The filter of barycentric_descent.py names a triangle for each point and says whether the point is clear of all edges,
by a margin that is proven there. Where it is not, two points in ten thousand if they are anywhere, descent.py is asked
about the point alone. So no rounding of the filter decides anything; it only saves time.

Points are taken `POINTS_PER_CHUNK` at a time, so that the working set stays in the processor's cache. A point's
triangle at a level is the ancestor of its triangle at any deeper level, so a chunk descends to its deepest level, and
the paths of the others are cut short.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from mesh.barycentric_descent import descend_clear
from mesh.barycentric_tables import IntegerArray
from mesh.descent import holds_point, locate_point
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
from mesh.trigonometry import FloatArray, checked_degrees_array, number_array, unit_vector

POINTS_PER_CHUNK: Final = 8_192
"""Points that descend together; more than this are taken in several rounds. At level 21 each point took 1.1 µs with
1,024, 0.43 with 4,096, 0.36 with 8,192 and 0.33 with 16,384 (on a busy machine)."""


_WRONG_BITS: Final = np.array(
    [
        (PATH_MASK >> 2 * (level - 1)) << LEVEL_BITS if LEVEL_MIN <= level <= LEVEL_MAX else -1
        for level in range(LEVEL_MASK + 1)
    ]
)
"""By level, the bits that must be 0 in a triangle's integer form: all where there is no such level."""


def locate_array(lats: npt.ArrayLike, lons: npt.ArrayLike, levels: npt.ArrayLike) -> IntegerArray:
    """The integer forms of the triangles that hold many points: the same triangles as `locate` gives one by one.

    `lats` and `lons` are degrees, arrays of one shape; `levels` is one level (1 to 21) or an array of that shape.
    The result is an int64 array of that shape; `TriangleId.from_int` reads its elements.

    Raises ValueError naming the argument that is out of range, not numeric, or of another shape.
    """
    latitudes, longitudes = _checked_points(lats, lons)
    checked = _checked_levels(levels)
    if checked.ndim > 0 and checked.shape != latitudes.shape:
        raise ValueError(f"levels: shape {checked.shape} differs from the shape {latitudes.shape} of lats")
    depths = np.broadcast_to(checked - 1, latitudes.shape).ravel()
    flat_latitudes, flat_longitudes = latitudes.ravel(), longitudes.ravel()
    located, unclear = _located(flat_latitudes, flat_longitudes, depths)
    for index in unclear:
        point = unit_vector(float(flat_latitudes[index]), float(flat_longitudes[index]))
        located[index] = locate_point(point, int(depths[index]) + 1).integer
    return located.reshape(latitudes.shape)


def contains_array(triangles: npt.ArrayLike, lats: npt.ArrayLike, lons: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Whether each triangle holds the point of the same index: the same answers as `contains` gives one by one.

    `triangles` are integer forms, `lats` and `lons` degrees; all three are arrays of one shape.

    Raises `TriangleIdError` for an integer that names no triangle, and ValueError naming the argument that is out of
    range, not numeric, or of another shape.
    """
    numbers = _checked_triangles(triangles)
    latitudes, longitudes = _checked_points(lats, lons)
    if latitudes.shape != numbers.shape:
        raise ValueError(f"lats: shape {latitudes.shape} differs from the shape {numbers.shape} of triangles")
    flat, flat_latitudes, flat_longitudes = numbers.ravel(), latitudes.ravel(), longitudes.ravel()
    located, unclear = _located(flat_latitudes, flat_longitudes, (flat & LEVEL_MASK) - 1)
    matches: npt.NDArray[np.bool_] = located == flat
    for index in unclear:
        point = unit_vector(float(flat_latitudes[index]), float(flat_longitudes[index]))
        matches[index] = holds_point(TriangleId.from_int(int(flat[index])), point)
    return matches.reshape(numbers.shape)


def _checked_points(lats: npt.ArrayLike, lons: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    latitudes = checked_degrees_array("lats", lats, 90.0)
    longitudes = checked_degrees_array("lons", lons, 180.0)
    if latitudes.shape != longitudes.shape:
        raise ValueError(f"lons: shape {longitudes.shape} differs from the shape {latitudes.shape} of lats")
    return latitudes, longitudes


def _checked_levels(levels: npt.ArrayLike) -> IntegerArray:
    values = number_array("levels", levels, "iu")
    if not np.all((values >= LEVEL_MIN) & (values <= LEVEL_MAX)):
        raise ValueError(f"levels: every element must be {LEVEL_MIN} to {LEVEL_MAX}")
    return values.astype(np.int64)


def _checked_triangles(triangles: npt.ArrayLike) -> IntegerArray:
    values = number_array("triangles", triangles, "iu")
    numbers = values.astype(np.int64)
    # Every level is at least 1, so 0 is no triangle, and what is too large for int64 has become negative.
    right = (numbers > 0) & (numbers < FACE_COUNT << FACE_SHIFT)
    right &= numbers & _WRONG_BITS.take(numbers & LEVEL_MASK) == 0
    if not right.all():
        index = int(np.argmin(right))
        try:
            TriangleId.from_int(int(values.flat[index]))
        except TriangleIdError as error:
            raise TriangleIdError(f"triangles, element {index}: {error}") from error
    return numbers


def _located(lats: FloatArray, lons: FloatArray, depths: IntegerArray) -> tuple[IntegerArray, list[int]]:
    """Integer forms of the triangles of level `depths` + 1 that hold points, all one-dimensional and checked.

    The second is where the points are that lie too near to an edge: what stands for them is to be replaced.
    """
    numbers, unclear = np.empty(depths.shape, dtype=np.int64), []
    for start in range(0, depths.size, POINTS_PER_CHUNK):
        chunk = slice(start, start + POINTS_PER_CHUNK)
        depth = depths[chunk]
        faces, paths, clear = descend_clear(lats[chunk], lons[chunk], int(depth.max()))
        padding_bits = PATH_BITS - 2 * depth
        paths >>= padding_bits
        paths <<= padding_bits
        numbers[chunk] = faces << FACE_SHIFT | paths << LEVEL_BITS | depth + 1
        unclear += (np.flatnonzero(~clear) + start).tolist()
    return numbers, unclear
