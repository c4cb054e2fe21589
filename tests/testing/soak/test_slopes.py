"""Lines through samples, and what is said of them."""

from __future__ import annotations

import json
import math

import pytest

from step_node.economy.columns import COLUMNS, period_of
from step_node.economy.plausibility import account_signals
from step_node.economy.trending import TrendingBase
from step_node.testing.soak.run import Soaked, SoakSettings
from step_node.testing.soak.samples import FIGURES, Sample
from step_node.testing.soak.slopes import (
    COUNTS,
    RSS_KIB_PER_MINUTE_MAX,
    STORE_BYTES_PER_MINUTE_MAX,
    WINDOW_BYTES_A_PROOF,
    Growth,
    growth_of,
    slope_of,
    table,
)
from tests.economy.made_rows import MUNICH, columns_of


def samples(**per_minute: float) -> list[Sample]:
    """Forty, one every 15 s: each figure begins at 1,000 and grows by so much, 0 if it is not named."""
    return [
        Sample(15.0 * index, {figure: 1_000 + per_minute.get(figure, 0.0) * index / 4 for figure in FIGURES})
        for index in range(40)
    ]


def growth(**per_minute: float) -> Growth:
    return growth_of(samples(**per_minute), settled_seconds=120)


def test_the_slope_of_a_line_is_found_without_an_error() -> None:
    slope = slope_of([(60.0 * minute, 7 + 2.5 * minute) for minute in range(5)])
    assert math.isclose(slope.per_minute, 2.5)
    assert math.isclose(slope.error_per_minute, 0, abs_tol=1e-9)
    assert (slope.first, slope.last) == (7, 17)


def test_the_standard_error_is_that_of_a_textbook() -> None:
    # y = 1, 3, 2 at minutes 0, 1, 2: slope 1/2, residuals -1/2, 1, -1/2; sqrt(1.5 / 1 / 2).
    slope = slope_of([(0.0, 1), (60.0, 3), (120.0, 2)])
    assert math.isclose(slope.per_minute, 0.5)
    assert math.isclose(slope.error_per_minute, math.sqrt(0.75))


def test_two_samples_are_too_few_for_a_line() -> None:
    with pytest.raises(ValueError, match="a slope needs 3 samples at least, not 2: let it run longer"):
        slope_of([(0.0, 1), (60.0, 3)])


def test_what_came_before_a_node_had_settled_does_not_count() -> None:
    taken = samples()
    for sample in taken[:8]:
        sample.figures["rss_kib"] = 10.0
    assert growth_of(taken, settled_seconds=120).slopes["rss_kib"].per_minute == 0


def test_a_node_that_keeps_to_its_bounds_is_not_at_fault() -> None:
    assert growth(rss_kib=RSS_KIB_PER_MINUTE_MAX - 1, height=30, store_bytes=9e6, node_log_bytes=100).faults() == []
    assert growth(rss_kib=-500, tasks=-3).faults() == []


def test_memory_may_grow_with_the_window_of_proofs_and_by_no_more() -> None:
    """A node holds two days of them."""
    window = 180 * WINDOW_BYTES_A_PROOF / 1_024
    assert growth(rss_kib=RSS_KIB_PER_MINUTE_MAX + window - 1, window_proofs=180).faults() == []
    (fault,) = growth(rss_kib=RSS_KIB_PER_MINUTE_MAX + window + 1, window_proofs=180).faults()
    assert fault.startswith("rss_kib grows by 42.3 a minute; 41.2695 are allowed")


def test_the_window_of_the_soak_takes_what_the_node_holds_of_a_proof() -> None:
    rows = columns_of([(number % 10, 10_000 * number, *MUNICH, 10.0) for number in range(1_000)])
    signals = account_signals(rows)
    period = period_of(int(rows.batch_time_ms[-1]))
    base = TrendingBase.of(rows, period, signals.keys, signals.implausibility_bps)
    by_row = [getattr(rows, one) for one in COLUMNS]
    by_row += [base.triangle, base.weight, base.trusted_bps, base.shared_level, base.run_triangle]
    by_row += [signals.places, signals.account_at_place]
    assert sum(column.nbytes for column in by_row) == 1_000 * WINDOW_BYTES_A_PROOF


