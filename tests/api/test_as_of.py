"""Each answer to a GET says as of which height it is, at the least: clients of several nodes rest on it."""

from __future__ import annotations

import httpx
import pytest

from step_node.api.middleware.as_of import AS_OF_HEIGHT
from tests.api.made_up_node import START_MS, MadeUpNode, Walker
from tests.api.test_submit import submit

WALKER = Walker(1)


def as_of(answer: httpx.Response) -> int:
    return int(answer.headers[AS_OF_HEIGHT])


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/account/{WALKER.address_text}", 200),
        (f"/account/{WALKER.address_text}/proofs", 200),
        ("/leaderboard", 200),
        ("/validators", 200),
        ("/evidence", 200),
        ("/status", 200),
        ("/batch/1", 200),
        ("/batch/2", 404),
        (f"/proof/status/0x{'ab' * 32}", 404),
        ("/triangle/STEP-TRI-v1:A1-00000000000000000000-AAA", 400),
        ("/nowhere", 404),
    ],
)
async def test_an_answer_says_as_of_which_height_it_is_found_or_not(
    node: MadeUpNode, client: httpx.AsyncClient, path: str, status: int
) -> None:
    await submit(client, Walker(1).proof(START_MS))
    await node.finalise()
    answer = await client.get(path)
    assert (answer.status_code, as_of(answer)) == (status, 1)
    head = await client.head(path)
    assert (head.status_code, as_of(head)) == (status, 1)


async def test_an_answer_that_was_asked_for_before_a_batch_does_not_promise_it(
    node: MadeUpNode, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch becomes final between the question and the look into the store."""
    look = node.storage.account

    async def finalise_first(address: bytes) -> object:
        await node.finalise()
        return await look(address)

    await submit(client, Walker(1).proof(START_MS))
    monkeypatch.setattr(node.storage, "account", finalise_first)
    answer = await client.get(f"/account/{WALKER.address_text}")
    assert as_of(answer) == 0
    assert node.chain.head.chain.height == 1


async def test_a_submission_names_its_own_height_and_no_other(client: httpx.AsyncClient) -> None:
    assert AS_OF_HEIGHT not in (await submit(client, Walker(1).proof(START_MS))).headers


async def test_the_description_tells_of_it(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    assert AS_OF_HEIGHT in paths["/account/{address}"]["get"]["responses"]["200"]["headers"]
    assert AS_OF_HEIGHT in paths["/batch/{height}"]["get"]["responses"]["404"]["headers"]
    assert "headers" not in paths["/proof/submit"]["post"]["responses"]["200"]
