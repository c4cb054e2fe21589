"""The measures of unevenness, against their definitions in exact fractions."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from step_node.economy.fairness import measures
from step_node.economy.fairness.measures import (
    PPM,
    Amounts,
    exact_sum,
    gini_ppm,
    nakamoto_coefficient,
    share_ppm,
    top_share_ppm,
)
from step_node.parameters import USTEP_MAX

amounts_of_ustep = st.lists(st.integers(0, USTEP_MAX), min_size=1, max_size=40)


def amounts(values: list[int]) -> Amounts:
    return np.array(values, np.int64)


def gini_by_definition(values: list[int]) -> Fraction:
    """Half the mean absolute difference of any two, over the mean."""
    count = len(values)
    differences = sum(abs(one - other) for one in values for other in values)
    return Fraction(differences, 2 * count * sum(values))


@given(amounts_of_ustep.filter(any))
def test_the_gini_coefficient_is_that_of_its_definition(values: list[int]) -> None:
    assert gini_ppm(amounts(values)) == gini_by_definition(values) * PPM // 1


@given(amounts_of_ustep.filter(any), st.randoms(use_true_random=False))
def test_the_gini_coefficient_is_within_its_bounds_and_knows_no_order(values: list[int], random: object) -> None:
    shuffled = sorted(values, key=lambda _: random.random())  # type: ignore[attr-defined]
    gini = gini_ppm(amounts(values))
    assert gini is not None
    assert 0 <= gini <= PPM * (len(values) - 1) // len(values)
    assert gini == gini_ppm(amounts(shuffled))


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=40).filter(any), st.integers(1, 2**20))
def test_measures_do_not_depend_on_the_unit_of_the_amounts(values: list[int], factor: int) -> None:
    larger = [value * factor for value in values]
    assert gini_ppm(amounts(values)) == gini_ppm(amounts(larger))
    assert top_share_ppm(amounts(values)) == top_share_ppm(amounts(larger))
    assert nakamoto_coefficient(values) == nakamoto_coefficient(larger)


@given(st.lists(st.integers(0, 2**40), min_size=2, max_size=40).filter(any), st.data())
def test_who_gives_to_one_who_has_more_makes_it_no_more_even(values: list[int], data: st.DataObject) -> None:
    poorer, richer = sorted(data.draw(st.permutations(range(len(values))))[:2], key=lambda place: values[place])
    given_away = data.draw(st.integers(0, values[poorer]))
    before = gini_ppm(amounts(values))
    values[poorer] -= given_away
    values[richer] += given_away
    after = gini_ppm(amounts(values))
    assert before is not None
    assert after is not None
    assert before <= after


@pytest.mark.parametrize(
    ("values", "gini"),
    [([7], 0), ([5, 5, 5], 0), ([0, 0, 0, 9], 750_000), ([1, 2, 3, 4], 250_000), ([0, 1], 500_000), ([1, 3], 250_000)],
)
def test_known_gini_coefficients(values: list[int], gini: int) -> None:
    assert gini_ppm(amounts(values)) == gini


def test_nothing_has_no_measure() -> None:
    for none in ([], [0, 0]):
        assert gini_ppm(amounts(none)) is None
        assert top_share_ppm(amounts(none)) is None
        assert nakamoto_coefficient(none) is None
    assert share_ppm(0, 0) is None


@pytest.mark.parametrize(("count", "top"), [(1, 1), (99, 1), (100, 1), (101, 2), (250, 3)])
def test_the_top_are_one_in_a_hundred_rounded_up(count: int, top: int) -> None:
    values = [1] * (count - top) + [1_000] * top
    assert top_share_ppm(amounts(values)) == 1_000 * top * PPM // sum(values)


@given(st.lists(st.integers(0, USTEP_MAX), max_size=8).filter(any))
def test_the_nakamoto_coefficient_is_the_smallest_group_with_more_than_a_third(holdings: list[int]) -> None:
    smallest = min(
        size
        for size in range(1, len(holdings) + 1)
        if any(3 * sum(group) > sum(holdings) for group in combinations(holdings, size))
    )
    assert nakamoto_coefficient(holdings) == smallest


@pytest.mark.parametrize(
    ("holdings", "fewest"), [([1, 1, 1], 2), ([1, 1, 1, 1], 2), ([34, 33, 33], 1), ([1] * 100, 34)]
)
def test_exactly_a_third_is_not_enough(holdings: list[int], fewest: int) -> None:
    assert nakamoto_coefficient(holdings) == fewest


def test_sums_of_the_greatest_amounts_do_not_overflow(monkeypatch: pytest.MonkeyPatch) -> None:
    values = amounts([USTEP_MAX] * 999 + [0])
    assert exact_sum(values) == 999 * USTEP_MAX
    whole = gini_ppm(values)
    assert whole == 1_000
    monkeypatch.setattr(measures, "_CHUNK_ROWS", 7)
    assert gini_ppm(values) == whole


def test_the_greatest_chunk_of_the_greatest_amounts_is_exact() -> None:
    # Of equal amounts the coefficient is exactly 0: one bit that overflows would show.
    assert gini_ppm(np.full(1 << 20, USTEP_MAX, np.int64)) == 0
