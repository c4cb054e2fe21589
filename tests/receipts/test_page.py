"""The figures of docs/receipts.md are those of the receipts that a node makes."""

from __future__ import annotations

from pathlib import Path

from step_node.receipts.document import receipt_cbor, receipt_json
from step_node.receipts.verification import verify_receipt
from tests.receipts.samples import large, small

PAGE = (Path(__file__).parents[2] / "docs" / "receipts.md").read_text(encoding="utf-8")


def test_the_worked_example_is_a_receipt_of_the_vectors() -> None:
    receipt = small().proof(0)
    verified = verify_receipt(receipt_json(receipt), small().genesis.trust())
    assert receipt.proof.line in PAGE
    example = "".join(PAGE.partition("The leaf:\n")[2].split("```")[1].split())
    assert verified.identity.hex()[:32] in example
    assert verified.identity.hex()[32:] in example
    for found in (verified.identity, receipt.header.receipts_root, verified.batch_hash, *verified.signers):
        assert found.hex() in PAGE


def test_the_sizes_are_those_of_receipts() -> None:
    for proofs, receipt in (("1 proof", small().proof(0)), ("1,000 proofs", large().proof(777))):
        sizes = f"{len(receipt_json(receipt)):,} bytes | {len(receipt_cbor(receipt)):,} bytes"
        assert f"| {proofs} | {sizes} |" in PAGE
