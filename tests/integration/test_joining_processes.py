"""A node with an empty home joins a network of processes: by its batches, and by a snapshot of one of its nodes."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from scripts.bench_joining import measure

LONGEST_SECONDS = 240.0


@pytest.mark.long
async def test_a_process_with_an_empty_home_joins_by_batches_and_by_a_snapshot(tmp_path: Path) -> None:
    # How long it takes is measured by `make bench-join`: a limit here would test the machine.
    with trio.fail_after(LONGEST_SECONDS):
        grown, joins = await measure(
            tmp_path / "network", validators=4, batches=60, proofs_per_batch=3, snapshot_every=25, distance_batches=20
        )
    assert grown.batches == 60
    assert joins["batches"].first_height == 1
    assert joins["snapshot"].first_height == 50
