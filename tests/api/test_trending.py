"""GET /trending: the scores with their parts, as of a height."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from mesh import Box, locate
from step_node.api.app import create_app
from step_node.api.routes.trending import LIMIT_DEFAULT, level_for
from step_node.api.server.limits import MESH_LOOK_COST_MS, TRENDING_COST_MS_PER_MILLION_ROWS
from step_node.api.web_app import WebApp
from step_node.economy.columns import HALF_LIFE_MS, PERIOD_MS, WINDOW_MS
from step_node.economy.trends import TRENDING_MAX
from step_node.proofs.timestamps import format_timestamp
from tests.api.made_up_node import ZURICH, MadeUpNode, Walker, open_node
from tests.api.test_submit import require_refusal, submit
from tests.api.test_web_app import charged_client

SYDNEY = (-33.86, 151.21)


async def prove(node: MadeUpNode, client: httpx.AsyncClient, *places: tuple[float, float], first: int = 1) -> None:
    for number, place in enumerate(places, start=first):
        answer = await submit(client, Walker(number).proof(node.clock.now_ms(), place=place))
        assert answer.status_code == 202, answer.text
    await node.finalise()
    await node.until_trending()


async def test_the_regions_come_by_their_scores_with_every_part_of_them(
    node: MadeUpNode, client: httpx.AsyncClient
) -> None:
    await node.until_trending()
    empty = (await client.get("/trending")).json()
    assert (empty["height"], empty["timestamp"], empty["triangles"]) == (0, None, [])
    await prove(node, client, SYDNEY, ZURICH, ZURICH, ZURICH, ZURICH)
    body = (await client.get("/trending")).json()
    assert {name: body[name] for name in body if name != "triangles"} == {
        "ok": True,
        "height": 1,
        "timestamp": format_timestamp(node.chain.head.chain.timestamp_ms),
        "level": 8,
        "halfLifeMs": HALF_LIFE_MS,
        "windowMs": WINDOW_MS,
        "isComplete": True,
        "completeFromHeight": None,
    }
    assert body["triangles"] == [
        {
            "triangleId": locate(*place, 8).text,
            "score": score,
            "parts": {
                "clicks": clicks,
                "decayedMilliclicks": clicks * 1_000,
                "implausibilityBps": 0,
                "plausibleMilliclicks": clicks * 1_000,
                "distinctAccounts": clicks,
                "plausibleMilliaccounts": clicks * 1_000,
                "breadthMilli": breadth,
            },
        }
        for place, clicks, breadth, score in ((ZURICH, 4, 2_000, 8_000), (SYDNEY, 1, 1_000, 1_000))
    ]


async def test_each_score_is_the_product_that_its_description_says(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    await prove(node, client, *[ZURICH] * 3, *[SYDNEY] * 7)
    for one in (await client.get("/trending")).json()["triangles"]:
        assert one["score"] == one["parts"]["plausibleMilliclicks"] * one["parts"]["breadthMilli"] // 1_000


async def test_level_box_and_limit_choose_what_is_shown(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    await prove(node, client, SYDNEY, ZURICH, (47.9, 8.9))
    of = {name: locate(*place, 10).text for name, place in (("zurich", ZURICH), ("sydney", SYDNEY))}
    everywhere = (await client.get("/trending", params={"level": 10})).json()
    assert len(everywhere["triangles"]) == 3
    boxed = (await client.get("/trending", params={"level": 10, "bbox": "8.5,47.3,8.6,47.4"})).json()
    assert [one["triangleId"] for one in boxed["triangles"]] == [of["zurich"]]
    limited = (await client.get("/trending", params={"level": 10, "limit": 1})).json()
    assert limited["triangles"] == everywhere["triangles"][:1]
    over_the_antimeridian = (await client.get("/trending", params={"level": 10, "bbox": "150,-40,-150,-30"})).json()
    assert [one["triangleId"] for one in over_the_antimeridian["triangles"]] == [of["sydney"]]
    # Without a level, one that goes with the box.
    assert (await client.get("/trending", params={"bbox": "-180,-90,180,90"})).json()["level"] < 8
    assert (await client.get("/trending", params={"bbox": "8.5,47.3,8.6,47.4"})).json()["level"] > 8


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("level=0", "level: "),
        ("level=22", "level: "),
        ("limit=0", "limit: "),
        (f"limit={TRENDING_MAX + 1}", "limit: "),
        ("bbox=1,2,3", "bbox: must be west,south,east,north"),
        ("bbox=0,50,10,40", "bbox: south must not be greater than north"),
    ],
)
async def test_what_is_asked_for_wrongly_is_refused(client: httpx.AsyncClient, query: str, message: str) -> None:
    refused = await client.get(f"/trending?{query}")
    require_refusal(refused, 400, "INVALID_PAYLOAD")
    assert refused.json()["message"].startswith(message)


async def test_an_answer_that_has_not_changed_is_not_sent_again(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    await prove(node, client, ZURICH)
    first = await client.get("/trending")
    assert first.headers["Cache-Control"] == "no-cache"
    tag = first.headers["ETag"]
    assert (await client.get("/trending", headers={"If-None-Match": tag})).status_code == 304
    node.clock.time_ms += 1_000
    await prove(node, client, SYDNEY, first=9)
    assert (await client.get("/trending", headers={"If-None-Match": tag})).status_code == 200


async def test_an_answer_says_as_of_which_height_it_is_also_where_the_chain_has_gone_on(
    node: MadeUpNode, client: httpx.AsyncClient
) -> None:
    await prove(node, client, ZURICH)
    node.trends._is_on = lambda: False
    node.clock.time_ms += PERIOD_MS
    answer = await submit(client, Walker(9).proof(node.clock.now_ms(), place=SYDNEY))
    assert answer.status_code == 202
    await node.finalise()
    told = await client.get("/trending")
    assert (told.json()["height"], told.headers["Step-As-Of-Height"]) == (1, "1")
    assert (await client.get("/leaderboard")).headers["Step-As-Of-Height"] == "2"


async def test_before_anything_is_known_whoever_asks_is_told_to_ask_again(tmp_path: Path) -> None:
    async with open_node(tmp_path / "journal.sqlite") as node:
        transport = httpx.ASGITransport(create_app(node.services()))
        async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
            node.trends._view = None
            refused = await client.get("/trending")
            require_refusal(refused, 503, "NOT_READY")
            assert refused.headers["Retry-After"]


async def test_an_answer_is_as_long_as_is_asked_for(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    places = [(lat, 10.0) for lat in range(-50, 50, 4)]
    await prove(node, client, *places)
    assert len((await client.get("/trending?level=10")).json()["triangles"]) == LIMIT_DEFAULT < len(places)
    assert len((await client.get("/trending?level=10&limit=100")).json()["triangles"]) == len(places)


def test_the_level_of_a_box_is_the_first_at_which_thirty_two_triangles_lie_across_it() -> None:
    assert level_for(Box.checked(-90, -180, 90, 180)) == 4
    assert level_for(Box.checked(47.3, 8.4, 47.5, 8.7)) == 15
    assert level_for(Box.checked(47.0, 8.0, 47.0, 8.0)) == 21
    # Towards a pole a degree of longitude is short.
    assert level_for(Box.checked(89.0, 0.0, 89.001, 10.0)) > level_for(Box.checked(0.0, 0.0, 0.001, 10.0))


async def test_scoring_anew_is_paid_for_by_the_proofs_and_an_answer_that_is_known_is_not(
    node: MadeUpNode, client: httpx.AsyncClient
) -> None:
    await prove(node, client, ZURICH, SYDNEY)
    charged = list[float]()
    async with charged_client(node, WebApp(), charged.append) as paying:
        for path in ("/trending", "/trending?limit=3", "/trending?level=9", "/trending?level=9"):
            assert (await paying.get(path)).status_code == 200
    assert charged == [2 * TRENDING_COST_MS_PER_MILLION_ROWS / 1_000_000] * 2


@pytest.mark.parametrize(("looks_max", "looks"), [(1_000, 2), (1, 1)])
async def test_a_box_is_paid_for_by_the_triangles_that_may_be_looked_at_in_vain(
    looks_max: int, looks: int, node: MadeUpNode, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("step_node.api.routes.trending.TOUCHING_LOOKS_MAX", looks_max)
    await prove(node, client, ZURICH, SYDNEY)
    charged = list[float]()
    async with charged_client(node, WebApp(), charged.append) as paying:
        assert (await paying.get("/trending?level=21&bbox=-180,0,180,0.0001")).json()["triangles"] == []
    assert charged == [2 * TRENDING_COST_MS_PER_MILLION_ROWS / 1_000_000 + looks * MESH_LOOK_COST_MS]
