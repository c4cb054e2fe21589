import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from step_node.proofs.canonical_line import canonical_line
from step_node.proofs.payload import parse_payload
from step_node.proofs.proof import ProofRefused, RefusalCode
from step_node.proofs.timestamps import format_timestamp
from tests.proofs.vectors import VECTORS, Vector, decoded

SIGNATURE = VECTORS[0]["signature"]


def payload_with(**changes: object) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(VECTORS[0]["payloadJson"])
    return payload | changes


def refusal_message(payload: object, signature: object = SIGNATURE) -> str:
    with pytest.raises(ProofRefused) as caught:
        parse_payload(payload, signature)
    assert caught.value.refusal.code is RefusalCode.INVALID_PAYLOAD
    message = caught.value.refusal.message
    assert len(message) < 250
    message.encode()
    return message


@pytest.mark.parametrize("vector", VECTORS)
def test_the_known_answers_have_their_line_and_proof_id(vector: Vector) -> None:
    proof = decoded(vector)
    line = canonical_line(
        proof.account,
        proof.triangle.text,
        proof.lat,
        proof.lon,
        proof.accuracy_m,
        format_timestamp(proof.timestamp_ms),
        proof.nonce,
    )
    assert line == vector["message"]
    assert proof.proof_id.hex() == vector["eip191Hash"][2:]
    assert proof.account.hex() == vector["address"][2:]


@pytest.mark.parametrize("lat", [-0.0, 0, 0.0])
def test_the_zeros_are_one_zero(lat: float) -> None:
    proof = parse_payload(payload_with(lat=lat), SIGNATURE)
    assert math.copysign(1, proof.lat) == 1.0
    assert proof.proof_id == decoded(VECTORS[0]).proof_id


@pytest.mark.parametrize(("v", "normalised"), [("00", 27), ("01", 28), ("1b", 27), ("1C", 28)])
def test_v_is_brought_to_27_or_28(v: str, normalised: int) -> None:
    assert parse_payload(payload_with(), SIGNATURE[:-2] + v).signature[64] == normalised


@pytest.mark.parametrize("v", ["02", "1a", "1d", "ff"])
def test_a_wrong_v_is_left_to_the_signature_gate(v: str) -> None:
    assert parse_payload(payload_with(), SIGNATURE[:-2] + v).signature[64] == int(v, 16)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", "STEP-PROOF-v2"),
        ("version", "STEP-PROOF-v1\n"),
        ("version", 1),
        ("account", "21f48525f0519443119004e8b4e9c7c5cbf30d4d"),
        ("account", "0X21f48525f0519443119004e8b4e9c7c5cbf30d4d"),
        ("account", "0x21f48525f0519443119004e8b4e9c7c5cbf30d4"),
        ("account", "0x21f48525f0519443119004e8b4e9c7c5cbf30d4d\n"),
        ("account", "0x" + "g" * 40),
        ("account", b"\x00" * 20),
        ("triangleId", "STEP-TRI-v1:N11-33230323210000000000-VSA"),
        ("triangleId", "x" * 1_000_000),
        ("triangleId", 7),
        ("lat", "47"),
        ("lat", True),
        ("lat", None),
        ("lat", math.nan),
        ("lat", math.inf),
        ("lat", 90.00000000000001),
        ("lat", -91),
        ("lat", 10**400),
        ("lon", 180.00000000000003),
        ("lon", False),
        ("lon", [1]),
        ("accuracy", 0),
        ("accuracy", -0.0),
        ("accuracy", -1),
        ("accuracy", math.inf),
        ("accuracy", 10**400),
        ("accuracy", "5"),
        ("timestamp", 1_761_000_000_000),
        ("timestamp", "2025-10-20T22:40:00.000Z\n"),
        ("timestamp", "2025-02-30T22:40:00.000Z"),
        ("timestamp", "x" * 1_000_000),
        ("nonce", ""),
        ("nonce", "a" * 65),
        ("nonce", "a\n"),
        ("nonce", "a|b"),
        ("nonce", "é"),
        ("nonce", "٣"),
        ("nonce", "\ud800"),
        ("nonce", 5),
    ],
)
def test_a_field_that_breaks_its_rule_is_named(field: str, value: object) -> None:
    assert refusal_message(payload_with(**{field: value})).startswith(f"{field}: ")


@pytest.mark.parametrize("field", list(payload_with()))
def test_a_missing_field_is_named(field: str) -> None:
    payload = payload_with()
    del payload[field]
    assert refusal_message(payload) == f"{field}: is missing"


def test_an_unknown_field_is_named_but_not_at_any_length() -> None:
    assert refusal_message(payload_with(altitude=3)) == "'altitude': is not a field of STEP-PROOF-v1"
    refusal_message(payload_with(**{"é" * 100_000: 3}))
    refusal_message(payload_with(**{"\ud800": 3}))


@pytest.mark.parametrize("payload", [None, [], "{}", 5, True, [["version", "STEP-PROOF-v1"]]])
def test_a_payload_that_is_no_object_is_refused(payload: object) -> None:
    assert refusal_message(payload) == "payload: must be a JSON object"


@pytest.mark.parametrize(
    "signature",
    [
        None,
        5,
        "",
        SIGNATURE[2:],
        "0X" + SIGNATURE[2:],
        SIGNATURE[:-1],
        SIGNATURE + "0",
        SIGNATURE + "\n",
        "0x" + "z" * 130,
    ],
)
def test_a_signature_that_is_not_65_bytes_in_hex_is_an_error_of_form(signature: object) -> None:
    assert refusal_message(payload_with(), signature).startswith("signature: must be a string of 0x and 130 hex digits")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=5,
)


@given(payload=JSON_VALUES, signature=JSON_VALUES)
def test_arbitrary_json_is_refused_and_raises_nothing_else(payload: object, signature: object) -> None:
    refusal_message(payload, signature)


@given(changes=st.dictionaries(st.sampled_from(list(payload_with())), JSON_VALUES, max_size=3))
def test_arbitrary_values_of_fields_are_accepted_or_refused_and_raise_nothing_else(changes: dict[str, Any]) -> None:
    refusal = None
    try:
        parse_payload(payload_with() | changes, SIGNATURE)
    except ProofRefused as error:
        refusal = error.refusal
    if refusal is not None:
        assert refusal.code is RefusalCode.INVALID_PAYLOAD
        assert refusal.message.partition(":")[0] in changes


def test_a_proof_whose_line_leaves_out_the_position_is_told_why_it_is_none() -> None:
    foreign = {"version": "STEP-PROOF-v2", "account": "0x" + "11" * 20, "triangleId": "T", "deviceId": "d", "lat": 1}
    with pytest.raises(ProofRefused) as refused:
        parse_payload(foreign, SIGNATURE)
    refusal = refused.value.refusal
    assert refusal.code is RefusalCode.INVALID_PAYLOAD
    assert refusal.message.startswith('version: must be the string "STEP-PROOF-v1": the text that STEP-PROOF-v2 signs')
    assert "leaves out the position" in refusal.message
    assert (refusal.details.field, refusal.details.value) == ("version", "STEP-PROOF-v2")
