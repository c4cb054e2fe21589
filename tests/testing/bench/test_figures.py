"""Rows of the benchmark: medians, ratios, spreads, and when a bar is met."""

from __future__ import annotations

import pytest

from step_node.testing.bench.figures import Bar, Sample, plain_number, summarise


def test_a_row_has_the_medians_of_its_runs_and_the_ratio_of_each_run_to_its_own_limit() -> None:
    # In the second run the machine was slow for both, which the ratio does not show.
    row = summarise("row", "proofs/s", None, [Sample(80, 100), Sample(40, 50), Sample(90, 100)])
    assert (row.value, row.limit, row.ratio) == (80, 100, 0.8)
    assert row.spread == pytest.approx(50 / 80)
    assert (row.runs, row.bar, row.meets_bar) == (3, None, None)


def test_the_json_of_a_row_has_exactly_its_nine_fields() -> None:
    row = summarise("row", "µs", Bar(at_most=1.0), [Sample(0.76543, None, {"other": 3.0})])
    assert row.as_json() == {
        "name": "row",
        "value": 0.7654,
        "unit": "µs",
        "limit": None,
        "ratio": None,
        "bar": 1.0,
        "meets_bar": True,
        "runs": 1,
        "spread": 0.0,
    }


def test_a_bar_of_the_limit_is_told_in_the_unit_of_the_value() -> None:
    bar = Bar(at_least=0.8, of="ratio")
    assert summarise("row", "1/s", bar, [Sample(790, 1_000)]).as_json()["bar"] == 800
    assert summarise("row", "1/s", bar, [Sample(790, 1_000)]).meets_bar is False
    assert summarise("row", "1/s", bar, [Sample(800, 1_000)]).meets_bar is True
    assert str(bar) == "≥ 0.8 of the limit"


def test_a_bar_of_the_limit_needs_a_limit_in_every_run() -> None:
    with pytest.raises(ValueError, match="a run has none"):
        summarise("row", "1/s", Bar(at_least=0.8, of="ratio"), [Sample(800, 1_000), Sample(800)])


@pytest.mark.parametrize(("value", "is_met"), [(9.0, True), (10.0, True), (10.1, False)])
def test_a_value_that_is_to_be_small_meets_its_bar_from_below(value: float, is_met: bool) -> None:
    assert summarise("row", "s", Bar(at_most=10), [Sample(value)]).meets_bar is is_met


def test_what_else_a_bar_asks_for_has_to_hold_in_every_run() -> None:
    samples = [Sample(5_000), Sample(5_000, failures=("2 accepted proofs were lost",)), Sample(5_000)]
    row = summarise("row", "1/s", Bar(at_least=3_000), samples)
    assert row.meets_bar is False
    assert row.failures == ("2 accepted proofs were lost",)


def test_figures_of_the_side_are_medians_of_the_runs_that_have_them() -> None:
    row = summarise("row", "s", None, [Sample(1, figures={"a": 1}), Sample(1, figures={"a": 3, "b": 7}), Sample(1)])
    assert row.figures == {"a": 2, "b": 7}


def test_no_runs_are_no_row() -> None:
    with pytest.raises(ValueError, match="no run"):
        summarise("row", "s", None, [])


def test_a_bar_is_one_way_or_the_other() -> None:
    with pytest.raises(ValueError, match="either"):
        Bar()
    with pytest.raises(ValueError, match="either"):
        Bar(at_least=1, at_most=2)


@pytest.mark.parametrize(
    ("number", "text"), [(None, "-"), (37_123.4, "37,120"), (0.123456, "0.1235"), (5.0, "5"), (1_999.6, "2,000")]
)
def test_numbers_for_people_have_no_more_digits_than_a_measurement(number: float | None, text: str) -> None:
    assert plain_number(number) == text
