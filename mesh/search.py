"""Finding triangles by region and by nearness, for display and browsing.

Both searches walk down the hierarchy and look only at triangles that can matter. On the way down into a region a test
simpler than `touches` is enough, whether the region comes within the triangle's circumscribed cap, because it never
loses a triangle. The nearest triangles come out of a priority queue ordered by the distance to the triangle itself:
since a child lies within its parent it cannot be nearer.

Both are iterators, and tell of each triangle that they only look at on their way: whoever must not take long at a time,
or in all, counts and stops. Mostly some three are looked at for each one found; but along a side of a box that runs
just beside edges of the mesh there may be any number that do not touch it.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Final, TypeAlias

from mesh.descent import Corners, child_corners, corners
from mesh.location import locate
from mesh.regions import SLACK_RAD, Box, Region, cap_touches, distance_to_corners_rad
from mesh.triangle_id import FACE_COUNT, LEVEL_MAX, LEVEL_MIN, TriangleId
from mesh.trigonometry import Vector, unit_vector

BOUNDING_BOX_LIMIT_MAX: Final = 10_000
"""The most triangles that one bounding-box search returns; a box that holds more is an error."""

NEAREST_COUNT_MAX: Final = 1_000
"""The most triangles that one nearest search returns."""


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
    box = Box.checked(south, west, north, east)
    _check_count("limit", limit, BOUNDING_BOX_LIMIT_MAX)
    found: list[TriangleId] = []
    for triangle, touches in triangles_in(box, level):
        if not touches:
            continue
        if len(found) == limit:
            raise TooManyTrianglesError(
                f"limit: the bounding box holds more than {limit} triangles of level {level}; "
                f"choose a smaller box or a lower level"
            )
        found.append(triangle)
    return found


def triangles_in(region: Region, level: int, *, start: int = 0) -> Iterator[tuple[TriangleId, bool]]:
    """The triangles of `level` that touch the region, by rising integer form, none below the integer form `start`.

    Each comes with True, and with False each triangle, of this level or above it, that is only looked at. All come in
    the order of their integer forms: what lies before one has been found when it comes. So `start` can be any of these.

    Raises ValueError, when the first is asked for, if there is no such level.
    """
    _check_count("level", level, LEVEL_MAX)
    stack = [(face, corners(face)) for face in (TriangleId(n, LEVEL_MIN, 0) for n in reversed(range(FACE_COUNT)))]
    while stack:
        triangle, vertices = stack.pop()
        if triangle.last_integer < start:
            continue
        if triangle.level == level:
            yield triangle, triangle.integer >= start and region.touches(vertices)
            continue
        yield triangle, False
        if cap_touches(region, vertices):
            children = triangle.children
            stack.extend((children[digit], child_corners(vertices, digit)) for digit in (3, 2, 1, 0))


def nearest_triangles(lat: float, lon: float, level: int, count: int) -> list[TriangleId]:
    """The `count` triangles of `level` nearest to a point in degrees, the nearest first: those of
    `triangles_by_distance`.

    Raises ValueError naming `lat`, `lon`, `level`, or `count` (1 to 1,000) when it is out of its range.
    """
    _check_count("count", count, NEAREST_COUNT_MAX)
    found: list[TriangleId] = []
    for near in triangles_by_distance(lat, lon, level):
        if near is not None:
            found.append(near[1])
            if len(found) == count:
                break
    return found


def triangles_by_distance(lat: float, lon: float, level: int) -> Iterator[tuple[float, TriangleId] | None]:
    """All triangles of `level`, the nearest to a point in degrees first, each with its distance in radians.

    A None stands for each triangle that is only looked at.

    Nearness is the great-circle distance from the point to the nearest point of the triangle. So the first is the
    triangle that holds the point (the same as `locate`); the order of equally near ones is that of their integer forms.

    Raises ValueError, when the first is asked for, naming `lat`, `lon` or `level` when it is out of its range.
    """
    point = unit_vector(lat, lon)
    _check_count("level", level, LEVEL_MAX)
    # `locate` settles by its exact rules which of several triangles at distance zero holds the point.
    first = locate(lat, lon, level)
    yield 0.0, first
    # Entries sort by distance, then the larger triangles before those of `level`, then by integer form. The queue
    # holds at most 20 triangles and three more for each one that was opened.
    queue: list[_Queued] = []
    for number in range(FACE_COUNT):
        face = TriangleId(number, LEVEL_MIN, 0)
        _queue(queue, point, face, corners(face), level)
    while queue:
        distance_rad, is_answer, _, triangle, vertices = heappop(queue)
        if not is_answer:
            yield None
            for digit, child in enumerate(triangle.children):
                _queue(queue, point, child, child_corners(vertices, digit), level)
        elif triangle != first:
            yield distance_rad, triangle


def distance_to_triangle_rad(point: Vector, triangle: TriangleId) -> float:
    """The angle, in radians, from a unit vector to the nearest point of a triangle; 0 inside it."""
    return distance_to_corners_rad(point, corners(triangle))


_Queued: TypeAlias = tuple[float, bool, int, TriangleId, Corners]


def _queue(queue: list[_Queued], point: Vector, triangle: TriangleId, vertices: Corners, level: int) -> None:
    is_answer = triangle.level == level
    distance_rad = distance_to_corners_rad(point, vertices)
    # A child's corners may be rounded a hair outside the parent's, so the parent is taken to be that much nearer.
    entry_distance_rad = distance_rad if is_answer else distance_rad - SLACK_RAD
    heappush(queue, (entry_distance_rad, is_answer, triangle.integer, triangle, vertices))


def _check_count(name: str, value: int, highest: int) -> None:
    if type(value) is not int or not 1 <= value <= highest:
        raise ValueError(f"{name}: must be an integer from 1 to {highest}")
