"""Receipts have the same verdict in JavaScript as in Python, the failing step included."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest

from step_node.batch.batch import RECEIPTS_MAX
from step_node.chain.genesis import parse_genesis
from step_node.receipts.verification import ReceiptRefused, verify_receipt
from tests.javascript.node import ROOT, evaluate

VECTORS: dict[str, Any] = json.loads((ROOT / "tests" / "vectors" / "receipts.json").read_text(encoding="utf-8"))
VERDICTS = """
given.receipts.map(({ genesis, json, cbor }) => [json, cbor && Uint8Array.from(Buffer.from(cbor, "hex"))]
  .filter((data) => data !== undefined).map((data) => {
    try {
      return step.verifyReceipt(data, given.genesis[genesis].file);
    } catch (error) {
      return error.code === "RECEIPT_REFUSED" ? error.details.step : String(error);
    }
  }))
"""


def verdicts(receipts: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """Of each receipt what it proves or the step that fails, for each of its forms."""
    found: list[list[Any]] = evaluate(
        VERDICTS, {"genesis": VECTORS["genesis"], "receipts": receipts}, seconds_max=1_200
    )
    return found


def test_the_genesis_hashes_are_those_of_the_node() -> None:
    genesis = VECTORS["genesis"]
    found = evaluate("Object.values(given).map(({ file }) => step.genesisHash(file))", genesis)
    assert found == [one["hash"] for one in genesis.values()]


def test_what_genesis_leaves_out_is_filled_in() -> None:
    still = VECTORS["genesis"]["still"]
    bare = {name: value for name, value in still["file"].items() if name not in ("parameters", "allocations")}
    from step_node.chain.genesis import parse_genesis

    assert (
        evaluate("step.genesisHash(given)", json.dumps(bare))
        == "0x" + parse_genesis(json.dumps(bare), name="bare").hash.hex()
    )


def test_every_receipt_that_holds_proves_what_it_says() -> None:
    for receipt, found in zip(VECTORS["valid"], verdicts(VECTORS["valid"]), strict=True):
        assert len(found) == 2, receipt["name"]
        for verdict in found:
            assert isinstance(verdict, dict), (receipt["name"], verdict)
            assert {name: verdict[name] for name in ("id", "account", "batchHash", "signers")} == {
                name: receipt[name] for name in ("id", "account", "batchHash", "signers")
            }
        assert found[0] == found[1]
        document = json.loads(receipt["json"])
        assert document["outcome"].items() <= found[0].items()


def test_each_form_of_a_receipt_gives_both() -> None:
    forms = """
    given.flatMap((pair) => [pair.json, Uint8Array.from(Buffer.from(pair.cbor, "hex"))]
      .map((data) => step.receiptForms(data))
      .map(({ json, cbor }) => ({ json, cbor: Buffer.from(cbor).toString("hex") })))
    """
    pairs = [{"json": receipt["json"], "cbor": receipt["cbor"]} for receipt in VECTORS["valid"]]
    assert evaluate(forms, pairs) == [pair for pair in pairs for _ in range(2)]


def test_what_is_no_receipt_has_no_other_form() -> None:
    attempt = """
    (() => { try { return step.receiptForms(given); } catch (error) { return [error.code, error.details.step]; } })()
    """
    for data in ("{}", "", "{ }", VECTORS["valid"][0]["json"] + " "):
        assert evaluate(attempt, data) == ["RECEIPT_REFUSED", "form"]


def test_every_receipt_that_does_not_hold_is_refused_at_its_step() -> None:
    found = verdicts(VECTORS["wrong"])
    assert all(found)
    assert [(wrong["name"], wrong["step"]) for wrong in VECTORS["wrong"]] == [
        (wrong["name"], step) for wrong, steps in zip(VECTORS["wrong"], found, strict=True) for step in set(steps)
    ]


def mutated(data: bytes, source: random.Random) -> bytes:
    """`data` with one bit changed, or a byte less, more, or moved."""
    place = source.randrange(len(data))
    match source.randrange(8):
        case 0:
            return data[:place] + data[place + 1 :]
        case 1:
            return data[:place] + bytes([source.randrange(256)]) + data[place:]
        case 2:
            other = source.randrange(len(data))
            return data[:place] + data[other : other + 4] + data[place + 4 :]
        case _:
            return data[:place] + bytes([data[place] ^ 1 << source.randrange(8)]) + data[place + 1 :]


def verdict_of_python(data: bytes, genesis: str) -> str | None:
    """The step that fails; None if the receipt holds."""
    trust = parse_genesis(json.dumps(VECTORS["genesis"][genesis]["file"]), name=genesis).trust()
    try:
        verify_receipt(data, trust)
    except ReceiptRefused as refused:
        return str(refused.step)
    return None


def check_mutations(count: int, seed: int) -> None:
    """`count` mutations of the receipts that hold have the verdict of Python, the failing step included."""
    source = random.Random(seed)
    genesis: list[str] = []
    mutants: list[bytes] = []
    while len(mutants) < count:
        receipt = source.choice(VECTORS["valid"])
        data = receipt["json"].encode() if source.random() < 0.5 else bytes.fromhex(receipt["cbor"])
        mutant = mutated(data, source)
        if mutant != data:
            genesis.append(receipt["genesis"])
            mutants.append(mutant)
    given = [{"genesis": name, "cbor": mutant.hex()} for name, mutant in zip(genesis, mutants, strict=True)]
    found = [verdict if isinstance(verdict, str) else None for (verdict,) in verdicts(given)]
    assert found == [verdict_of_python(mutant, name) for name, mutant in zip(genesis, mutants, strict=True)]
    assert found.count(None) == 0


def check_sizes(sizes: Iterable[int]) -> None:
    """Each receipt that holds, but with one of `sizes` for its batch's receipts, has the verdict of Python."""
    others = []
    for receipt in VECTORS["valid"]:
        document = json.loads(receipt["json"])
        true_size = document["header"]["receiptsSize"]
        for size in {*sizes} - {true_size}:
            document["header"]["receiptsSize"] = size
            text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
            others.append({"genesis": receipt["genesis"], "json": text})
    found = [verdict for (verdict,) in verdicts(others)]
    assert set(found) == {"path", "commit"}
    assert found == [verdict_of_python(other["json"].encode(), other["genesis"]) for other in others]


def test_other_sizes_of_the_tree_have_the_verdict_of_python() -> None:
    check_sizes((0, 1, 2, 3, 4, 936, 937, 999, 1_000, 1_001, RECEIPTS_MAX))


@pytest.mark.long
def test_every_other_size_of_the_tree_has_the_verdict_of_python() -> None:
    check_sizes(range(RECEIPTS_MAX + 1))


def test_mutations_have_the_verdict_of_python() -> None:
    check_mutations(150, seed=1)


@pytest.mark.long
def test_ten_thousand_mutations_have_the_verdict_of_python() -> None:
    check_mutations(10_000, seed=2)
