"""A receipt that holds is believed, in both of its forms; what is changed in it is found, at the step that shows it."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import pytest

from step_node.batch.batch import RECEIPTS_MAX
from step_node.chain.genesis import parse_genesis
from step_node.receipts.document import RECEIPT_BYTES_MAX, read_receipt, receipt_cbor, receipt_json
from step_node.receipts.verification import ReceiptRefused, Step, Trust, verify_receipt
from tests.receipts.samples import changed, large, small
from tests.receipts.vectors import VECTORS, vectors

RECORDED: dict[str, Any] = json.loads(VECTORS.read_text())

MUTATIONS = 10_000
JSON_BYTES_MAX, CBOR_BYTES_MAX = 2_953, 1_700
"""What a QR code holds (version 40, level L), and what makes one that is easy to read."""


def trust_of(name: str) -> Trust:
    return parse_genesis(json.dumps(RECORDED["genesis"][name]["file"]), name=name).trust()


def bytes_of(vector: dict[str, Any]) -> bytes:
    return vector["json"].encode() if "json" in vector else bytes.fromhex(vector["cbor"])


def failed_step(data: bytes, trust: Trust) -> Step | None:
    try:
        verify_receipt(data, trust)
    except ReceiptRefused as refused:
        return refused.step
    return None


def test_the_recorded_receipts_are_those_that_a_node_makes() -> None:
    assert vectors() == RECORDED, "write them anew: .venv/bin/python -m tests.receipts"


@pytest.mark.parametrize("vector", RECORDED["valid"], ids=lambda vector: str(vector["name"]))
def test_a_receipt_that_holds_is_believed_in_both_forms(vector: dict[str, Any]) -> None:
    trust = trust_of(vector["genesis"])
    from_json = verify_receipt(vector["json"].encode(), trust)
    assert verify_receipt(bytes.fromhex(vector["cbor"]), trust) == from_json
    assert receipt_cbor(read_receipt(vector["json"].encode())).hex() == vector["cbor"]
    assert receipt_json(read_receipt(bytes.fromhex(vector["cbor"]))).decode() == vector["json"]
    assert f"0x{from_json.identity.hex()}" == vector["id"]
    assert f"0x{from_json.batch_hash.hex()}" == vector["batchHash"]


@pytest.mark.parametrize("vector", RECORDED["wrong"], ids=lambda vector: str(vector["name"]))
def test_what_is_wrong_is_refused_at_its_step(vector: dict[str, Any]) -> None:
    assert failed_step(bytes_of(vector), trust_of(vector["genesis"])) == vector["step"]


def test_a_refusal_says_what_was_expected_and_what_was_found() -> None:
    trust = small().genesis.trust()
    with pytest.raises(ReceiptRefused) as refused:
        verify_receipt(receipt_json(small().proof(0)), changed().genesis.trust())
    assert refused.value.expected == f"genesis 0x{changed().genesis.hash.hex()}"
    assert refused.value.found == f"genesis 0x{trust.genesis_hash.hex()}"
    assert str(refused.value).startswith("chain: expected genesis 0x")


def test_what_is_too_long_is_not_read() -> None:
    with pytest.raises(ReceiptRefused, match=f"at most {RECEIPT_BYTES_MAX}"):
        verify_receipt(b"{" + b" " * RECEIPT_BYTES_MAX, small().genesis.trust())


def test_a_receipt_of_a_full_batch_with_four_validators_fits_into_a_qr_code() -> None:
    receipt = large().proof(777)
    assert len(receipt.commit.signatures) == 4
    assert receipt.header.receipts_size == 1_000
    assert len(receipt_json(receipt)) <= JSON_BYTES_MAX
    assert len(receipt_cbor(receipt)) <= CBOR_BYTES_MAX


@pytest.mark.costly
def test_ten_thousand_changed_bits_are_refused_each() -> None:
    """Of receipts with and without links, in both forms."""
    chance = random.Random(5)
    for sample, receipt in ((small(), small().proof(0)), (changed(), changed().proof(0))):
        trust = sample.genesis.trust()
        for data in (receipt_cbor(receipt), receipt_json(receipt)):
            for place in chance.sample(range(8 * len(data)), MUTATIONS // 4):
                mutated = bytearray(data)
                mutated[place // 8] ^= 1 << place % 8
                assert failed_step(bytes(mutated), trust) is not None, f"bit {place} of {data[:1]!r}"


@pytest.mark.costly
def test_every_other_size_of_the_tree_is_refused() -> None:
    """Most give no path. With some the path leads to the root all the same, and then nobody has signed that header."""
    steps: Counter[Step | None] = Counter()
    for vector in RECORDED["valid"]:
        trust, receipt = trust_of(vector["genesis"]), read_receipt(vector["json"].encode())
        for size in {*range(RECEIPTS_MAX + 1)} - {receipt.header.receipts_size}:
            header = receipt.header.model_copy(update={"receipts_size": size})
            forged = receipt.model_copy(update={"header": header})
            encoded = receipt_json(forged) if size % 2 else receipt_cbor(forged)
            steps[failed_step(encoded, trust)] += 1
    assert set(steps) == {Step.PATH, Step.COMMIT}
    assert steps.total() == RECEIPTS_MAX * len(RECORDED["valid"])


@pytest.mark.costly
def test_every_slip_of_a_hand_in_the_json_is_refused() -> None:
    """A character less, one twice, two exchanged, another digit or letter, a blank between: at every place."""
    text, trust = receipt_json(small().proof(0)).decode(), small().genesis.trust()
    slips = 0
    for place, character in enumerate(text):
        following = text[place + 1 : place + 2]
        before, after = text[:place], text[place + 1 :]
        for slip in (
            before + after,
            before + character + character + after,
            before + following + character + after[1:],
            before + chr(ord(character) ^ 1) + after,
            before + " " + character + after,
        ):
            if slip != text:
                slips += 1
                assert failed_step(slip.encode(), trust) is not None, f"place {place}: {slip[place - 10 : place + 10]}"
    assert slips > 8_000
