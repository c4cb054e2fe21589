"""Amounts and cursors as texts."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from step_node.amounts import step_text
from step_node.api.histories.cursor import CURSOR_RULE, decode_cursor, encode_cursor


@given(st.integers(0, 2**63))
def test_an_amount_has_six_places_and_loses_nothing(amount_ustep: int) -> None:
    text = step_text(amount_ustep)
    assert len(text.partition(".")[2]) == 6
    assert Decimal(text) * 1_000_000 == amount_ustep


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**32 - 1))
def test_a_cursor_leads_back_to_its_entry(height: int, index: int) -> None:
    assert decode_cursor(encode_cursor(height, index)) == (height, index)


@given(st.text(min_size=14, max_size=18) | st.text("ABab01-_=+/ \n", min_size=16, max_size=16))
def test_only_cursors_are_decoded(text: str) -> None:
    entry, rule = None, ""
    try:
        entry = decode_cursor(text)
    except ValueError as error:
        rule = str(error)
    if entry is None:
        assert rule == CURSOR_RULE
    else:
        assert encode_cursor(*entry) == text


def test_a_cursor_beyond_every_height_is_refused() -> None:
    with pytest.raises(ValueError, match="must be a cursor that an earlier answer gave"):
        decode_cursor("gAAAAAAAAAAAAAAA")
