"""`POST /proof/submit-batch`: three forms of a body, an outcome for each submission in order, and its bounds."""

from __future__ import annotations

import json
from typing import Any

import httpx
import msgpack
import pytest
import trio
from starlette.types import Receive, Scope, Send

from step_node.api.app import create_app
from step_node.api.middleware import body as body_module
from step_node.api.server.bill import BILL_EXTENSION, ApplicationBill
from step_node.api.server.quotas import AddressQuota, Quotas
from step_node.api.submissions.batch import BATCH_SUBMISSIONS_MAX, MESSAGEPACK
from step_node.mempool import backlog
from step_node.proofs.client_signing import SignedPayload
from step_node.proofs.payload import parse_payload
from step_node.proofs.wire import to_wire_fields
from tests.api.made_up_node import START_MS, MadeUpNode, Walker
from tests.api.test_submit import require_refusal, submit

LINES = {"content-type": "application/x-ndjson"}
PACKED = {"content-type": MESSAGEPACK[0]}


async def submit_batch(client: httpx.AsyncClient, submissions: object, wait_ms: int = 0) -> httpx.Response:
    """Submit them as a JSON array."""
    return await client.post("/proof/submit-batch", params={"wait_ms": wait_ms}, json=submissions)


def proofs(number: int) -> list[SignedPayload]:
    """Good submissions, each of an account and in a triangle of its own."""
    return [Walker(1 + each).proof(START_MS - 1, place=(each / 10, each / 10)) for each in range(number)]


def statuses(answer: httpx.Response) -> list[str]:
    """What became of each submission: its status, or the code of its refusal."""
    assert answer.status_code == 200, answer.text
    assert answer.json()["ok"] is True
    return [each.get("code", each["status"]) for each in answer.json()["outcomes"]]


async def test_each_submission_has_the_outcome_that_it_would_have_alone(
    node: MadeUpNode, client: httpx.AsyncClient
) -> None:
    good, inaccurate, known = Walker(1).proof(START_MS), Walker(2).proof(START_MS, accuracy_m=51), proofs(4)[3]
    await submit(client, known)
    await node.finalise()
    forged = {**Walker(3).proof(START_MS), "signature": "0x" + "11" * 64 + "1b"}
    answer = await submit_batch(client, [good, inaccurate, known, {"payload": 1}, good, forged])
    assert statuses(answer) == [
        "pending", "LOW_GPS_ACCURACY", "finalised", "INVALID_PAYLOAD", "pending", "BAD_SIGNATURE",
    ]  # fmt: skip
    outcomes = answer.json()["outcomes"]
    assert outcomes[3] == {
        "ok": False,
        "status": "refused",
        "proofId": None,
        "code": "INVALID_PAYLOAD",
        "message": "signature: is missing",
        "details": {"gate": "form", "field": "signature", "rule": "is missing", "retryable": False},
    }
    alone = require_refusal(await submit(client, inaccurate), 422, "LOW_GPS_ACCURACY")
    assert outcomes[1]["message"] == alone
    assert outcomes[2]["reward"] == (await submit(client, known)).json()["reward"]
    assert outcomes[0]["proofId"] == outcomes[4]["proofId"]
    assert len(node.mempool) == 1
    assert "retry-after" not in answer.headers


