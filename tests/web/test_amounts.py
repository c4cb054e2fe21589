"""Amounts in the web app: exact, as the node writes them, and as people read and type them."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.web.typescript import evaluate, needs_web_packages

pytestmark = needs_web_packages

_AMOUNTS = st.integers(min_value=0, max_value=2**63 - 1)


@settings(max_examples=2, deadline=None)
@given(st.lists(_AMOUNTS, min_size=50, max_size=50))
def test_every_amount_is_read_and_written_to_the_last_place(amounts_micro: list[int]) -> None:
    texts = [f"{Decimal(amount).scaleb(-6):.6f}" for amount in amounts_micro]
    got = evaluate(
        "shell/amounts.ts",
        "given.map((text) => [String(web.micro(text)), web.decimal(web.micro(text)), web.shown(text, 'en')])",
        texts,
    )
    assert [(int(micro), text) for micro, text, _ in got] == list(zip(amounts_micro, texts, strict=True))
    assert [Decimal(shown.replace(",", "")) for _, _, shown in got] == [Decimal(text) for text in texts]


def test_people_read_thousands_and_the_mark_of_their_language() -> None:
    shown = evaluate(
        "shell/amounts.ts",
        "given.map((text) => [web.shown(text, 'en'), web.shown(text, 'de')])",
        ["0.000000", "1234567.500000", "0.001953", "9007199254740993.000001", "-1.250000"],
    )
    assert shown == [
        ["0.00", "0,00"],
        ["1,234,567.50", "1.234.567,50"],
        ["0.001953", "0,001953"],
        ["9,007,199,254,740,993.000001", "9.007.199.254.740.993,000001"],
        ["-1.25", "-1,25"],
    ]


_TYPED: Final = {
    "1.5": 1_500_000,
    " 1,5 ": 1_500_000,
    "0,001": 1_000,
    "12": 12_000_000,
    "0.000001": 1,
    "1.5000": 1_500_000,
    # One and a half to some, fifteen hundred to others.
    "1.500": None,
    "1,500": None,
    "1,500.00": None,
    "0.0000001": None,
    "01": None,
    "-1": None,
    "1e3": None,
    "": None,
    "\u0661": None,
}


def test_what_is_typed_is_one_amount_or_none() -> None:
    got = evaluate("shell/amounts.ts", "given.map(web.typed).map((micro) => micro && Number(micro))", list(_TYPED))
    assert dict(zip(_TYPED, got, strict=True)) == _TYPED
