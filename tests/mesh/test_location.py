"""A point is in exactly one triangle of each level, and one point and many points give the same one."""

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh import TriangleId, TriangleIdError, contains, contains_array, corners, locate, locate_array, polygon
from mesh.icosahedron import FACES, VERTICES, face_of
from tests.mesh import decimal_oracle
from tests.mesh.samples import known_answers, latitudes, levels, longitudes, random_points, triangles

KNOWN = known_answers("mesh_locate.json")


def test_known_points_are_located_one_by_one() -> None:
    for answer in KNOWN:
        triangle = locate(answer["lat"], answer["lon"], answer["level"])
        assert triangle.text == answer["triangleId"]
        assert contains(triangle, answer["lat"], answer["lon"])


def test_known_points_are_located_all_at_once() -> None:
    lats, lons, wanted_levels = ([answer[key] for answer in KNOWN] for key in ("lat", "lon", "level"))
    located = locate(lats, lons, wanted_levels)
    assert [TriangleId.from_int(number).text for number in located] == [answer["triangleId"] for answer in KNOWN]
    assert contains_array(located, lats, lons).all()


def test_one_and_many_agree_on_random_points_of_all_levels() -> None:
    lats, lons = random_points(4200, seed=1)
    for level in range(1, 22):
        part = slice(200 * level - 200, 200 * level)
        one_by_one = [int(locate(lat, lon, level)) for lat, lon in zip(lats[part], lons[part], strict=True)]
        assert locate(lats[part], lons[part], level).tolist() == one_by_one


@given(st.lists(st.tuples(latitudes, longitudes, levels), max_size=20))
def test_one_and_many_agree_on_awkward_points(points: list[tuple[float, float, int]]) -> None:
    lats, lons, wanted_levels = ([point[index] for point in points] for index in range(3))
    one_by_one = [int(locate(*point)) for point in points]
    assert locate_array(np.array(lats), np.array(lons), np.array(wanted_levels, dtype=np.int64)).tolist() == one_by_one


@given(triangles(), st.integers(0, 2), st.floats(0, 1), st.integers(-3, 3))
def test_one_and_many_and_contains_agree_on_the_very_edges(
    triangle: TriangleId, edge: int, share: float, steps: int
) -> None:
    ring = polygon(triangle)
    (lon_a, lat_a), (lon_b, lat_b) = ring[edge], ring[edge + 1]
    lat = min(90.0, max(-90.0, lat_a + share * (lat_b - lat_a)))
    # At share 1 the sum may round past the end.
    lon = min(180.0, max(-180.0, lon_a + share * (lon_b - lon_a)))
    for _ in range(abs(steps)):
        lat = float(np.nextafter(lat, 90.0 if steps > 0 else -90.0))
    located = locate(lat, lon, triangle.level)
    assert int(locate([lat], [lon], triangle.level)[0]) == int(located)
    relatives = [triangle, located]
    if triangle.level > 1:
        parents = [relative.parent for relative in relatives]
        relatives += [child for parent in parents if parent is not None for child in parent.children]
    for relative in relatives:
        assert contains(relative, lat, lon) == (relative == located)


@given(latitudes, longitudes, st.integers(1, 20))
def test_the_triangle_of_a_level_is_the_parent_of_the_next_levels(lat: float, lon: float, level: int) -> None:
    assert locate(lat, lon, level + 1).parent == locate(lat, lon, level)


@given(latitudes, longitudes, st.integers(1, 20))
def test_children_partition_their_parent(lat: float, lon: float, level: int) -> None:
    parent = locate(lat, lon, level)
    assert contains(parent, lat, lon)
    assert sum(contains(child, lat, lon) for child in parent.children) == 1
    elsewhere = TriangleId((parent.face + 1) % 20, parent.level, parent.path)
    assert not any(contains(child, lat, lon) for child in elsewhere.children)


@given(triangles(), latitudes, longitudes)
def test_contains_is_locating_and_comparing(triangle: TriangleId, lat: float, lon: float) -> None:
    assert contains(triangle, lat, lon) == (locate(lat, lon, triangle.level) == triangle)


@given(latitudes, levels)
def test_both_sides_of_the_antimeridian_are_one_meridian(lat: float, level: int) -> None:
    assert locate(lat, -180.0, level) == locate(lat, 180.0, level)


@given(longitudes, levels)
def test_a_pole_has_one_triangle_whatever_the_longitude(lon: float, level: int) -> None:
    # Each pole is the middle of an edge between two faces, of which the lower one has it.
    north, south = locate(90.0, lon, level), locate(-90.0, lon, level)
    assert north == locate(90.0, 0.0, level)
    assert south == locate(-90.0, 0.0, level)
    assert north.face == min(number for number, face in enumerate(FACES) if {4, 5} <= set(face))
    assert south.face == min(number for number, face in enumerate(FACES) if {6, 7} <= set(face))


def test_a_point_on_the_edge_of_two_faces_belongs_to_the_lower_one() -> None:
    # These edges lie in the planes x = 0, y = 0 and z = 0, where float64 has points that are exactly on them.
    for lat, lon, edge in (
        (0.0, 90.0, {0, 1}),
        (0.0, -90.0, {2, 3}),
        (90.0, 0.0, {4, 5}),
        (-90.0, 0.0, {6, 7}),
        (0.0, 0.0, {8, 9}),
        (0.0, 180.0, {10, 11}),
        (10.0, 0.0, {8, 9}),
        (0.0, 80.0, {0, 1}),
        (80.0, 90.0, {4, 5}),
    ):
        assert locate(lat, lon, 1).face == min(number for number, face in enumerate(FACES) if edge <= set(face))


