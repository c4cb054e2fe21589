"""The JavaScript client locates as a node does, to the last bit: the vectors, and points by the thousand."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from mesh import TriangleId, locate
from mesh.descent import corners
from mesh.geometry import centroid, polygon
from mesh.trigonometry import unit_vector
from tests.javascript.node import ROOT, evaluate

VECTORS = ROOT / "tests" / "vectors"
AWKWARD_DEGREES = (0.0, 1e-7, 5e-324, 45.0, 45.00000000000001, 90.0, 89.99999999999999)


def vectors(name: str) -> list[dict[str, Any]]:
    parsed: list[dict[str, Any]] = json.loads((VECTORS / name).read_text())
    return parsed


def random_points(count: int, seed: int) -> list[tuple[float, float, int]]:
    """Places all over the sphere, a third each with all bits, with 7 decimals, and on awkward numbers."""
    source = random.Random(seed)
    points = []
    for index in range(count):
        lat, lon = source.uniform(-90, 90), source.uniform(-180, 180)
        if index % 3 == 1:
            lat, lon = round(lat, 7), round(lon, 7)
        if index % 3 == 2:
            lat = source.choice((1, -1)) * source.choice(AWKWARD_DEGREES)
            lon = source.choice((1, -1)) * source.choice((*AWKWARD_DEGREES, lon, 135.0, 135.00000000000003, 180.0))
        points.append((lat, lon, source.randint(1, 21)))
    return points


def located(points: list[tuple[float, float, int]]) -> list[str]:
    answer: list[str] = evaluate("given.map(([lat, lon, level]) => step.locate(lat, lon, level))", points)
    return answer


def test_every_located_vector_is_found() -> None:
    points = vectors("mesh_locate.json")
    assert located([(point["lat"], point["lon"], point["level"]) for point in points]) == [
        point["triangleId"] for point in points
    ]


def test_thousands_of_points_are_located_as_by_the_node() -> None:
    points = random_points(9_000, seed=1)
    assert located(points) == [locate(*point).text for point in points]


@pytest.mark.long
def test_a_hundred_thousand_points_are_located_as_by_the_node() -> None:
    points = random_points(100_000, seed=2)
    assert located(points) == [locate(*point).text for point in points]


def test_vectors_and_corners_have_the_same_bits() -> None:
    points = random_points(300, seed=3)
    triangles = [locate(*point) for point in points]
    found = evaluate(
        "given.map(([lat, lon, level]) => [step.unitVector(lat, lon), step.vertices(step.locate(lat, lon, level))])",
        points,
    )
    # JSON writes a double so that it is read again to the bit, but for the sign of 0, which decides nothing.
    assert found == [
        [list(unit_vector(lat, lon)), [list(corner) for corner in corners(triangle)]]
        for (lat, lon, _), triangle in zip(points, triangles, strict=True)
    ]


def test_outlines_and_centroids_are_those_of_the_vectors() -> None:
    drawn = vectors("mesh_polygons.json")
    found = evaluate("given.map((id) => [step.polygon(id), step.centroid(id)])", [one["id"] for one in drawn])
    for one, (ring, middle) in zip(drawn, found, strict=True):
        for corner, expected in zip([*ring, middle], [*one["polygon"], one["centroid"]], strict=True):
            assert corner == pytest.approx(expected, abs=1e-9)


def test_at_the_poles_and_the_antimeridian_outlines_are_those_of_the_node() -> None:
    triangles = [locate(lat, lon, level) for lat in (90, -90, 20) for lon in (180, -180, 0) for level in (1, 8, 21)]
    found = evaluate("given.map((id) => [step.polygon(id), step.centroid(id)])", [one.text for one in triangles])
    for triangle, (ring, middle) in zip(triangles, found, strict=True):
        for corner, expected in zip([*ring, middle], [*polygon(triangle), centroid(triangle)], strict=True):
            assert corner == pytest.approx(expected, abs=1e-9)


def test_names_and_families_are_those_of_the_node() -> None:
    triangles = [locate(*point) for point in random_points(500, seed=4)]
    found = evaluate(
        "given.map((id) => { const integer = step.triangleInteger(id);"
        " return [integer, step.triangleOfInteger(integer), step.triangleOfInteger(BigInt(integer)),"
        "  step.triangleText(step.parseTriangle(id)), step.parent(id),"
        "  step.parseTriangle(id).level === step.LEVEL_MAX ? null : step.children(id)]; })",
        [triangle.text for triangle in triangles],
    )
    assert found == [
        [
            triangle.integer,
            triangle.text,
            triangle.text,
            triangle.text,
            None if triangle.parent is None else triangle.parent.text,
            None if triangle.level == 21 else [child.text for child in triangle.children],
        ]
        for triangle in triangles
    ]


GOOD = TriangleId.parse("STEP-TRI-v1:P10-13131312000000000000-VV7").text
WRONG = {
    "": "must be text that begins",
    GOOD.lower(): "must be text that begins",
    GOOD.replace("P10", "U10"): "the face must be a letter",
    GOOD.replace("P10", "P22"): "the level must be 1 to 21",
    GOOD.replace("P10", "P010"): "the level must be 1 to 21",
    GOOD.replace("1313", "4313"): "20 digits",
    GOOD.replace("0000-", "000-"): "20 digits",
    GOOD.replace("000-", "001-"): "the digits after the first 9 must be zero",
    GOOD.replace("VV7", "VV6"): "the checksum does not match",
    GOOD.replace("VV7", "VV7A"): "the checksum does not match",
    GOOD + "-": "must have face and level, digits, checksum",
}


def test_a_name_that_is_none_is_refused_with_the_rule_it_breaks() -> None:
    said = evaluate(
        "given.map((id) => { try { return step.parseTriangle(id) && ''; } catch (error) { return error.message; } })",
        list(WRONG),
    )
    for message, rule in zip(said, WRONG.values(), strict=True):
        assert rule in message


def test_an_integer_or_a_place_that_is_none_is_refused_by_name() -> None:
    integers = [-1, 0, 20 << 45 | 1, 22, 1 << 5 | 1, 2**53, 1.5, "x"]
    places: dict[str, list[tuple[object, ...]]] = {
        "lat": [(90.1, 0, 1), ("0", 0, 1), (None, 0, 1)],
        "lon": [(0, -180.1, 1)],
        "level": [(0, 0, 22), (0, 0, 0), (0, 0, 1.5)],
    }
    said = evaluate(
        "[...given.integers.map((integer) => () => step.triangleOfInteger(integer)),"
        " ...given.places.map((place) => () => step.locate(...place))]"
        ".map((call) => { try { return call(); } catch (error) { return `${error.name} ${error.message}`; } })",
        {"integers": integers, "places": [place for wrong in places.values() for place in wrong]},
    )
    expected = ["triangle"] * len(integers) + [name for name, wrong in places.items() for _ in wrong]
    assert [message.split(":")[0] for message in said] == [f"RangeError {name}" for name in expected]
