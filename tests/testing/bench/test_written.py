"""The row `written`, on a network of real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from step_node.testing.bench.plans import Workshop
from step_node.testing.bench.written import measure_written

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="needs /proc (Linux)"),
]


async def test_a_batch_writes_pages_and_no_megabytes(tmp_path: Path) -> None:
    sample = await measure_written(Workshop(tmp_path), seconds=10.0)
    assert sample.figures["batches"] >= 3
    assert sample.figures["proofs a batch"] > 0
    # A vote, a lock and a proof each take a page at least; it was 70 KiB when the row was made.
    assert 4 <= sample.value <= 1_000
