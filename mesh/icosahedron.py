"""The base of the mesh: twelve vertices, twenty faces, and the choice of the face that holds a point.

Theory of the choice. The icosahedron is mirror-symmetric in the planes x = 0, y = 0 and z = 0, and mirroring is
exact in float64. Mirror a point into the octant x, y, z >= 0. That octant holds face 5 = (1, 5, 9) entirely, and
the near half of each of its three neighbours:

    beyond edge 1-5 of face 5   where  y > phi*x + (phi - 1)*z    lies face (0, 5, 1)
    beyond edge 5-9             where  z > phi*y + (phi - 1)*x    lies face (4, 9, 5)
    beyond edge 9-1             where  x > phi*z + (phi - 1)*y    lies face (9, 8, 1)

(The planes through those edges and the centre have exactly these equations; each compares positive numbers, so
nothing cancels.) Three comparisons and three signs therefore name the face, through a table. There is no case
left over, so there is always a face, with no epsilon and no fallback. An equality, or a coordinate that is zero,
means that the point lies on an edge or on a line of symmetry: the table then holds the lowest face among those that
touch there, as protocol.md §1 wants.
"""

from __future__ import annotations

from itertools import product
from math import sqrt
from typing import Final

from mesh.trigonometry import Vector

_PHI: Final = (1.0 + sqrt(5.0)) / 2.0
_PHI_MINUS_1: Final = _PHI - 1.0
_NORM: Final = sqrt(1.0 + _PHI * _PHI)
_SHORT: Final = 1.0 / _NORM
_LONG: Final = _PHI / _NORM

VERTICES: Final[tuple[Vector, ...]] = (
    (-_SHORT, _LONG, 0.0),
    (_SHORT, _LONG, 0.0),
    (-_SHORT, -_LONG, 0.0),
    (_SHORT, -_LONG, 0.0),
    (0.0, -_SHORT, _LONG),
    (0.0, _SHORT, _LONG),
    (0.0, -_SHORT, -_LONG),
    (0.0, _SHORT, -_LONG),
    (_LONG, 0.0, -_SHORT),
    (_LONG, 0.0, _SHORT),
    (-_LONG, 0.0, -_SHORT),
    (-_LONG, 0.0, _SHORT),
)
"""The twelve vertices, in the order of protocol.md §1, each of length 1 to the last bits."""

FACES: Final[tuple[tuple[int, int, int], ...]] = (
    (0, 11, 5),
    (0, 5, 1),
    (0, 1, 7),
    (0, 7, 10),
    (0, 10, 11),
    (1, 5, 9),
    (5, 11, 4),
    (11, 10, 2),
    (10, 7, 6),
    (7, 1, 8),
    (3, 9, 4),
    (3, 4, 2),
    (3, 2, 6),
    (3, 6, 8),
    (3, 8, 9),
    (4, 9, 5),
    (2, 4, 11),
    (6, 2, 10),
    (8, 6, 7),
    (9, 8, 1),
)
"""The vertices of each face, counter-clockwise seen from outside, in the order of protocol.md §1."""


def face_of(point: Vector) -> int:
    """The base face, 0 to 19, that holds a point of the unit sphere; on an edge, the lowest face that touches."""
    x, y, z = point
    across, along, up = abs(x), abs(y), abs(z)
    beyond_1_5 = _PHI * across + _PHI_MINUS_1 * up
    beyond_5_9 = _PHI * along + _PHI_MINUS_1 * across
    beyond_9_1 = _PHI * up + _PHI_MINUS_1 * along
    # (a > b) - (a < b) is the sign of a - b; 364 makes the six base-3 digits -1, 0, 1 start at 0.
    return _FACE_TABLE[
        243 * ((x > 0.0) - (x < 0.0))
        + 81 * ((y > 0.0) - (y < 0.0))
        + 27 * ((z > 0.0) - (z < 0.0))
        + 9 * ((along > beyond_1_5) - (along < beyond_1_5))
        + 3 * ((up > beyond_5_9) - (up < beyond_5_9))
        + ((across > beyond_9_1) - (across < beyond_9_1))
        + 364
    ]


def _mirrored(vertex: int, signs: tuple[int, ...]) -> int:
    """The vertex that `vertex` becomes when the axes whose sign is -1 are flipped."""
    x, y, z = (coordinate * sign for coordinate, sign in zip(VERTICES[vertex], signs, strict=True))
    return VERTICES.index((x, y, z))


def _face_table() -> tuple[int, ...]:
    """Face by (sign of x, y, z, then of the three comparisons), each -1, 0 or 1, the last varying fastest."""
    face_of_vertices = {frozenset(corners): face for face, corners in enumerate(FACES)}
    # The regions of the octant: the inner face, then the one beyond each edge.
    regions = ((1, 5, 9), (0, 5, 1), (4, 9, 5), (9, 8, 1))
    table = []
    for signs_and_comparisons in product((-1, 0, 1), repeat=6):
        signs, comparisons = signs_and_comparisons[:3], signs_and_comparisons[3:]
        touched = [region for region, comparison in zip(regions[1:], comparisons, strict=True) if comparison > 0]
        if not touched:
            on_an_edge = [region for region, side in zip(regions[1:], comparisons, strict=True) if side == 0]
            touched = [regions[0], *on_an_edge]
        octants = product(*((sign,) if sign else (-1, 1) for sign in signs))
        table.append(
            min(
                face_of_vertices[frozenset(_mirrored(vertex, octant) for vertex in region)]
                for octant, region in product(octants, touched)
            )
        )
    return tuple(table)


_FACE_TABLE: Final = _face_table()
