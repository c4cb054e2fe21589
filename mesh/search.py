"""Finding triangles by bounding box and by nearness, for display and browsing.

Both searches walk down the hierarchy and look only at triangles that can matter. They measure on the sphere, in
three dimensions, so a pole is a point like any other and the antimeridian is a meridian like any other: longitudes
are compared only as an angle east of the box's western side. They use the C library's trigonometry, and so may
differ between machines in whether a triangle that merely touches a box counts; validity never depends on them.

A bounding box keeps a triangle when some point belongs to both: a corner of the triangle in the box, a corner of
the box in the triangle, or a crossing of their sides. On the way down a simpler test is enough, whether the box comes
within the triangle's circumscribed cap, because it never loses a triangle. The nearest triangles come out of a
priority queue ordered by the distance to the triangle itself: since a child lies within its parent it cannot be nearer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from math import acos, atan2, cos, hypot, pi, radians, sin, sqrt
from typing import Final

from mesh.descent import Corners, corners, side
from mesh.geometry import centroid_vector, dot
from mesh.location import locate
from mesh.triangle_id import FACE_COUNT, LEVEL_MAX, LEVEL_MIN, TriangleId
from mesh.trigonometry import Vector, checked_degrees, unit_vector

BOUNDING_BOX_LIMIT_MAX: Final = 10_000
"""The most triangles that one bounding-box search returns; a box that holds more is an error."""

NEAREST_COUNT_MAX: Final = 1_000
"""The most triangles that one nearest search returns."""

_SLACK_RAD: Final = 1e-12
"""What rounding may cost here, generously; tests that prune err on the side of looking further."""


class TooManyTrianglesError(ValueError):
    """A bounding box holds more triangles than the caller's limit."""


def triangles_in_bounding_box(
    south: float, west: float, north: float, east: float, level: int, limit: int = BOUNDING_BOX_LIMIT_MAX
) -> list[TriangleId]:
    """The triangles of `level` that have a point in common with the box, in the order of their integer forms.

    The sides are degrees; the box runs east from `west` to `east`, so `west` > `east` crosses the antimeridian, and
    -180 to 180 goes all the way round. A side at 90 or -90 reaches the pole, whatever the longitudes.

    Raises ValueError naming a side, `level` or `limit` (1 to 10,000) that is out of its range, and
    `TooManyTrianglesError` when the box holds more than `limit` triangles.
    """
    box = _Box.checked(south, west, north, east)
    _check_count("level", level, LEVEL_MAX)
    _check_count("limit", limit, BOUNDING_BOX_LIMIT_MAX)
    found: list[TriangleId] = []
    for triangle in _descend(box, level):
        if len(found) == limit:
            raise TooManyTrianglesError(
                f"limit: the bounding box holds more than {limit} triangles of level {level}; "
                f"choose a smaller box or a lower level"
            )
        found.append(triangle)
    return found


def nearest_triangles(lat: float, lon: float, level: int, count: int) -> list[TriangleId]:
    """The `count` triangles of `level` nearest to a point in degrees, the nearest first.

    Nearness is the great-circle distance from the point to the nearest point of the triangle. So the first is the
    triangle that holds the point (the same as `locate`); the order of equally near ones is that of their integer forms.
    All of them, if the level has no more than `count`.

    Raises ValueError naming `lat`, `lon`, `level`, or `count` (1 to 1,000) when it is out of its range.
    """
    point = unit_vector(lat, lon)
    _check_count("level", level, LEVEL_MAX)
    _check_count("count", count, NEAREST_COUNT_MAX)
    # `locate` settles by its exact rules which of several triangles at distance zero holds the point.
    found = [locate(lat, lon, level)]
    # Entries sort by distance, then the larger triangles before those of `level`, then by integer form. The queue
    # holds at most 20 triangles and three more for each one that was opened.
    queue: list[tuple[float, bool, int, TriangleId]] = []
    for face in range(FACE_COUNT):
        _queue_triangle(queue, point, TriangleId(face, LEVEL_MIN, 0), level)
    while queue and len(found) < count:
        *_, triangle = heappop(queue)
        if triangle.level < level:
            for child in triangle.children:
                _queue_triangle(queue, point, child, level)
        elif triangle != found[0]:
            found.append(triangle)
    return found


