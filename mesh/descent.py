"""The exact arithmetic of the mesh: the corners of triangles, and the descent to the triangle that holds a point.

Theory of operation. Take the base face (icosahedron.py), then descend. At each level the centre child's three edges
decide: strictly outside edge m20-m01 is child 0, else outside m01-m12 is child 1, else outside m12-m20 is child 2,
else, on an edge included, it is child 3 (protocol.md §1). The side of an edge a->b on which p lies is the sign of
the determinant of (a, b, p), computed as a . ((b - a) x (p - a)). Near the edge the differences are exact or nearly so,
and the sign stays right at level 21, where dot(p, cross(a, b)) has lost ten of its sixteen digits.

`holds_point` is by definition `locate_point(point, triangle.level) == triangle`. To be fast, it computes the triangle's
corners and looks at its own three edges first. A point that is farther than `_CLEAR_OF_EDGES_RAD` from all three lies
so far from every deciding edge above that the descent must agree, since corners are good to 1e-14 rad; only for the
rare point nearer to an edge is the descent itself made. So no tolerance decides; it only picks the shorter way.

docs/mesh-arithmetic.md is the specification for other implementations. Nothing here uses the C library's trigonometry.

No triangle is kept once computed. Kept to level 6 they were 27,300, which filled 19 MB in the course of hours, and
spared `contains` 1.5 of 25 microseconds.
"""

from __future__ import annotations

from math import sqrt
from typing import Final, TypeAlias

from mesh.icosahedron import FACES, VERTICES, face_of
from mesh.triangle_id import TriangleId
from mesh.trigonometry import Vector

Corners: TypeAlias = tuple[Vector, Vector, Vector]

_CLEAR_OF_EDGES_RAD: Final = 1e-12
"""Farther than this from a triangle's edges (6 micrometres on the ground), `contains` needs no descent."""


def corners(triangle: TriangleId) -> Corners:
    """The three corners of `triangle` as unit vectors, counter-clockwise from outside, in the order of §1."""
    path = triangle.path
    result = _face_corners(triangle.face)
    for shift in range(2 * (triangle.level - 2), -1, -2):
        result = child_corners(result, path >> shift & 3)
    return result


def midpoint(a: Vector, b: Vector) -> Vector:
    """The middle of the great-circle arc between two unit vectors; the same bits for (a, b) and (b, a)."""
    ax, ay, az = a
    bx, by, bz = b
    x = ax + bx
    y = ay + by
    z = az + bz
    norm = sqrt(x * x + y * y + z * z)
    return x / norm, y / norm, z / norm


def side(a: Vector, b: Vector, p: Vector) -> float:
    """Positive when p lies left of the edge a->b seen from outside, negative when right, zero when on it.

    The value is the determinant of (a, b, p): the chord of the edge times the sine of the distance from it.
    """
    ax, ay, az = a
    ex = b[0] - ax
    ey = b[1] - ay
    ez = b[2] - az
    px = p[0] - ax
    py = p[1] - ay
    pz = p[2] - az
    return ax * (ey * pz - ez * py) + ay * (ez * px - ex * pz) + az * (ex * py - ey * px)


def locate_point(point: Vector, level: int) -> TriangleId:
    """The triangle of `level`, 1 to 21, that holds a point as `unit_vector` gives it: exact, by definition."""
    face = face_of(point)
    path = 0
    v0, v1, v2 = _face_corners(face)
    for _ in range(level - 1):
        m01 = midpoint(v0, v1)
        m12 = midpoint(v1, v2)
        m20 = midpoint(v2, v0)
        digit = _holding_child(m01, m12, m20, point)
        path = path << 2 | digit
        if digit == 0:
            v1, v2 = m01, m20
        elif digit == 1:
            v0, v2 = m01, m12
        elif digit == 2:
            v0, v1 = m20, m12
        else:
            v0, v1, v2 = m01, m12, m20
    return TriangleId(face, level, path)


def holds_point(triangle: TriangleId, point: Vector) -> bool:
    """Whether `triangle` is the one of its level that holds a point as `unit_vector` gives it."""
    v0, v1, v2 = corners(triangle)
    # No edge of a level is longer than 2 / 2**(level - 1), and `side` is at most that times the distance.
    clear = _CLEAR_OF_EDGES_RAD * 2.0 ** (2 - triangle.level)
    nearest = min(side(v0, v1, point), side(v1, v2, point), side(v2, v0, point))
    if nearest > clear:
        return True
    if nearest < -clear:
        return False
    return locate_point(point, triangle.level) == triangle


def _holding_child(m01: Vector, m12: Vector, m20: Vector, point: Vector) -> int:
    if side(m20, m01, point) < 0.0:
        return 0
    if side(m01, m12, point) < 0.0:
        return 1
    if side(m12, m20, point) < 0.0:
        return 2
    return 3


def _face_corners(face: int) -> Corners:
    a, b, c = FACES[face]
    return VERTICES[a], VERTICES[b], VERTICES[c]


def child_corners(parent: Corners, digit: int) -> Corners:
    """The corners of the child with this digit of the triangle with these corners."""
    v0, v1, v2 = parent
    if digit == 0:
        return v0, midpoint(v0, v1), midpoint(v2, v0)
    if digit == 1:
        return midpoint(v0, v1), v1, midpoint(v1, v2)
    if digit == 2:
        return midpoint(v2, v0), midpoint(v1, v2), v2
    return midpoint(v0, v1), midpoint(v1, v2), midpoint(v2, v0)
