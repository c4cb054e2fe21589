"""Whoever signs, the same line is signed; and a position that must not be signed is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from mesh import TriangleId, locate
from step_node.client.errors import BadPosition
from step_node.client.position import Position
from step_node.client.signing import KeySigner, WalletSigner, sign_submission, signer_of
from step_node.crypto import eip191
from step_node.parameters import Parameters
from step_node.proofs.client_signing import unsigned_payload
from step_node.proofs.gates import check_stateless
from step_node.proofs.payload import parse_payload
from step_node.proofs.timestamps import parse_timestamp
from tests.client.scripted import KEY, NOW_MS, ZURICH

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "proof_signatures.json").read_text())


def test_a_key_an_account_of_eth_account_and_a_function_sign_alike() -> None:
    account = Account.from_key(KEY)
    signers = [
        signer_of(KEY),
        signer_of(KEY.hex()),
        signer_of(f"0x{KEY.hex()}"),
        signer_of(account),
        signer_of(WalletSigner(account.address, lambda line: eip191.sign(line, KEY))),
    ]
    here = Position(*ZURICH, 5)
    signed = {
        (one.proof_id, one.account, one.body)
        for one in (sign_submission(signer, here, timestamp_ms=NOW_MS, level=10, nonce="n") for signer in signers)
    }
    assert len(signed) == 1


@pytest.mark.parametrize("vector", VECTORS, ids=range(len(VECTORS)))
def test_the_known_payloads_have_their_known_lines_and_ids(vector: dict[str, str]) -> None:
    known = json.loads(vector["payloadJson"])
    unsigned = unsigned_payload(
        bytes.fromhex(known["account"][2:]),
        TriangleId.parse(known["triangleId"]),
        known["lat"],
        known["lon"],
        known["accuracy"],
        parse_timestamp(known["timestamp"]),
        known["nonce"],
    )
    assert (unsigned.line, f"0x{unsigned.proof_id.hex()}") == (vector["message"], vector["eip191Hash"])


@given(
    st.floats(-90, 90), st.floats(-180, 180).filter(lambda lon: abs(lon) > 1e-6), st.floats(0.1, 50), st.integers(1, 21)
)
def test_whatever_is_signed_passes_the_gates_that_need_no_ledger(
    lat: float, lon: float, accuracy_m: float, level: int
) -> None:
    position = Position(lat, lon, accuracy_m)
    signed = sign_submission(KeySigner(KEY), position, timestamp_ms=NOW_MS, level=level)
    proof = parse_payload(signed.document["payload"], signed.document["signature"])
    assert check_stateless(proof, Parameters()) is None
    assert f"0x{proof.proof_id.hex()}" == signed.proof_id
    assert signed.triangle_id == locate(proof.lat, proof.lon, level).text
    assert abs(proof.lat - lat) <= 0.5e-7 + 1e-12
    assert round(proof.lat, 7) == proof.lat


@pytest.mark.parametrize("key", [b"\1" * 31, "zz" * 32, "12", bytes(32), "0x" + "ff" * 32])
def test_what_is_no_key_is_refused_without_being_shown(key: bytes | str) -> None:
    with pytest.raises(ValueError, match=r"key|secret|Secret") as error:
        signer_of(key)
    assert str(key) not in str(error.value)


def test_a_signer_shows_no_key_and_a_submission_no_signature() -> None:
    signer = KeySigner(KEY)
    assert KEY.hex() not in repr(signer)
    signed = sign_submission(signer, Position(*ZURICH, 5), timestamp_ms=NOW_MS, level=10)
    assert signed.document["signature"] not in repr(signed)


def test_what_signs_nothing_is_refused() -> None:
    with pytest.raises(TypeError, match="key: must be"):
        signer_of(object())
    with pytest.raises(ValueError, match="address: must be"):
        WalletSigner("me", lambda _line: bytes(65))
    short = WalletSigner(f"0x{'11' * 20}", lambda _line: bytes(64))
    with pytest.raises(ValueError, match="must give 65 bytes, not 64"):
        sign_submission(short, Position(*ZURICH, 5), timestamp_ms=NOW_MS, level=10)


@pytest.mark.parametrize(
    ("lat", "lon", "accuracy_m", "field"),
    [
        (0.0, 0.0, 5, "lat, lon"),
        (-0.0, 0.00000004, 5, "lat, lon"),
        (90.1, 8, 5, "lat"),
        (float("nan"), 8, 5, "lat"),
        (47, -180.5, 5, "lon"),
        (47, float("inf"), 5, "lon"),
        (True, 8, 5, "lat"),
        (47, 8, 0, "accuracy_m"),
        (47, 8, float("inf"), "accuracy_m"),
        (47, 8, float("nan"), "accuracy_m"),
    ],
)
def test_what_cannot_be_a_position_is_refused_by_field(lat: float, lon: float, accuracy_m: float, field: str) -> None:
    with pytest.raises(BadPosition) as error:
        Position(lat, lon, accuracy_m)
    assert error.value.field == field


def test_the_equator_and_the_first_meridian_are_places() -> None:
    assert Position(0.0, 8.0, 5).rounded() == Position(0.0, 8.0, 5)
    assert Position(51.5, 0.0, 5).rounded() == Position(51.5, 0.0, 5)
