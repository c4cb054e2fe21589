"""Curves that are measured: on the smallest networks, for seconds; that they measure, not what."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from step_node.testing.bench.curves import measuring
from step_node.testing.bench.curves.measuring import CURVES, CurvePlan, measure_curve
from step_node.testing.bench.curves.points import Point
from step_node.testing.bench.grown_homes import HomesPlan
from step_node.testing.bench.plans import Workshop
from step_node.testing.load.report import LoadReport, ProofFate, Waits, report_on

PAGE = (Path(__file__).parents[4] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
ACCOUNTS = 1_000


@pytest.fixture
def in_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "RATE_MAX", 40.0)
    monkeypatch.setattr(measuring, "SATURATED_SECONDS", 2.0)
    monkeypatch.setattr(measuring, "CALM_SECONDS", 1.0)
    monkeypatch.setattr(measuring, "VALIDATORS", 1)


def test_every_curve_is_described_in_its_order() -> None:
    table = PAGE.partition("\n## Curves\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [plan.name for plan in CURVES]


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.usefixtures("in_seconds")
async def test_a_point_is_a_network_that_was_asked_how_much_and_how_soon(tmp_path: Path) -> None:
    async def measure(workshop: Workshop) -> list[Point]:
        plan = HomesPlan(1, workshop.accounts, batches=3)
        return [await measuring.measure_network(workshop, plan.batches, plan)]

    told: list[str] = []
    plan = CurvePlan("tiny", "A network of one", "batches", "linear", "For seconds.", measure)
    curve = await measure_curve(plan, Workshop(tmp_path, ACCOUNTS, tell=told.append), was_busy=True)
    (point,) = curve.points
    assert (curve.name, curve.engine, curve.conditions.was_busy, curve.found_per_second) == (
        "tiny",
        "SQLite",
        True,
        None,
    )
    assert (point.at, point.offered_per_second, point.lost) == (3, 40, 0)
    assert 0 < point.calm_per_second < point.final_per_second <= 40 < point.recoveries_per_second
    assert point.finality_p50_ms is not None
    assert point.finality_p95_ms is not None
    assert 0 < point.finality_p50_ms <= point.finality_p95_ms
    assert told[-1].startswith("at 3: ")
    assert [path.name for path in tmp_path.iterdir()] == ["run-1"], "the copy of a network's homes is left behind"


@pytest.mark.long
@pytest.mark.usefixtures("in_seconds")
async def test_waiting_proofs_and_offered_rates_are_measured_on_one_load_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "OFFERED_SHARES", (0.5, 1.0))
    workshop = Workshop(tmp_path, ACCOUNTS)
    waiting = await measuring.measure_waiting(workshop, 12)
    assert waiting.at <= 2 * 12
    assert waiting.calm_per_second == waiting.offered_per_second == 40
    half, full = await measuring.measure_offered(workshop)
    assert half.at == half.offered_per_second < full.at


@pytest.mark.long
@pytest.mark.usefixtures("in_seconds")
async def test_newcomers_prove_on_a_ledger_whose_accounts_nobody_has_the_keys_of(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path, ACCOUNTS)
    point = await measuring.measure_network(workshop, ACCOUNTS, HomesPlan(1, ACCOUNTS, prove=False))
    assert (point.lost, point.final_per_second > 0) == (0, True)


def test_what_is_kept_up_with_is_final_as_it_is_offered_and_the_rest_as_it_becomes_final() -> None:
    def load(final_seconds: float) -> LoadReport:
        fates = [ProofFate(0.0, answered=0.1, final=final_seconds, is_accepted=True) for _ in range(20)]
        return report_on(
            fates, offered_seconds=2, sent_late_seconds=[], waits=Waits(), own_cpu_seconds=0, signing_cpu_seconds=0
        )

    assert measuring._final_per_second(load(2.5)) == 10
    assert measuring._final_per_second(load(5.0)) == 4
