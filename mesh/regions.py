"""Parts of the sphere that maps ask for: boxes of latitudes and longitudes, and discs around a point. For display only.

They measure on the sphere, in three dimensions, so a pole is a point like any other and the antimeridian is a meridian
like any other: longitudes are compared only as an angle east of the box's western side. They use the C library's
trigonometry, and so may differ between machines in whether a triangle that merely touches a region counts; validity
never depends on them.

A box keeps a triangle when some point belongs to both: a corner of the triangle in the box, a corner of the box in the
triangle, or a crossing of their sides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import acos, asin, atan2, cos, hypot, pi, radians, sin, sqrt
from typing import Final, Protocol, Self

from mesh.descent import Corners, side
from mesh.distance import EARTH_RADIUS_M
from mesh.geometry import dot
from mesh.trigonometry import Vector, checked_degrees, is_number, unit_vector

SLACK_RAD: Final = 1e-12
"""What rounding may cost here, generously; tests that prune err on the side of looking further."""


class Region(Protocol):
    """A part of the sphere."""

    def distance_rad(self, point: Vector) -> float:
        """The angle from a unit vector to the nearest point of the region; 0 or less within it."""
        ...

    def touches(self, triangle: Corners) -> bool:
        """Whether the region and the triangle have a point in common."""
        ...


@dataclass(frozen=True, slots=True)
class Disc:
    """All that is within `radius_rad` of a point."""

    centre: Vector
    radius_rad: float

    @classmethod
    def checked(cls, lat: float, lon: float, radius_m: float) -> Self:
        """From degrees, and metres on the ground. Raises ValueError naming what is out of its range."""
        centre = unit_vector(lat, lon)
        if not is_number(radius_m) or not radius_m >= 0.0:
            raise ValueError("radius_m: must be a number of metres, 0 or more")
        return cls(centre, min(radius_m / EARTH_RADIUS_M, pi))

    def distance_rad(self, point: Vector) -> float:
        return angle_rad(self.centre, point) - self.radius_rad

    def touches(self, triangle: Corners) -> bool:
        return distance_to_corners_rad(self.centre, triangle) <= self.radius_rad + SLACK_RAD


@dataclass(frozen=True, slots=True)
class Box:
    """A box of latitudes and longitudes, in radians; `width` is how far it runs east from `west`, 0 to 2 pi."""

    south: float
    west: float
    north: float
    width: float

    @classmethod
    def checked(cls, south: float, west: float, north: float, east: float) -> Box:
        """From sides in degrees; `west` > `east` crosses the antimeridian, and -180 to 180 goes all the way round.

        Raises ValueError naming a side that is out of its range.
        """
        south = checked_degrees("south", south, 90.0)
        west = checked_degrees("west", west, 180.0)
        north = checked_degrees("north", north, 90.0)
        east = checked_degrees("east", east, 180.0)
        if south > north:
            raise ValueError("south: must not be greater than north")
        width = east - west if west <= east else east - west + 360.0
        return cls(radians(south), radians(west), radians(north), radians(width))

    @property
    def sides(self) -> tuple[float, ...]:
        """The longitudes of its western and eastern side; none when the box goes all the way round."""
        return () if self.width >= 2.0 * pi - SLACK_RAD else (self.west, self.west + self.width)

    def has_longitude(self, x: float, y: float) -> bool:
        """Whether the direction (x, y) lies between the sides; at a pole, where all meridians meet, it does."""
        if hypot(x, y) <= SLACK_RAD:
            return True
        east_of_west = (atan2(y, x) - self.west) % (2.0 * pi)
        return east_of_west <= self.width + SLACK_RAD or east_of_west >= 2.0 * pi - SLACK_RAD

    def has_latitude(self, point: Vector) -> bool:
        """Whether the point lies between the parallels."""
        latitude = _latitude(point)
        return self.south - SLACK_RAD <= latitude <= self.north + SLACK_RAD

    def has(self, point: Vector) -> bool:
        """Whether the point is in the box."""
        return self.has_latitude(point) and self.has_longitude(point[0], point[1])

    def distance_rad(self, point: Vector) -> float:
        """The angle to the nearest point of the box: straight north or south, or on one of its two sides."""
        if self.has_longitude(point[0], point[1]):
            latitude = _latitude(point)
            return max(self.south - latitude, latitude - self.north, 0.0)
        return min(self._distance_to_side_rad(point, longitude) for longitude in self.sides)

    def touches(self, triangle: Corners) -> bool:
        """Whether the box and the triangle have a point in common."""
        if any(self.has(corner) for corner in triangle):
            return True
        v0, v1, v2 = triangle
        edges = ((v0, v1), (v1, v2), (v2, v0))
        # Without a crossing, one holds the other entirely, so any one point of the box will do.
        inside = _vector(self.south, self.west)
        if all(side(a, b, inside) >= 0.0 for a, b in edges):
            return True
        return any(self._crosses(a, b) for a, b in edges)

    def _distance_to_side_rad(self, point: Vector, longitude: float) -> float:
        x = point[0] * cos(longitude) + point[1] * sin(longitude)
        y = point[1] * cos(longitude) - point[0] * sin(longitude)
        foot_latitude = atan2(point[2], x)
        if x > 0.0 and self.south <= foot_latitude <= self.north:
            return atan2(abs(y), hypot(x, point[2]))
        return min(angle_rad(point, _vector(latitude, longitude)) for latitude in (self.south, self.north))

    def _crosses(self, a: Vector, b: Vector) -> bool:
        """Whether the arc from a to b crosses a side of the box."""
        on_a_side = any(
            self.has_latitude(crossing)
            for longitude in self.sides
            for crossing in _crossings_with_meridian(a, b, longitude)
        )
        return on_a_side or any(
            self.has_longitude(crossing[0], crossing[1])
            for latitude in (self.south, self.north)
            for crossing in _crossings_with_parallel(a, b, latitude)
        )


def cap_touches(region: Region, triangle: Corners) -> bool:
    """Whether the region comes within the cap around the triangle, which holds the triangle and all below it.

    Where it does not, no triangle below touches the region. That is quicker asked than `touches`.
    """
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = triangle
    x, y, z = ax + bx + cx, ay + by + cy, az + bz + cz
    norm = sqrt(x * x + y * y + z * z)
    centre = (x / norm, y / norm, z / norm)
    half_chord = 0.5 * max(hypot(p - centre[0], q - centre[1], r - centre[2]) for p, q, r in triangle)
    return region.distance_rad(centre) <= 2.0 * asin(half_chord) + SLACK_RAD


def distance_to_corners_rad(point: Vector, triangle: Corners) -> float:
    """The angle, in radians, from a unit vector to the nearest point of a triangle; 0 inside it."""
    v0, v1, v2 = triangle
    if side(v0, v1, point) >= 0.0 and side(v1, v2, point) >= 0.0 and side(v2, v0, point) >= 0.0:
        return 0.0
    return min(
        _distance_to_arc_rad(point, v0, v1), _distance_to_arc_rad(point, v1, v2), _distance_to_arc_rad(point, v2, v0)
    )


def angle_rad(a: Vector, b: Vector) -> float:
    """The angle between two unit vectors, to full precision from 0 to pi (Kahan)."""
    apart = hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2])
    together = hypot(a[0] + b[0], a[1] + b[1], a[2] + b[2])
    return 2.0 * atan2(apart, together)


def _crossings_with_meridian(a: Vector, b: Vector, longitude: float) -> Iterator[Vector]:
    """Where the arc from a to b crosses the half-circle of a longitude in radians: a direction, if it does."""
    cosine, sine = cos(longitude), sin(longitude)
    east_of_a = a[1] * cosine - a[0] * sine
    east_of_b = b[1] * cosine - b[0] * sine
    if east_of_a * east_of_b > 0.0 or east_of_a == east_of_b:
        return
    share = east_of_a / (east_of_a - east_of_b)
    x, y, z = (p + share * (q - p) for p, q in zip(a, b, strict=True))
    # The plane also holds the opposite half-circle.
    if x * cosine + y * sine >= 0.0:
        yield x, y, z


def _crossings_with_parallel(a: Vector, b: Vector, latitude: float) -> Iterator[Vector]:
    """Where the arc from a to b crosses the circle of a latitude in radians: up to two points.

    Along the arc, at angle t from a, z is a_z cos t + c_z sin t, c being the unit tangent at a.
    """
    length = angle_rad(a, b)
    tangent_norm = sin(length)
    cosine = cos(length)
    c = [(q - cosine * p) / tangent_norm for p, q in zip(a, b, strict=True)]
    amplitude = hypot(a[2], c[2])
    height = sin(latitude)
    if abs(height) > amplitude or amplitude == 0.0:
        return
    top = atan2(c[2], a[2])
    spread = acos(height / amplitude)
    for t in (top - spread, top + spread):
        along = (t + SLACK_RAD) % (2.0 * pi) - SLACK_RAD
        if along <= length + SLACK_RAD:
            x, y, z = (p * cos(along) + q * sin(along) for p, q in zip(a, c, strict=True))
            yield x, y, z


def _distance_to_arc_rad(point: Vector, a: Vector, b: Vector) -> float:
    """The angle from a point to the nearest point of the arc from a to b, which is shorter than half a turn."""
    edge = (b[0] - a[0], b[1] - a[1], b[2] - a[2])
    middle = ((a[0] + b[0]) / 2.0, (a[1] + b[1]) / 2.0, (a[2] + b[2]) / 2.0)
    chord, height = sqrt(dot(edge, edge)), sqrt(dot(middle, middle))
    # The foot of the perpendicular lies between a and b when it does so in the plane of the arc.
    along, across = dot(point, edge) / chord, dot(point, middle) / height
    if across > 0.0 and 2.0 * abs(along) * height <= across * chord:
        # |a x b| is the chord times the height of its middle above the centre.
        return atan2(abs(side(a, b, point)) / (chord * height), hypot(along, across))
    return min(angle_rad(point, a), angle_rad(point, b))


def _latitude(point: Vector) -> float:
    return atan2(point[2], hypot(point[0], point[1]))


def _vector(latitude: float, longitude: float) -> Vector:
    return cos(latitude) * cos(longitude), cos(latitude) * sin(longitude), sin(latitude)
