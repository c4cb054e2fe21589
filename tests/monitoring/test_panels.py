"""Every query of every dashboard, asked of a real Prometheus with the data of a network: each shows something.

The first node is a `FaultedNode`, which looks every two seconds how its disk fills, and not every ten minutes.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from scripts.dashboard_plans import DASHBOARDS
from scripts.dashboards import expression
from step_node.parameters import Parameters
from step_node.testing.devnet.network import DevnetSettings
from tests.monitoring.faults import prepare
from tests.monitoring.prometheus_server import is_number
from tests.monitoring.watched_network import LONGEST_SECONDS, watched_network


def as_grafana_asks(expr: str) -> str:
    """The query with what Grafana puts in for all nodes and for an interval of its choice."""
    return expression(expr).replace("$instance", ".*").replace("$__rate_interval", "15s")


@pytest.mark.long
async def test_every_query_of_every_panel_has_data(tmp_path: Path) -> None:
    empty = {
        (plan.name, panel.title, expr): "" for plan in DASHBOARDS for panel in plan.panels for expr, _ in panel.queries
    }
    assert len(empty) > 70
    # Short epochs: two must have ended before one has drifted from another.
    settings = DevnetSettings(base_port=0, home=tmp_path / "network", parameters=Parameters(epoch_batches=10))
    async with watched_network(tmp_path, settings, lambda devnet: prepare("sqlite", devnet)) as running:
        # Until each has shown a number, all at different times: a submission is not made in every interval.
        with trio.move_on_after(LONGEST_SECONDS):
            while empty:
                for key in tuple(empty):
                    if any(map(is_number, await running.watched.query(as_grafana_asks(key[2])))):
                        del empty[key]
                await trio.sleep(1)
    assert sorted(empty) == []


@pytest.mark.long
async def test_a_query_of_nothing_has_no_data(tmp_path: Path) -> None:
    async with watched_network(
        tmp_path, DevnetSettings(validators=1, base_port=0, home=tmp_path / "network")
    ) as running:
        await running.holds("step_height")
        assert await running.watched.query(as_grafana_asks("step_heights@")) == []
