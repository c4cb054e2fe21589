"""Drift: against the mean of the epochs before, and only where all of them are known."""

from __future__ import annotations

import pytest

from step_node.economy.fairness.drift import COMPARED_EPOCHS, Headline, drift_of


def headline(epoch: int, gini_ppm: int | None, top_share_ppm: int | None = None) -> Headline:
    return Headline(
        epoch=epoch,
        first_height=1,
        last_height=4,
        begins="2025-10-09T08:53:21.000Z",
        ends="2025-10-09T08:53:24.000Z",
        report_hash="0x" + "00" * 32,
        proofs=1,
        accounts=1,
        paid="0.001953",
        income_gini_ppm=gini_ppm,
        income_top_share_ppm=gini_ppm if top_share_ppm is None else top_share_ppm,
        balances_gini_ppm=None,
        newcomers_share_ppm=None,
        stake_nakamoto=2,
        votes_nakamoto=2,
        absences=0,
    )


def before(*ginis: int | None, last: int) -> dict[int, Headline]:
    return {
        epoch: headline(epoch, gini) for epoch, gini in zip(range(last - len(ginis) + 1, last + 1), ginis, strict=True)
    }


def test_drift_is_the_difference_from_the_mean() -> None:
    drift = drift_of(headline(4, 460_000, 50_000), before(390_000, 400_000, 410_000, last=3))
    assert drift is not None
    assert (drift.compared_epochs, drift.income_gini_ppm, drift.income_top_share_ppm) == (3, 60_000, -350_000)


def test_only_the_last_ten_epochs_count() -> None:
    others = before(1_000_000, *[400_000] * COMPARED_EPOCHS, last=20)
    drift = drift_of(headline(21, 400_000), others)
    assert drift is not None
    assert (drift.compared_epochs, drift.income_gini_ppm) == (COMPARED_EPOCHS, 0)


def test_epochs_that_paid_nothing_are_not_compared_with() -> None:
    drift = drift_of(headline(4, 300_000), before(None, 200_000, None, last=3))
    assert drift is not None
    assert (drift.compared_epochs, drift.income_gini_ppm) == (1, 100_000)
    none_paid = drift_of(headline(4, 300_000), before(None, None, None, last=3))
    assert none_paid is not None
    assert (none_paid.compared_epochs, none_paid.income_gini_ppm) == (0, None)
    silent = drift_of(headline(4, None), before(200_000, 200_000, 200_000, last=3))
    assert silent is not None
    assert silent.income_gini_ppm is None


@pytest.mark.parametrize("missing", [11, 15, 20])
def test_where_one_epoch_is_missing_no_drift_is_told(missing: int) -> None:
    others = before(*[400_000] * COMPARED_EPOCHS, last=20)
    assert drift_of(headline(21, 460_000), others) is not None
    del others[missing]
    assert drift_of(headline(21, 460_000), others) is None


def test_the_first_epoch_is_compared_with_none() -> None:
    drift = drift_of(headline(1, 460_000), {})
    assert drift is not None
    assert (drift.compared_epochs, drift.income_gini_ppm, drift.income_top_share_ppm) == (0, None, None)
