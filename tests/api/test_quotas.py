"""How many submissions an address, and an account, may make in a minute, and what its client is told of it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import httpx
import pytest
import trio
from trio.testing import MockClock

from step_node.api.server.quotas import KEYS_MAX, WINDOW_SECONDS, Quotas
from tests.api.made_up_node import START_MS, MadeUpNode, Walker
from tests.api.serving import AMPLE, serve
from tests.api.test_submit import require_refusal


async def test_a_quota_refills_evenly(mock_clock: MockClock) -> None:
    quotas = Quotas(60)
    assert quotas.take("a", 50) == 50
    assert (quotas.remaining("a"), quotas.whole_in_seconds("a"), quotas.retry_seconds("a")) == (10, 50, 0)
    assert quotas.take("a", 50) == 10
    assert (quotas.take("a", 1), quotas.remaining("a"), quotas.retry_seconds("a")) == (0, 0, 1)
    assert quotas.take("b", 60) == 60
    mock_clock.jump(5)
    assert (quotas.remaining("a"), quotas.take("a", 9)) == (5, 5)
    mock_clock.jump(WINDOW_SECONDS)
    assert quotas.remaining("a") == 60
    quotas.give_back("a", 5)
    assert quotas.remaining("a") == 60


async def test_what_is_given_back_may_be_taken_again() -> None:
    quotas = Quotas(3)
    assert quotas.take("a", 3) == 3
    quotas.give_back("a", 2)
    assert quotas.take("a", 3) == 2


async def test_without_a_limit_nothing_is_counted() -> None:
    quotas = Quotas(0)
    assert quotas.take("a", 1_000_000) == 1_000_000
    assert (len(quotas), quotas.retry_seconds("a")) == (0, 0)


async def test_so_many_keys_are_remembered_and_no_more() -> None:
    quotas = Quotas(10)
    for number in range(KEYS_MAX + 10):
        quotas.take(number, 1)
    assert len(quotas) == KEYS_MAX
    assert quotas.remaining(KEYS_MAX + 9) == 9
    assert quotas.remaining(0) == 10


@asynccontextmanager
async def served(
    node: MadeUpNode, *, of_address: int = 0, of_account: int = 0, proxies: frozenset[str] = frozenset()
) -> AsyncIterator[httpx.AsyncClient]:
    limits = replace(AMPLE, submissions_per_minute=of_address, proxies=proxies)
    async with trio.open_nursery() as nursery:
        port = await nursery.start(partial(serve, node, limits=limits, account_submissions_per_minute=of_account))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20) as client:
            yield client
        nursery.cancel_scope.cancel()


async def submit(client: httpx.AsyncClient, seed: int, **fields: str) -> httpx.Response:
    return await client.post("/proof/submit", params={"wait_ms": 0}, json=Walker(seed).proof(START_MS), headers=fields)


async def test_the_configuration_tells_the_quotas(node: MadeUpNode) -> None:
    async with served(node, of_address=3, of_account=2) as client:
        rules = (await client.get("/proof/config")).json()
    assert (rules["SUBMISSIONS_PER_MINUTE"], rules["ACCOUNT_SUBMISSIONS_PER_MINUTE"]) == (3, 2)


async def test_who_submits_more_than_a_minutes_quota_is_told_how_much_and_when(node: MadeUpNode) -> None:
    async with served(node, of_address=3) as client:
        for left in (2, 1, 0):
            answer = await submit(client, 1 + left)
            assert answer.status_code == 202
            assert answer.headers["ratelimit-policy"] == '"submissions";q=3;w=60'
            remaining = re.fullmatch(r'"submissions";r=([0-9]+);t=([0-9]+)', answer.headers["ratelimit"])
            assert remaining is not None
            assert int(remaining[1]) == left
            assert 0 < int(remaining[2]) <= 60
        refused = await submit(client, 10)
        assert "may submit 3 in a minute" in require_refusal(refused, 429, "RATE_LIMITED")
        details = refused.json()["details"]
        assert (details["gate"], details["field"], details["limit"]) == ("address_submissions", "address", 3)
        assert details["retryable"] is True
        assert 1 <= int(refused.headers["retry-after"]) <= 20
        assert refused.headers["ratelimit"].startswith('"submissions";r=0;t=')
        # Reading is another thing.
        read = await client.get("/proof/config")
        assert read.status_code == 200
        assert "ratelimit" not in read.headers


async def test_what_is_submitted_again_counts_once(node: MadeUpNode) -> None:
    async with served(node, of_address=2) as client:
        for _ in range(10):
            assert (await submit(client, 1)).status_code == 202
        assert (await submit(client, 2)).status_code == 202
        assert (await submit(client, 3)).status_code == 429


async def test_what_is_refused_counts(node: MadeUpNode) -> None:
    async with served(node, of_address=2) as client:
        for _ in range(2):
            answer = await client.post("/proof/submit", json=Walker(1).proof(START_MS, accuracy_m=51))
            assert answer.status_code == 422
        assert (await submit(client, 3)).status_code == 429


async def test_each_of_many_counts_and_what_is_over_the_quota_is_refused_in_its_place(node: MadeUpNode) -> None:
    many = [Walker(seed).proof(START_MS) for seed in range(1, 6)]
    async with served(node, of_address=3) as client:
        answer = await client.post("/proof/submit-batch", json=many)
        outcomes = answer.json()["outcomes"]
        assert [one["status"] for one in outcomes] == ["pending"] * 3 + ["refused"] * 2
        assert {one["code"] for one in outcomes[3:]} == {"RATE_LIMITED"}
        assert int(answer.headers["retry-after"]) >= 1
        require_refusal(await client.post("/proof/submit-batch", json=many[3:]), 429, "RATE_LIMITED")


async def test_clients_of_a_proxy_have_a_quota_each(node: MadeUpNode) -> None:
    async with served(node, of_address=1, proxies=frozenset({"127.0.0.1"})) as client:
        for number in (1, 2):
            forwarded = {"X-Forwarded-For": f"192.0.2.{number}"}
            assert (await submit(client, number, **forwarded)).status_code == 202
            assert (await submit(client, 10 + number, **forwarded)).status_code == 429


@pytest.mark.parametrize("path", ["/validator/unbond", "/account/transfer"])
async def test_operations_count_too(node: MadeUpNode, path: str) -> None:
    async with served(node, of_address=1) as client:
        assert (await client.post(path, json={})).status_code == 400
        require_refusal(await client.post(path, json={}), 429, "RATE_LIMITED")


async def test_only_an_accounts_own_key_uses_its_quota_up(node: MadeUpNode) -> None:
    walker, moratorium_ms = Walker(1), node.chain.parameters.moratorium_ms
    forged = walker.proof(START_MS)
    forged["signature"] = "0x" + "11" * 65
    async with served(node, of_account=1) as client:
        for _ in range(3):
            assert (await client.post("/proof/submit", json=forged)).status_code == 401
        assert (await submit(client, 1)).status_code == 202
        node.clock.time_ms += 2 * moratorium_ms
        answer = await client.post("/proof/submit", json=walker.proof(node.clock.now_ms()))
        assert (answer.status_code, answer.json()["code"]) == (429, "RATE_LIMITED")
        assert "proofs taken in within a minute" in answer.json()["message"]
        assert answer.json()["details"]["gate"] == "account_submissions"
        assert (await submit(client, 2)).status_code == 202


@pytest.mark.parametrize("number", [0, 1])
async def test_a_batch_of_nothing_but_faults_is_counted_by_its_length(node: MadeUpNode, number: int) -> None:
    async with served(node, of_address=2) as client:
        await client.post("/proof/submit-batch", json=[{}] * (2 - number))
        assert (await submit(client, 1)).status_code == (202 if number else 429)
