"""`/mesh` without the ledger: triangles at points and in boxes, their outlines and relations, in JSON and GeoJSON."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from shapely.geometry import Point, shape

from mesh import TriangleId, area_m2, contains, locate, nearest_triangles, outline, triangles_in_bounding_box
from step_node.api.errors import ApiError
from step_node.api.media_types import GEO_JSON, prefers_geo_json
from step_node.api.mesh import walking
from step_node.api.mesh.models import geometry_of, point_of
from step_node.api.mesh.parameters import parse_bbox
from tests.api.made_up_node import ZURICH
from tests.api.test_reading import read
from tests.api.test_submit import require_refusal
from tests.mesh.samples import triangles

ID = "STEP-TRI-v1:P10-13131312000000000000-VV7"
LAST = locate(*ZURICH, 21).text
FIRST = locate(*ZURICH, 1).text


async def read_features(client: httpx.AsyncClient, path: str, **parameters: str | int) -> dict[str, Any]:
    """A FeatureCollection, whose features are good ones (RFC 7946)."""
    answer = await client.get(path, params=parameters or None, headers={"accept": GEO_JSON})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == GEO_JSON
    assert "Accept" in answer.headers["vary"].split(", ")
    collection: dict[str, Any] = answer.json()
    assert collection["type"] == "FeatureCollection"
    for feature in collection["features"]:
        assert feature.keys() == {"type", "id", "geometry", "properties"}
        assert feature["type"] == "Feature"
        drawn = shape(feature["geometry"])
        assert drawn.is_valid
        assert drawn.equals_exact(outline(TriangleId.parse(feature["id"])), 1e-9)
        for part in getattr(drawn, "geoms", [drawn]):
            assert part.exterior.is_ccw
            west, south, east, north = part.bounds
            assert -180 <= west < east <= 180
            assert -90 <= south < north <= 90
    return collection


async def test_the_triangle_at_a_point_holds_it(client: httpx.AsyncClient) -> None:
    lat, lon = ZURICH
    answer = await read(client, "/mesh/triangleAt", lat=str(lat), lon=str(lon), level=21)
    assert answer.keys() == {"ok", "result", "timestamp"}
    result = answer["result"]
    assert result.keys() == {"triangleId", "face", "level", "path", "centroid", "estimatedSideLength"}
    triangle = TriangleId.parse(result["triangleId"])
    assert contains(triangle, lat, lon)
    assert (result["face"], result["level"], result["path"]) == (triangle.face, 21, list(triangle.digits))
    longitude, latitude = result["centroid"]["coordinates"]
    assert contains(triangle, latitude, longitude)
    # An equilateral triangle of this area would have nearly these sides.
    assert result["estimatedSideLength"] ** 2 * 3**0.5 / 4 == pytest.approx(area_m2(triangle), rel=0.1)


@pytest.mark.parametrize(
    ("lat", "lon", "level", "type_name"),
    [
        (*ZURICH, 12, "Polygon"),
        (60, 180, 1, "MultiPolygon"),
        (60, -180, 6, "MultiPolygon"),
        (90, 0, 1, "MultiPolygon"),
        (-90, 0, 21, "MultiPolygon"),
        (-89, 90, 2, "Polygon"),
        (0, 180, 3, "Polygon"),
    ],
)
async def test_a_polygon_stays_within_the_map_at_its_edges(
    client: httpx.AsyncClient, lat: float, lon: float, level: int, type_name: str
) -> None:
    answer = await read(client, "/mesh/triangleAt", lat=str(lat), lon=str(lon), level=level, includePolygon="true")
    drawn = answer["result"]["polygon"]
    assert drawn["type"] == type_name
    assert shape(drawn).equals_exact(outline(locate(lat, lon, level)), 1e-9)


@hypothesis_settings(max_examples=150, deadline=None)
@given(triangles(level_min=2))
def test_a_polygon_holds_its_centroid(triangle: TriangleId) -> None:
    longitude, latitude = point_of(triangle).coordinates
    drawn = shape(geometry_of(triangle).model_dump())
    # Where the outline is cut, the centroid may lie on the cut, on either side of it.
    assert any(drawn.intersects(Point(longitude + turn, latitude)) for turn in (0.0, 360.0, -360.0))


async def test_parents_and_children_are_each_others(client: httpx.AsyncClient) -> None:
    found = (await read(client, f"/mesh/children/{ID}"))["result"]
    assert found["parent"] == ID
    assert [child["childIndex"] for child in found["children"]] == [0, 1, 2, 3]
    for child in found["children"]:
        assert child.keys() == {"triangleId", "level", "centroid", "childIndex"}
        parent = (await read(client, f"/mesh/parent/{child['triangleId']}"))["result"]
        assert parent == {"child": child["triangleId"], "parent": ID}
    drawn = (await read(client, f"/mesh/children/{ID}", includePolygon="true"))["result"]["children"]
    assert sum(shape(child["polygon"]).area for child in drawn) == pytest.approx(
        outline(TriangleId.parse(ID)).area, rel=1e-3
    )


async def test_a_polygon_comes_with_its_measures_if_asked_for(client: httpx.AsyncClient) -> None:
    plain = (await read(client, f"/mesh/polygon/{ID}"))["result"]
    assert plain.keys() == {"triangleId", "polygon"}
    measured = (await read(client, f"/mesh/polygon/{ID}", includeMetadata="true"))["result"]
    metadata = measured.pop("metadata")
    assert measured == plain
    assert metadata.keys() == {"area", "perimeter", "centroid"}
    assert metadata["area"] == pytest.approx(area_m2(TriangleId.parse(ID)), abs=0.01)
    assert 3 * 14_000 < metadata["perimeter"] < 3 * 16_000


@pytest.mark.parametrize(
    ("sides", "level"),
    [
        ((8.0, 47.0, 9.0, 48.0), 9),
        ((179.0, -1.0, -179.0, 1.0), 8),
        ((-180.0, 80.0, 180.0, 90.0), 6),
        ((-180.0, -90.0, 180.0, -89.9), 9),
        ((0.0, 0.0, 0.0, 0.0), 21),
    ],
)
async def test_a_search_finds_what_the_mesh_has_a_page_at_a_time(
    client: httpx.AsyncClient, sides: tuple[float, ...], level: int
) -> None:
    west, south, east, north = sides
    expected = [triangle.text for triangle in triangles_in_bounding_box(south, west, north, east, level)]
    parameters: dict[str, str | int] = {"bbox": ",".join(map(str, sides)), "level": level}
    result = (await read(client, "/mesh/search", **parameters))["result"]
    assert [one["triangleId"] for one in result["triangles"]] == expected
    assert (result["bbox"], result["level"]) == (list(sides), level)
    assert (result["count"], result["truncated"], result["nextCursor"]) == (len(expected), False, None)
    paged: list[str] = []
    more: dict[str, str | int] = {}
    while True:
        page = (await read(client, "/mesh/search", **parameters, maxResults=7, **more))["result"]
        assert page["count"] == len(page["triangles"]) <= 7
        paged += [one["triangleId"] for one in page["triangles"]]
        if not page["truncated"]:
            break
        more = {"cursor": page["nextCursor"]}
    assert paged == expected
    collection = await read_features(client, "/mesh/search", **parameters)
    assert [feature["id"] for feature in collection["features"]] == expected
    assert (collection["count"], collection["truncated"]) == (len(expected), False)


async def test_a_search_that_looks_at_too_much_goes_on_on_the_next_page(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Beside a meridian that edges of the mesh run along, thousands are looked at that do not touch the box.
    box = "0.000000001,-20,0.000000001,20"
    expected = [one.text for one in triangles_in_bounding_box(-20, 1e-9, 20, 1e-9, 10)]
    monkeypatch.setattr(walking, "LOOKS_MAX", 100)
    found: list[str] = []
    cursors: list[str] = []
    more: dict[str, str | int] = {}
    while True:
        page = (await read(client, "/mesh/search", bbox=box, level=10, **more))["result"]
        found += [one["triangleId"] for one in page["triangles"]]
        if not page["truncated"]:
            break
        cursors.append(page["nextCursor"])
        more = {"cursor": page["nextCursor"]}
    assert found == expected
    assert len(cursors) > 3
    assert len(set(cursors)) == len(cursors)


async def test_the_nearest_triangles_come_with_their_distances(client: httpx.AsyncClient) -> None:
    for lat, lon, level in ((*ZURICH, 10), (90.0, 0.0, 8), (12.0, 180.0, 15)):
        result = (await read(client, "/mesh/nearest", lat=str(lat), lon=str(lon), level=level, count=20))["result"]
        found = [one["triangleId"] for one in result["triangles"]]
        assert found == [triangle.text for triangle in nearest_triangles(lat, lon, level, 20)]
        assert (result["point"], result["level"], result["count"]) == ([lon, lat], level, 20)
        distances = [one["distance"] for one in result["triangles"]]
        assert distances[0] == 0.0
        assert distances == sorted(distances)


async def test_every_list_and_triangle_is_a_feature_collection_if_asked_for(client: httpx.AsyncClient) -> None:
    for path, count in (
        ("/mesh/triangleAt?lat=47.3769&lon=8.5417&level=10", 1),
        ("/mesh/triangleAt?lat=90&lon=0&level=active", 1),
        (f"/mesh/polygon/{ID}", 1),
        (f"/mesh/polygon/{ID}?includeMetadata=true", 1),
        (f"/mesh/children/{ID}", 4),
        (f"/mesh/parent/{ID}", 1),
        (f"/mesh/info/{ID}", 1),
        ("/mesh/nearest?lat=90&lon=0&level=3", 10),
        ("/mesh/nearby?lat=0&lon=180&radius_m=1000&level=active", 6),
        ("/mesh/active?level=1", 20),
    ):
        collection = await read_features(client, path)
        assert len(collection["features"]) == count, path
        assert not {"triangles", "children", "bbox", "polygon"} & collection.keys()
        assert all("polygon" not in feature["properties"] for feature in collection["features"])
    around_the_earth = await read_features(client, "/mesh/search?bbox=-180,-90,180,90&level=2")
    assert sum(shape(one["geometry"]).area for one in around_the_earth["features"]) == pytest.approx(360 * 180)


@pytest.mark.parametrize(
    ("accept", "geo_json"),
    [
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("application/geo+json", True),
        ("Application/Geo+JSON; charset=utf-8", True),
        ("application/geo+json, */*", True),
        ("application/geo+json;q=0.5, application/json", False),
        ("application/geo+json;q=0.9,application/json;q=0.5", True),
        ("application/geo+json;q=0.9,application/*;q=0.95", False),
        ("application/geo+json;q=0", False),
        ("application/geo+json;q=2", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        (",;,", False),
    ],
)
def test_geo_json_is_for_whoever_names_it_and_wants_it_no_less(accept: str, geo_json: bool) -> None:
    assert prefers_geo_json(accept) is geo_json


async def test_geometry_may_be_kept_and_is_asked_for_again_by_its_tag(client: httpx.AsyncClient) -> None:
    tags = set()
    for path in (f"/mesh/polygon/{ID}", f"/mesh/children/{ID}", "/mesh/search?bbox=8,47,8.1,47.1&level=10"):
        for accept in ("application/json", GEO_JSON):
            answer = await client.get(path, headers={"accept": accept})
            assert "immutable" in answer.headers["cache-control"]
            tags.add(answer.headers["etag"])
            again = await client.get(path, headers={"accept": accept, "if-none-match": answer.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
    assert len(tags) == 6
    for path in ("/mesh/triangleAt?lat=0&lon=0&level=active", f"/mesh/info/{ID}", "/mesh/active?level=1"):
        assert "immutable" not in (await client.get(path)).headers.get("cache-control", "")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/mesh/triangleAt?lon=0&level=1", "lat: is missing"),
        ("/mesh/triangleAt?lat=91&lon=0&level=1", "lat: must be"),
        ("/mesh/triangleAt?lat=nan&lon=0&level=1", "lat: must be"),
        ("/mesh/triangleAt?lat=0&lon=inf&level=1", "lon: must be"),
        ("/mesh/triangleAt?lat=0&lon=0&level=22", "level: must be an integer from 1 to 21, or active"),
        ("/mesh/triangleAt?lat=0&lon=0&level=1.5", "level: must be an integer from 1 to 21, or active"),
        ("/mesh/triangleAt?lat=0&lon=0&level=Active", "level: must be an integer from 1 to 21, or active"),
        ("/mesh/triangleAt?lat=0&lon=0&level=%D9%A1", "level: must be an integer from 1 to 21, or active"),
        ("/mesh/triangleAt?lat=0&lon=0&level=1&includePolygon=perhaps", "includePolygon: must be"),
        ("/mesh/search?level=3", "bbox: is missing"),
        ("/mesh/search?bbox=1,2,3,4", "level: is missing"),
        ("/mesh/search?bbox=1,2,3&level=3", "bbox: must be west,south,east,north"),
        ("/mesh/search?bbox=1,2,3,4,5&level=3", "bbox: must be west,south,east,north"),
        ("/mesh/search?bbox=1,2,%203,4&level=3", "bbox: must be west,south,east,north"),
        ("/mesh/search?bbox=1,2,nan,4&level=3", "bbox: must be west,south,east,north"),
        ("/mesh/search?bbox=1,2,0x3,4&level=3", "bbox: must be west,south,east,north"),
        ("/mesh/search?bbox=1,2,3_0,4&level=3", "bbox: must be west,south,east,north"),
        ("/mesh/search?bbox=1,2,3e999,4&level=3", "bbox: east must be a number in [-180, 180] degrees"),
        ("/mesh/search?bbox=181,2,3,4&level=3", "bbox: west must be a number in [-180, 180] degrees"),
        ("/mesh/search?bbox=1,-91,3,4&level=3", "bbox: south must be a number in [-90, 90] degrees"),
        ("/mesh/search?bbox=1,5,3,4&level=3", "bbox: south must not be greater than north"),
        ("/mesh/search?bbox=1,2,3,4&level=3&maxResults=0", "maxResults: must be"),
        ("/mesh/search?bbox=1,2,3,4&level=3&maxResults=1001", "maxResults: must be"),
        ("/mesh/search?bbox=1,2,3,4&level=3&cursor=x", "cursor: must be the nextCursor of an earlier page"),
        ("/mesh/nearest?lat=0&lon=0&level=3&count=101", "count: must be"),
        ("/mesh/nearest?lat=0&lon=0&level=active", "level: must be"),
        ("/mesh/nearby?lat=0&lon=0&level=3", "radius_m: is missing"),
        ("/mesh/nearby?lat=0&lon=0&level=3&radius_m=0", "radius_m: must be"),
        ("/mesh/nearby?lat=0&lon=0&level=3&radius_m=1000001", "radius_m: must be"),
        ("/mesh/nearby?lat=0&lon=0&level=3&radius_m=5&account=0x12", "account: must be 0x and 40 hex digits"),
        ("/mesh/active", "bbox, level: give one of them, or both"),
        ("/mesh/active?level=0", "level: must be"),
        ("/mesh/stats?level=22", "level: must be"),
        ("/mesh/polygon/P10", "id: prefix: the text must begin with"),
        (f"/mesh/info/{ID[:-1]}A", "id: checksum: "),
        ("/mesh/search?bbox=1,2,3,4&level=3&limit=3", "'limit': is not a parameter of this request"),
    ],
)
async def test_a_wrong_parameter_is_named_with_its_rule(client: httpx.AsyncClient, path: str, message: str) -> None:
    assert require_refusal(await client.get(path), 400, "INVALID_PAYLOAD").startswith(message)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (f"/mesh/children/{LAST}", "id: a triangle of level 21 has no children"),
        (f"/mesh/parent/{FIRST}", "id: a triangle of level 1 has no parent"),
    ],
)
async def test_what_a_triangle_does_not_have_is_not_found(client: httpx.AsyncClient, path: str, message: str) -> None:
    assert require_refusal(await client.get(path), 404, "TRIANGLE_NOT_FOUND").startswith(message)


@hypothesis_settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(st.sampled_from("0123456789.,-+eE naif"), max_size=40))
def test_any_box_is_read_or_refused(text: str) -> None:
    try:
        sides, box = parse_bbox(text)
    except ApiError:
        return
    assert sides[1] <= sides[3]
    assert 0.0 <= box.width <= 6.3
