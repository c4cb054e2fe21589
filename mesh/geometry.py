"""Where a triangle is drawn and how large it is: for display, never for validity.

Corners come from the exact arithmetic, but the way back to degrees goes through the C library's atan2, whose last
bit differs between machines. Whether a point is in a triangle is for `mesh.contains` alone.
"""

from __future__ import annotations

from math import asin, atan2, degrees, hypot, sqrt

from mesh.descent import corners, side
from mesh.distance import EARTH_RADIUS_M
from mesh.triangle_id import TriangleId
from mesh.trigonometry import Vector

Position = list[float]
"""[longitude, latitude] in degrees, as GeoJSON orders them (RFC 7946 §3.1.1)."""


def polygon(triangle: TriangleId) -> list[Position]:
    """The triangle's corners as a closed ring of four [lon, lat], counter-clockwise, the first one repeated.

    Its sides are great-circle arcs. Longitudes are in [-180, 180], so a ring may cross the antimeridian; the
    longitude of a corner at a pole is 0.
    """
    ring = [list(longitude_latitude(corner)) for corner in corners(triangle)]
    return [*ring, list(ring[0])]


def centroid(triangle: TriangleId) -> tuple[float, float]:
    """(lon, lat) in degrees of the direction of the mean of the three corners."""
    return longitude_latitude(centroid_vector(triangle))


def centroid_vector(triangle: TriangleId) -> Vector:
    """The unit vector in the direction of the mean of the three corners."""
    v0, v1, v2 = corners(triangle)
    x, y, z = (a + b + c for a, b, c in zip(v0, v1, v2, strict=True))
    norm = sqrt(x * x + y * y + z * z)
    return x / norm, y / norm, z / norm


def area_m2(triangle: TriangleId) -> float:
    """The area in square metres on the sphere of radius 6,371,000 m.

    Its spherical excess E is found by tan(E/2) = det(a, b, c) / (1 + a.b + b.c + c.a) (Eriksson 1990).
    """
    a, b, c = corners(triangle)
    excess = 2.0 * atan2(side(a, b, c), 1.0 + dot(a, b) + dot(b, c) + dot(c, a))
    return excess * EARTH_RADIUS_M * EARTH_RADIUS_M


def side_lengths_m(triangle: TriangleId) -> tuple[float, float, float]:
    """The great-circle lengths of its sides on the sphere of radius 6,371,000 m: 0-1, 1-2 and 2-0."""
    v0, v1, v2 = corners(triangle)
    return _arc_m(v0, v1), _arc_m(v1, v2), _arc_m(v2, v0)


def _arc_m(a: Vector, b: Vector) -> float:
    half_chord = 0.5 * hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2])
    return 2.0 * asin(half_chord) * EARTH_RADIUS_M


def longitude_latitude(point: Vector) -> tuple[float, float]:
    """(lon, lat) in degrees of a unit vector; lon is in [-180, 180], and 0 at the poles."""
    x, y, z = point
    # Adding 0.0 turns a -0.0 into 0.0, for which atan2 would give -180 or -0.
    return degrees(atan2(y + 0.0, x + 0.0)), degrees(atan2(z, hypot(x, y)))


def dot(a: Vector, b: Vector) -> float:
    """The scalar product of two vectors."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
