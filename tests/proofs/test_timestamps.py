import pytest
from hypothesis import given
from hypothesis import strategies as st

from step_node.proofs.timestamps import TIMESTAMP_MAX_MS, TIMESTAMP_MIN_MS, format_timestamp, parse_timestamp


@pytest.mark.parametrize(
    ("text", "timestamp_ms"),
    [
        ("1970-01-01T00:00:00.000Z", 0),
        ("1969-12-31T23:59:59.999Z", -1),
        ("2025-10-20T22:40:12.345Z", 1_761_000_012_345),
        ("2024-02-29T12:00:00.000Z", 1_709_208_000_000),
        ("0001-01-01T00:00:00.000Z", TIMESTAMP_MIN_MS),
        ("9999-12-31T23:59:59.999Z", TIMESTAMP_MAX_MS),
    ],
)
def test_text_and_milliseconds_are_one_to_one(text: str, timestamp_ms: int) -> None:
    assert parse_timestamp(text) == timestamp_ms
    assert format_timestamp(timestamp_ms) == text


@given(st.integers(TIMESTAMP_MIN_MS, TIMESTAMP_MAX_MS))
def test_every_millisecond_survives_a_round_trip(timestamp_ms: int) -> None:
    assert parse_timestamp(format_timestamp(timestamp_ms)) == timestamp_ms


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2025-10-20T22:40:12Z",
        "2025-10-20T22:40:12.34Z",
        "2025-10-20T22:40:12.3456Z",
        "2025-10-20T22:40:12.345",
        "2025-10-20T22:40:12.345z",
        "2025-10-20t22:40:12.345Z",
        "2025-10-20 22:40:12.345Z",
        "2025-10-20T22:40:12.345+00:00",
        "2025-10-20T22:40:12.345Z\n",
        " 2025-10-20T22:40:12.345Z",
        "2025-02-29T22:40:12.345Z",
        "2025-13-01T22:40:12.345Z",
        "2025-00-01T22:40:12.345Z",
        "2025-10-32T22:40:12.345Z",
        "2025-10-20T24:00:00.000Z",
        "2025-10-20T22:60:12.345Z",
        "2025-10-20T22:40:60.345Z",
        "0000-01-01T00:00:00.000Z",
        "+002025-10-20T22:40:12.345Z",
        "2025-10-20T22:40:12,345Z",
        "٢٠٢٥-10-20T22:40:12.345Z",
    ],
)
def test_anything_but_a_real_date_in_the_exact_form_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="must be a real date and time"):
        parse_timestamp(text)


@pytest.mark.parametrize("timestamp_ms", [TIMESTAMP_MIN_MS - 1, TIMESTAMP_MAX_MS + 1])
def test_a_year_of_five_digits_or_none_cannot_be_written(timestamp_ms: int) -> None:
    with pytest.raises(ValueError, match="timestamp_ms: must be from"):
        format_timestamp(timestamp_ms)
