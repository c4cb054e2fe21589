"""The row of readers, on a small network and for seconds: that it measures, not what."""

from __future__ import annotations

from pathlib import Path

import pytest

from step_node.testing.bench import reading
from step_node.testing.bench.plans import Workshop


@pytest.mark.long
async def test_readers_beside_proofs_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "VALIDATORS", 1)
    monkeypatch.setattr(reading, "PROOFS_PER_SECOND", 20.0)
    monkeypatch.setattr(reading, "READS_PER_SECOND", 30.0)
    monkeypatch.setattr(reading, "SECONDS", 2.0)
    sample = await reading.measure_reads(Workshop(tmp_path, 1_000))
    assert sample.value > 0
    assert sample.figures["not answered with 200"] == 0
    assert sample.figures["final/s"] > 0
    assert any(detail.startswith("/mesh/nearby: ") for detail in sample.details)
