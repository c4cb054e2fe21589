"""`tests/vectors/receipts.json`: receipts that hold, and such as do not, each with the step that fails.

Other implementations give the same verdicts (docs/receipts.md). `python -m tests.receipts` writes the file anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import cbor2

from consensus.commit import commit_of
from consensus.messages import PreCommit
from step_node.batch.batch import RECEIPTS_MAX, header_hash
from step_node.chain.genesis import Genesis
from step_node.crypto.eip191 import sign
from step_node.receipts.document import ReceiptDocument, receipt_cbor, receipt_json
from step_node.receipts.links import SetLink
from step_node.receipts.verification import Step, verify_receipt
from tests.receipts.samples import changed, large, small
from tests.snapshot.changing_chain import name_of, signed_vote
from tests.support.proofs import private_key

VECTORS = Path(__file__).parents[1] / "vectors" / "receipts.json"

Fields: TypeAlias = dict[str, Any]
Change: TypeAlias = Callable[[Fields], object]


def valid_receipts() -> dict[str, tuple[Genesis, ReceiptDocument]]:
    """By name, each with the genesis of its chain."""
    samples = {"small": small(), "large": large(), "changed": changed()}
    proofs = {
        "one proof": ("small", 0),
        "first of a thousand": ("large", 0),
        "in a large batch": ("large", 777),
        "last of a thousand": ("large", 999),
        "after two changes of the set": ("changed", 0),
    }
    made: dict[str, tuple[Genesis, ReceiptDocument]] = {
        name: (samples[sample].genesis, samples[sample].proof(index)) for name, (sample, index) in proofs.items()
    }
    return {
        **made,
        "operation": (changed().genesis, changed().operation(0)),
        "transfer": (changed().genesis, changed().operation(1)),
    }


def compact(fields: Fields) -> str:
    """What `JSON.stringify` makes of them."""
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False)


def _flip(text: str, place: int = -1) -> str:
    """Another last hex digit (or the one at `place`)."""
    digits = list(text)
    digits[place] = format(int(digits[place], 16) ^ 1, "x")
    return "".join(digits)


def _set(*path: str | int, to: Any = None, by: Callable[[Any], Any] | None = None) -> Change:
    def change(fields: Fields) -> None:
        target: Any = fields
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = to if by is None else by(target[path[-1]])

    return change


def _signed_by_another(fields: Fields) -> None:
    fields["proof"]["signature"] = "0x" + sign(fields["proof"]["line"], private_key("mallory")).hex()


def _of_another_round(fields: Fields) -> None:
    fields["commit"]["round"] += 1


def _by_strangers(fields: Fields) -> None:
    """All of it rightly made, by validators who are none."""
    batch_hash = verify_receipt(compact(fields).encode(), small().genesis.trust()).batch_hash
    line = PreCommit(fields["header"]["height"], 0, batch_hash, bytes(20)).signing_line(fields["header"]["chainId"])
    fields["commit"]["signatures"] = ["0x" + sign(line, private_key(f"stranger-{one}")).hex() for one in range(4)]


def _second_link_higher_by(batches: int) -> Change:
    """The second link is so much higher than the first, and rightly signed by all who have signed the real one."""

    def change(fields: Fields) -> None:
        receipts = changed().receipts
        first, second = receipts.links
        header = replace(second.header, height=first.header.height + batches)
        votes = (
            signed_vote(PreCommit(header.height, 0, header_hash(header), entry.validator), name_of(entry.validator))
            for entry in second.commit.signatures
        )
        link = SetLink(header, commit_of(votes), second.validators)
        forged = replace(receipts, links=(first, link)).of_operation(0)
        fields["links"] = json.loads(receipt_json(forged))["links"]

    return change


def _drop(*path: str | int) -> Change:
    def change(fields: Fields) -> None:
        target: Any = fields
        for key in path[:-1]:
            target = target[key]
        del target[path[-1]]

    return change


CHANGES: dict[str, tuple[str, Step, Change]] = {
    "a field more": ("one proof", Step.FORM, _set("note", to="")),
    "a field is missing": ("one proof", Step.FORM, _drop("links")),
    "a field more in the header": ("one proof", Step.FORM, _set("header", "version", to=1)),
    "another version": ("one proof", Step.FORM, _set("version", to="STEP-RECEIPT-v2")),
    "hex digits in upper case": ("one proof", Step.FORM, _set("genesisHash", by=lambda text: "0x" + text[2:].upper())),
    "a hash that is too short": ("one proof", Step.FORM, _set("header", "stateRoot", by=lambda text: text[:-2])),
    "a number as text": ("one proof", Step.FORM, _set("header", "height", to="1")),
    "a number with a fraction": ("one proof", Step.FORM, _set("header", "height", to=1.5)),
    "height 0": ("one proof", Step.FORM, _set("header", "height", to=0)),
    "true for a number": ("one proof", Step.FORM, _set("header", "height", to=True)),
    "a number above 2^53 - 1": ("one proof", Step.FORM, _set("path", "index", to=2**53)),
    "an amount without six places": ("one proof", Step.FORM, _set("outcome", "reward", to="0.00195")),
    "an amount with a zero in front": ("one proof", Step.FORM, _set("outcome", "reward", by=lambda text: "0" + text)),
    "a state that is none": ("one proof", Step.FORM, _set("outcome", "state", to="ACTIVE")),
    "a day that is none": ("one proof", Step.FORM, _set("header", "timestamp", to="2025-02-29T08:53:20.000Z")),
    "a time before 1970": ("one proof", Step.FORM, _set("header", "timestamp", to="1969-12-31T23:59:59.999Z")),
    "no signatures": ("one proof", Step.FORM, _set("commit", "signatures", to=[])),
    "no signed line": ("one proof", Step.FORM, _set("proof", "line", by=lambda line: line.replace("v1", "v2", 1))),
    "a line with more than a nonce": ("one proof", Step.FORM, _set("proof", "line", by=lambda line: line + '"')),
    "a control character in a memo": ("transfer", Step.FORM, _set("operation", "line", by=lambda line: line + "\x85")),
    "a line that is too long": (
        "transfer",
        Step.FORM,
        _set("operation", "line", by=lambda line: line + "\u2615" * 300),
    ),
    "another memo": ("transfer", Step.SIGNATURE, _set("operation", "line", by=lambda line: line + "!")),
    "a triangle below the last level": (
        "one proof",
        Step.FORM,
        _set("proof", "line", by=lambda line: line.replace("10-", "22-", 1)),
    ),
    "an operation's line as a proof": (
        "one proof",
        Step.FORM,
        _set("proof", "line", to=json.loads(receipt_json(changed().operation(0)))["operation"]["line"]),
    ),
    "both a proof and an operation": (
        "one proof",
        Step.FORM,
        _set("operation", to=json.loads(receipt_json(changed().operation(0)))["operation"]),
    ),
    "signed by another": ("one proof", Step.SIGNATURE, _signed_by_another),
    "another place": (
        "in a large batch",
        Step.SIGNATURE,
        _set("proof", "line", by=lambda line: line.replace("lat:3", "lat:4")),
    ),
    "a v of 0": ("one proof", Step.SIGNATURE, _set("proof", "signature", by=lambda text: text[:-2] + "00")),
    "an s in the upper half": (
        "one proof",
        Step.SIGNATURE,
        _set("proof", "signature", by=lambda text: text[:66] + "f" + text[67:]),
    ),
    "a higher reward": ("one proof", Step.PATH, _set("outcome", "reward", to="1.001953")),
    "a higher balance": ("in a large batch", Step.PATH, _set("outcome", "balance", to="9.001953")),
    "other clicks": ("one proof", Step.PATH, _set("outcome", "clicks", to=2)),
    "another state": ("one proof", Step.PATH, _set("outcome", "state", to="subdivided")),
    "another index": ("in a large batch", Step.PATH, _set("path", "index", to=776)),
    "an index beyond the leaves": ("in a large batch", Step.PATH, _set("path", "index", to=1_000)),
    "another size": ("in a large batch", Step.PATH, _set("header", "receiptsSize", to=100)),
    "another size that gives a path the same form": (
        "in a large batch",
        Step.COMMIT,
        _set("header", "receiptsSize", to=999),
    ),
    "more receipts than a batch can have": (
        "in a large batch",
        Step.FORM,
        _set("header", "receiptsSize", to=RECEIPTS_MAX + 1),
    ),
    "no receipts at all": ("one proof", Step.PATH, _set("header", "receiptsSize", to=0)),
    "a size in the path": ("one proof", Step.FORM, _set("path", "size", to=1)),
    "a hash less": ("in a large batch", Step.PATH, _drop("path", "hashes", -1)),
    "a hash more": ("in a large batch", Step.PATH, _set("path", "hashes", by=lambda hashes: [*hashes, hashes[0]])),
    "another receipts root": ("one proof", Step.PATH, _set("header", "receiptsRoot", by=_flip)),
    "another balance of an owner": ("operation", Step.PATH, _set("outcome", "balance", to="1.000000")),
    "another genesis": ("one proof", Step.CHAIN, _set("genesisHash", by=_flip)),
    "another chain": ("one proof", Step.CHAIN, _set("header", "chainId", to="step-test-2")),
    "a link is missing": ("after two changes of the set", Step.LINKS, _drop("links", 0)),
    "the last link is missing": ("after two changes of the set", Step.LINKS, _drop("links", 1)),
    "links in another order": (
        "after two changes of the set",
        Step.LINKS,
        _set("links", by=lambda links: links[::-1]),
    ),
    "a link twice": ("after two changes of the set", Step.LINKS, _set("links", by=lambda links: [*links, links[1]])),
    "a link's member has another stake": (
        "after two changes of the set",
        Step.LINKS,
        _set("links", 0, "validators", 0, "stake", to="999999.000000"),
    ),
    "a link's signature is another": (
        "after two changes of the set",
        Step.LINKS,
        _set("links", 0, "commit", "signatures", 0, by=lambda text: _flip(text, 40)),
    ),
    "too few have signed a link": (
        "after two changes of the set",
        Step.LINKS,
        _drop("links", 0, "commit", "signatures", 0),
    ),
    "a link of another chain": (
        "after two changes of the set",
        Step.LINKS,
        _set("links", 0, "header", "chainId", to="step-test-2"),
    ),
    "a link of the same height as the one before": (
        "after two changes of the set",
        Step.LINKS,
        _second_link_higher_by(0),
    ),
    "a link of a lower height": ("after two changes of the set", Step.LINKS, _second_link_higher_by(-1)),
    "other validators": ("one proof", Step.LINKS, _set("header", "validatorSetHash", by=_flip)),
    "another state root": ("one proof", Step.COMMIT, _set("header", "stateRoot", by=_flip)),
    "another time": ("one proof", Step.COMMIT, _set("header", "timestamp", to="2025-10-09T08:53:20.001Z")),
    "another height": ("one proof", Step.COMMIT, _set("header", "height", to=2)),
    "another round": ("one proof", Step.COMMIT, _of_another_round),
    "a signature is another": (
        "one proof",
        Step.COMMIT,
        _set("commit", "signatures", 2, by=lambda text: _flip(text, 40)),
    ),
    "signatures in another order": (
        "one proof",
        Step.COMMIT,
        _set("commit", "signatures", by=lambda signatures: signatures[::-1]),
    ),
    "a signature twice": (
        "one proof",
        Step.COMMIT,
        _set("commit", "signatures", by=lambda signatures: [signatures[0], *signatures]),
    ),
    "less than a quorum": (
        "one proof",
        Step.COMMIT,
        _set("commit", "signatures", by=lambda signatures: signatures[:2]),
    ),
    "signed by strangers": ("one proof", Step.COMMIT, _by_strangers),
    "first the reward, then the chain": (
        "one proof",
        Step.PATH,
        lambda fields: (_set("outcome", "reward", to="1.001953")(fields), _set("genesisHash", by=_flip)(fields)),
    ),
}
"""By name: which receipt is changed, the step that fails then, and the change of its JSON."""


def texts() -> Iterator[tuple[str, Step, str]]:
    """JSON that says what a receipt says, in another form; and what is none."""
    text = receipt_json(small().proof(0)).decode()
    fields = json.loads(text)
    yield "white space", Step.FORM, json.dumps(fields)
    yield "a line end", Step.FORM, text + "\n"
    yield "fields in another order", Step.FORM, compact(dict(reversed(fields.items())))
    yield "a field twice", Step.FORM, text.replace('"links":[]', '"links":[],"links":[]')
    yield "a number with an exponent", Step.FORM, text.replace('"height":1,', '"height":1e0,')
    yield "a number with a point", Step.FORM, text.replace('"height":1,', '"height":1.0,')
    yield "a negative zero", Step.FORM, text.replace('"round":0,', '"round":-0,')
    yield "an escaped letter", Step.FORM, text.replace("STEP-RECEIPT", "\\u0053TEP-RECEIPT")
    yield "an escaped slash", Step.FORM, text.replace("|lat", "\\/lat")
    yield "half of a surrogate pair", Step.FORM, text.replace("nonce:first", "nonce:\\ud83d")
    transfer = receipt_json(changed().operation(1)).decode()
    yield "half of a surrogate pair in a memo", Step.FORM, transfer.replace("\u2615", "\\ud83d")
    yield "the other half in a memo", Step.FORM, transfer.replace("\u2615", "\\ude00")
    yield "half of it", Step.FORM, text[: len(text) // 2]
    yield "an empty object", Step.FORM, "{}"


def byte_strings() -> Iterator[tuple[str, Step, bytes]]:
    """CBOR that says what a receipt says, in another form; and what is none."""
    receipt = small().proof(0)
    data = receipt_cbor(receipt)
    fields = receipt.model_dump(by_alias=True)
    yield "nothing", Step.FORM, b""
    yield "a byte more", Step.FORM, data + b"\x00"
    yield "a byte less", Step.FORM, data[:-1]
    yield "keys in another order", Step.FORM, cbor2.dumps(fields)
    yield (
        "texts in place of byte strings",
        Step.FORM,
        cbor2.dumps({**fields, "genesisHash": "0x" + fields["genesisHash"].hex()}, canonical=True),
    )
    yield "containers of no stated length", Step.FORM, cbor2.dumps(fields, canonical=True, indefinite_containers=True)
    yield "a head that is too long", Step.FORM, b"\xb8" + bytes([data[0] & 31]) + data[1:]
    yield "a tag in front", Step.FORM, b"\xd9\xd9\xf7" + data
    yield (
        "a height of the wrong type",
        Step.FORM,
        cbor2.dumps({**fields, "header": {**fields["header"], "height": 1.0}}, canonical=True),
    )
    memo = receipt_cbor(changed().operation(1)).replace("\u2615".encode(), b"\xed\xa0\xbd")
    yield "half of a surrogate pair as UTF-8", Step.FORM, memo
    yield "an array", Step.FORM, cbor2.dumps([fields], canonical=True)
    yield (
        "another reward",
        Step.PATH,
        cbor2.dumps({**fields, "outcome": {**fields["outcome"], "reward": "1.001953"}}, canonical=True),
    )


def vectors() -> Fields:
    """The content of the file."""
    valid = valid_receipts()
    genesis_of = {genesis.hash: name for name, genesis in _chains().items()}
    wrong: list[Fields] = []
    for name, (original, step, change) in CHANGES.items():
        genesis, receipt = valid[original]
        fields = json.loads(receipt_json(receipt))
        change(fields)
        wrong.append({"name": name, "genesis": genesis_of[genesis.hash], "step": step, "json": compact(fields)})
    wrong += [{"name": name, "genesis": "still", "step": step, "json": text} for name, step, text in texts()]
    wrong += [
        {"name": name, "genesis": "still", "step": step, "cbor": data.hex()} for name, step, data in byte_strings()
    ]
    return {
        "genesis": {name: _genesis_fields(genesis) for name, genesis in _chains().items()},
        "valid": [
            {
                "name": name,
                "genesis": genesis_of[genesis.hash],
                "json": receipt_json(receipt).decode(),
                "cbor": receipt_cbor(receipt).hex(),
                **_verdict(genesis, receipt),
            }
            for name, (genesis, receipt) in valid.items()
        ],
        "wrong": wrong,
    }


def _chains() -> dict[str, Genesis]:
    return {"still": small().genesis, "changing": changed().genesis}


def _genesis_fields(genesis: Genesis) -> Fields:
    """The genesis file, and what follows from it."""
    return {
        "file": genesis.model_dump(mode="json", exclude_none=True),
        "hash": f"0x{genesis.hash.hex()}",
        "validatorSetHash": f"0x{genesis.trust().validators.hash.hex()}",
    }


def _verdict(genesis: Genesis, receipt: ReceiptDocument) -> Fields:
    found = verify_receipt(receipt_json(receipt), genesis.trust())
    return {
        "id": f"0x{found.identity.hex()}",
        "account": f"0x{found.account.hex()}",
        "batchHash": f"0x{found.batch_hash.hex()}",
        "signers": [f"0x{signer.hex()}" for signer in found.signers],
    }


def write() -> None:
    """Write the file anew."""
    VECTORS.write_text(json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n")
