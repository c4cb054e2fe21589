"""Triangles are drawn where the known answers draw them, and cover the sphere once."""

from math import pi

import pytest
from hypothesis import given

from mesh import EARTH_RADIUS_M, TriangleId, area_m2, centroid, contains, polygon
from tests.mesh.samples import known_answers, triangles


@pytest.mark.parametrize("answer", known_answers("mesh_polygons.json"), ids=lambda answer: answer["id"])
def test_known_polygons_and_centroids(answer: dict[str, list[list[float]]]) -> None:
    triangle = TriangleId.parse(str(answer["id"]))
    ring = polygon(triangle)
    assert ring[0] == ring[3]
    for computed, known in zip(
        [*ring, list(centroid(triangle))], [*answer["polygon"], answer["centroid"]], strict=True
    ):
        assert computed == pytest.approx(known, abs=1e-9)


def test_the_triangles_of_a_level_cover_the_sphere_once() -> None:
    sphere = 4 * pi * EARTH_RADIUS_M**2
    for level in (1, 2, 4):
        areas = [area_m2(TriangleId(face, level, path)) for face in range(20) for path in range(4 ** (level - 1))]
        assert sum(areas) == pytest.approx(sphere, rel=1e-12)


@given(triangles(level_max=20))
def test_children_have_the_area_of_their_parent(triangle: TriangleId) -> None:
    assert sum(map(area_m2, triangle.children)) == pytest.approx(area_m2(triangle), rel=1e-7)


@given(triangles())
def test_a_centroid_lies_in_its_triangle(triangle: TriangleId) -> None:
    lon, lat = centroid(triangle)
    assert contains(triangle, lat, lon)
