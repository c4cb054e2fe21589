"""Searches find what looking at every triangle finds, at the poles and across the antimeridian too."""

from functools import lru_cache
from itertools import takewhile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh import (
    TooManyTrianglesError,
    TriangleId,
    corners,
    locate,
    nearest_triangles,
    triangles_in_bounding_box,
    unit_vector,
)
from mesh.regions import Box, Disc, Region
from mesh.search import distance_to_triangle_rad, triangles_by_distance, triangles_in
from tests.mesh.samples import latitudes, longitudes

pytestmark = pytest.mark.costly

small_levels = st.integers(1, 5)


@lru_cache(maxsize=5)
def whole_level(level: int) -> list[TriangleId]:
    return [TriangleId(face, level, path) for face in range(20) for path in range(4 ** (level - 1))]


@settings(max_examples=40)
@given(latitudes, latitudes, longitudes, longitudes, small_levels)
def test_a_box_search_finds_what_looking_at_every_triangle_finds(
    lat_a: float, lat_b: float, west: float, east: float, level: int
) -> None:
    south, north = sorted((lat_a, lat_b))
    box = Box.checked(south, west, north, east)
    everything = [triangle for triangle in whole_level(level) if box.touches(corners(triangle))]
    assert triangles_in_bounding_box(south, west, north, east, level) == everything


@settings(max_examples=60)
@given(latitudes, latitudes, longitudes, longitudes, small_levels, st.integers(0, 2**32 - 1))
def test_the_triangle_of_every_point_in_a_box_is_found(
    lat_a: float, lat_b: float, west: float, east: float, level: int, seed: int
) -> None:
    south, north = sorted((lat_a, lat_b))
    width = east - west if west <= east else east - west + 360
    generator = np.random.default_rng(seed)
    lats = np.clip(south + (north - south) * generator.uniform(0, 1, 200), south, north)
    lons = (west + width * generator.uniform(0, 1, 200) + 180) % 360 - 180
    found = set(map(int, triangles_in_bounding_box(south, west, north, east, level)))
    assert set(locate(lats, lons, level).tolist()) <= found


@settings(max_examples=40)
@given(latitudes, latitudes, longitudes, longitudes, st.integers(1, 4))
def test_every_triangle_found_has_a_point_in_the_box(
    lat_a: float, lat_b: float, west: float, east: float, level: int
) -> None:
    south, north = sorted((lat_a, lat_b))
    box = Box.checked(south, west, north, east)
    # A lattice over each triangle: some node of it is no farther from a shared point than the lattice is wide.
    steps = 24
    for triangle in triangles_in_bounding_box(south, west, north, east, level)[::7]:
        a, b, c = (np.array(corner) for corner in corners(triangle))
        nearest = np.inf
        for i in range(steps + 1):
            for j in range(steps + 1 - i):
                node = (a * i + b * j + c * (steps - i - j)) / steps
                x, y, z = (node / np.sqrt((node * node).sum())).tolist()
                nearest = min(nearest, box.distance_rad((x, y, z)))
        assert nearest <= 1.3 / 2 ** (level - 1) / steps


def test_a_box_across_the_antimeridian_is_the_narrow_one() -> None:
    found = triangles_in_bounding_box(-1.0, 179.0, 1.0, -179.0, 8)
    assert locate(0.5, 179.5, 8) in found
    assert locate(-0.5, -179.5, 8) in found
    assert locate(0.0, 0.0, 8) not in found
    assert len(found) < 100


def test_a_box_at_a_pole_holds_the_pole_whatever_its_longitudes() -> None:
    for west, east in ((-180.0, 180.0), (10.0, 11.0), (170.0, -170.0)):
        assert locate(90.0, 0.0, 12) in triangles_in_bounding_box(89.99, west, 90.0, east, 12)
        assert locate(-90.0, 0.0, 12) in triangles_in_bounding_box(-90.0, west, -89.99, east, 12)
    assert len(triangles_in_bounding_box(89.999999, -180.0, 90.0, 180.0, 6)) == 6


def test_a_box_that_is_one_point_finds_its_triangle_at_the_smallest_level() -> None:
    for lat, lon in ((47.1234567, 8.7654321), (90.0, 5.0), (-12.0, 180.0), (-0.1, -180.0)):
        assert locate(lat, lon, 21) in triangles_in_bounding_box(lat, lon, lat, lon, 21)


def test_the_whole_earth_is_every_triangle() -> None:
    assert triangles_in_bounding_box(-90, -180, 90, 180, 4) == whole_level(4)


def test_a_box_of_too_many_triangles_is_an_error_that_says_so() -> None:
    assert len(triangles_in_bounding_box(-90, -180, 90, 180, 3, limit=320)) == 320
    with pytest.raises(TooManyTrianglesError, match="more than 319 triangles of level 3"):
        triangles_in_bounding_box(-90, -180, 90, 180, 3, limit=319)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((91, 0, 91, 1, 5, 10), "south"),
        ((2, 0, 1, 1, 5, 10), "south"),
        ((0, 0, float("nan"), 1, 5, 10), "north"),
        ((0, -181, 1, 1, 5, 10), "west"),
        ((0, 0, 1, 200, 5, 10), "east"),
        ((0, 0, 1, 1, 22, 10), "level"),
        ((0, 0, 1, 1, 5, 0), "limit"),
        ((0, 0, 1, 1, 5, 10_001), "limit"),
    ],
)
def test_a_wrong_box_is_refused_by_name(arguments: tuple[float, float, float, float, int, int], name: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name}:"):
        triangles_in_bounding_box(*arguments)


