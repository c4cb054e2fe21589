"""`/mesh` with the ledger: what is active at a place, around it, in a box, at a level; and what each level counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from mesh import EARTH_RADIUS_M, Box, Disc, TriangleId, corners, locate, unit_vector
from mesh.regions import distance_to_corners_rad
from step_node.api.app import create_app
from step_node.api.mesh import leaves, standing
from step_node.ledger.records import LastProof, Triangle, TriangleState
from step_node.ledger.state import StateKeys
from step_node.ledger.state_gates import check_movement
from step_node.proofs.timestamps import parse_timestamp
from step_node.storage.memory import MemoryStorage
from tests.api.made_up_mesh import active_leaves, mined_around, put, put_account, use_up
from tests.api.made_up_node import START_MS, ZURICH, MadeUpNode, Walker, open_node
from tests.api.test_reading import read
from tests.api.test_submit import require_refusal, submit
from tests.support.proofs import signed_proof

SEEDED = 10
LAT, LON = map(str, ZURICH)


async def all_pages(client: httpx.AsyncClient, path: str, **parameters: str | int) -> list[dict[str, Any]]:
    """The triangles of all pages of a list."""
    found: list[dict[str, Any]] = []
    more: dict[str, str | int] = {}
    for _ in range(500):
        result = (await read(client, path, **parameters, **more))["result"]
        assert result["count"] == len(result["triangles"])
        assert result["truncated"] == (result["nextCursor"] is not None)
        found += result["triangles"]
        if not result["truncated"]:
            return found
        more = {"cursor": result["nextCursor"]}
    raise AssertionError("there is no end of pages")


async def require_as_in_triangle(client: httpx.AsyncClient, shown: dict[str, Any]) -> None:
    """What is shown of a triangle is what `/triangle/{id}` says."""
    alone = await read(client, f"/triangle/{shown['triangleId']}")
    for field in ("state", "clicks", "reward", "level"):
        assert shown[field] == alone[field]


async def test_one_request_names_the_active_triangle_where_ten_levels_are_used_up(
    client: httpx.AsyncClient, storage: MemoryStorage
) -> None:
    for through in (0, 3, 10, 12, 20):
        use_up(storage, *ZURICH, seeded_level=SEEDED, through=through)
        result = (await read(client, "/mesh/triangleAt", lat=LAT, lon=LON, level="active"))["result"]
        assert result["triangleId"] == locate(*ZURICH, through + 1).text
        assert (result["state"], result["clicks"]) == ("active", 0)
        await require_as_in_triangle(client, result)
    put(storage, locate(*ZURICH, 21), 28)
    answer = await client.get("/mesh/triangleAt", params={"lat": LAT, "lon": LON, "level": "active"})
    require_refusal(answer, 409, "TRIANGLE_EXHAUSTED")
    details = answer.json()["details"]
    assert (details["state"], details["value"], details["limit"]) == ("exhausted", 28, 28)


async def test_a_proof_in_the_active_triangle_is_taken_level_after_level(
    client: httpx.AsyncClient, node: MadeUpNode, storage: MemoryStorage
) -> None:
    use_up(storage, *ZURICH, seeded_level=SEEDED, through=9)
    put(storage, locate(*ZURICH, 10), 10)
    for number, level in enumerate((10, 11), start=1):
        result = (await read(client, "/mesh/triangleAt", lat=LAT, lon=LON, level="active"))["result"]
        assert result["level"] == level
        triangle = TriangleId.parse(result["triangleId"])
        assert (await submit(client, Walker(number).proof(START_MS - 1, triangle=triangle))).status_code == 202
        (receipt,) = await node.finalise()
        assert receipt.triangle == triangle.integer


@pytest.mark.parametrize(
    ("place", "degrees"),
    [(ZURICH, 0.3), (ZURICH, 0.001), ((89.99, 20.0), 0.2), ((-12.0, 179.99), 0.2), ((-90.0, 0.0), 0.1)],
)
async def test_active_triangles_of_a_box_are_what_looking_at_every_one_finds(
    client: httpx.AsyncClient, storage: MemoryStorage, place: tuple[float, float], degrees: float
) -> None:
    lat, lon = place
    mined_around(storage, lat, lon, seeded_level=SEEDED, degrees=degrees, places=25, seed=7)
    south, north = max(-90.0, lat - degrees / 2), min(90.0, lat + degrees / 2)
    west, east = ((lon + side + 180.0) % 360.0 - 180.0 for side in (-degrees / 2, degrees / 2))
    box = Box.checked(south, west, north, east)
    near = _leaves_near(storage, lat, lon, 2 * degrees)
    expected = [triangle.text for triangle in near if box.touches(corners(triangle))]
    assert len({TriangleId.parse(text).level for text in expected}) > 3
    sides = f"{west!r},{south!r},{east!r},{north!r}"
    for max_results in (1_000, 13):
        found = await all_pages(client, "/mesh/active", bbox=sides, maxResults=max_results)
        assert [one["triangleId"] for one in found] == expected
    for one in found[:20]:
        assert one["state"] == "active"
        await require_as_in_triangle(client, one)
    of_level = await all_pages(client, "/mesh/active", bbox=sides, level=11)
    assert [one["triangleId"] for one in of_level] == [text for text in expected if TriangleId.parse(text).level == 11]


def _leaves_near(storage: MemoryStorage, lat: float, lon: float, degrees: float) -> list[TriangleId]:
    """All active triangles whose triangle of level 10 is near, by looking at every one of these."""
    disc = Disc.checked(lat, lon, degrees * 120_000)
    found, stack = [], [TriangleId(face, 1, 0) for face in range(20)]
    while stack:
        triangle = stack.pop()
        if triangle.level < SEEDED:
            if disc.touches(corners(triangle)):
                stack.extend(triangle.children)
            continue
        record = storage._triangles.get(triangle.integer)
        if record is None or record.state is TriangleState.ACTIVE:
            found.append(triangle)
        elif record.state is TriangleState.SUBDIVIDED:
            stack.extend(triangle.children)
    return sorted(found)


async def test_pages_cut_by_the_records_that_are_read_lose_nothing(
    client: httpx.AsyncClient, storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    mined_around(storage, *ZURICH, seeded_level=SEEDED, degrees=0.2, places=20, seed=3)
    box = "8.4,47.2,8.7,47.5"
    whole = await all_pages(client, "/mesh/active", bbox=box)
    monkeypatch.setattr(leaves, "RECORDS_MAX", 9)
    assert await all_pages(client, "/mesh/active", bbox=box) == whole
    assert len(whole) > 50


async def test_the_whole_earth_has_pages_too(tmp_path: Any) -> None:
    storage = MemoryStorage()
    async with open_node(tmp_path / "journal.sqlite", storage=storage, seeded_level=3) as node:
        mined_around(storage, 0.0, 0.0, seeded_level=3, degrees=90.0, places=30, seed=5)
        expected = [triangle.text for triangle in active_leaves(storage, 3)]
        transport = httpx.ASGITransport(create_app(node.services()))
        async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
            found = await all_pages(client, "/mesh/active", bbox="-180,-90,180,90", maxResults=90)
            assert [one["triangleId"] for one in found] == expected
            for level in (2, 3, 4, 12):
                found = await all_pages(client, "/mesh/active", level=level, maxResults=11)
                of_level = {text for text in expected if TriangleId.parse(text).level == level}
                if level == 2:
                    assert len(found) == 80  # Seeded, and nobody has touched them.
                else:
                    assert [one["triangleId"] for one in found] == sorted(
                        of_level, key=lambda text: TriangleId.parse(text)
                    )


async def test_nearby_lists_the_active_triangles_by_distance(client: httpx.AsyncClient, storage: MemoryStorage) -> None:
    mined_around(storage, *ZURICH, seeded_level=SEEDED, degrees=0.02, places=20, seed=1)
    point = unit_vector(*ZURICH)
    everything = _leaves_near(storage, *ZURICH, 0.5)
    distance_m = {one.text: distance_to_corners_rad(point, corners(one)) * EARTH_RADIUS_M for one in everything}
    for radius_m in (50, 3_000):
        result = (
            await read(client, "/mesh/nearby", lat=LAT, lon=LON, radius_m=radius_m, level="active", maxResults=500)
        )["result"]
        expected = {text for text, metres in distance_m.items() if metres <= radius_m}
        assert {one["triangleId"] for one in result["triangles"]} == expected
        assert (result["truncated"], result["completeWithinM"]) == (False, radius_m)
        distances = [one["distance"] for one in result["triangles"]]
        assert distances == sorted(distances)
        assert distances[0] == 0.0
    few = (await read(client, "/mesh/nearby", lat=LAT, lon=LON, radius_m=3000, level="active", maxResults=3))["result"]
    assert few["triangles"] == result["triangles"][:3]
    assert few["truncated"]
    assert few["completeWithinM"] == pytest.approx(result["triangles"][3]["distance"])


async def test_nearby_looks_less_far_where_there_is_too_much_and_says_so(
    client: httpx.AsyncClient, storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    mined_around(storage, *ZURICH, seeded_level=SEEDED, degrees=0.02, places=20, seed=1)
    parameters: dict[str, str | int] = {"lat": LAT, "lon": LON, "radius_m": 3_000, "level": "active", "maxResults": 500}
    whole = (await read(client, "/mesh/nearby", **parameters))["result"]
    monkeypatch.setattr(standing, "NEARBY_LEAVES_MAX", 20)
    less = (await read(client, "/mesh/nearby", **parameters))["result"]
    assert less["truncated"]
    assert 0 < less["completeWithinM"] < 3_000
    within = [one for one in whole["triangles"] if one["distance"] <= less["completeWithinM"]]
    assert less["triangles"] == within != []


async def test_nearby_a_level_shows_those_that_exist(client: httpx.AsyncClient, storage: MemoryStorage) -> None:
    use_up(storage, *ZURICH, seeded_level=SEEDED, through=11)
    result = (await read(client, "/mesh/nearby", lat=LAT, lon=LON, radius_m=9_000, level=11))["result"]
    assert {one["triangleId"] for one in result["triangles"]} == {child.text for child in locate(*ZURICH, 10).children}
    assert sorted(one["state"] for one in result["triangles"]) == ["active"] * 3 + ["subdivided"]
    for one in result["triangles"]:
        await require_as_in_triangle(client, one)


async def test_nearby_says_from_when_on_an_account_may_prove_there(
    client: httpx.AsyncClient, node: MadeUpNode, storage: MemoryStorage
) -> None:
    walker = Walker(1)
    put(storage, locate(*ZURICH, 10), 11)
    for child in locate(*ZURICH, 10).children:
        put(storage, child, 0)
    put_account(storage, walker.address, LastProof(START_MS - 4_000, *ZURICH))
    parameters: dict[str, str | int] = {"lat": LAT, "lon": LON, "radius_m": 20_000, "account": walker.address_text}
    here, *others = (await read(client, "/mesh/nearby", level="active", **parameters))["result"]["triangles"]
    # The moratorium alone: 10 s after the last proof, 4 s ago.
    assert (here["mayMine"], here["mayMineFrom"]) == (False, "2026-01-01T00:00:06.000Z")
    account = (await storage.load(StateKeys(accounts=frozenset({walker.address})))).accounts[walker.address]
    parameters_of_chain = node.chain.parameters
    for one in others:
        from_ms = parse_timestamp(one["mayMineFrom"])
        # At 15 m/s, from the place of the last proof; and no later than when the horizon has passed.
        travel_ms = min(one["distance"] / 15 * 1_000, 3_600_001)
        assert from_ms == pytest.approx(START_MS - 4_000 + max(10_000, travel_ms), abs=2)
        longitude, latitude = one["centroid"]["coordinates"]
        early = signed_proof(lat=latitude, lon=longitude, level=one["level"], timestamp_ms=from_ms - 5_000)
        assert check_movement(early, account, parameters_of_chain) is not None
    (used_up,) = [
        one
        for one in (await read(client, "/mesh/nearby", level=10, **parameters))["result"]["triangles"]
        if one["state"] == "subdivided"
    ]
    assert used_up["mayMine"] is False
    assert "mayMineFrom" not in used_up
    # Who was never anywhere may prove at once.
    parameters["account"] = Walker(2).address_text
    anew = (await read(client, "/mesh/nearby", level="active", **parameters))["result"]["triangles"]
    assert {(one["mayMine"], one["mayMineFrom"]) for one in anew} == {(True, "2026-01-01T00:00:00.000Z")}


async def test_info_is_all_about_a_triangle(client: httpx.AsyncClient, storage: MemoryStorage) -> None:
    use_up(storage, *ZURICH, seeded_level=SEEDED, through=11)
    triangle = locate(*ZURICH, 11)
    result = (await read(client, f"/mesh/info/{triangle.text}"))["result"]
    assert result["components"] == {"face": triangle.face, "level": 11, "path": list(triangle.digits)}
    assert result["hierarchy"] == {
        "parent": locate(*ZURICH, 10).text,
        "children": [child.text for child in triangle.children],
    }
    assert result["geometry"].keys() == {"polygon", "centroid", "area", "perimeter", "estimatedSideLength"}
    assert (result["exists"], result["state"], result["clicks"]) == (True, "subdivided", 11)
    unborn = (await read(client, f"/mesh/info/{locate(*ZURICH, 13).text}"))["result"]
    assert (unborn["exists"], unborn["state"], unborn["clicks"]) == (False, None, 0)
    for level, parent, children in ((1, None, 4), (21, locate(*ZURICH, 20).text, None)):
        hierarchy = (await read(client, f"/mesh/info/{locate(*ZURICH, level).text}"))["result"]["hierarchy"]
        assert hierarchy["parent"] == parent
        assert (hierarchy["children"] and len(hierarchy["children"])) == children


async def test_stats_count_what_was_finalised(client: httpx.AsyncClient, node: MadeUpNode) -> None:
    put(node.storage, locate(*ZURICH, 10), 9)  # type: ignore[arg-type]
    for number in range(2):
        assert (await submit(client, Walker(number + 1).proof(START_MS - 1))).status_code == 202
    await node.finalise()
    ten = (await read(client, "/mesh/stats", level=10))["result"]
    assert (ten["triangleCount"], ten["total"], ten["subdivided"], ten["clicks"]) == (5_242_880, 5_242_880, 1, 2)
    assert ten["active"] == 5_242_879
    levels = (await read(client, "/mesh/stats"))["result"]
    assert levels["totalLevels"] == len(levels["levels"]) == 21
    assert levels["levels"][9] == ten
    assert [one["reward"] for one in levels["levels"][7:10]] == ["0.007813", "0.003906", "0.001953"]
    eleven = levels["levels"][10]
    assert (eleven["total"], eleven["active"], eleven["touched"]) == (4, 4, 0)
    assert sum(one["total"] for one in levels["levels"][:10]) == 6_990_500


async def test_stats_tell_what_the_rules_in_force_pay(tmp_path: Path) -> None:
    async with open_node(tmp_path / "journal.sqlite", protocol_version=2) as node:
        transport = httpx.ASGITransport(create_app(node.services()))
        async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
            levels = (await read(client, "/mesh/stats"))["result"]["levels"]
    assert [levels[level - 1]["reward"] for level in (1, 8, 21)] == ["1.000000", "0.007812", "0.000000"]


async def test_an_answer_is_of_one_snapshot(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    reads: list[StateKeys] = []
    load = node.storage.load

    async def counted(keys: StateKeys) -> Any:
        reads.append(keys)
        return await load(keys)

    node.storage.load = counted  # type: ignore[method-assign]
    for path in (
        f"/mesh/triangleAt?lat={LAT}&lon={LON}&level=active",
        f"/mesh/nearby?lat={LAT}&lon={LON}&radius_m=5000&level=active&account={Walker(1).address_text}",
        f"/mesh/nearby?lat={LAT}&lon={LON}&radius_m=5000&level=12&account={Walker(1).address_text}",
        "/mesh/active?bbox=8,47,9,48",
        "/mesh/active?bbox=8,47,9,48&level=9",
        "/mesh/active?level=4",
        f"/mesh/info/{locate(*ZURICH, 14).text}",
    ):
        reads.clear()
        assert (await client.get(path)).status_code == 200
        assert len(reads) == 1, path


def test_a_made_up_mesh_has_only_triangles_that_can_be() -> None:
    storage = MemoryStorage()
    mined_around(storage, *ZURICH, seeded_level=SEEDED, degrees=0.1, places=30, seed=2)
    for triangle in storage._triangles.values():
        place = TriangleId.from_int(triangle.id)
        if place.level > SEEDED:
            parent = storage._triangles[place.parent_integer or 0]
            assert parent.state is TriangleState.SUBDIVIDED
    assert Triangle(locate(*ZURICH, 3).integer) not in storage._triangles.values()
