"""What operators and their programs read, and the one form of every error."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
import pytest
import trio
from starlette.types import Message
from trio.testing import MockClock

from step_node.api.app import create_app
from step_node.api.errors import HTTP_STATUS, RequestCode
from step_node.api.middleware.body import BODY_BYTES_MAX, BodyLimit
from step_node.api.status.health import DOWN, NOT_READY, Health, HealthCode, HealthReason
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
            "protocolVersions": [1, 2],
            "height": 3,
            "validator": "0x" + "01" * 20,
        },
        {
            "peerId": "16Uiu2two",
            "address": "/ip4/192.0.2.2/tcp/40000",
            "direction": "inbound",
            "version": None,
            "protocolVersions": [],
            "height": None,
            "validator": None,
        },
    ]
    assert document["validators"] == [
        {"address": document["validatorAddress"], "stake": "100000.000000", "isSelf": True, "peerId": "16Uiu2self"}
    ]
    assert document["genesisHash"] == document["batchHash"] == f"0x{node.chain.genesis.hash.hex()}"


def reason(code: HealthCode) -> HealthReason:
    return HealthReason(code, f"it is {code}", {"seconds": 7})


def answered(code: HealthCode) -> dict[str, object]:
    return {"code": code.value, "message": f"it is {code}", "figures": {"seconds": 7}}


async def test_a_node_that_is_well_is_ok_and_ready(client: httpx.AsyncClient) -> None:
    now = "2026-01-01T00:00:00.000Z"
    assert (await client.get("/health")).json() == {
        "ok": True,
        "status": "ok",
        "ready": True,
        "reasons": [],
        "timestamp": now,
    }
    assert (await client.get("/health/ready")).json() == {"ok": True, "ready": True, "timestamp": now}


@pytest.mark.parametrize("code", HealthCode)
async def test_each_reason_is_told_and_decides_alone_whether_the_node_is_down_or_ready(
    node: MadeUpNode, client: httpx.AsyncClient, code: HealthCode
) -> None:
    node.health = Health((reason(code),))
    health, ready, live = [await client.get(path) for path in ("/health", "/health/ready", "/health/live")]
    assert live.status_code == 200
    assert (health.status_code, ready.status_code) == (503 if code in DOWN else 200, 503 if code in NOT_READY else 200)
    told = health.json()
    assert told["status"] == ("down" if code in DOWN else "degraded")
    assert told["ready"] == (code not in NOT_READY)
    assert told["reasons"] == [answered(code)]
    if code in NOT_READY:
        assert ready.json() == {
            "ok": False,
            "code": "NOT_READY",
            "message": f"it is {code}",
            "details": {"gate": "health", "retryable": True, "retryAt": "2026-01-01T00:00:01.000Z"},
            "ready": False,
            "reasons": [answered(code)],
            "timestamp": "2026-01-01T00:00:00.000Z",
        }


async def test_readiness_names_only_what_speaks_against_it(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    node.health = Health((reason(HealthCode.STORE_READS_FAIL), reason(HealthCode.CLOCK_FAST)))
    down = (await client.get("/health")).json()
    assert down["message"] == "it is STORE_READS_FAIL; it is CLOCK_FAST"
    assert (await client.get("/health/ready")).json()["message"] == "it is STORE_READS_FAIL"


async def test_consensus_says_whose_votes_are_here_and_whose_are_missing(client: httpx.AsyncClient) -> None:
    document = (await client.get("/consensus")).json()
    silent, own = "0x" + "02" * 20, document["validators"][0]["address"]
    assert (document["height"], document["round"], document["step"]) == (1, 1, "PRE_VOTE")
    assert (document["proposer"], document["proposal"], document["quorum"]) == (silent, "0x" + "aa" * 32, 2)
    assert (document["heightSince"], document["stepSince"]) == ("2025-12-31T23:59:51.000Z", "2025-12-31T23:59:59.500Z")
    assert (document["preVotes"], document["preCommits"]) == (1, 1)
    assert document["missingPreVotes"] == document["missingPreCommits"] == [silent]
    assert (document["lockedRound"], document["lockedHash"]) == (0, "0x" + "bb" * 32)
    assert (document["validRound"], document["validHash"]) == (-1, None)
    assert document["validators"] == [
        {"address": own, "isSelf": True, "isConnected": True, "preVote": "nil", "preCommit": "0x" + "aa" * 32},
        {"address": silent, "isSelf": False, "isConnected": False, "preVote": None, "preCommit": None},
    ]


async def test_metrics_are_in_prometheus_text_format(client: httpx.AsyncClient) -> None:
    await submit(client, Walker(1).proof(START_MS))
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert 'step_submission_duration_seconds_count{answer="pending"} 1.0' in answer.text


async def test_unknown_paths_and_methods_are_refused_in_the_same_form(client: httpx.AsyncClient) -> None:
    for path in ("/index.html", "/docs/other.js", "/status/", "/proof", "/account/0x12/proofs/more"):
        require_refusal(await client.get(path), 404, "NOT_FOUND")
    answer = await client.put("/proof/submit")
    require_refusal(answer, 405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "OPTIONS, POST"


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
    assert caught.value.__notes__ == ["while answering GET /leaderboard, request -"]


def test_every_code_has_a_status() -> None:
    assert HTTP_STATUS.keys() == {*RefusalCode, *RequestCode, *OperationCode}