def test_the_store_of_a_node_that_prunes_must_stay_level_and_only_of_such_a_node() -> None:
    most = STORE_BYTES_PER_MINUTE_MAX
    assert growth(store_bytes=most + 1_000).faults() == []
    assert growth(store_bytes=most - 1_000).faults(is_level=True) == []
    (fault,) = growth(store_bytes=most + 1_000).faults(is_level=True)
    assert fault == "store_bytes grows by 21000.0 a minute; 20000 are allowed"
    soaked = Soaked(SoakSettings(retention="1000 batches"), {}, {"node-0": growth(store_bytes=most + 1_000)}, 9, 0, 0)
    assert soaked.faults() == [f"node-0: {fault}"]
    assert json.loads(soaked.to_json())["growth"]["node-0"]["faults"] == [fault]


def test_the_second_half_counts() -> None:
    assert SoakSettings(minutes=60).settled_seconds == 1_800
    assert SoakSettings(minutes=3, retention="1000 batches").settled_seconds == 90


@pytest.mark.parametrize(
    ("figure", "per_minute"), [("rss_kib", RSS_KIB_PER_MINUTE_MAX + 1), *((c, 1.0) for c in COUNTS)]
)
def test_what_grows_and_must_not_is_named(figure: str, per_minute: float) -> None:
    (fault,) = growth(**{figure: per_minute}).faults()
    assert fault.startswith(f"{figure} grows by {per_minute:.1f} a minute; ")


def test_what_may_be_chance_is_no_fault() -> None:
    taken = samples(tasks=1.0)
    for index, sample in enumerate(taken):
        sample.figures["tasks"] += 20 * (-1) ** index
    assert growth_of(taken, settled_seconds=0).slopes["tasks"].per_minute > 0.5
    assert growth_of(taken, settled_seconds=0).faults() == []


def test_files_grow_with_the_chain_and_are_given_per_batch_and_proof() -> None:
    grown = growth(height=10, proofs_finalised=40, store_bytes=8_000, node_log_bytes=20)
    assert grown.store_bytes_per_batch is not None
    assert math.isclose(grown.store_bytes_per_batch, 800)
    assert grown.store_bytes_per_proof is not None
    assert math.isclose(grown.store_bytes_per_proof, 200)
    assert growth().store_bytes_per_batch is None
    shown = table({"node 0": grown})
    assert "node 0   store_bytes               8000.00     0.00" in shown
    assert "800 bytes of store a batch, 200 bytes a proof" in shown
    assert "no batch for bytes" in table({"node 0": growth()})


def soaked(finalised: int = 100, failed: int = 0, **per_minute: float) -> Soaked:
    grown = {"node 0": growth(**per_minute)}
    return Soaked(SoakSettings(), {"node 0": samples()}, grown, finalised, 10, failed, peers_last_failure="a line cut")


def test_a_soak_without_load_or_visitors_proves_nothing() -> None:
    assert soaked().faults() == []
    assert soaked(finalised=0).faults() == ["no proof became final: this was no load"]
    assert soaked(failed=6).faults() == ["6 of 10 visiting peers were not served, the last because of a line cut"]
    (fault,) = soaked(tasks=2.0).faults()
    assert fault == "node 0: tasks grows by 2.0 a minute; 0.5 are allowed"


def test_everything_is_there_for_programs() -> None:
    said = json.loads(soaked(tasks=2.0).to_json())
    assert said["faults"] == soaked(tasks=2.0).faults()
    assert said["growth"]["node 0"]["slopes"]["tasks"]["per_minute"] == pytest.approx(2.0)
    assert len(said["samples"]["node 0"]) == 40
    assert set(said["samples"]["node 0"][0]) == {"seconds", *FIGURES}
