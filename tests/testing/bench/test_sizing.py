"""What a node needs of a machine, measured: the figures are the system's, and the page says what they are of."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from step_node.errors import StepNodeError
from step_node.testing.bench.sizing import Sizing, Usage, bytes_under, measure, page
from step_node.testing.load.report import LoadReport
from step_node.testing.machine import Conditions

needs_proc = pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="needs /proc (Linux)")

REPORT = LoadReport(
    offered=600,
    accepted=600,
    refused={},
    retry_after_seconds={},
    final=600,
    dropped={},
    lost=0,
    seconds=60.0,
    offered_per_second=10.0,
    accepted_per_second=10.0,
    final_per_second=10.0,
    acceptance_ms={},
    finality_ms={},
    sent_late_ms={},
    own_cpu=0.1,
    signing_cpu=0.0,
)


@needs_proc
def test_what_a_process_has_used_is_what_the_system_has_counted() -> None:
    before = Usage.of(os.getpid())
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass
    after = Usage.of(os.getpid())
    assert after.cpu_seconds - before.cpu_seconds >= 0.1
    assert after.memory_bytes > 10 * 2**20
    assert after.written_bytes >= before.written_bytes


def test_a_process_that_is_not_there_is_told() -> None:
    with pytest.raises(StepNodeError, match="cannot be read"):
        Usage.of(2**30)


def test_files_count_as_they_lie_on_the_disk(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "file").write_bytes(os.urandom(100_000))
    assert 100_000 <= bytes_under(tmp_path) < 200_000


def test_the_page_has_a_row_for_each_rate_and_says_what_is_not_so() -> None:
    sizing = Sizing(10.0, 0.256, 150 * 2**20, 1.5e9, 12.34e9, REPORT)
    quiet = Conditions(version="1", time="2026-01-02T03:04:05Z", python="3.11", machine="x", cores=2, was_busy=False)
    text = page(quiet, [sizing])
    assert "| 10 | 10.0 | 0.26 | 150 MiB | 1.50 GB | 12.34 GB | 60 s |" in text
    assert "nothing else to do" in text
    assert "busy with other things" in page(quiet.model_copy(update={"was_busy": True}), [sizing])


@needs_proc
@pytest.mark.long
async def test_a_network_is_measured() -> None:
    sizing = await measure(20.0, 5.0, validators=1, tell=lambda _line: None)
    assert sizing.report.final == 100
    assert 0 < sizing.cores < 2
    assert sizing.memory_bytes > 50 * 2**20
    assert sizing.kept_bytes_a_day > 0
    assert sizing.written_bytes_a_day > 0
