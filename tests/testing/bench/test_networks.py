"""The rows of whole networks, on a small one and for seconds: that they measure, not what."""

from __future__ import annotations

from pathlib import Path

import pytest

from step_node.testing.bench import idle, networks
from step_node.testing.bench.networks import Store, measure_burst, measure_rate
from step_node.testing.bench.plans import Workshop
from step_node.testing.load.report import ProofFate, Waits, report_on

ACCOUNTS = 1_000


@pytest.mark.long
@pytest.mark.parametrize("store", ["sqlite", "mongodb"])
async def test_a_rate_is_found_kept_and_overloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    monkeypatch.setattr(networks, "FIRST_RATE", 20.0)
    monkeypatch.setattr(networks, "SUSTAINED_SECONDS", 2.0)
    monkeypatch.setattr(networks, "OVERLOAD_SECONDS", 2.0)
    monkeypatch.setattr(networks, "STEP_SECONDS", 2.0)
    monkeypatch.setattr(networks, "KEPT_UP_MS", 0.0)  # The first rate is too high already: one step is enough.
    workshop = Workshop(tmp_path, ACCOUNTS)
    sample = await measure_rate(workshop, validators=1, batch=4, p95_ms_max=60_000.0, quick_at=10.0, store=store)
    assert sample.limit is not None
    assert 0 < sample.value < sample.limit
    assert sample.figures["sustained, offered/s"] == 10
    assert sample.figures["sustained, lost"] == 0
    assert sample.figures["overload, offered/s"] > 10


@pytest.mark.long
async def test_a_burst_is_taken_in_beside_a_trickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "BURST_VALIDATORS", 1)
    monkeypatch.setattr(networks, "BURST_PROOFS", 200)
    monkeypatch.setattr(networks, "BURST_SECONDS", 1.0)
    monkeypatch.setattr(networks, "BATCH", 50)
    monkeypatch.setattr(networks, "RECOVERY_SECONDS_MAX", 4.0)
    sample = await measure_burst(Workshop(tmp_path, ACCOUNTS))
    assert sample.figures["accepted"] + sample.figures["refused"] == 200
    assert sample.figures["lost"] == 0
    assert 0 <= sample.value <= 5


@pytest.mark.long
async def test_an_idle_network_is_asked_one_proof_after_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle, "PROOFS", 2)
    monkeypatch.setattr(idle, "VALIDATORS", 1)
    sample = await idle.measure_idle(Workshop(tmp_path), batch_interval_ms=50)
    assert (sample.limit, sample.value > 0) == (50.0, True)


def test_what_a_bar_asks_for_besides_the_rate_is_judged() -> None:
    fates = [
        ProofFate(0.0, answered=0.1, final=2.0, is_accepted=True),
        ProofFate(0.0, answered=0.1, is_accepted=True),
        ProofFate(0.0, answered=0.1, code="NONCE_REPLAY", is_accepted=True),
        ProofFate(0.0, answered=0.1, code="MEMPOOL_FULL"),
    ]
    waits = Waits()
    waits.note("MEMPOOL_FULL", None)
    report = report_on(
        fates, offered_seconds=1, sent_late_seconds=[], waits=waits, own_cpu_seconds=0, signing_cpu_seconds=0
    )
    assert networks._failures(report, report, most=10.0, p95_ms_max=1_000.0) == (
        "2 accepted proofs were lost",
        "accepted proofs were dropped: 2 NONCE_REPLAY",
        "finality p95 is not below 1,000 ms",
        "the rate falls under overload",
        "refused without a time to come back: MEMPOOL_FULL",
    )
