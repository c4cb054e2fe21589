"""The band that the clicks leave to the supply: as narrow as they allow, and kept as quickly as it is reckoned anew."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from step_node.economy.guardrails.band import Band, Origin, ProofsPaid, supply_band
from step_node.economy.guardrails.schedule import clicks_of
from step_node.ledger.level_counts import LevelCounts, counts_of_receipts
from step_node.ledger.records import TriangleState
from step_node.ledger.state import Receipt


class Counted(NamedTuple):
    touched: int
    clicks: int


def band(
    clicks: dict[int, Counted],
    *,
    begun_with_ustep: int = 7,
    last_paid_ustep: int = 0,
    reward_bps: int = 0,
    versions: tuple[int, int] = (1, 1),
    counts_all: bool = True,
) -> Band:
    """After five batches, where the versions of the rules were these: at first, and now."""
    return supply_band(
        Origin(begun_with_ustep, versions[0], counts_all),
        ProofsPaid(clicks, first_version=versions[0]).band(versions[1]),
        batches=5,
        last_paid_ustep=last_paid_ustep,
        reward_bps=reward_bps,
    )


def test_it_is_as_narrow_as_the_clicks_allow() -> None:
    clicks = {21: Counted(touched=10, clicks=280), 10: Counted(touched=1, clicks=1)}
    one = band(clicks, last_paid_ustep=233, reward_bps=500)
    paid, shared = 280 + 1_953, 2_000 * 500 // 10_000
    assert (one.least_ustep, one.most_ustep) == (7 + paid + shared - 5, 7 + paid + shared)
    two = band(clicks, versions=(2, 2))
    exact = 10 * 26 + 1_953
    assert two.least_ustep <= 7 + exact <= two.most_ustep
    assert two.most_ustep - two.least_ustep <= 12 + 5
    both = band(clicks, versions=(1, 2))
    assert both.least_ustep <= two.least_ustep
    assert both.most_ustep >= 7 + paid


def test_where_a_chain_began_with_another_s_state_the_clicks_say_only_what_is_too_much() -> None:
    clicks = {1: Counted(touched=20, clicks=100)}
    found = band(clicks, begun_with_ustep=40_000_000, reward_bps=500, counts_all=False)
    assert found.least_ustep == 40_000_000
    assert found.most_ustep == 40_000_000 + 105_000_000


def receipt(level: int, click: int) -> Receipt:
    return Receipt(bytes(32), 1, 0, bytes(20), level, 0, click, TriangleState.ACTIVE, 0, 0)


CLICKS = st.integers(1, 21).flatmap(lambda level: st.tuples(st.just(level), st.integers(1, clicks_of(level))))
BATCHES = st.lists(st.tuples(st.sampled_from([1, 2]), st.lists(CLICKS, max_size=6)), max_size=12)


@pytest.mark.parametrize("first_version", [1, 2])
@given(batches=BATCHES)
def test_what_is_kept_from_batch_to_batch_is_what_all_clicks_come_to(
    first_version: int, batches: list[tuple[int, list[tuple[int, int]]]]
) -> None:
    kept, counts = ProofsPaid({}, first_version=first_version), dict[int, LevelCounts]()
    for version, clicks in batches:
        receipts = [receipt(level, click) for level, click in clicks]
        kept.count(receipts)
        for level, more in counts_of_receipts(receipts).items():
            counts.setdefault(level, LevelCounts()).add(more)
        anew = ProofsPaid(counts, first_version=first_version)
        assert kept.band(version) == anew.band(version)


def test_clicks_of_levels_that_there_are_not_pay_nothing() -> None:
    kept = ProofsPaid({0: Counted(1, 1), 25: Counted(1, 1)}, first_version=1)
    kept.count([receipt(level, 1) for level in (0, 22, 31, -1, 10**5000)])
    assert kept.band(1) == Band(0, 0)
    kept.count([receipt(10, 1)])
    assert kept.band(1) == Band(1_953, 1_953)
