"""Scores of regions: the formula, written down once more in plain integers, and what it is to bring about."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh import LEVEL_MAX, TriangleId, locate
from step_node.economy.columns import HALF_LIFE_MS, PERIOD_MS, WINDOW_MS, ProofColumns
from step_node.economy.trending import AGE_MAX, WEIGHTS, TrendingBase, TrendingRegion, top_regions

PERIOD = 2_900_000
NOW_MS = PERIOD * PERIOD_MS


@dataclass(frozen=True)
class Click:
    """One row, as far as trending looks at it."""

    triangle: TriangleId
    account: int
    age: int = 0


def columns(clicks: Sequence[Click]) -> ProofColumns:
    count = len(clicks)
    times = np.array([NOW_MS - click.age * PERIOD_MS for click in clicks], np.int64)
    accounts = b"".join(click.account.to_bytes(8, "big") + bytes(12) for click in clicks)
    nothing = np.zeros(count)
    return ProofColumns(
        height=np.ones(count, np.int64),
        batch_time_ms=times,
        timestamp_ms=times,
        triangle=np.array([click.triangle.integer for click in clicks], np.uint64),
        lat=nothing,
        lon=nothing,
        accuracy_m=nothing,
        account=np.frombuffer(accounts, np.uint8).reshape(count, 20),
    )


def base_of(clicks: Sequence[Click], signals: dict[int, int] | None = None) -> TrendingBase:
    told = sorted((signals or {}).items())
    keys, bps = np.array([key for key, _ in told], np.uint64), np.array([one for _, one in told], np.int64)
    return TrendingBase.of(columns(clicks), PERIOD, keys, bps)


def top(
    clicks: Sequence[Click],
    level: int,
    *,
    since: Sequence[Click] = (),
    signals: dict[int, int] | None = None,
    limit: int = 1_000,
    ranges: Sequence[tuple[int, int]] | None = None,
    touches: Callable[[TriangleId], bool] | None = None,
) -> list[TrendingRegion]:
    base = base_of(clicks, signals)
    return top_regions(base, columns(since), level, limit, ranges=ranges, touches=touches)


def plainly(clicks: Sequence[Click], level: int, signals: dict[int, int]) -> list[TrendingRegion]:
    """The module's docstring, one row after another."""
    regions: dict[TriangleId, list[Click]] = defaultdict(list)
    for click in clicks:
        if click.triangle.level >= level:
            up = click.triangle.path >> 2 * (click.triangle.level - level)
            regions[TriangleId(click.triangle.face, level, up)].append(click)
    found = []
    for triangle, inside in regions.items():
        weights = [int(WEIGHTS[click.age]) for click in inside]
        trusted = [10_000 - signals.get(click.account, 0) for click in inside]
        accounts = {click.account for click in inside}
        milliaccounts = sum(10_000 - signals.get(account, 0) for account in accounts) * 1_000 // 10_000
        plausible = sum(one * other for one, other in zip(weights, trusted, strict=True)) // 10_000 * 1_000 >> 20
        found.append(
            TrendingRegion(
                triangle,
                score=plausible * isqrt(milliaccounts * 1_000) // 1_000,
                clicks=len(inside),
                decayed_milliclicks=sum(weights) * 1_000 >> 20,
                plausible_milliclicks=plausible,
                accounts=len(accounts),
                plausible_milliaccounts=milliaccounts,
            )
        )
    return sorted(found, key=lambda one: (-one.score, one.triangle))


def some_clicks(rng: random.Random, count: int) -> list[Click]:
    """Clicks of few accounts, in families of triangles: ancestors, siblings, the same ones again."""
    clicks = list[Click]()
    for _ in range(count):
        if clicks and rng.random() < 0.7:
            near = rng.choice(clicks).triangle
            level = rng.randint(1, LEVEL_MAX)
            up = near.path >> 2 * (near.level - level) if level <= near.level else near.path << 2 * (level - near.level)
            triangle = TriangleId(near.face, level, up ^ rng.randrange(4) if level > 1 else 0)
        else:
            level = rng.randint(1, LEVEL_MAX)
            triangle = TriangleId(rng.randrange(20), level, rng.getrandbits(2 * (level - 1)) if level > 1 else 0)
        clicks.append(Click(triangle, rng.choice([0, 1, 2, 2**64 - 1, 2**63]), rng.choice([0, 0, 1, 36, 288])))
    return clicks


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(0, 40), later=st.integers(0, 20), level=st.integers(1, LEVEL_MAX))
def test_the_scores_are_those_of_the_formula_however_many_rows_have_come_since_the_base_was_made(
    seed: int, count: int, later: int, level: int
) -> None:
    rng = random.Random(seed)
    clicks = some_clicks(rng, count + later)
    before, since = clicks[:count], [Click(one.triangle, one.account) for one in clicks[count:]]
    signals = {account: rng.choice([0, 1, 5_000, 10_000]) for account in (0, 2, 2**63) if rng.random() < 0.7}
    # The base knows the signals of accounts that it has rows of: of others there are none.
    known = {click.account for click in before}
    told = {account: bps for account, bps in signals.items() if account in known}
    assert top(before, level, since=since, signals=told) == plainly([*before, *since], level, told)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32), level=st.integers(1, LEVEL_MAX), cover=st.integers(1, 6), limit=st.integers(1, 5))
