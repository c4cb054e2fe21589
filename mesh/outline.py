"""A triangle as maps draw it: GeoJSON shapes with straight sides, cut at the antimeridian. For display only.

Theory of operation. `mesh.polygon` gives three corners joined by great-circle arcs. A map, and GeoJSON (RFC 7946
§3.1.1), joins positions by lines that are straight in longitude and latitude. Three things make one into the other.

1. A side whose straight line strays from its arc is halved until it does not. Halving takes the mesh's own midpoints,
   so the positions on a side do not depend on which of its two triangles is drawn, and neighbours leave no gap.
2. Walking the ring, each longitude is written within half a turn of the one before, beyond ±180 where need be. At a
   pole the longitude is free: there the ring runs along the latitude ±90, from the meridian it came by to the one it
   leaves by, with the triangle on its left: westwards at the north pole, eastwards at the south pole.
3. Shapely cuts what reaches beyond ±180 (RFC 7946 §3.1.9), and the part beyond is moved back by a whole turn.

The mesh's symmetry keeps this simple (icosahedron.py): a pole is the middle of a side at level 1 and a corner at every
deeper level, in exactly these bits, so no triangle has a pole in its interior. And a side that does not touch a pole
keeps off it by most of its own length, so a few halvings always suffice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import hypot, remainder, sqrt
from typing import Any, Final, TypeAlias

import shapely
from shapely.affinity import translate
from shapely.geometry.polygon import orient

from mesh.descent import corners, midpoint, side
from mesh.geometry import Position, longitude_latitude
from mesh.triangle_id import TriangleId
from mesh.trigonometry import Vector, unit_vector

OUTLINE_TOLERANCE_SHARE: Final = 0.001
"""How far a drawn side may be from its great-circle arc on the ground, as a share of the side's length.

That is 7 km for the 7,054 km of a level-1 side, and one pixel for a triangle that fills a screen of 1,000 pixels.
"""

_SAMPLED_SHARES: Final = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875)
"""Where a straight line is compared with its arc. More than the middle: across the equator it strays to both sides."""

_SHORT_RAD: Final = 0.05
_SURELY_STRAIGHT: Final = 0.005
"""What a short side's length times the tangent of its latitude may be; see `_is_surely_straight`."""

_DECIMALS: Final = 9

GeoJsonGeometry: TypeAlias = dict[str, Any]
"""`type` and `coordinates` (RFC 7946 §3.1)."""

_HEMISPHERES: Final = shapely.box(-180.0, -90.0, 180.0, 90.0)
_BEYOND_EAST: Final = shapely.box(180.0, -90.0, 540.0, 90.0)


def outline(triangle: TriangleId) -> shapely.Polygon | shapely.MultiPolygon:
    """The triangle on a flat map: longitude, latitude in degrees, within [-180, 180] and [-90, 90].

    It is a polygon, or two where the triangle crosses the antimeridian, the one west of it (positive longitudes) first
    (RFC 7946 §3.1.9). Exteriors are counter-clockwise (§3.1.6), there are no holes, and every shape is valid. Sides are
    right to within `OUTLINE_TOLERANCE_SHARE`. A triangle that touches a pole reaches the latitude ±90 as an edge.

    `shapely.geometry.mapping` makes it a GeoJSON geometry.
    """
    flat = shapely.Polygon(_flat_ring(_ring_on_the_sphere(triangle)))
    west, _, east, _ = flat.bounds
    # Of all its places, whole turns apart, take the one that begins within the map: what sticks out is in the east.
    if west < -180.0:
        flat, west, east = translate(flat, 360.0), west + 360.0, east + 360.0
    elif west >= 180.0:
        flat, west, east = translate(flat, -360.0), west - 360.0, east - 360.0
    if east <= 180.0:
        return flat
    pieces = (flat.intersection(_HEMISPHERES), translate(flat.intersection(_BEYOND_EAST), -360.0))
    return shapely.MultiPolygon([orient(piece) for piece in pieces])


def outline_geometry(triangle: TriangleId) -> GeoJsonGeometry:
    """The outline as a GeoJSON geometry, as JSON writes it; its positions are rounded to 1e-9 degrees, 0.1 mm.

    The same shape as `outline`, in less time where nothing has to be cut.
    """
    ring = _flat_ring(_ring_on_the_sphere(triangle))
    longitudes = [longitude for longitude, _ in ring]
    if min(longitudes) >= -180.0 and max(longitudes) <= 180.0:
        return {"type": "Polygon", "coordinates": [_rounded([*ring, ring[0]])]}
    drawn = outline(triangle)
    if isinstance(drawn, shapely.Polygon):
        return {"type": "Polygon", "coordinates": [_rounded(drawn.exterior.coords)]}
    return {"type": "MultiPolygon", "coordinates": [[_rounded(piece.exterior.coords)] for piece in drawn.geoms]}


