"""`step-node proof`: what is signed passes the gates, and every line gets its verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from step_node.cli.proof_lines import CHUNKS_AHEAD, LINE_BYTES_MAX, LINES_PER_CHUNK
from step_node.crypto.eip191 import address_of, public_key_of
from tests.cli.conftest import PRIVATE_KEY, Command

VECTORS = Path(__file__).parent.parent / "vectors" / "proof_signatures.json"
BUDAPEST = ("--lat", "47.4979", "--lon", "19.0402")


def sign(command: Command, key_file: Path, *options: object) -> dict[str, Any]:
    result = command("proof", "sign", "--key-file", key_file, *BUDAPEST, *options)
    assert result.exit_code == 0, result.stderr
    signed: dict[str, Any] = json.loads(result.stdout)
    return signed


def check(command: Command, tmp_path: Path, content: bytes) -> list[dict[str, Any]]:
    path = tmp_path / "proofs.ndjson"
    path.write_bytes(content)
    result = command("proof", "check", "--input", path)
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_what_is_signed_is_of_the_key_and_passes_the_gates(command: Command, key_file: Path, tmp_path: Path) -> None:
    signed = sign(command, key_file)
    assert signed["payload"]["account"] == f"0x{address_of(public_key_of(PRIVATE_KEY)).hex()}"
    assert signed["payload"]["triangleId"].startswith("STEP-TRI-v1:F10-")
    (verdict,) = check(command, tmp_path, json.dumps(signed).encode())
    assert verdict["ok"] is True
    assert set(verdict) == {"ok", "proof_id"}


def test_every_field_can_be_chosen(command: Command, key_file: Path) -> None:
    options = ("--level", 21, "--accuracy", 12.5, "--timestamp", "2026-01-31T12:00:00.000Z", "--nonce", "n-1")
    payload = sign(command, key_file, *options)["payload"]
    assert payload["triangleId"].startswith("STEP-TRI-v1:F21-")
    assert (payload["accuracy"], payload["timestamp"], payload["nonce"]) == (12.5, "2026-01-31T12:00:00.000Z", "n-1")
    again = sign(command, key_file, "--triangle", payload["triangleId"])
    assert again["payload"]["triangleId"] == payload["triangleId"]


def test_a_keystore_signs_as_its_key_file_does(command: Command, key_file: Path, password_file: Path) -> None:
    keystore = key_file.parent / "keystore.json"
    made = command("keys", "import", "--key-file", key_file, "--output", keystore, "--password-file", password_file)
    assert made.exit_code == 0
    options = (*BUDAPEST, "--timestamp", "2026-01-31T12:00:00.000Z", "--nonce", "1")
    result = command("proof", "sign", "--keystore", keystore, "--password-file", password_file, *options)
    assert result.stdout == command("proof", "sign", "--key-file", key_file, *options).stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--timestamp", "yesterday"), "--timestamp: must be"),
        (("--triangle", "STEP-TRI-v1:X"), "--triangle: "),
        (("--level", "22"), "--level: must be"),
        (("--accuracy", "0"), "accuracy: must be"),
        (("--nonce", "a b"), "nonce: must be"),
    ],
)
def test_a_field_out_of_its_form_is_an_error_that_names_it(
    command: Command, key_file: Path, options: tuple[str, ...], message: str
) -> None:
    result = command("proof", "sign", "--key-file", key_file, *BUDAPEST, *options)
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stdout == ""


def test_signing_needs_exactly_one_key(command: Command, key_file: Path) -> None:
    assert command("proof", "sign", *BUDAPEST).exit_code == 2
    assert command("proof", "sign", *BUDAPEST, "--key-file", key_file, "--keystore", key_file).exit_code == 2


def test_the_known_proofs_have_their_known_ids(command: Command, tmp_path: Path) -> None:
    proofs = json.loads(VECTORS.read_text())
    lines = [
        json.dumps({"payload": json.loads(proof["payloadJson"]), "signature": proof["signature"]}) for proof in proofs
    ]
    verdicts = check(command, tmp_path, "\n".join(lines).encode())
    assert len(verdicts) == len(proofs)
    for proof, verdict in zip(proofs, verdicts, strict=True):
        # They are vectors of signatures: some claim a place outside their triangle, or a bad accuracy.
        assert verdict.get("proof_id", proof["eip191Hash"]) == proof["eip191Hash"]
        assert verdict.get("code") not in ("BAD_SIGNATURE", "INVALID_PAYLOAD")


def test_each_gate_has_its_code_in_the_order_of_the_lines(command: Command, key_file: Path, tmp_path: Path) -> None:
    good = sign(command, key_file)
    inaccurate = sign(command, key_file, "--accuracy", 51)
    forged = good | {"payload": good["payload"] | {"nonce": "another"}}
    elsewhere = sign(command, key_file, "--triangle", "STEP-TRI-v1:A1-00000000000000000000-CB4")
    unformed = good | {"payload": good["payload"] | {"lat": "47"}}
    lines = [json.dumps(proof) for proof in (inaccurate, forged, elsewhere, unformed, good)]
    codes = [verdict.get("code") for verdict in check(command, tmp_path, "\n".join(lines).encode())]
    assert codes == ["LOW_GPS_ACCURACY", "BAD_SIGNATURE", "OUT_OF_BOUNDS", "INVALID_PAYLOAD", None]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"payload": {}}',
        b'{"payload": {}, "signature": "0x", "more": 1}',
        b'{"payload": {}, "payload": {}, "signature": "0x"}',
        b'{"payload": {"lat": NaN}, "signature": "0x"}',
        b'{"payload": {"lat": 1e999}, "signature": "0x"}',
        b'{"payload": [], "signature": 3}',
        b'{"payload": {"\\ud800": 1}, "signature": "\\ud800"}',
        b"\xff",
        b"[" * 10_000,
        b"1" * 5_000,
        b"x" * (3 * LINE_BYTES_MAX),
    ],
)
def test_a_line_that_is_no_proof_is_an_invalid_payload_and_the_next_is_judged(
    command: Command, key_file: Path, tmp_path: Path, line: bytes
) -> None:
    good = json.dumps(sign(command, key_file)).encode()
    verdicts = check(command, tmp_path, b"\n".join([line, good, line, b""]))
    assert [verdict.get("code") for verdict in verdicts] == ["INVALID_PAYLOAD", None, "INVALID_PAYLOAD"]
    assert set(verdicts[0]) == {"ok", "code", "message"}


def test_many_lines_come_out_in_order(command: Command, tmp_path: Path) -> None:
    proofs = json.loads(VECTORS.read_text())[:5]
    lines = [
        json.dumps({"payload": json.loads(proof["payloadJson"]), "signature": proof["signature"]}) for proof in proofs
    ]
    verdicts = check(command, tmp_path, "\n".join(lines).encode())
    times = (CHUNKS_AHEAD + 2) * LINES_PER_CHUNK // len(lines) + 1
    assert check(command, tmp_path, ("\n".join(lines) + "\n").encode() * times) == verdicts * times


def test_an_empty_file_gives_nothing(command: Command, tmp_path: Path) -> None:
    assert check(command, tmp_path, b"") == []


def test_standard_input_is_read_where_the_file_is_a_dash(command: Command) -> None:
    result = command("proof", "check", "--input", "-", stdin="{}\n{}\n")
    assert [json.loads(line)["code"] for line in result.stdout.splitlines()] == ["INVALID_PAYLOAD"] * 2


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://127.0.0.1:9", "http://127.0.0.1:9/proof/submit: cannot be reached"),
        ("localhost:1", "--url: localhost:1: must be an address"),
    ],
)
def test_a_node_that_is_not_there_is_an_error_that_names_its_address(
    command: Command, key_file: Path, url: str, message: str
) -> None:
    signed = json.dumps(sign(command, key_file))
    result = command("proof", "submit", "--url", url, stdin=signed)
    assert result.exit_code == 1
    assert message in result.stderr


def test_submitting_what_is_not_json_is_an_error(command: Command) -> None:
    result = command("proof", "submit", "--url", "http://127.0.0.1:9", stdin="nonsense")
    assert result.exit_code == 1
    assert "must be one signed proof" in result.stderr
