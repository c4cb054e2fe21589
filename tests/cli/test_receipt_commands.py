"""`step-node proof receipt` and `verify-receipt`: what a node gives is kept as it is, and believed only if it holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from step_node.receipts.document import receipt_cbor, receipt_json
from tests.cli.conftest import Command
from tests.cli.test_http_calls import serving
from tests.receipts.samples import changed, small

RECEIPT = small().proof(0)
PROOF_ID = "0x" + small().batch.proofs[0].proof_id.hex()


@pytest.fixture
def genesis(tmp_path: Path) -> Path:
    path = tmp_path / "genesis.json"
    path.write_text(small().genesis.model_dump_json())
    return path


@pytest.mark.parametrize("data", [receipt_json(RECEIPT), receipt_cbor(RECEIPT)], ids=["json", "cbor"])
def test_a_receipt_that_holds_is_told_with_what_it_proves(
    command: Command, tmp_path: Path, genesis: Path, data: bytes
) -> None:
    file = tmp_path / "receipt"
    file.write_bytes(data)
    told = command("proof", "verify-receipt", file, "--genesis", genesis)
    assert (told.exit_code, told.stderr) == (0, "")
    assert "The receipt holds" in told.stdout
    assert PROOF_ID in told.stdout
    verdict = json.loads(command("proof", "verify-receipt", file, "--genesis", genesis, "--json").stdout)
    assert verdict["ok"] is True
    assert (verdict["proofId"], verdict["reward"], verdict["height"]) == (PROOF_ID, "0.001953", 1)
    assert verdict["signers"] == verdict["validators"] == 4


def test_an_operations_receipt_names_its_id(command: Command, tmp_path: Path) -> None:
    file, genesis = tmp_path / "receipt", tmp_path / "genesis.json"
    file.write_bytes(receipt_json(changed().operation(1)))
    genesis.write_text(changed().genesis.model_dump_json())
    verdict = json.loads(command("proof", "verify-receipt", file, "--genesis", genesis, "--json").stdout)
    assert verdict["ok"] is True
    assert "|memo:" in verdict["line"]
    assert "operationId" in verdict
    assert verdict["links"] == 2


def test_a_receipt_that_does_not_hold_ends_with_the_step_and_the_status_1(
    command: Command, tmp_path: Path, genesis: Path
) -> None:
    file = tmp_path / "receipt"
    file.write_bytes(receipt_json(RECEIPT).replace(b"0.001953", b"1.001953"))
    told = command("proof", "verify-receipt", file, "--genesis", genesis)
    assert told.exit_code == 1
    assert "step path fails" in told.stdout
    verdict = json.loads(command("proof", "verify-receipt", file, "--genesis", genesis, "--json").stdout)
    assert (verdict["ok"], verdict["step"]) == (False, "path")
    assert verdict["expected"].startswith("the header's receiptsRoot, 0x")


def test_a_receipt_is_written_as_the_node_gives_it(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    with serving(receipt_json(RECEIPT)) as url:
        fetched = command("proof", "receipt", PROOF_ID, "--url", url, "--out", file)
        assert (fetched.exit_code, fetched.stdout) == (0, "")
        assert file.read_bytes() == receipt_json(RECEIPT)
        assert command("proof", "receipt", PROOF_ID, "--url", url).stdout == receipt_json(RECEIPT).decode()


def test_a_nodes_refusal_is_told_in_its_own_words(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    refusal = {"ok": False, "code": "PROOF_NOT_FOUND", "message": "proofId: it waits"}
    with serving(json.dumps(refusal).encode(), status=404) as url:
        fetched = command("proof", "receipt", PROOF_ID, "--url", url, "--out", file)
    assert fetched.exit_code == 1
    assert "PROOF_NOT_FOUND: proofId: it waits" in fetched.stderr
    assert not file.exists()


def test_what_is_no_proof_id_is_not_asked_for(command: Command) -> None:
    asked = command("proof", "receipt", "0x12/../../status", "--url", "http://127.0.0.1:1")
    assert asked.exit_code == 1
    assert "64 hex digits" in asked.stderr
