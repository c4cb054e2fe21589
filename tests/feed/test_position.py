"""The id of an event: one text for one position, and no other text is one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from step_node.feed.position import (
    POSITION_PATTERN,
    POSITION_RULE,
    LocalPosition,
    Position,
    parse_position,
)

NUMBER_MAX = 10**18 - 1
INDEX_MAX = 10**9 - 1

runs = st.text("0123456789abcdef", min_size=8, max_size=8)
locals_ = st.none() | st.builds(LocalPosition, runs, st.integers(0, NUMBER_MAX))
positions = st.builds(Position, st.integers(0, NUMBER_MAX), st.integers(0, INDEX_MAX), locals_)


@given(position=positions)
def test_a_position_is_read_back_from_its_text(position: Position) -> None:
    assert parse_position(str(position)) == position
    assert re.fullmatch(POSITION_PATTERN, str(position))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "42",
        "42.",
        ".7",
        "-1.0",
        "042.7",
        "42.07",
        "42.7-",
        "42.7-5f3a21bc",
        "42.7-5F3A21BC.1",
        "42.7-5f3a21b.1",
        "42.7-5f3a21bc.01",
        " 42.7",
        "42.7\n",
        "４２.7",
        f"{NUMBER_MAX + 1}.0",
        f"1.{INDEX_MAX + 1}",
        f"1.0-5f3a21bc.{NUMBER_MAX + 1}",
        "1" * 5_000,
    ],
)
def test_any_other_text_is_refused_with_the_rule(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(POSITION_RULE)):
        parse_position(text)