def _rounded(ring: Iterable[Sequence[float]]) -> list[Position]:
    return [[round(longitude, _DECIMALS), round(latitude, _DECIMALS)] for longitude, latitude in ring]


def _ring_on_the_sphere(triangle: TriangleId) -> list[Vector]:
    """The corners and the positions between them, counter-clockwise, the first not repeated and not at a pole."""
    v0, v1, v2 = corners(triangle)
    ring: list[Vector] = []
    for a, b in ((v0, v1), (v1, v2), (v2, v0)):
        ring.extend(_along(a, b, OUTLINE_TOLERANCE_SHARE * hypot(b[0] - a[0], b[1] - a[1], b[2] - a[2])))
    return ring if not _is_pole(ring[0]) else [*ring[1:], ring[0]]


def _along(a: Vector, b: Vector, tolerance_rad: float) -> Iterator[Vector]:
    """`a`, and the positions needed on the arc from `a` to `b`, without `b`."""
    on_a_meridian = _is_pole(a) or _is_pole(b)
    if on_a_meridian or _is_surely_straight(a, b) or _is_drawn_straight(a, b, tolerance_rad):
        yield a
        return
    middle = midpoint(a, b)
    yield from _along(a, middle, tolerance_rad)
    yield from _along(middle, b, tolerance_rad)


def _is_drawn_straight(a: Vector, b: Vector, tolerance_rad: float) -> bool:
    """Whether the line that is straight in longitude and latitude stays within the tolerance of the arc a-b."""
    (longitude, latitude), (longitude_b, latitude_b) = longitude_latitude(a), longitude_latitude(b)
    eastwards, northwards = remainder(longitude_b - longitude, 360.0), latitude_b - latitude
    chord = hypot(b[0] - a[0], b[1] - a[1], b[2] - a[2])
    # `side` is the sine of the distance from the arc's plane, times |a x b|, which is this chord times this height.
    distance_unit = chord * sqrt(1.0 - 0.25 * chord * chord)
    return all(
        abs(side(a, b, unit_vector(latitude + share * northwards, remainder(longitude + share * eastwards, 360.0))))
        <= tolerance_rad * distance_unit
        for share in _SAMPLED_SHARES
    )


def _is_surely_straight(a: Vector, b: Vector) -> bool:
    """Whether the side is so short, and so far from a pole, that it need not be looked at.

    A line that is straight on the map, at an angle t to the parallels, has on the sphere the curvature
    tan(latitude) cos(t) (1 + sin(t)^2), at most 1.09 tan(latitude); over a length L it strays from its chord by L^2 / 8
    of that. So it strays by less than 0.0007 of L if L tan(latitude) is below 0.005, which leaves a third of the
    tolerance. On a short side the tangent grows by less than L on the way, unless it is far too large anyway.
    """
    chord = hypot(b[0] - a[0], b[1] - a[1], b[2] - a[2])
    if chord > _SHORT_RAD:
        return False
    tangent = max(abs(end[2]) / hypot(end[0], end[1]) for end in (a, b))
    return chord * (tangent + chord) <= _SURELY_STRAIGHT


def _flat_ring(ring: list[Vector]) -> list[tuple[float, float]]:
    """(longitude, latitude) of the positions of a ring that begins off the poles; longitudes run on beyond ±180."""
    flat = [longitude_latitude(ring[0])]
    for index in range(1, len(ring)):
        previous_longitude = flat[-1][0]
        longitude, latitude = longitude_latitude(ring[index])
        if _is_pole(ring[index]):
            # The next is never a pole too, and may be the first position.
            next_longitude, _ = longitude_latitude(ring[(index + 1) % len(ring)])
            if latitude > 0.0:
                leaving = previous_longitude - (previous_longitude - next_longitude) % 360.0
            else:
                leaving = previous_longitude + (next_longitude - previous_longitude) % 360.0
            flat.extend([(previous_longitude, latitude), (leaving, latitude)])
        else:
            turns = round((previous_longitude - longitude) / 360.0)
            flat.append((longitude + 360.0 * turns, latitude))
    return flat


def _is_pole(point: Vector) -> bool:
    # Exactly so: the midpoints that are poles are means of mirrored corners, whose x and y cancel to zero.
    return point[0] == 0.0 and point[1] == 0.0
