"""The JavaScript client writes, signs and recovers the lines of the vectors."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from step_node.operations.client_signing import transfer
from step_node.operations.json_form import parse_operation
from step_node.operations.operation import operation_id
from step_node.proofs.client_signing import sign_payload
from step_node.proofs.payload import parse_payload
from tests.javascript.node import ROOT, evaluate

SIGNED: list[dict[str, Any]] = json.loads((ROOT / "tests" / "vectors" / "proof_signatures.json").read_text())
KEY = "0x" + "1".rjust(64, "0")


def test_every_line_digest_and_signer_is_that_of_the_vectors() -> None:
    found = evaluate(
        "given.map(({ payloadJson, signature }) => { const payload = JSON.parse(payloadJson); const line ="
        " step.proofLine(payload); return [line, step.proofId(payload), step.recoverAccount(line, signature)]; })",
        SIGNED,
    )
    assert found == [[one["message"], one["eip191Hash"], one["address"]] for one in SIGNED]


def test_a_key_signs_what_a_node_accepts_and_the_same_bytes_as_python() -> None:
    signed = evaluate(
        "step.signProof(step.privateKeySigner(given), { triangleId: step.locate(47.3769, 8.5417, 10), lat: 47.3769,"
        " lon: 8.5417, accuracy: 5, timestamp: Date.UTC(2026, 0, 31, 12), nonce: 'n-1' })",
        KEY,
    )
    proof = parse_payload(signed["payload"], signed["signature"])
    expected = sign_payload(bytes.fromhex(KEY[2:]), proof.triangle, 47.3769, 8.5417, 5.0, proof.timestamp_ms, "n-1")
    assert signed["signature"] == expected["signature"]
    assert signed["payload"]["account"] == expected["payload"]["account"]


def test_a_transfer_is_signed_as_by_python() -> None:
    to = "0x" + "Ab" * 20
    for amount, memo in (("1.5", ""), ("0.000001", "rent|memo:é"), ("9007199254.740991", "x" * 64), ("12", "…")):
        given = {
            "key": KEY,
            "transfer": {"chainId": "step-test-1", "sequence": 7, "to": to, "amount": amount, "memo": memo},
        }
        signed = evaluate("step.signTransfer(step.privateKeySigner(given.key), given.transfer)", given)
        operation = parse_operation("transfer", signed["form"])
        expected = transfer(
            owner_key=bytes.fromhex(KEY[2:]),
            chain_id="step-test-1",
            sequence=7,
            to=bytes.fromhex(to[2:]),
            amount_ustep=int(Decimal(amount) * 1_000_000),
            memo=memo,
        )
        assert operation == expected
        assert signed["operationId"] == f"0x{operation_id(expected, 'step-test-1').hex()}"


def test_a_signature_that_nodes_refuse_is_nobodys() -> None:
    one = SIGNED[0]
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    bytes_of = bytes.fromhex(one["signature"][2:])
    high_s = bytes_of[:32] + (order - int.from_bytes(bytes_of[32:64], "big")).to_bytes(32, "big")
    wrong = [
        high_s + bytes([bytes_of[64] ^ 7]),  # 27 and 28 exchanged: the same key's, with s in the upper half.
        bytes_of[:64] + b"\x1d",
        bytes_of[:64] + b"\x02",
        bytes(32) + bytes_of[32:],
        bytes_of[:32] + bytes(32) + bytes_of[64:],
        b"\xff" * 32 + bytes_of[32:],
    ]
    lines = ["0x" + each.hex() for each in wrong] + [one["signature"][:-1], one["signature"] + "0", "zz", ""]
    assert evaluate("given.signatures.map((each) => step.recoverAccount(given.line, each))", {
        "line": one["message"], "signatures": lines,
    }) == [None] * len(lines)  # fmt: skip
    assert evaluate("step.recoverAccount(given[0], given[1])", [one["message"], one["signature"]]) == one["address"]