async def test_the_three_forms_mean_the_same(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    submissions: list[Any] = [*proofs(3), Walker(4).proof(START_MS, accuracy_m=51), {"payload": {}, "signature": "0x"}]
    fields = [to_wire_fields(parse_payload(each["payload"], each["signature"])) for each in submissions[:4]]
    as_json = await submit_batch(client, submissions)
    assert statuses(as_json) == ["pending", "pending", "pending", "LOW_GPS_ACCURACY", "INVALID_PAYLOAD"]
    lines = "".join(json.dumps(each) + "\n" for each in submissions)
    as_lines = await client.post("/proof/submit-batch", params={"wait_ms": 0}, content=lines, headers=LINES)
    packed = msgpack.packb([*submissions[:2], *fields[2:], submissions[4]])
    as_packed = await client.post("/proof/submit-batch", content=packed, headers=PACKED)
    assert as_json.json() == as_lines.json() == as_packed.json()
    assert len(node.mempool) == 3


async def test_a_waiting_client_is_answered_when_the_last_of_them_is_final(
    node: MadeUpNode, client: httpx.AsyncClient
) -> None:
    answers: list[httpx.Response] = []
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            answers.append(await submit_batch(client, proofs(300), wait_ms=20_000))

        nursery.start_soon(wait)
        while not node.waiters and not answers:
            await trio.lowlevel.checkpoint()
        await node.finalise()
    assert statuses(answers[0]) == ["finalised"] * 300
    first = answers[0].json()["outcomes"][0]
    assert (first["status"], first["height"], first["unit"]) == ("finalised", 1, "STEP")


@pytest.mark.parametrize(
    ("body", "headers", "rule"),
    [
        (b"", {}, "body: must be JSON"),
        (b"{}", {}, "body: must be a JSON array of submissions"),
        (b"[]", {}, "body: must hold 1 to 1000 submissions"),
        (b"[" + b"1," * BATCH_SUBMISSIONS_MAX + b"1]", {}, "body: must hold 1 to 1000 submissions"),
        (b"[" + b"{},{}," * BATCH_SUBMISSIONS_MAX + b"{}]", {}, "each of two objects and no array"),
        (b"[" + b"[]," * BATCH_SUBMISSIONS_MAX + b"1]", {}, "each of two objects and no array"),
        (b"", LINES, "body: must hold 1 to 1000 submissions"),
        (b"{}\n" * (BATCH_SUBMISSIONS_MAX + 1), LINES, "body: must hold 1 to 1000 submissions"),
        (b"{}\n" * 3_000, LINES, "body: must hold 1 to 1000 submissions"),
        (b"", PACKED, "body: must be one MessagePack array of submissions"),
        (b"\x90", PACKED, "body: must hold 1 to 1000 submissions"),
        (b"\xdd\xff\xff\xff\xff", PACKED, "body: must hold 1 to 1000 submissions"),
        (b"\xdc\x03\xe9" + b"\x01" * 1_001, PACKED, "body: must hold 1 to 1000 submissions"),
        (b"\x93\x01", PACKED, "body: must be one MessagePack array of submissions"),
        (b"\x91\x01\x01", PACKED, "body: must be one MessagePack array of submissions"),
        (b"\x91" + b"\x91" * 3_000 + b"\x01", PACKED, "body: must be one MessagePack array of submissions"),
        (b"\x81\x01\x01", PACKED, "body: must be one MessagePack array of submissions"),
    ],
)
async def test_a_body_that_is_not_of_its_form_is_refused_as_a_whole(
    client: httpx.AsyncClient, body: bytes, headers: dict[str, str], rule: str
) -> None:
    answer = await client.post("/proof/submit-batch", content=body, headers=headers)
    assert rule in require_refusal(answer, 400, "INVALID_PAYLOAD")


@pytest.mark.parametrize(
    ("item", "rule"),
    [
        (b"\x01", "submission: must be an object of payload and signature"),
        (b"\x82\xa1x\x01\xa1x\x01", "no field may stand twice"),
        (b"\xd6\xff\x00\x00\x00\x00", "without extensions"),
        (b"\x90", "proof: must be an array of 8"),
        (b"\xc5\x08\x00" + bytes(2_048), "must have at most 2048 bytes"),
        (b"\x83\xa7payload\x01\xa9signature\x01\xc4\x01\xff\x01", "is not a field of a submission"),
    ],
)
async def test_a_packed_submission_that_is_not_of_its_form_costs_only_itself(
    client: httpx.AsyncClient, item: bytes, rule: str
) -> None:
    good = msgpack.packb(Walker(1).proof(START_MS))
    answer = await client.post("/proof/submit-batch", content=b"\x92" + item + good, headers=PACKED)
    assert statuses(answer) == ["INVALID_PAYLOAD", "pending"]
    assert rule in answer.json()["outcomes"][0]["message"]


async def test_a_line_that_is_not_of_its_form_costs_only_itself(client: httpx.AsyncClient) -> None:
    good = json.dumps(Walker(1).proof(START_MS)).encode()
    lines = [b'{"payload":1,"payload":2}', b"", b" " * 17_000 + b"1", good]
    answer = await client.post("/proof/submit-batch", content=b"\n".join(lines), headers=LINES)
    assert statuses(answer) == ["INVALID_PAYLOAD"] * 3 + ["pending"]
    messages = [each.get("message") for each in answer.json()["outcomes"]]
    assert "twice" in messages[0]
    assert "must be JSON" in messages[1]
    assert "at most 16384 bytes" in messages[2]


async def test_those_that_find_no_room_are_refused_for_now_and_the_others_are_taken_in(
    client: httpx.AsyncClient,
) -> None:
    # A triangle has eleven clicks, and all of them prove the same one.
    many = [Walker(1 + each).proof(START_MS) for each in range(14)]
    answer = await submit_batch(client, many)
    assert statuses(answer) == ["pending"] * 11 + ["RATE_LIMITED"] * 3
    assert answer.headers["retry-after"] == "1"
    again = await submit_batch(client, many[-1:])
    require_refusal(again, 429, "RATE_LIMITED")
    assert again.headers["retry-after"] == "1"


async def test_a_body_may_be_long_and_no_longer(client: httpx.AsyncClient) -> None:
    padded = b"[" + json.dumps(Walker(1).proof(START_MS)).encode() + b" " * 100_000 + b"]"
    assert statuses(await client.post("/proof/submit-batch", content=padded)) == ["pending"]
    answer = await client.post("/proof/submit-batch", content=b" " * (body_module.BATCH_BODY_BYTES_MAX + 1))
    assert "1048576 bytes" in require_refusal(answer, 413, "PAYLOAD_TOO_LARGE")
    answer = await client.post("/proof/submit", content=b" " * (body_module.BODY_BYTES_MAX + 1))
    assert "16384 bytes" in require_refusal(answer, 413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize(
    ("bound", "status", "code"),
    [("HELD_BYTES_PER_ADDRESS_MAX", 429, "RATE_LIMITED"), ("HELD_BYTES_MAX", 503, "NOT_READY")],
)
async def test_what_bodies_hold_at_once_is_bounded_and_let_go_with_the_answer(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, bound: str, status: int, code: str
) -> None:
    body = json.dumps(proofs(3)).encode()
    monkeypatch.setattr(body_module, bound, len(body))
    for _ in range(3):
        assert statuses(await client.post("/proof/submit-batch", content=body)) == ["pending"] * 3
    require_refusal(await client.post("/proof/submit-batch", content=body + b" "), status, code)
    assert statuses(await client.post("/proof/submit-batch", content=body)) == ["pending"] * 3


async def test_what_is_taken_in_is_given_back_in_proportion(node: MadeUpNode) -> None:
    charged: list[float] = []
    given_back: list[float] = []

    async def charge(cost_ms: float, /) -> None:
        charged.append(cost_ms)

    app = create_app(node.services())

    async def counting(scope: Scope, receive: Receive, send: Send) -> None:
        free = AddressQuota(Quotas(0), None)
        bill = ApplicationBill(charge=charge, give_back=given_back.append, quota=free)
        scope["extensions"] = {BILL_EXTENSION: bill}
        await app(scope, receive, send)

    good = Walker(1).proof(START_MS)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(counting), base_url="http://node") as client:
        # Twice the same is one proof; what is refused is not given back.
        await submit_batch(client, [good, good, Walker(2).proof(START_MS, accuracy_m=51), {}])
        assert len(charged) == 2
        assert given_back == [1 / 4]
        await submit_batch(client, [good])
        assert given_back == [1 / 4, 0]


async def test_while_more_waits_than_the_chain_keeps_up_with_requests_are_refused_unread(
    node: MadeUpNode, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "BACKLOG_PROOFS_MIN", 2)
    first = await submit_batch(client, proofs(3))
    assert statuses(first) == ["pending", "pending", "MEMPOOL_FULL"]
    assert first.headers["retry-after"] == str(backlog.RETRY_SECONDS_MAX)
    for path in ("/proof/submit", "/proof/submit-batch"):
        refused = await client.post(path, content=b"no JSON")
        assert "try again in 30 s" in require_refusal(refused, 503, "MEMPOOL_FULL")
        assert refused.headers["retry-after"] == "30"
    await node.finalise()
    require_refusal(await client.post("/proof/submit-batch", content=b"no JSON"), 400, "INVALID_PAYLOAD")
