"""What clients can read: the status of proofs, accounts with their histories, triangles, batches, the mesh."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgpack
import pytest

from mesh import TriangleId, locate
from step_node.crypto.lines import recover_signer
from step_node.explanations.details import Details
from step_node.proofs.proof import Refusal, RefusalCode
from step_node.storage.memory import MemoryStorage
from tests.api.made_up_node import CHAIN_ID, START_MS, ZURICH, MadeUpNode, Walker
from tests.api.test_submit import require_refusal, submit


async def read(client: httpx.AsyncClient, path: str, **parameters: str | int) -> dict[str, Any]:
    """A successful answer."""
    answer = await client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    assert document["ok"] is True
    return document


async def test_the_status_of_a_proof_follows_it(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    submitted = await submit(client, Walker(1).proof(START_MS))
    proof_id = submitted.json()["proofId"]
    assert await read(client, f"/proof/status/{proof_id}") == submitted.json()
    await node.finalise()
    assert await read(client, f"/proof/status/{proof_id.upper().replace('0X', '0x')}") == {
        "ok": True,
        "proofId": proof_id,
        "status": "finalised",
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
        "index": 0,
        "processedAt": "2026-01-01T00:00:00.000Z",
    }


async def test_the_status_of_a_dropped_proof_tells_the_gate(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    proof_id = (await submit(client, Walker(1).proof(START_MS))).json()["proofId"]
    details = Details(value=300_001, limit=300_000, unit="ms", drift_ms=-300_001)
    await node.drop(bytes.fromhex(proof_id[2:]), Refusal(RefusalCode.CLOCK_DRIFT, "timestamp: too old", details))
    assert await read(client, f"/proof/status/{proof_id}") == {
        "ok": True,
        "proofId": proof_id,
        "status": "dropped",
        "code": "CLOCK_DRIFT",
        "message": "timestamp: too old",
        "details": {
            "gate": "clock",
            "field": "timestamp",
            "rule": "too old",
            "value": 300_001,
            "limit": 300_000,
            "unit": "ms",
            "retryable": False,
            "serverTime": "2026-01-01T00:00:00.000Z",
            "driftMs": -300_001,
        },
    }


async def test_a_proof_that_nobody_submitted_is_not_found(client: httpx.AsyncClient) -> None:
    require_refusal(await client.get(f"/proof/status/0x{'ab' * 32}"), 404, "PROOF_NOT_FOUND")


@pytest.mark.parametrize("proof_id", ["0x12", "ab" * 32, f"0x{'g' * 64}", f"0x{'ab' * 33}"])
async def test_what_is_no_proof_id_is_refused(client: httpx.AsyncClient, proof_id: str) -> None:
    message = require_refusal(await client.get(f"/proof/status/{proof_id}"), 400, "INVALID_PAYLOAD")
    assert message.startswith("proofId: ")


async def test_the_configuration_names_the_rules(client: httpx.AsyncClient) -> None:
    assert await read(client, "/proof/config") == {
        "ok": True,
        "timestamp": "2026-01-01T00:00:00.000Z",
        "CHAIN_ID": CHAIN_ID,
        "PROOF_VERSION": "STEP-PROOF-v1",
        "GPS_MAX_ACCURACY_M": 50,
        "PROOF_SPEED_LIMIT_MPS": 15,
        "PROOF_SPEED_HORIZON_MS": 3_600_000,
        "PROOF_MORATORIUM_MS": 10_000,
        "PROOF_CLOCK_DRIFT_MS": 120_000,
        "PROOF_MAX_AGE_MS": 300_000,
        "ACCOUNT_WAITING_PROOFS_MAX": 64,
        "SEEDED_LEVEL": 10,
        "LEVEL_MAX": 21,
        "SUBDIVISION_CLICKS": 11,
        "EXHAUSTION_CLICKS": 28,
        "BATCH_INTERVAL_MS": 1_000,
        "WAIT_MS_DEFAULT": 5_000,
        "WAIT_MS_MAX": 30_000,
        "BODY_BYTES_MAX": 16_384,
        "BATCH_BODY_BYTES_MAX": 1_048_576,
        "BATCH_SUBMISSIONS_MAX": 1_000,
        "SUBMISSIONS_PER_MINUTE": None,
        "ACCOUNT_SUBMISSIONS_PER_MINUTE": None,
    }


async def test_an_account_shows_its_balance_rank_and_last_proof(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    richer, poorer = Walker(1), Walker(2)
    await submit(client, richer.proof(START_MS - 1, level=1))
    await submit(client, poorer.proof(START_MS))
    await node.finalise()
    account = await read(client, f"/account/{richer.address_text}")
    assert account == {
        "ok": True,
        "account": richer.address_text,
        "balance": "1.000000",
        "unit": "STEP",
        "proofs": 1,
        "rank": 1,
        "lastProof": {"timestamp": "2025-12-31T23:59:59.999Z", "lat": ZURICH[0], "lon": ZURICH[1]},
        "nextSequence": 0,
        "totalProofs": 1,
        "lastProofAt": "2025-12-31T23:59:59.999Z",
        "transactions": account["transactions"],
    }
    assert [(one["type"], one["reward"]) for one in account["transactions"]] == [("proof", "1.000000")]
    leaderboard = await read(client, "/leaderboard", limit=2)
    assert [(one["rank"], one["account"], one["balance"]) for one in leaderboard["accounts"]] == [
        (1, richer.address_text, "1.000000"),
        (2, poorer.address_text, "0.001953"),
    ]
    assert len((await read(client, "/leaderboard", limit=1))["accounts"]) == 1


async def test_an_account_that_was_never_paid_has_nothing_yet(client: httpx.AsyncClient) -> None:
    account = await read(client, "/account/0x" + "AB" * 20)
    assert account == {
        "ok": True,
        "account": "0x" + "ab" * 20,
        "balance": "0.000000",
        "unit": "STEP",
        "proofs": 0,
        "rank": None,
        "lastProof": None,
        "nextSequence": 0,
        "totalProofs": 0,
        "lastProofAt": None,
        "transactions": [],
    }


async def test_the_pages_of_a_history_hold_every_proof_once_newest_first(
    node: MadeUpNode, client: httpx.AsyncClient
) -> None:
    walker = Walker(1)
    submitted = []
    for number in range(5):
        node.clock.time_ms = START_MS + number * 10_000
        submitted.append((await submit(client, walker.proof(node.clock.time_ms))).json()["proofId"])
        if number % 2:
            await node.finalise()
    await node.finalise()
    path = f"/account/{walker.address_text}/proofs"
    paged: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = await read(client, path, limit=2, **cursor)
        paged += page["proofs"]
        if page["nextCursor"] is None:
            break
        assert len(page["proofs"]) == 2
        cursor = {"before": page["nextCursor"]}
    assert [entry["proofId"] for entry in paged] == submitted[::-1]
    assert paged == (await read(client, path))["proofs"]
    assert paged[-1] == {
        "proofId": submitted[0],
        "height": 1,
        "index": 0,
        "triangleId": locate(*ZURICH, 10).text,
        "level": 10,
        "lat": ZURICH[0],
        "lon": ZURICH[1],
        "accuracy": 5.0,
        "timestamp": "2026-01-01T00:00:00.000Z",
        "nonce": "walk-1",
        "reward": "0.001953",
        "unit": "STEP",
        "clicks": 1,
        "balance": "0.001953",
        "processedAt": "2026-01-01T00:00:10.000Z",
    }


@pytest.mark.parametrize("parameters", ["limit=0", "limit=101", "limit=x", "before=", "before=AAAA", "before=%2B" * 16])
async def test_an_impossible_page_is_refused(client: httpx.AsyncClient, parameters: str) -> None:
    answer = await client.get(f"/account/0x{'ab' * 20}/proofs?{parameters}")
    assert require_refusal(answer, 400, "INVALID_PAYLOAD").startswith(f"{parameters.partition('=')[0]}: ")


async def test_an_untouched_seeded_triangle_is_active(client: httpx.AsyncClient) -> None:
    triangle = locate(*ZURICH, 10)
    assert triangle.parent is not None
    assert await read(client, f"/triangle/{triangle.text}") == {
        "ok": True,
        "triangleId": triangle.text,
        "level": 10,
        "state": "active",
        "clicks": 0,
        "reward": "0.001953",
        "parentId": triangle.parent.text,
    }
    assert (await read(client, f"/triangle/{TriangleId(0, 1, 0).text}"))["parentId"] is None


async def test_a_triangle_comes_into_being_when_its_parent_is_subdivided(
    node: MadeUpNode, client: httpx.AsyncClient
) -> None:
    triangle, child = locate(*ZURICH, 10), locate(*ZURICH, 11)
    message = require_refusal(await client.get(f"/triangle/{child.text}"), 404, "TRIANGLE_NOT_FOUND")
    assert message.startswith("id: ")
    for number in range(1, 12):
        await submit(client, Walker(number).proof(START_MS))
    await node.finalise()
    parent = await read(client, f"/triangle/{triangle.text}")
    assert (parent["state"], parent["clicks"]) == ("subdivided", 11)
    born = await read(client, f"/triangle/{child.text}")
    assert (born["state"], born["clicks"], born["parentId"]) == ("active", 0, triangle.text)


async def test_what_is_no_triangle_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.get("/triangle/STEP-TRI-v1:A1-00000000000000000000-AAA")
    assert require_refusal(answer, 400, "INVALID_PAYLOAD").startswith("id: checksum: ")


def identity_of(header: dict[str, Any]) -> str:
    """The recipe of docs/receipts.md, by nothing but what the answer says."""
    moment = datetime.fromisoformat(header["timestamp"])
    fields = {
        "version": 1,
        "chain_id": header["chainId"],
        "height": header["height"],
        "round": header["round"],
        "proposer": bytes.fromhex(header["proposer"][2:]),
        "timestamp_ms": (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1),
        **{
            name: bytes.fromhex(header[field][2:])
            for name, field in (
                ("previous_batch_hash", "previousBatchHash"),
                ("validator_set_hash", "validatorSetHash"),
                ("state_root", "stateRoot"),
                ("proof_ids_root", "proofIdsRoot"),
                ("proofs_root", "proofsRoot"),
                ("receipts_root", "receiptsRoot"),
            )
        },
        "receipts_size": header["receiptsSize"],
        "body_hash": bytes.fromhex(header["bodyHash"][2:]),
    }
    return "0x" + hashlib.sha256(msgpack.packb(fields)).hexdigest()


async def test_a_batch_shows_all_that_its_hash_is_made_of_and_who_signed_it(
    node: MadeUpNode, client: httpx.AsyncClient
) -> None:
    proof_id = (await submit(client, Walker(1).proof(START_MS))).json()["proofId"]
    await node.finalise()
    batch = await read(client, "/batch/1")
    proposer = f"0x{node.chain.validators.proposer(1, 0).address.hex()}"
    assert batch["batchHash"] == f"0x{node.chain.head.chain.batch_hash.hex()}"
    assert batch["proofIds"] == [proof_id]
    header = batch["header"]
    assert identity_of(header) == batch["batchHash"]
    (signed,) = batch["commit"]["signatures"]
    assert (batch["commit"]["round"], signed["validator"]) == (0, proposer)
    line = f"STEP-PRE-COMMIT-v1|chain:{CHAIN_ID}|height:1|round:0|batch:{batch['batchHash']}"
    assert recover_signer(line, bytes.fromhex(signed["signature"][2:])) == bytes.fromhex(proposer[2:])
    assert header["previousBatchHash"] == f"0x{node.chain.genesis.hash.hex()}"
    assert (header["chainId"], header["height"], header["proposer"]) == (CHAIN_ID, 1, proposer)
    require_refusal(await client.get("/batch/2"), 404, "BATCH_NOT_FOUND")


async def test_a_batch_from_before_the_snapshot_that_a_node_joined_from_is_not_there_for_good(
    node: MadeUpNode, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        await submit(client, Walker(number).proof(START_MS))
        await node.finalise()
    assert isinstance(node.storage, MemoryStorage)
    monkeypatch.delitem(node.storage._batches, 1)
    message = require_refusal(await client.get("/batch/1"), 404, "BATCH_NOT_FOUND")
    assert "has batches from height 2 on" in message
    assert (await read(client, "/batch/2"))["height"] == 2
    assert "the last is 2" in require_refusal(await client.get("/batch/3"), 404, "BATCH_NOT_FOUND")


@pytest.mark.parametrize("height", ["0", "-1", "x", str(2**63), "9" * 5_000])
async def test_an_impossible_height_is_refused(client: httpx.AsyncClient, height: str) -> None:
    assert require_refusal(await client.get(f"/batch/{height}"), 400, "INVALID_PAYLOAD").startswith("height: ")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/account/0xab", "address: must be 0x and 40 hex digits"),
        ("/proof/status/7", "proofId: must be 0x and 64 hex digits"),
        ("/leaderboard?limit=0", "limit: must be greater than or equal to 1"),
        ("/mesh/triangleAt?lat=0&lon=0", "level: is missing"),
        ("/batch/x", "height: must be a whole number in plain digits, such as 47"),
    ],
)
async def test_a_parameters_rule_is_told_in_words(client: httpx.AsyncClient, path: str, message: str) -> None:
    assert require_refusal(await client.get(path), 400, "INVALID_PAYLOAD") == message


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("GET", "/leaderboard?limits=3", "'limits': is not a parameter of this request; the parameters here are limit"),
        (
            "POST",
            "/proof/submit?waitms=0",
            "'waitms': is not a parameter of this request; the parameters here are wait",
        ),
        ("GET", "/status?pretty", "'pretty': is not a parameter of this request; there are no parameters here"),
        ("GET", "/status?a%C3%A4%00=1", r"'a\xe4\x00': is not a parameter"),
        ("GET", "/leaderboard?limit=3&limit=3", "limit: must be given once"),
        ("GET", "/mesh/triangleAt?lat=4_7&lon=8&level=1", "lat: must be a number as JSON has them"),
        ("GET", "/mesh/triangleAt?lat=47&lon=8&level=1_0", "level: must be an integer from 1 to 21, or active"),
        ("GET", "/mesh/triangleAt?lat=%2047&lon=8&level=1", "lat: must be a number as JSON has them"),
        *(
            ("GET", f"/mesh/triangleAt?lat={text}&lon=8&level=1", "lat: must be a number as JSON has them")
            for text in ("%2B47", "0x2f", "1e999", "-1e999", "nan", "Infinity", "047", ".5", "5.", "47%0A", "٤٧", "")
        ),
        *(
            ("GET", f"/leaderboard?limit={text}", "limit: must be a whole number in plain digits")
            for text in ("%2B3", "3.0", "3e0", "03", "-0_1", "%203", "", "9" * 41)
        ),
        *(
            ("GET", f"/mesh/triangleAt?lat=47&lon=8&level=1&includePolygon={text}", "includePolygon: must be true or")
            for text in ("1", "yes", "True", "TRUE", "on", "t", "", "true%20")
        ),
        ("GET", "/batch/1_0", "height: must be a whole number in plain digits"),
        ("GET", "/mesh/triangleAt?lat=0&lon=0&level=1&lat=1", "lat: must be given once"),
    ],
)
async def test_a_parameter_that_is_unknown_or_twice_there_or_no_plain_number_is_refused(
    client: httpx.AsyncClient, method: str, path: str, message: str
) -> None:
    assert require_refusal(await client.request(method, path), 400, "INVALID_PAYLOAD").startswith(message)


@pytest.mark.parametrize(
    "path", ["/health", "/status", "/leaderboard?limit=3", "/metrics", "/nowhere", "/docs", "/", "/openapi.json"]
)
async def test_head_answers_what_get_does_less_the_body(client: httpx.AsyncClient, path: str) -> None:
    get, head = await client.get(path), await client.head(path)
    assert head.content == b""
    assert head.status_code == get.status_code
    assert head.headers["content-type"] == get.headers["content-type"]
    if path != "/metrics":  # It counts itself.
        assert head.headers["content-length"] == get.headers["content-length"] != "0"


async def test_only_what_is_allowed_is_named_so(client: httpx.AsyncClient) -> None:
    assert (await client.head("/proof/submit")).status_code == 405
    answer = await client.post("/health")
    require_refusal(answer, 405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
