"""`POST /proof/submit`: its answers, its codes, and what submitting again gives."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import trio
from starlette.types import Receive, Scope, Send

from mesh import TriangleId, locate
from step_node.api.app import create_app
from step_node.api.server.bill import BILL_EXTENSION, ApplicationBill
from step_node.api.server.quotas import AddressQuota, Quotas
from step_node.proofs.proof import Refusal, RefusalCode
from tests.api.made_up_node import START_MS, ZURICH, MadeUpNode, Walker


async def submit(client: httpx.AsyncClient, body: object, wait_ms: int = 0) -> httpx.Response:
    """Submit a JSON body."""
    return await client.post("/proof/submit", params={"wait_ms": wait_ms}, json=body)


def require_refusal(answer: httpx.Response, status: int, code: str) -> str:
    """Check that the answer is the envelope of a refusal with this status and code; its message."""
    document = answer.json()
    assert (answer.status_code, document["code"]) == (status, code), document
    twice = document.pop("error", None)
    assert document.keys() == {"ok", "code", "message", "details", "timestamp"}
    below_mesh = answer.request.url.path.startswith("/mesh")
    assert twice == ({"code": code, "message": document["message"]} if below_mesh else None)
    assert document["ok"] is False
    assert document["timestamp"] == "2026-01-01T00:00:00.000Z"
    message: str = document["message"]
    return message


async def test_a_waiting_client_is_answered_when_its_proof_is_final(
    node: MadeUpNode, client: httpx.AsyncClient
) -> None:
    answers: list[httpx.Response] = []
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            answers.append(await submit(client, Walker(1).proof(START_MS - 1), wait_ms=20_000))

        nursery.start_soon(wait)
        while not len(node.waiters):
            await trio.lowlevel.checkpoint()
        (receipt,) = await node.finalise()
    assert answers[0].status_code == 200
    assert answers[0].json() == {
        "ok": True,
        "proofId": f"0x{receipt.proof_id.hex()}",
        "reward": "0.001953",
        "unit": "STEP",
        "triangleId": locate(*ZURICH, 10).text,
        "level": 10,
        "clicks": 1,
        "clicksMax": 11,
        "rewardFormula": "1 STEP / 2^9",
        "triangleState": "active",
        "balance": "0.001953",
        "height": 1,
        "processedAt": "2026-01-01T00:00:00.000Z",
    }


async def test_a_client_that_does_not_wait_long_enough_is_told_that_its_proof_is_pending(
    node: MadeUpNode, client: httpx.AsyncClient
) -> None:
    answer = await submit(client, Walker(1).proof(START_MS), wait_ms=1)
    (proof_id,) = node.mempool.ids()
    assert answer.status_code == 202
    assert answer.json() == {"ok": True, "proofId": f"0x{proof_id.hex()}", "status": "pending"}


async def test_submitting_again_gives_the_outcome_and_pays_once(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    proof = Walker(1).proof(START_MS)
    assert (await submit(client, proof)).status_code == 202
    assert (await submit(client, proof)).status_code == 202
    assert len(await node.finalise()) == 1
    first, second = await submit(client, proof), await submit(client, proof)
    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()
    node.clock.time_ms += 3_600_000
    assert (await submit(client, proof)).json() == first.json(), "an outcome does not expire with the proof"


async def test_a_proof_that_was_dropped_answers_with_its_refusal(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    proof = Walker(1).proof(START_MS)
    await submit(client, proof)
    (proof_id,) = node.mempool.ids()
    await node.drop(proof_id, Refusal(RefusalCode.TRIANGLE_EXHAUSTED, "triangleId: is subdivided"))
    message = require_refusal(await submit(client, proof), 409, "TRIANGLE_EXHAUSTED")
    assert message == "triangleId: is subdivided"


async def test_low_accuracy_is_refused(client: httpx.AsyncClient) -> None:
    answer = await submit(client, Walker(1).proof(START_MS, accuracy_m=50.1))
    assert require_refusal(answer, 422, "LOW_GPS_ACCURACY").startswith("accuracy: ")


async def test_a_signature_by_another_key_is_refused(client: httpx.AsyncClient) -> None:
    body = {"payload": Walker(1).proof(START_MS)["payload"], "signature": Walker(2).proof(START_MS)["signature"]}
    assert require_refusal(await submit(client, body), 401, "BAD_SIGNATURE").startswith("signature: ")


async def test_a_point_outside_its_triangle_is_refused(client: httpx.AsyncClient) -> None:
    elsewhere = locate(-33.9, 151.2, 10)
    answer = await submit(client, Walker(1).proof(START_MS, triangle=elsewhere))
    assert require_refusal(answer, 422, "OUT_OF_BOUNDS").startswith("lat, lon: ")


@pytest.mark.parametrize("offset_ms", [120_001, -300_001])
async def test_a_timestamp_far_from_the_nodes_clock_is_refused(client: httpx.AsyncClient, offset_ms: int) -> None:
    answer = await submit(client, Walker(1).proof(START_MS + offset_ms))
    assert require_refusal(answer, 422, "CLOCK_DRIFT").startswith("timestamp: ")


@pytest.mark.parametrize("finalised", [False, True])
async def test_a_nonce_that_was_used_is_refused(node: MadeUpNode, client: httpx.AsyncClient, finalised: bool) -> None:
    walker = Walker(1)
    await submit(client, walker.proof(START_MS - 20_000, nonce="same"))
    if finalised:
        await node.finalise()
    answer = await submit(client, walker.proof(START_MS, nonce="same"))
    assert require_refusal(answer, 409, "NONCE_REPLAY").startswith("nonce: ")


async def test_a_triangle_whose_parent_is_not_subdivided_is_not_found(client: httpx.AsyncClient) -> None:
    answer = await submit(client, Walker(1).proof(START_MS, level=11))
    assert require_refusal(answer, 404, "TRIANGLE_NOT_FOUND").startswith("triangleId: ")


async def test_a_subdivided_triangle_is_exhausted(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    for number in range(1, 12):
        assert (await submit(client, Walker(number).proof(START_MS))).status_code == 202
    await node.finalise()
    answer = await submit(client, Walker(12).proof(START_MS))
    assert require_refusal(answer, 409, "TRIANGLE_EXHAUSTED").startswith("triangleId: ")
    assert (await submit(client, Walker(12).proof(START_MS, level=11))).status_code == 202


async def test_moving_too_fast_and_too_soon_are_refused(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    walker = Walker(1)
    await submit(client, walker.proof(START_MS - 20_000))
    await node.finalise()
    far = await submit(client, walker.proof(START_MS, place=(47.5, 8.5417)))
    assert require_refusal(far, 422, "TOO_FAST").startswith("lat, lon: ")
    soon = await submit(client, walker.proof(START_MS - 10_001))
    assert require_refusal(soon, 422, "MORATORIUM").startswith("timestamp: ")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "body: must be JSON: Expecting value at line 1, column 1"),
        (b'{"payload": ', "body: must be JSON: Expecting value at line 1, column 13"),
        (b"\xff\xfe", "body: must be UTF-8 (byte 0 is not)"),
        (b"\xef\xbb\xbf{}", "body: must be JSON: Unexpected UTF-8 BOM (decode using utf-8-sig) at line 1, column 1"),
        (b"[]", "body: must be a JSON object of payload and signature"),
        (b"{}", "payload: is missing"),
        (b'{"payload": {}}', "signature: is missing"),
        (b'{"payload": {}, "signature": "", "extra": 1}', "'extra': is not a field of a submission"),
        (b'{"payload": {}, "signature": "", "\\ud800": 1}', "'\\ud800': is not a field of a submission"),
        (b'{"payload": {}, "payload": {}}', "body: must not name a field twice in one object"),
        (b'{"payload": NaN}', "body: must be JSON, which has no NaN"),
        (b'{"payload": -Infinity}', "body: must be JSON, which has no -Infinity"),
        (b'{"payload": ' + b"9" * 10_000 + b"}", "body: must not hold a number of thousands of digits"),
        (b"[" * 16_000, "body: must not be nested more than 16 deep"),
        (b'{"payload": ' + b'{"a": [' * 8 + b"]}" * 8 + b"}", "body: must not be nested more than 16 deep"),
        (b'{"payload": "' + b"[" * 99 + b'", "signature": ""}', "payload: must be a JSON object"),
        (b'{"payload": [], "signature": ""}', "payload: must be a JSON object"),
        (b'{"payload": {"a\\ud800": 1}, "signature": ""}', "payload: must have field names that are Unicode text"),
    ],
)
async def test_a_body_of_another_form_is_refused_naming_the_field_and_the_rule(
    client: httpx.AsyncClient, body: bytes, message: str
) -> None:
    answer = await client.post("/proof/submit", content=body)
    assert require_refusal(answer, 400, "INVALID_PAYLOAD").startswith(message)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("lat", "1e999"),
        ("lat", "9" * 400),
        ("lat", "true"),
        ("lat", '"47"'),
        ("lat", "90.00000000000001"),
        ("lon", "-180.1"),
        ("lon", "null"),
        ("accuracy", "0"),
        ("accuracy", "-1"),
        ("timestamp", '"2026-01-01T00:00:00Z"'),
        ("timestamp", "1767225600000"),
        ("nonce", '""'),
        ("nonce", '"a b"'),
        ("nonce", f'"{"n" * 65}"'),
        ("account", '"0x12"'),
        ("triangleId", '"STEP-TRI-v1:A1-00000000000000000000-AAA"'),
        ("triangleId", "[]"),
        ("version", '"STEP-PROOF-v2"'),
    ],
)
async def test_a_field_of_another_form_is_named(client: httpx.AsyncClient, field: str, text: str) -> None:
    proof: dict[str, Any] = dict(Walker(1).proof(START_MS))
    body = json.dumps({**proof, "payload": {**proof["payload"], field: "PLACE"}}).replace('"PLACE"', text)
    answer = await client.post("/proof/submit", content=body)
    assert require_refusal(answer, 400, "INVALID_PAYLOAD").startswith(f"{field}: ")


@pytest.mark.parametrize("wait_ms", ["-1", "30001", "soon", "1e3"])
async def test_an_impossible_wait_is_refused(client: httpx.AsyncClient, wait_ms: str) -> None:
    answer = await client.post("/proof/submit", params={"wait_ms": wait_ms}, json=Walker(1).proof(START_MS))
    assert require_refusal(answer, 400, "INVALID_PAYLOAD").startswith("wait_ms: ")


async def test_refusals_are_counted_by_code(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    await client.post("/proof/submit", content=b"")
    await submit(client, Walker(1).proof(START_MS, accuracy_m=51))

    def counted(code: str) -> float | None:
        return node.registry.get_sample_value("step_proofs_refused_total", {"code": code, "source": "api"})

    assert counted("INVALID_PAYLOAD") == counted("LOW_GPS_ACCURACY") == 1


async def test_a_refused_proof_leaves_no_trace(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    before = node.chain.head
    await submit(client, Walker(1).proof(START_MS, triangle=TriangleId(0, 1, 0)))
    assert len(node.mempool) == 0
    assert await node.journal.waiting() == []
    assert node.chain.head is before


async def test_only_a_proof_that_is_taken_in_is_worth_its_cost(node: MadeUpNode) -> None:
    given_back = 0.0

    def give_back(part: float, /) -> None:
        nonlocal given_back
        given_back += part

    async def charge(cost_ms: float, /) -> None:
        raise AssertionError(f"a single submission is charged {cost_ms} ms more")

    app = create_app(node.services())

    async def counting(scope: Scope, receive: Receive, send: Send) -> None:
        free = AddressQuota(Quotas(0), None)
        bill = ApplicationBill(charge=charge, give_back=give_back, quota=free)
        scope["extensions"] = {BILL_EXTENSION: bill}
        await app(scope, receive, send)

    proof = Walker(1).proof(START_MS)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(counting), base_url="http://node") as client:
        assert (await submit(client, Walker(2).proof(START_MS, accuracy_m=51))).status_code == 422
        assert given_back == 0
        assert (await submit(client, proof)).status_code == 202
        assert given_back == 1
        assert (await submit(client, proof)).status_code == 202
        await node.finalise()
        assert (await submit(client, proof)).status_code == 200
        assert given_back == 1


async def test_both_ways_to_a_submission_give_the_same_answers(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    """The short way takes a plain query; with an escape in it, the same query goes through FastAPI."""
    final, waiting, refused = (Walker(number) for number in (1, 2, 3))
    bodies = {
        "final": json.dumps(final.proof(START_MS)),
        "waiting": json.dumps(waiting.proof(START_MS)),
        "refused": json.dumps(refused.proof(START_MS, accuracy_m=1_000.0)),
        "none": "[]",
        "no JSON": "{",
        "empty": "",
    }
    await client.post("/proof/submit?wait_ms=0", content=bodies["final"])
    await node.finalise()
    for name, body in bodies.items():
        short, long = [await client.post(f"/proof/submit?wait_ms={text}", content=body) for text in ("0", "%30")]
        assert (short.status_code, short.content) == (long.status_code, long.content), name
        assert dict(short.headers) == dict(long.headers), name
    assert len(node.mempool) == 1


async def test_a_query_that_needs_an_explanation_gets_one(client: httpx.AsyncClient) -> None:
    for query, rule in (
        ("wait_ms=1000000000", "wait_ms"),
        ("wait_ms=-1", "wait_ms"),
        ("wait_ms=1&wait_ms=1", "must be given once"),
        ("waitms=1", "is not a parameter of this request"),
    ):
        answer = await client.post(f"/proof/submit?{query}", json=Walker(1).proof(START_MS))
        assert rule in require_refusal(answer, 400, "INVALID_PAYLOAD")
