"""What is measured of a node: this process stands for one."""

from __future__ import annotations

import os
from pathlib import Path

from prometheus_client import generate_latest

from p2p.memory import MemoryHub
from step_node.home.paths import NodeHome
from step_node.testing.soak.samples import FIGURES, METRICS, take_sample
from tests.support.chains import make_genesis, validator_names
from tests.support.nodes import QUICK, running_node


def test_a_sample_has_the_process_the_metrics_and_the_files(tmp_path: Path) -> None:
    home = NodeHome(tmp_path)
    home.data.mkdir()
    home.ledger.write_bytes(bytes(100))
    home.ledger.with_name(home.ledger.name + "-wal").write_bytes(bytes(20))
    home.consensus_log.write_bytes(bytes(3))
    log = tmp_path / "node.log"
    log.write_bytes(bytes(5))
    metrics = 'step_height 7.0\nstep_peers{direction="inbound"} 2.0\nstep_peers{direction="outbound"} 1.0\n'
    with log.open("rb"):
        before = take_sample(1.5, os.getpid(), home, log, metrics)
    after = take_sample(1.5, os.getpid(), home, log, metrics)
    assert before.seconds == 1.5
    assert set(before.figures) == set(FIGURES)
    assert before.figures["descriptors"] == after.figures["descriptors"] + 1
    assert before.figures["rss_kib"] > 10_000
    assert {figure: before.figures[figure] for figure in ("height", "peers", "store_bytes", "journal_bytes")} == {
        "height": 7,
        "peers": 3,
        "store_bytes": 120,
        "journal_bytes": 0,
    }
    assert (before.figures["consensus_log_bytes"], before.figures["node_log_bytes"]) == (3, 5)


async def test_every_metric_that_is_read_is_one_that_a_node_shows(tmp_path: Path) -> None:
    genesis, (name,) = make_genesis(1, **QUICK), validator_names(1)
    async with running_node(MemoryHub(), name, genesis, tmp_path) as node:
        shown = generate_latest(node.registry).decode()
    assert [metric for metric in METRICS.values() if f"\n{metric}" not in shown] == []