def distance_to_triangle_rad(point: Vector, triangle: TriangleId) -> float:
    """The angle, in radians, from a unit vector to the nearest point of a triangle; 0 inside it."""
    v0, v1, v2 = corners(triangle)
    edges = ((v0, v1), (v1, v2), (v2, v0))
    if all(side(a, b, point) >= 0.0 for a, b in edges):
        return 0.0
    return min(_distance_to_arc_rad(point, a, b) for a, b in edges)


@dataclass(frozen=True, slots=True)
class _Box:
    """A box of latitudes and longitudes, in radians; `width` is how far it runs east from `west`, 0 to 2 pi."""

    south: float
    west: float
    north: float
    width: float

    @classmethod
    def checked(cls, south: float, west: float, north: float, east: float) -> _Box:
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
        return () if self.width >= 2.0 * pi - _SLACK_RAD else (self.west, self.west + self.width)

    def has_longitude(self, x: float, y: float) -> bool:
        """Whether the direction (x, y) lies between the sides; at a pole, where all meridians meet, it does."""
        if hypot(x, y) <= _SLACK_RAD:
            return True
        east_of_west = (atan2(y, x) - self.west) % (2.0 * pi)
        return east_of_west <= self.width + _SLACK_RAD or east_of_west >= 2.0 * pi - _SLACK_RAD

    def has_latitude(self, point: Vector) -> bool:
        latitude = _latitude(point)
        return self.south - _SLACK_RAD <= latitude <= self.north + _SLACK_RAD

    def has(self, point: Vector) -> bool:
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
        return min(_angle_rad(point, _vector(latitude, longitude)) for latitude in (self.south, self.north))

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


def _descend(box: _Box, level: int) -> Iterator[TriangleId]:
    stack = [TriangleId(face, LEVEL_MIN, 0) for face in reversed(range(FACE_COUNT))]
    while stack:
        triangle = stack.pop()
        vertices = corners(triangle)
        if triangle.level == level:
            if box.touches(vertices):
                yield triangle
        elif _cap_touches(box, triangle, vertices):
            stack.extend(reversed(triangle.children))


def _cap_touches(box: _Box, triangle: TriangleId, vertices: Corners) -> bool:
    """Whether the box comes within the cap around the triangle; the cap holds the triangle and all below it."""
    centre = centroid_vector(triangle)
    radius = max(_angle_rad(centre, vertex) for vertex in vertices)
    return box.distance_rad(centre) <= radius + _SLACK_RAD


def _queue_triangle(
    queue: list[tuple[float, bool, int, TriangleId]], point: Vector, triangle: TriangleId, level: int
) -> None:
    is_answer = triangle.level == level
    distance_rad = distance_to_triangle_rad(point, triangle)
    # A child's corners may be rounded a hair outside the parent's, so the parent is taken to be that much nearer.
    entry_distance_rad = distance_rad if is_answer else distance_rad - _SLACK_RAD
    heappush(queue, (entry_distance_rad, is_answer, triangle.integer, triangle))


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
    length = _angle_rad(a, b)
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
        along = (t + _SLACK_RAD) % (2.0 * pi) - _SLACK_RAD
        if along <= length + _SLACK_RAD:
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
    return min(_angle_rad(point, a), _angle_rad(point, b))


def _angle_rad(a: Vector, b: Vector) -> float:
    """The angle between two unit vectors, to full precision from 0 to pi (Kahan)."""
    apart = hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2])
    together = hypot(a[0] + b[0], a[1] + b[1], a[2] + b[2])
    return 2.0 * atan2(apart, together)


def _latitude(point: Vector) -> float:
    return atan2(point[2], hypot(point[0], point[1]))


def _vector(latitude: float, longitude: float) -> Vector:
    return cos(latitude) * cos(longitude), cos(latitude) * sin(longitude), sin(latitude)


def _check_count(name: str, value: int, highest: int) -> None:
    if type(value) is not int or not 1 <= value <= highest:
        raise ValueError(f"{name}: must be an integer from 1 to {highest}")