@settings(max_examples=40)
@given(latitudes, longitudes, small_levels, st.integers(1, 60))
def test_a_nearest_search_finds_what_measuring_every_triangle_finds(
    lat: float, lon: float, level: int, count: int
) -> None:
    point = unit_vector(lat, lon)
    found = nearest_triangles(lat, lon, level, count)
    distances = sorted(distance_to_triangle_rad(point, triangle) for triangle in whole_level(level))
    assert len(set(found)) == len(found) == min(count, len(distances))
    assert found[0] == locate(lat, lon, level)
    for triangle, distance in zip(found, distances, strict=False):
        assert distance_to_triangle_rad(point, triangle) == pytest.approx(distance, abs=1e-12)


@settings(max_examples=30)
@given(latitudes, longitudes, st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_no_point_of_a_triangle_is_nearer_than_its_distance(lat: float, lon: float, level: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    point = unit_vector(lat, lon)
    triangle = whole_level(level)[int(generator.integers(0, 20 * 4 ** (level - 1)))]
    shares = generator.dirichlet((0.3, 0.3, 0.3), 3000)
    nodes = shares @ np.array(corners(triangle))
    nodes /= np.sqrt((nodes * nodes).sum(axis=1))[:, np.newaxis]
    angles = np.arccos(np.clip(nodes @ np.array(point), -1, 1))
    distance = distance_to_triangle_rad(point, triangle)
    assert distance - 1e-7 <= angles.min() <= distance + 0.2


def test_the_neighbours_at_the_pole_and_the_antimeridian_are_on_all_sides() -> None:
    around_the_pole = nearest_triangles(90.0, 0.0, 10, 6)
    assert {triangle.face for triangle in around_the_pole} == {6, 15}
    assert all(distance_to_triangle_rad((0.0, 0.0, 1.0), triangle) < 1e-12 for triangle in around_the_pole)
    across = nearest_triangles(12.0, 180.0, 15, 20)
    assert locate(12.0, -179.999, 15) in across
    assert locate(12.0, 179.999, 15) in across


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((91, 0, 5, 1), "lat"),
        ((0, 181, 5, 1), "lon"),
        ((0, 0, 0, 1), "level"),
        ((0, 0, 5, 0), "count"),
        ((0, 0, 5, 1001), "count"),
    ],
)
def test_a_wrong_nearest_search_is_refused_by_name(arguments: tuple[float, float, int, int], name: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name}:"):
        nearest_triangles(*arguments)


@st.composite
def regions(draw: st.DrawFn) -> Region:
    if draw(st.booleans()):
        south, north = sorted((draw(latitudes), draw(latitudes)))
        return Box.checked(south, draw(longitudes), north, draw(longitudes))
    return Disc.checked(draw(latitudes), draw(longitudes), draw(st.floats(0, 20_100_000)))


@settings(max_examples=40)
@given(regions(), small_levels, st.integers(0, 2**32 - 1))
def test_a_search_goes_on_from_any_triangle(region: Region, level: int, seed: int) -> None:
    everything = [triangle for triangle in whole_level(level) if region.touches(corners(triangle))]
    generator = np.random.default_rng(seed)
    # From the first, from one far down in the tree, from one of this level.
    lat, lon = generator.uniform(-90, 90), generator.uniform(-180, 180)
    for start in (0, int(locate(lat, lon, 21)), int(locate(lat, lon, level))):
        found = [triangle for triangle, touches in triangles_in(region, level, start=start) if touches]
        assert found == [triangle for triangle in everything if int(triangle) >= start]
    looked = [triangle for triangle, _ in triangles_in(region, level)]
    assert looked == sorted(looked)


@settings(max_examples=40)
@given(latitudes, longitudes, st.floats(0, 20_100_000), small_levels)
def test_a_disc_holds_the_triangles_that_are_no_farther_than_its_radius(
    lat: float, lon: float, radius_m: float, level: int
) -> None:
    disc = Disc.checked(lat, lon, radius_m)
    near = takewhile(
        lambda one: one is None or one[0] <= disc.radius_rad + 1e-12, triangles_by_distance(lat, lon, level)
    )
    found = {triangle for triangle, touches in triangles_in(disc, level) if touches}
    assert found == {one[1] for one in near if one is not None}


@pytest.mark.parametrize(
    ("arguments", "name"),
    [((91, 0, 1), "lat"), ((0, 181, 1), "lon"), ((0, 0, -1), "radius_m"), ((0, 0, float("nan")), "radius_m")],
)
def test_a_wrong_disc_is_refused_by_name(arguments: tuple[float, float, float], name: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name}:"):
        Disc.checked(*arguments)
