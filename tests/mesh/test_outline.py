"""An outline is a valid GeoJSON shape within the map, and shows the triangle where it is."""

from itertools import pairwise
from math import cos, dist, hypot, radians, sin, sqrt
from typing import Any

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import mapping, shape

from mesh import (
    EARTH_RADIUS_M,
    OUTLINE_TOLERANCE_SHARE,
    TriangleId,
    area_m2,
    contains,
    corners,
    locate,
    outline,
    outline_geometry,
    polygon,
    unit_vector,
)
from mesh.descent import midpoint, side
from mesh.outline import _is_drawn_straight, _is_surely_straight
from mesh.trigonometry import Vector
from tests.mesh.samples import latitudes, levels, longitudes, triangles

pytestmark = pytest.mark.costly

WHOLE_MAP_DEG2 = 360.0 * 180.0

AREA_TOLERANCE_SHARE = 0.005
"""Three sides, each astray by a thousandth of its length all along, would change an equilateral area by 0.7 %."""

# As near as triangles of level 21, with sides of some seven metres (6e-5 degrees), can make a difference.
offsets = st.floats(-12, 1).map(lambda exponent: 10**exponent) | st.just(0.0)


@st.composite
def troublesome_triangles(draw: st.DrawFn) -> TriangleId:
    """Of any level, at or near a pole or the antimeridian."""
    sign = draw(st.sampled_from([-1.0, 1.0]))
    if draw(st.booleans()):
        return locate(sign * (90.0 - draw(offsets)), draw(longitudes), draw(levels))
    return locate(draw(latitudes), sign * (180.0 - draw(offsets)), draw(levels))


any_triangles = triangles() | troublesome_triangles()


def pieces(triangle: TriangleId) -> list[Any]:
    drawn = outline(triangle)
    return list(drawn.geoms) if isinstance(drawn, shapely.MultiPolygon) else [drawn]


def require_a_good_shape(triangle: TriangleId) -> None:
    drawn = outline(triangle)
    assert isinstance(drawn, shapely.Polygon | shapely.MultiPolygon)
    assert drawn.is_valid
    west, south, east, north = drawn.bounds
    assert -180.0 <= west < east <= 180.0
    assert -90.0 <= south < north <= 90.0
    parts = pieces(triangle)
    assert len(parts) <= 2
    for part in parts:
        assert part.exterior.is_ccw
        assert not part.interiors
        # No sliver is left where a side only touches the antimeridian.
        assert part.area > 0.1 * drawn.area
    if len(parts) == 2:
        assert parts[0].bounds[2] == 180.0
        assert parts[1].bounds[0] == -180.0


def equal_area_m2(piece: Any) -> float:
    """The area of a piece in Lambert's cylindrical projection: x = longitude, y = sin(latitude) on the unit sphere."""
    origin_longitude, origin = piece.exterior.coords[0][0], radians(piece.exterior.coords[0][1])

    def projected(position: tuple[float, float]) -> tuple[float, float]:
        # sin(latitude) - sin(origin), without the cancellation that would leave nothing of level 21 near a pole.
        latitude = radians(position[1])
        return (
            radians(position[0] - origin_longitude),
            2.0 * cos((latitude + origin) / 2.0) * sin((latitude - origin) / 2.0),
        )

    # What is straight on the map is not straight in the projection, so go along it in small steps.
    west, south, east, north = piece.bounds
    in_small_steps = piece.segmentize(hypot(east - west, north - south) / 200.0)
    flat = shapely.Polygon([projected(position) for position in in_small_steps.exterior.coords])
    return float(flat.area) * EARTH_RADIUS_M**2


def drawn_position(start: tuple[float, float], end: tuple[float, float], share: float) -> Vector:
    (longitude, latitude), (longitude_b, latitude_b) = start, end
    return unit_vector(latitude + share * (latitude_b - latitude), longitude + share * (longitude_b - longitude))


def distance_from_sides_rad(triangle: TriangleId, point: Vector) -> float:
    """From the great circle of the nearest side."""
    v0, v1, v2 = corners(triangle)
    distances = []
    for a, b in ((v0, v1), (v1, v2), (v2, v0)):
        chord = dist(a, b)
        distances.append(abs(side(a, b, point)) / (chord * sqrt(1.0 - chord * chord / 4.0)))
    return min(distances)


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_the_outlines_of_a_level_are_good_shapes_that_cover_the_map_once(level: int) -> None:
    names = [TriangleId(face, level, path) for face in range(20) for path in range(4 ** (level - 1))]
    for triangle in names:
        require_a_good_shape(triangle)
    drawn = [outline(triangle) for triangle in names]
    # Neither a gap nor an overlap: alone and together they have the area of the map.
    assert sum(each.area for each in drawn) == pytest.approx(WHOLE_MAP_DEG2, rel=1e-12)
    assert shapely.union_all(drawn).area == pytest.approx(WHOLE_MAP_DEG2, rel=1e-12)


@given(any_triangles)
def test_an_outline_is_a_good_shape_at_every_level(triangle: TriangleId) -> None:
    require_a_good_shape(triangle)


@given(any_triangles)
def test_an_outline_has_the_area_of_its_triangle(triangle: TriangleId) -> None:
    drawn_m2 = sum(map(equal_area_m2, pieces(triangle)))
    assert drawn_m2 == pytest.approx(area_m2(triangle), rel=AREA_TOLERANCE_SHARE)


