"""The one table of codes: complete, and all that is made of it is made of it as it stands."""

from __future__ import annotations

import json

import pytest

from scripts.codes import FILE, PAGE, file_text, page_with_tables
from step_node.api.details import DetailsAnswer
from step_node.api.errors import RequestCode
from step_node.explanations.codes import BY_CODE, ROWS, CodeRow
from step_node.explanations.details import Details, field_and_rule, shown
from step_node.operations.operation import OperationCode
from step_node.proofs.proof import RefusalCode


def test_the_table_has_exactly_the_codes_that_there_are() -> None:
    assert {row.code for row in ROWS} == {
        code.value for codes in (RefusalCode, RequestCode, OperationCode) for code in codes
    }
    assert len(BY_CODE) == len(ROWS)


def test_the_page_and_the_file_of_the_client_libraries_are_made_of_the_table() -> None:
    assert page_with_tables(page := PAGE.read_text(encoding="utf-8")) == page, "run: python -m scripts.codes"
    assert FILE.read_text(encoding="utf-8") == file_text(), "run: python -m scripts.codes"
    assert {row["code"] for row in json.loads(file_text())["codes"]} == BY_CODE.keys()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.code)
def test_each_example_has_the_details_that_its_code_always_has(row: CodeRow) -> None:
    field, rule = field_and_rule(row.message)
    named = {name for name, found in (("field", field), ("rule", rule)) if found}
    assert set(row.details) <= row.example.keys() | named
    answer = DetailsAnswer.model_validate({"gate": row.gate, "retryable": row.retryable} | row.example)
    assert answer.model_dump(mode="json", by_alias=True).keys() >= row.example.keys()


def test_a_page_without_its_markers_is_named() -> None:
    with pytest.raises(ValueError, match="must hold <!-- codes: begin -->"):
        page_with_tables("# Codes\n")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("lat: must be a number", ("lat", "must be a number")),
        ("lat, lon: too far: 5 m", ("lat, lon", "too far: 5 m")),
        ("the store does not answer: locked", (None, None)),
        ("the node is stopping", (None, None)),
    ],
)
def test_field_and_rule_are_read_off_a_message_that_names_them(
    message: str, expected: tuple[str | None, str | None]
) -> None:
    assert field_and_rule(message) == expected


def test_a_value_is_shown_short_and_in_ascii_or_not_at_all() -> None:
    assert shown("a" * 100) == "a" * 100
    assert shown("a" * 101) == "a" * 100 + "…"
    assert shown("é\n") == "\\xe9\\n"
    assert (shown(1), shown(1.5), shown(True)) == (1, 1.5, True)
    assert [shown(float("nan")), shown(2**63), shown(None), shown([1])] == [None] * 4


def test_details_leave_out_what_they_do_not_say_and_take_the_rest_from_the_code() -> None:
    details = DetailsAnswer.of("TOO_FAST", "lat, lon: too far", Details(value=25.5, retry_at_ms=1_000), now_ms=0)
    assert details.model_dump(mode="json", by_alias=True) == {
        "gate": "speed",
        "field": "lat, lon",
        "rule": "too far",
        "value": 25.5,
        "retryable": False,
        "retryAt": "1970-01-01T00:00:01.000Z",
    }
