"""The chain's genesis, as clients get it."""

from __future__ import annotations

import hashlib

import httpx

from step_node.api.middleware.caching import ASK_AGAIN
from step_node.chain.genesis import parse_genesis
from tests.api.made_up_node import MadeUpNode


async def test_its_hash_is_that_of_the_chain_and_it_reads_as_the_same_genesis(
    node: MadeUpNode, client: httpx.AsyncClient
) -> None:
    answer = await client.get("/genesis")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert f"0x{hashlib.sha256(answer.content).hexdigest()}" == (await client.get("/status")).json()["genesisHash"]
    assert parse_genesis(answer.text, name="answer") == node.chain.genesis


async def test_it_is_kept_and_not_sent_again(client: httpx.AsyncClient) -> None:
    first = await client.get("/genesis")
    # Another chain may be at this address tomorrow, and a cache must not give this one's then.
    assert first.headers["cache-control"] == ASK_AGAIN
    for method in ("GET", "HEAD"):
        again = await client.request(method, "/genesis", headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
