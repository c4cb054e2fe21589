"""The OpenAPI description, as the author of a client reads it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from scripts.http_reference import PAGE, reference
from step_node.api.documentation import refusals
from step_node.api.models.schema import EXAMPLE_ADDRESS, EXAMPLE_PROOF_ID, EXAMPLE_SUBMISSION, EXAMPLE_TRIANGLE
from step_node.parameters import Parameters
from step_node.proofs.gates import check_stateless
from step_node.proofs.payload import parse_payload
from step_node.proofs.proof import RefusalCode


@pytest.fixture
async def description(client: httpx.AsyncClient) -> dict[str, Any]:
    """`/openapi.json`."""
    document: dict[str, Any] = (await client.get("/openapi.json")).json()
    return document


async def test_every_route_of_the_protocol_is_described(description: dict[str, Any]) -> None:
    routes = {f"{method.upper()} {path}" for path, found in description["paths"].items() for method in found}
    assert routes == {
        "POST /proof/submit",
        "POST /proof/submit-batch",
        "GET /proof/status/{proofId}",
        "GET /proof/config",
        "GET /account/{address}",
        "GET /account/{address}/proofs",
        "GET /account/{address}/transactions",
        "POST /account/transfer",
        "GET /operation/{operationId}",
        "GET /account/{address}/proofs.csv",
        "GET /triangle/{id}",
        "GET /triangle/{id}/proofs",
        "GET /batches",
        "GET /batch/latest",
        "GET /events",
        "GET /leaderboard",
        "GET /fairness",
        "GET /fairness/{epoch}",
        "GET /fairness/{epoch}/drift",
        "GET /trending",
        "GET /upgrade",
        "POST /validator/approve-upgrade",
        "POST /validator/cancel-upgrade",
        "GET /mesh/triangleAt",
        "GET /mesh/polygon/{id}",
        "GET /mesh/children/{id}",
        "GET /mesh/parent/{id}",
        "GET /mesh/info/{id}",
        "GET /mesh/search",
        "GET /mesh/nearest",
        "GET /mesh/nearby",
        "GET /mesh/active",
        "GET /mesh/stats",
        "GET /validators",
        "GET /validators/{address}",
        "GET /evidence",
        "POST /validator/register",
        "POST /validator/unbond",
        "POST /validator/withdraw",
        "POST /validator/rotate-key",
        "POST /validator/set-address",
        "GET /proof/{proofId}/receipt",
        "GET /operation/{operationId}/receipt",
        "GET /batch/{height}",
        "GET /status",
        "GET /status/history",
        "GET /health",
        "GET /health/live",
        "GET /health/ready",
        "GET /consensus",
        "GET /guardrails",
        "GET /plausibility/accounts/{address}",
        "GET /plausibility/triangles/{id}",
        "GET /metrics",
        "GET /",
        "GET /genesis",
    }


async def test_the_reference_in_the_documents_is_made_of_it(description: dict[str, Any]) -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(description), "run `python -m scripts.http_reference`"


async def test_every_route_has_a_summary_a_tag_a_name_and_described_answers(description: dict[str, Any]) -> None:
    operations = [operation for found in description["paths"].values() for operation in found.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        assert operation["summary"]
        assert operation["description"]
        assert operation["tags"]
        assert {"413", "500"} <= operation["responses"].keys()
        assert {"200", "202"} & operation["responses"].keys()
        for status, answer in operation["responses"].items():
            if status == "304":
                continue  # It has no body.
            media_type, content = next(iter(answer["content"].items()))
            schema = content["schema"]
            is_plain = schema == {"type": "string"} or media_type == "text/event-stream"
            assert "$ref" in schema or "anyOf" in schema or is_plain, (operation, status)


async def test_nothing_is_announced_that_the_framework_would_have_answered(description: dict[str, Any]) -> None:
    assert not {"HTTPValidationError", "ValidationError"} & description["components"]["schemas"].keys()


async def test_a_submission_announces_every_code_of_the_protocol(description: dict[str, Any]) -> None:
    answers = description["paths"]["/proof/submit"]["post"]["responses"].values()
    announced = {code for answer in answers for code in answer["content"]["application/json"].get("examples", ())}
    assert announced >= {code.value for code in RefusalCode}


def test_the_example_of_a_submission_is_a_real_proof() -> None:
    payload: Any = EXAMPLE_SUBMISSION["payload"]
    proof = parse_payload(payload, str(EXAMPLE_SUBMISSION["signature"]))
    assert check_stateless(proof, Parameters()) is None
    assert f"0x{proof.proof_id.hex()}" == EXAMPLE_PROOF_ID
    assert f"0x{proof.account.hex()}" == EXAMPLE_ADDRESS
    assert proof.triangle.text == EXAMPLE_TRIANGLE


def test_codes_of_one_status_are_told_apart_by_their_examples() -> None:
    (answer,) = refusals(RefusalCode.TOO_FAST, RefusalCode.MORATORIUM).values()
    assert answer["description"] == "`TOO_FAST` or `MORATORIUM`"
    assert answer["content"]["application/json"]["examples"].keys() == {"TOO_FAST", "MORATORIUM"}
