"""What operators and their programs read, and the one form of every error."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
import pytest
import trio
from starlette.types import Message
from trio.testing import MockClock

from step_node.api.app import create_app
from step_node.api.body import BODY_BYTES_MAX, BodyLimit
from step_node.api.errors import HTTP_STATUS, RequestCode
from step_node.api.status import Health, HealthLevel
from step_node.ledger.records import Account
from step_node.operations.operation import OperationCode
from step_node.proofs.proof import RefusalCode
from step_node.storage.interface import StorageUnavailable
from step_node.storage.memory import MemoryStorage
from tests.api.made_up_node import CHAIN_ID, START_MS, MadeUpNode, SetClock, Walker
from tests.api.test_submit import require_refusal, submit


async def test_the_status_tells_where_the_node_stands(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    document = (await client.get("/status")).json()
    assert (document["ok"], document["chainId"], document["height"]) == (True, CHAIN_ID, 0)
    assert (document["round"], document["state"], document["syncing"]) == (0, "IDLE", False)
    assert document["peers"] == [
        {
            "peerId": "16Uiu2one",
            "address": "/ip4/192.0.2.1/tcp/26600",
            "direction": "outbound",
            "version": "0.1.0",
            "height": 3,
            "validator": "0x" + "01" * 20,
        },
        {
            "peerId": "16Uiu2two",
            "address": "/ip4/192.0.2.2/tcp/40000",
            "direction": "inbound",
            "version": None,
            "height": None,
            "validator": None,
        },
    ]
    assert document["validators"] == [
        {"address": document["validatorAddress"], "stake": "100000.000000", "isSelf": True, "peerId": "16Uiu2self"}
    ]
    assert document["genesisHash"] == document["batchHash"] == f"0x{node.chain.genesis.hash.hex()}"


@pytest.mark.parametrize("level", [HealthLevel.OK, HealthLevel.DEGRADED])
async def test_a_node_that_serves_is_healthy_with_its_reasons(
    node: MadeUpNode, client: httpx.AsyncClient, level: HealthLevel
) -> None:
    node.health = Health(level, ("two of four peers",))
    answer = await client.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {
        "ok": True,
        "status": level.value,
        "reasons": ["two of four peers"],
        "timestamp": "2026-01-01T00:00:00.000Z",
    }


async def test_a_node_that_is_down_answers_with_an_error_and_its_reasons(
    node: MadeUpNode, client: httpx.AsyncClient
) -> None:
    node.health = Health(HealthLevel.DOWN, ("the store does not answer", "no peers"))
    answer = await client.get("/health")
    assert answer.status_code == 503
    assert answer.json() == {
        "ok": False,
        "code": "NOT_READY",
        "message": "the store does not answer; no peers",
        "status": "down",
        "reasons": ["the store does not answer", "no peers"],
        "timestamp": "2026-01-01T00:00:00.000Z",
    }


async def test_metrics_are_in_prometheus_text_format(client: httpx.AsyncClient) -> None:
    await submit(client, Walker(1).proof(START_MS))
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert 'step_submission_duration_seconds_count{answer="pending"} 1.0' in answer.text


async def test_unknown_paths_and_methods_are_refused_in_the_same_form(client: httpx.AsyncClient) -> None:
    for path in ("/", "/status/", "/proof", "/account/0x12/proofs/more"):
        require_refusal(await client.get(path), 404, "NOT_FOUND")
    answer = await client.put("/proof/submit")
    require_refusal(answer, 405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "POST"


async def test_a_body_over_the_limit_is_refused_on_every_path(client: httpx.AsyncClient) -> None:
    for path in ("/proof/submit", "/nowhere"):
        answer = await client.post(path, content=bytes(BODY_BYTES_MAX + 1))
        assert require_refusal(answer, 413, "PAYLOAD_TOO_LARGE").startswith("body: ")
    at_the_limit = await client.post("/proof/submit", content=b" " * BODY_BYTES_MAX)
    require_refusal(at_the_limit, 400, "INVALID_PAYLOAD")


async def test_a_body_that_trickles_in_is_given_up(autojump_clock: MockClock) -> None:  # noqa: ARG001 - it runs by it
    sent: list[Message] = []

    async def never_asked(*_request: object) -> None:
        raise AssertionError("the application must not see an unfinished request")

    async def trickle() -> Message:
        await trio.sleep(3)
        return {"type": "http.request", "body": b" ", "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/proof/submit", "headers": []}
    await BodyLimit(never_asked, SetClock(START_MS))(scope, trickle, send)
    assert sent[0]["status"] == 408
    assert b'"code":"REQUEST_TIMEOUT"' in sent[1]["body"]


class UnavailableStorage(MemoryStorage):
    """A store that does not answer readers."""

    async def account(self, address: bytes) -> Account | None:
        """Never there."""
        raise StorageUnavailable(f"no answer about 0x{address.hex()}: mongodb://user:secret@host")

    async def leaderboard(self, *, limit: int) -> Sequence[Account]:
        """A bug."""
        raise RuntimeError(f"no leaderboard of {limit}")


@pytest.fixture
def storage() -> MemoryStorage:
    """The store under the node of this module."""
    return UnavailableStorage()


async def test_a_store_that_does_not_answer_is_not_ready(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"/account/0x{'ab' * 20}")
    message = require_refusal(answer, 503, "NOT_READY")
    assert "secret" not in message
    assert answer.headers["retry-after"] == "1"


async def test_a_bug_is_an_internal_error_that_tells_nothing_and_reaches_the_servers_log(
    node: MadeUpNode, client: httpx.AsyncClient
) -> None:
    assert "leaderboard of" not in require_refusal(await client.get("/leaderboard"), 500, "INTERNAL_ERROR")
    raising = httpx.ASGITransport(create_app(node.services()))
    async with httpx.AsyncClient(transport=raising, base_url="http://node") as loud:
        with pytest.raises(RuntimeError) as caught:
            await loud.get("/leaderboard?limit=7")
    assert caught.value.__notes__ == ["while answering GET /leaderboard"]


def test_every_code_has_a_status() -> None:
    assert HTTP_STATUS.keys() == {*RefusalCode, *RequestCode, *OperationCode}