def test_of_some_areas_it_is_the_best_regions_in_them_and_of_these_those_that_are_wanted(
    seed: int, level: int, cover: int, limit: int
) -> None:
    rng = random.Random(seed)
    clicks = some_clicks(rng, 40)
    cover_level = min(level, cover)
    areas = sorted({one.triangle for one in plainly(clicks, cover_level, {}) if rng.random() < 0.5})
    ranges = [(area.integer, area.last_integer) for area in areas]
    since = [click for click in clicks[25:] if not click.age]
    found = top(
        clicks[:25],
        level,
        since=since,
        limit=limit,
        ranges=ranges,
        touches=lambda triangle: triangle.path % 3 != 0,
    )
    inside = [
        one
        for one in plainly([*clicks[:25], *since], level, {})
        if any(first <= one.triangle.integer <= last for first, last in ranges) and one.triangle.path % 3
    ]
    assert found == inside[:limit]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), accounts=st.sampled_from([1, 3, 50]), limit=st.sampled_from([1, 10, 200]))
def test_the_best_of_many_are_the_best_however_near_to_one_another_they_are(
    seed: int, accounts: int, limit: int
) -> None:
    rng = random.Random(seed)
    clicks = [
        Click(TriangleId(3, 6, rng.randrange(1_000)), rng.randrange(accounts), rng.choice([0, 1, 200]))
        for _ in range(2_000)
    ]
    signals = {account: rng.choice([0, 9_990, 9_999, 10_000]) for account in range(accounts)}
    known = {account: signals[account] for account in {click.account for click in clicks}}
    expected = plainly(clicks, 6, known)
    assert top(clicks, 6, signals=known, limit=limit) == expected[:limit]
    few = [one for one in expected if one.triangle.path % 7 == 0]
    found = top(clicks, 6, signals=known, limit=limit, touches=lambda triangle: triangle.path % 7 == 0)
    assert found == few[:limit]


def test_what_is_behind_the_best_is_looked_for_again_where_the_best_is_not_wanted() -> None:
    best, nothing, little = (TriangleId(face, 6, 0) for face in range(3))
    clicks = [Click(best, 1)] * 1_000 + [Click(nothing, 2)] * 3_000 + [Click(little, 3, 288)]
    # Nine ten thousandths of an account are rounded down to none.
    signals = {1: 9_980, 2: 9_991}
    assert [(one.triangle, one.score) for one in plainly(clicks, 6, signals)][1:] == [(little, 3), (nothing, 0)]
    (found,) = top(clicks, 6, signals=signals, limit=1, touches=lambda triangle: triangle != best)
    assert found.triangle == little


def test_no_more_regions_are_looked_at_than_are_allowed_and_these_are_the_best() -> None:
    clicks = [Click(TriangleId(face, 10, 0), account) for face in range(8) for account in range(face + 1)]
    asked = list[int]()

    def touches(triangle: TriangleId) -> bool:
        asked.append(triangle.face)
        return triangle.face < 6

    found = top_regions(base_of(clicks), columns([]), 10, 2, touches=touches, looks_max=3)
    assert (asked, [one.triangle.face for one in found]) == ([7, 6, 5], [5])


def test_a_click_weighs_half_after_the_half_life_and_the_weights_are_the_powers_rounded_down() -> None:
    half_life = HALF_LIFE_MS // PERIOD_MS
    assert WEIGHTS[0] == 2**20
    assert [int(WEIGHTS[half_life * times]) for times in (1, 2, 8)] == [2**19, 2**18, 2**12]
    for age in range(AGE_MAX + 1):
        weight = int(WEIGHTS[age])
        assert weight**half_life <= 2 ** (20 * half_life - age) < (weight + 1) ** half_life
    assert AGE_MAX * PERIOD_MS >= WINDOW_MS


ZURICH = locate(47.3769, 8.5417, 10)
SYDNEY = locate(-33.86, 151.21, 10)


def test_what_many_do_counts_more_than_what_one_does_often() -> None:
    clicks = [Click(ZURICH, account) for account in range(9)] + [Click(SYDNEY, 99)] * 20
    best, other = top(clicks, 10)
    assert (best.triangle, best.clicks, best.accounts, best.score) == (ZURICH, 9, 9, 9_000 * 3)
    assert (other.triangle, other.clicks, other.accounts, other.score) == (SYDNEY, 20, 1, 20_000)


def test_invented_accounts_add_nothing_but_what_is_shown_as_taken_away() -> None:
    honest, invented = [Click(ZURICH, account) for account in range(4)], [Click(ZURICH, 100 + one) for one in range(96)]
    signals = {100 + one: 10_000 for one in range(96)}
    (alone,) = top(honest, 10)
    (crowded,) = top([*honest, *invented], 10, signals=signals)
    assert (crowded.score, crowded.plausible_milliaccounts) == (alone.score, 4_000)
    assert (crowded.clicks, crowded.accounts, crowded.implausibility_bps) == (100, 100, 9_600)


def test_equal_scores_come_by_rising_id_and_no_more_than_the_limit() -> None:
    places = sorted(TriangleId(face, 10, path) for face in range(3) for path in range(5))
    clicks = [Click(place, 7) for place in reversed(places)]
    assert [one.triangle for one in top(clicks, 10, limit=7)] == places[:7]
    assert top(clicks, 11) == []


@pytest.mark.parametrize("level", [1, 8, 21])
def test_no_rows_no_regions(level: int) -> None:
    assert top([], level) == []
    assert top([], level, ranges=[]) == []
    (only,) = top([], level, since=[Click(locate(1.0, 2.0, 21), 5)])
    assert (only.score, only.clicks) == (1_000, 1)
