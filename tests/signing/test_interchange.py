"""Signing histories of several keys in one document, in the shape of EIP-3076."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from step_node.signing.guard import DoubleSignRefused, SigningGuard
from step_node.signing.history import HEIGHT_MAX, NEVER_SIGNED, Bound, HistoryContent, SignedRecord, SigningKind
from step_node.signing.interchange import Interchange, InterchangeError, export_interchange, read_interchange

CHAIN_ID, GENESIS = "step-test", b"g" * 32
KEY, OTHER = b"k" * 20, b"o" * 20
ROOT = b"r" * 32
VOTE = SignedRecord(7, 1, SigningKind.PRE_VOTE, ROOT + b"v" * 32)
PROPOSAL = SignedRecord(7, 1, SigningKind.PROPOSAL, ROOT + b"p" * 36)


def exported(histories: dict[bytes, HistoryContent]) -> str:
    return export_interchange(histories, chain_id=CHAIN_ID, genesis_hash=GENESIS)


def fields(histories: dict[bytes, HistoryContent]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(exported(histories))
    return document


def parsed(document: object) -> Interchange:
    return Interchange.model_validate_json(json.dumps(document))


def check(document: Interchange, *, height_max: int = HEIGHT_MAX) -> None:
    document.check(chain_id=CHAIN_ID, genesis_hash=GENESIS, height_max=height_max)


def test_it_has_the_shape_of_eip_3076_and_says_the_rest_under_a_key_of_its_own() -> None:
    assert fields({KEY: HistoryContent((PROPOSAL, VOTE), floor=5)}) == {
        "metadata": {
            "interchange_format_version": "5",
            "genesis_validators_root": f"0x{GENESIS.hex()}",
            "step": {"chain_id": CHAIN_ID},
        },
        "data": [
            {
                "pubkey": f"0x{KEY.hex()}",
                "signed_blocks": [
                    {"slot": "5"},
                    {
                        "slot": "7",
                        "signing_root": f"0x{ROOT.hex()}",
                        "step": {"round": 1, "kind": "PROPOSAL", "value": f"0x{PROPOSAL.value.hex()}"},
                    },
                ],
                "signed_attestations": [
                    {"source_epoch": "4", "target_epoch": "5"},
                    {
                        "source_epoch": "6",
                        "target_epoch": "7",
                        "signing_root": f"0x{ROOT.hex()}",
                        "step": {"round": 1, "kind": "PRE_VOTE", "value": f"0x{VOTE.value.hex()}"},
                    },
                ],
                "step": {},
            }
        ],
    }


RECORDS = st.dictionaries(
    st.tuples(st.integers(0, 3), st.sampled_from(SigningKind)),
    st.binary(min_size=32, max_size=68) | st.binary(max_size=3),
    max_size=6,
)
CONTENTS = st.builds(
    lambda records, floor, doubt: HistoryContent(
        tuple(SignedRecord(9, number, kind, value) for (number, kind), value in records.items()), floor, doubt
    ),
    RECORDS,
    st.integers(0, HEIGHT_MAX),
    st.none() | st.just("a copy was put back"),
)


@given(st.dictionaries(st.sampled_from([KEY, OTHER, b"t" * 20]), CONTENTS))
def test_what_is_exported_binds_each_key_exactly_as_before(histories: dict[bytes, HistoryContent]) -> None:
    document = parsed(json.loads(exported(histories)))
    check(document)
    read = document.contents()
    assert read.keys() == histories.keys()
    for key, content in histories.items():
        assert Bound().merged_with(read[key]) == Bound().merged_with(content)


def test_a_document_of_a_program_that_knows_no_rounds_raises_the_floor(tmp_path: Path) -> None:
    """The example of EIP-3076, but for its public key."""
    document = parsed(
        {
            "metadata": {"interchange_format_version": "5", "genesis_validators_root": f"0x{GENESIS.hex()}"},
            "data": [
                {
                    "pubkey": f"0x{KEY.hex()}",
                    "signed_blocks": [{"slot": "81952", "signing_root": f"0x{ROOT.hex()}"}, {"slot": "81951"}],
                    "signed_attestations": [
                        {"source_epoch": "2290", "target_epoch": "3007", "signing_root": f"0x{ROOT.hex()}"},
                        {"source_epoch": "2290", "target_epoch": "3008"},
                    ],
                }
            ],
        }
    )
    check(document)
    with SigningGuard.open(tmp_path / "history", chain_id=CHAIN_ID, validator=KEY) as guard:
        guard.authorise(81_000, 0, SigningKind.PRE_VOTE, b"a")
        guard.merge(document.contents()[KEY])
        assert guard.floor == 81_952
        with pytest.raises(DoubleSignRefused):
            guard.authorise(81_952, 0, SigningKind.PRE_VOTE, b"a")
        guard.authorise(81_953, 0, SigningKind.PRE_VOTE, b"a")


def test_importing_lowers_nothing(tmp_path: Path) -> None:
    document = parsed(fields({KEY: NEVER_SIGNED}))
    with SigningGuard.open(tmp_path / "history", chain_id=CHAIN_ID, validator=KEY) as guard:
        guard.authorise(9, 0, SigningKind.PRE_VOTE, b"a")
        guard.raise_floor(8)
        before = guard.content()
        guard.merge(document.contents()[KEY])
        assert guard.content() == before


def changed(path: str, value: object) -> dict[str, Any]:
    document = fields({KEY: HistoryContent((PROPOSAL, VOTE), floor=5)})
    part: Any = document
    *steps, last = path.split(".")
    for step in steps:
        part = part[int(step) if step.isdigit() else step]
    part[last] = value
    return document


@pytest.mark.parametrize(
    ("path", "value", "rule"),
    [
        ("metadata.genesis_validators_root", "0x" + "00" * 32, "genesis_validators_root: the histories are of the"),
        ("metadata.step.chain_id", "another", "chain_id: the histories are of 'another'"),
        ("data.0.signed_blocks.0.slot", str(2**62), "heights must be at most 1500, .*lost-signing-history"),
        ("data.0.signed_attestations.1.target_epoch", str(2**62), "heights must be at most 1500"),
    ],
)
def test_another_chains_histories_and_heights_beyond_belief_are_refused(path: str, value: object, rule: str) -> None:
    with pytest.raises(InterchangeError, match=rule):
        check(parsed(changed(path, value)), height_max=1_500)


@pytest.mark.parametrize(
    ("path", "value", "rule"),
    [
        ("metadata.interchange_format_version", "4", "interchange_format_version"),
        ("surprise", 1, "surprise: unknown key"),
        ("data.0.pubkey", "0x00", "pubkey"),
        ("data.0.signed_blocks.0.slot", "05", "slot"),
        ("data.0.signed_blocks.0.slot", 5, "slot"),
        ("data.0.signed_blocks.0.slot", str(2**63), "from 0 to"),
        ("data.0.signed_blocks.1.step.kind", "PRE_VOTE", "a signed block is a PROPOSAL"),
        ("data.0.signed_attestations.1.step.kind", "PROPOSAL", "not an attestation"),
        ("data.0.signed_attestations.1.source_epoch", "8", "must not be above target_epoch"),
        ("data.0.signed_attestations.1.signing_root", "0x" + "00" * 32, "the digest of the signed line"),
        ("data.0.step.doubt", "\x1b[2J", "printable"),
    ],
)
def test_a_document_that_is_not_one_names_the_field(tmp_path: Path, path: str, value: object, rule: str) -> None:
    (tmp_path / "history.json").write_text(json.dumps(changed(path, value)))
    with pytest.raises(InterchangeError, match=rule) as refused:
        read_interchange(tmp_path / "history.json")
    assert str(tmp_path / "history.json") in str(refused.value)


def test_a_key_that_stands_in_it_twice_is_refused() -> None:
    document = fields({KEY: NEVER_SIGNED})
    document["data"] *= 2
    with pytest.raises(ValueError, match="stands in it twice"):
        parsed(document)
