"""The tables of docs/protocol.md are those of the code: parameters, gates and their codes, limits on messages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from consensus.messages import MESSAGE_BYTES_MAX
from step_node.api.errors import HTTP_STATUS
from step_node.batch.batch import EVIDENCE_MAX, OPERATIONS_MAX
from step_node.ledger.offences import OffenceKind, slash_bps
from step_node.ledger.state_gates import EXHAUSTION_CLICKS, SUBDIVISION_CLICKS
from step_node.ledger.validators import ROTATIONS_MAX, SET_VALIDATORS_MAX
from step_node.network import protocols
from step_node.operations.operation import OPERATION_BYTES_MAX
from step_node.parameters import Parameters
from step_node.proofs.proof import RefusalCode
from step_node.proofs.wire import BUNDLE_BYTES_MAX, BUNDLE_PROOFS_MAX
from step_node.snapshot.manifest import CHUNK_BYTES_MAX, CHUNKS_MAX

PAGE = (Path(__file__).parents[1] / "docs" / "protocol.md").read_text(encoding="utf-8")
UNITS_MS = {"h": 3_600_000, "days": 86_400_000}


def _section(number: int) -> str:
    return PAGE.split("\n## ")[number]


def _amount(text: str) -> int:
    """`5,000`, `100,000 STEP`, `7 days`, `24 h`."""
    number, _, unit = text.strip().partition(" ")
    return int(number.replace(",", "")) * UNITS_MS.get(unit, 1)


def test_every_parameter_stands_in_the_table_with_its_default_or_at_its_gate() -> None:
    cells = re.findall(r"`(\w+)`(?: \(per round\))? \| ([\d,]+(?: \w+)?) \|", _section(4))
    table = {name: _amount(default) for name, default in cells}
    gates = {name: _amount(default) for name, default in re.findall(r"`(\w+)` \(([\d,]+)\)", _section(2))}
    assert table
    assert gates
    assert {**gates, **table} == Parameters().model_dump()


def test_the_gates_are_those_of_the_code_in_their_order_with_their_status() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| (\d+) \|", _section(2), re.MULTILINE)
    rows += re.findall(r"`([A-Z_]+)` (\d{3})", _section(2).partition("Further answers of the API: ")[2])
    assert [code for code, _ in rows] == [str(code) for code in RefusalCode]
    assert {code: int(status) for code, status in rows} == {str(code): HTTP_STATUS[code] for code in RefusalCode}


def test_the_offences_cost_what_the_table_says() -> None:
    rows = re.findall(r"^\| ((?:`[A-Z_]+`(?:, )?)+) \|.*\| (\d+) % \|$", _section(4), re.MULTILINE)
    costs = {kind: int(share) * 100 for kinds, share in rows for kind in re.findall(r"[A-Z_]+", kinds)}
    assert costs == {str(kind): slash_bps(kind, Parameters()) for kind in OffenceKind}


@pytest.mark.parametrize(
    ("where", "limits"),
    [
        ("topic `consensus`", [MESSAGE_BYTES_MAX]),
        ("topic `proofs`", [BUNDLE_PROOFS_MAX, BUNDLE_BYTES_MAX]),
        ("topic `operations`", [OPERATION_BYTES_MAX]),
        (f"`{protocols.HELLO_PROTOCOL}`", [protocols.HELLO_BYTES_MAX]),
        (f"`{protocols.SYNC_PROTOCOL}`", [protocols.SYNC_BYTES_MAX]),
        (
            f"`{protocols.SNAPSHOT_PROTOCOL}`",
            [protocols.SNAPSHOT_BYTES_MAX, CHUNKS_MAX, CHUNK_BYTES_MAX],
        ),
        (f"`{protocols.FETCH_PROTOCOL}`", [protocols.FETCH_BYTES_MAX]),
    ],
)
def test_a_message_may_be_as_long_as_the_table_says(where: str, limits: list[int]) -> None:
    (cell,) = re.findall(rf"^\| {re.escape(where)} \|.*\| ([^|]+) \|$", _section(5), re.MULTILINE)
    assert [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", cell)] == limits


@pytest.mark.parametrize(
    "sentence",
    [
        f"the {SUBDIVISION_CLICKS}th click",
        f"its {EXHAUSTION_CLICKS}th click",
        f"at most {OPERATION_BYTES_MAX:,} bytes; a batch holds at most {OPERATIONS_MAX}",
        f"At most {EVIDENCE_MAX} pieces stand in a batch",
        f"fewer than {SET_VALIDATORS_MAX} are in the set or wait for it",
        f"at most {ROTATIONS_MAX} earlier keys are remembered",
        f"up to {protocols.SYNC_BATCHES_MAX}",
        f"up to {protocols.FETCH_IDS_MAX} ids",
        f"up to {protocols.LINKS_PER_MESSAGE} links",
    ],
)
def test_numbers_in_its_sentences_are_those_of_the_code(sentence: str) -> None:
    assert sentence in PAGE