def test_a_point_on_the_edge_of_the_centre_child_belongs_to_it() -> None:
    # The pole is m20 of face 6 = (5, 11, 4): the corner of children 0, 2 and 3, so it is on edges of the centre child.
    assert locate(90.0, 0.0, 2) == TriangleId(6, 2, 3)


def test_every_vertex_of_the_icosahedron_has_a_face_that_touches_it() -> None:
    for number, vertex in enumerate(VERTICES):
        for x_step in (-1, 0, 1):
            for y_step in (-1, 0, 1):
                for z_step in (-1, 0, 1):
                    steps = (x_step, y_step, z_step)
                    near = [
                        float(np.nextafter(coordinate, coordinate + step)) if step else coordinate
                        for coordinate, step in zip(vertex, steps, strict=True)
                    ]
                    x, y, z = near
                    assert number in FACES[face_of((x, y, z))]


def test_random_points_agree_with_fifty_digit_arithmetic_at_the_smallest_level() -> None:
    lats, lons = random_points(25, seed=2)
    for lat, lon in zip(lats.tolist(), lons.tolist(), strict=True):
        with decimal_oracle.fifty_digits():
            face, path, margin = decimal_oracle.locate(decimal_oracle.unit_vector(lat, lon), 21)
        triangle = locate(lat, lon, 21)
        assert margin > Decimal("1e-13")
        assert (triangle.face, triangle.path) == (face, path)


def test_corners_of_the_smallest_triangles_are_good_to_the_last_digits() -> None:
    lats, lons = random_points(15, seed=3)
    for lat, lon in zip(lats.tolist(), lons.tolist(), strict=True):
        triangle = locate(lat, lon, 21)
        with decimal_oracle.fifty_digits():
            for corner, exact in zip(
                corners(triangle), decimal_oracle.corners_of(triangle.face, triangle.digits), strict=True
            ):
                # `contains` trusts corners to a hundredth of the 1e-12 that it leaves to the descent.
                assert all(abs(Decimal(a) - b) < Decimal("5e-15") for a, b in zip(corner, exact, strict=True))


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((90.0000001, 0.0, 5), "lat"),
        ((-91, 0.0, 5), "lat"),
        ((float("nan"), 0.0, 5), "lat"),
        ((10**400, 0.0, 5), "lat"),
        ((True, 0.0, 5), "lat"),
        (("1", 0.0, 5), "lat"),
        ((None, 0.0, 5), "lat"),
        ((0.0, 180.1, 5), "lon"),
        ((0.0, float("-inf"), 5), "lon"),
        ((0.0, 0.0, 0), "level"),
        ((0.0, 0.0, 22), "level"),
        ((0.0, 0.0, 5.0), "level"),
        ((0.0, 0.0, True), "level"),
        (([91.0], [0.0], 5), "lats"),
        (([float("nan")], [0.0], 5), "lats"),
        ((["x"], [0.0], 5), "lats"),
        (([[1.0], [1.0, 2.0]], [0.0], 5), "lats"),
        (([0.0], [181.0], 5), "lons"),
        (([0.0], [0.0, 1.0], 5), "lons"),
        (([0.0], 0.0, 5), "lons"),
        (([0.0], [0.0], 22), "levels"),
        (([0.0], [0.0], [1, 2]), "levels"),
        (([0.0], [0.0], [1.5]), "levels"),
    ],
)
def test_a_wrong_argument_is_refused_by_name(arguments: tuple[Any, Any, Any], name: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name}:"):
        locate(*arguments)


def test_arrays_keep_their_shape_and_may_be_empty() -> None:
    assert locate(np.zeros((2, 3)), np.zeros((2, 3)), 7).shape == (2, 3)
    assert locate([], [], 7).shape == (0,)
    assert contains_array([], [], []).shape == (0,)


def test_chunks_do_not_show() -> None:
    lats, lons = random_points(2500, seed=4)
    wanted_levels = np.arange(2500) % 21 + 1
    whole = locate(lats, lons, wanted_levels)
    parts = [locate(lats[k : k + 500], lons[k : k + 500], wanted_levels[k : k + 500]) for k in range(0, 2500, 500)]
    assert np.array_equal(whole, np.concatenate(parts))


def test_contains_array_answers_for_each_triangle() -> None:
    lats, lons = random_points(60, seed=5)
    wanted_levels = np.arange(60) % 21 + 1
    numbers = locate(lats, lons, wanted_levels)
    numbers[::3] = int(TriangleId(0, 9, 12345))
    one_by_one = [
        contains(TriangleId.from_int(number), lat, lon) for number, lat, lon in zip(numbers, lats, lons, strict=True)
    ]
    assert contains_array(numbers, lats, lons).tolist() == one_by_one


@pytest.mark.parametrize(
    ("numbers", "rule"),
    [
        ([1, 0], "element 1: level"),
        ([-1], "negative"),
        ([20 << 45 | 1], "face"),
        ([33], "padding"),
        ([1 << 51], "large"),
    ],
)
def test_contains_array_refuses_an_integer_that_is_no_triangle(numbers: list[int], rule: str) -> None:
    with pytest.raises(TriangleIdError, match=rule):
        contains_array(numbers, [0.0] * len(numbers), [0.0] * len(numbers))


def test_contains_array_refuses_other_shapes_and_types() -> None:
    with pytest.raises(ValueError, match=r"^lats:"):
        contains_array([1, 1], [0.0], [0.0])
    with pytest.raises(ValueError, match=r"^triangles:"):
        contains_array([1.0], [0.0], [0.0])