@given(any_triangles)
def test_every_drawn_line_keeps_to_the_sides_of_its_triangle(triangle: TriangleId) -> None:
    v0, v1, v2 = corners(triangle)
    tolerance_rad = OUTLINE_TOLERANCE_SHARE * max(dist(v0, v1), dist(v1, v2), dist(v2, v0))
    for piece in pieces(triangle):
        positions = piece.exterior.coords
        for start, end in pairwise(positions):
            if abs(start[0]) == abs(end[0]) == 180.0:
                # The cut.
                continue
            for sixteenths in range(17):
                point = drawn_position(start, end, sixteenths / 16)
                assert distance_from_sides_rad(triangle, point) <= 1.001 * tolerance_rad


@given(any_triangles)
def test_an_outline_goes_through_the_corners(triangle: TriangleId) -> None:
    drawn = [unit_vector(lat, lon) for piece in pieces(triangle) for lon, lat in piece.exterior.coords]
    for corner in corners(triangle):
        assert min(dist(corner, position) for position in drawn) < 1e-14


@given(any_triangles)
def test_a_point_well_inside_the_outline_is_in_the_triangle(triangle: TriangleId) -> None:
    for piece in pieces(triangle):
        inside = piece.representative_point()
        assert contains(triangle, inside.y, inside.x)


def test_a_small_triangle_far_from_the_poles_is_drawn_by_its_corners_alone() -> None:
    triangle = locate(47.3769, 8.5417, 12)
    assert mapping(outline(triangle)) == {
        "type": "Polygon",
        "coordinates": (tuple(map(tuple, polygon(triangle))),),
    }


def test_what_crosses_the_antimeridian_is_two_polygons_that_meet_there() -> None:
    triangle = locate(60.0, 180.0, 3)
    drawn = outline(triangle)
    assert mapping(drawn)["type"] == "MultiPolygon"
    western, eastern = drawn.geoms
    assert western.bounds[0] > 0.0
    assert western.bounds[2] == 180.0
    assert eastern.bounds[0] == -180.0
    assert eastern.bounds[2] < 0.0
    # The cut is the same on both sides.
    cuts = [sorted(lat for lon, lat in piece.exterior.coords if abs(lon) == 180.0) for piece in drawn.geoms]
    assert cuts[0] == pytest.approx(cuts[1], abs=1e-12)


def test_what_only_touches_the_antimeridian_is_one_polygon_on_its_own_side() -> None:
    # Base vertices 10 and 11 lie on the antimeridian, south and north of the equator, and an edge between them.
    east, west = outline(locate(0.0, -179.0, 1)), outline(locate(0.0, 179.0, 1))
    assert east.geom_type == west.geom_type == "Polygon"
    assert east.bounds[0] == -180.0
    assert east.bounds[2] < 0.0
    assert west.bounds[2] == 180.0
    assert west.bounds[0] > 0.0


@pytest.mark.parametrize("level", range(1, 22))
@pytest.mark.parametrize("pole", [90.0, -90.0])
def test_the_triangles_around_a_pole_share_its_whole_latitude(pole: float, level: int) -> None:
    around = {locate(pole * (1.0 - 1e-9), lon, level) for lon in range(-175, 180, 5)}
    assert len(around) == (2 if level == 1 else 6)
    length_deg = 0.0
    for triangle in around:
        require_a_good_shape(triangle)
        for piece in pieces(triangle):
            polar = [lon for lon, lat in piece.exterior.coords if lat == pole]
            length_deg += max(polar) - min(polar)
    assert length_deg == pytest.approx(360.0, rel=1e-12)


@given(any_triangles)
def test_a_pole_is_a_corner_or_the_middle_of_a_side_or_outside(triangle: TriangleId) -> None:
    # What the drawing relies on, to the last bit.
    v0, v1, v2 = corners(triangle)
    sides = ((v0, v1), (v1, v2), (v2, v0))
    for pole in ((0.0, 0.0, 1.0), (0.0, 0.0, -1.0)):
        if pole not in (v0, v1, v2) and pole not in [midpoint(a, b) for a, b in sides]:
            assert min(side(a, b, pole) for a, b in sides) < 0.0


@given(any_triangles)
def test_an_outline_is_of_modest_size(triangle: TriangleId) -> None:
    assert len(shapely.get_coordinates(outline(triangle))) <= 64


@given(any_triangles)
def test_an_outline_survives_geojson(triangle: TriangleId) -> None:
    drawn = outline(triangle)
    geometry = mapping(drawn)
    assert geometry["type"] in ("Polygon", "MultiPolygon")
    assert shape(geometry) == drawn


@given(any_triangles)
def test_the_geometry_for_json_is_the_outline(triangle: TriangleId) -> None:
    drawn = outline_geometry(triangle)
    assert shape(drawn).equals_exact(outline(triangle), tolerance=1e-9)
    assert shape(drawn).is_valid
    assert shape(drawn).geom_type == drawn["type"]


@given(any_triangles)
def test_what_is_taken_for_straight_without_looking_is_straight(triangle: TriangleId) -> None:
    v0, v1, v2 = corners(triangle)
    for a, b in ((v0, v1), (v1, v2), (v2, v0)):
        at_a_pole = any(hypot(x, y) == 0.0 for x, y, _ in (a, b))
        if not at_a_pole and _is_surely_straight(a, b):
            # With a third of the tolerance in hand.
            assert _is_drawn_straight(a, b, 0.75 * OUTLINE_TOLERANCE_SHARE * dist(a, b))
