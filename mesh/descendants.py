"""All descendants of a triangle some levels down at once: their names and their corners.

The same operations as in descent.py, in the same order, for whole arrays: NumPy's additions, multiplications, divisions
and square roots are IEEE 754's as Python's are, so the corners are the same to the last bit. A test compares them all.
"""

from __future__ import annotations

from itertools import product
from typing import Final

import numpy as np

from mesh.barycentric_tables import IntegerArray
from mesh.descent import corners
from mesh.triangle_id import (
    CHECKSUM_LENGTH,
    FACE_SHIFT,
    LEVEL_BITS,
    LEVEL_MAX,
    TEXT_PREFIX,
    TriangleId,
    checksum_of,
)
from mesh.trigonometry import FloatArray

LEVELS_BELOW_MAX: Final = 10
"""How far down descendants are made at once: 4^10 of them fill 75 MB. Beyond that ValueError is raised."""


def descendants(triangle: TriangleId, levels: int) -> IntegerArray:
    """The integer forms of its `4^levels` descendants `levels` (0 to 10) levels down, ascending, as int64.

    Raises ValueError when there is no such level.
    """
    level = _checked_level(triangle, levels)
    paths = (triangle.path << 2 * levels) + np.arange(1 << 2 * levels, dtype=np.int64)
    return triangle.face << FACE_SHIFT | paths << (2 * (LEVEL_MAX - level) + LEVEL_BITS) | level


def descendants_text(triangle: TriangleId, levels: int) -> list[str]:
    """The text forms of `descendants(triangle, levels)`.

    Raises ValueError when there is no such level.
    """
    level = _checked_level(triangle, levels)
    first = TriangleId(triangle.face, level, triangle.path << 2 * levels).text
    # Face, level and the digits that all share; then theirs, and the zeros after them.
    head = first[len(TEXT_PREFIX) : -(LEVEL_MAX - triangle.level) - len("-") - CHECKSUM_LENGTH]
    padding = "0" * (LEVEL_MAX - level)
    checked = [f"{head}{''.join(digits)}{padding}" for digits in product("0123", repeat=levels)]
    return [f"{TEXT_PREFIX}{one}-{checksum_of(one)}" for one in checked]


def descendants_corners(triangle: TriangleId, levels: int) -> FloatArray:
    """The corners of `descendants(triangle, levels)` as unit vectors: float64 of the shape (4^levels, 3, 3).

    The second axis is the corner, counter-clockwise in the order of protocol.md §1, the last one x, y, z. Raises
    ValueError when there is no such level.
    """
    _checked_level(triangle, levels)
    parents: FloatArray = np.array([corners(triangle)])
    for _ in range(levels):
        v0, v1, v2 = parents[:, 0], parents[:, 1], parents[:, 2]
        m01, m12, m20 = _midpoints(v0, v1), _midpoints(v1, v2), _midpoints(v2, v0)
        children = np.empty((len(parents), 4, 3, 3))
        for digit, child in enumerate(((v0, m01, m20), (m01, v1, m12), (m20, m12, v2), (m01, m12, m20))):
            for corner, vectors in enumerate(child):
                children[:, digit, corner] = vectors
        parents = children.reshape(-1, 3, 3)
    return parents


def _midpoints(a: FloatArray, b: FloatArray) -> FloatArray:
    between = a + b
    x, y, z = between[:, 0], between[:, 1], between[:, 2]
    result: FloatArray = between / np.sqrt(x * x + y * y + z * z)[:, np.newaxis]
    return result


def _checked_level(triangle: TriangleId, levels: int) -> int:
    highest = min(LEVELS_BELOW_MAX, LEVEL_MAX - triangle.level)
    if not 0 <= levels <= highest:
        raise ValueError(f"levels: {levels}, must be 0 to {highest} below level {triangle.level}")
    return triangle.level + levels
