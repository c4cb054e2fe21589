"""What caches are told, and answers that the client has already."""

from __future__ import annotations

import httpx
import pytest

from mesh import locate
from step_node.api.middleware.caching import FINAL_HERE, TAGS_CHARACTERS_MAX, UNCHANGING, is_named
from tests.api.made_up_node import START_MS, ZURICH, MadeUpNode, Walker
from tests.api.test_submit import submit
from tests.api.test_transfers import earn, signed


@pytest.mark.parametrize(
    ("wanted", "is_had"),
    [
        ('"a"', True),
        ('W/"a"', True),
        ("*", True),
        (' "b" , W/"a"', True),
        ('"b","c"', False),
        ("a", False),
        ('"A"', False),
        ('"a', False),
        ("", False),
        (None, False),
        ('"b, a"', False),
        ('"a",' * TAGS_CHARACTERS_MAX, False),
    ],
)
def test_a_tag_is_looked_for_among_those_that_the_client_has(wanted: str | None, is_had: bool) -> None:
    assert is_named('W/"a"', wanted) is is_had
    assert is_named('"a"', wanted) is is_had
    assert is_named(None, wanted) is False


async def test_a_batch_that_the_client_has_is_not_sent_again(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    await submit(client, Walker(1).proof(START_MS))
    await node.finalise()
    first = await client.get("/batch/1")
    assert first.headers["cache-control"] == FINAL_HERE
    tag = first.headers["etag"]
    for wanted in (tag, f'"other", {tag}', tag.removeprefix("W/"), "*"):
        for method in ("GET", "HEAD"):
            again = await client.request(method, "/batch/1", headers={"If-None-Match": wanted})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"].removeprefix("W/") == tag.removeprefix("W/")
            assert again.headers["cache-control"] == FINAL_HERE
            assert "step-as-of-height" in again.headers
            assert not {"content-type", "content-length"} & again.headers.keys()
    assert (await client.get("/batch/1", headers={"If-None-Match": '"other"'})).content == first.content


async def test_what_is_final_says_so_and_everything_else_has_to_be_asked_for_again(
    node: MadeUpNode, client: httpx.AsyncClient
) -> None:
    proof_id = (await submit(client, Walker(1).proof(START_MS))).json()["proofId"]
    path = f"/proof/status/{proof_id}"
    assert (await client.get(path)).headers["cache-control"] == "no-cache"
    await node.finalise()
    assert (await client.get(path)).headers["cache-control"] == UNCHANGING
    for path in ("/health", "/status", "/proof/config", "/leaderboard", "/", "/metrics", "/openapi.json"):
        assert (await client.get(path)).headers["cache-control"] == "no-cache", path


async def test_an_operation_may_be_kept_once_it_is_applied(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    await earn(node, client)
    operation_id = (await client.post("/account/transfer", json=signed())).json()["operationId"]
    path = f"/operation/{operation_id}"
    assert (await client.get(path)).headers["cache-control"] == "no-cache"
    await node.finalise()
    assert (await client.get(path)).headers["cache-control"] == UNCHANGING
    assert (await client.get(f"{path}/receipt")).headers["cache-control"] == UNCHANGING
    assert (await client.get(f"/operation/0x{'00' * 32}")).headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "is_kept"),
    [
        ("/mesh/polygon/{id}", True),
        ("/mesh/children/{id}", True),
        ("/mesh/parent/{id}", True),
        ("/mesh/search?bbox=47.3,8.5,47.4,8.6&level=10", True),
        ("/mesh/nearest?lat=47.3769&lon=8.5417&level=10", True),
        ("/mesh/triangleAt?lat=47.3769&lon=8.5417&level=10", True),
        ("/mesh/triangleAt?lat=47.3769&lon=8.5417&level=active", False),
        ("/mesh/info/{id}", False),
        ("/triangle/{id}", False),
    ],
)
async def test_geometry_may_be_kept_and_what_the_ledger_says_of_it_not(
    client: httpx.AsyncClient, path: str, is_kept: bool
) -> None:
    answer = await client.get(path.format(id=locate(*ZURICH, 8).text))
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == (UNCHANGING if is_kept else "no-cache")
    again = await client.get(answer.url, headers={"If-None-Match": answer.headers.get("etag", '"none"')})
    assert again.status_code == (304 if is_kept else 200)


async def test_what_is_no_success_and_what_was_posted_is_not_kept(client: httpx.AsyncClient) -> None:
    answers = [
        await client.get("/nowhere"),
        await client.get("/batch/7"),
        await client.put("/health"),
        await submit(client, Walker(1).proof(START_MS)),
        await submit(client, {}),
    ]
    assert [answer.headers["cache-control"] for answer in answers] == ["no-store"] * 5


async def test_the_description_has_a_tag(client: httpx.AsyncClient) -> None:
    tag = (await client.get("/openapi.json")).headers["etag"]
    assert (await client.get("/openapi.json", headers={"If-None-Match": tag})).status_code == 304
