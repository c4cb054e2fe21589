"""Each alert fires on a network of real processes that is broken, and clears when it is mended.

Debian's Prometheus scrapes the nodes and has the shipped rules, shrunk (`tests/monitoring/rules.py`); Alertmanager has
the shipped routes, and must have been told. The faults of one network follow one another on it
(`tests/monitoring/faults.py`); each is played once, and each alert that it should bring is a test of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import httpx
import pytest
import trio
from anyio.from_thread import start_blocking_portal

from step_node.errors import StepNodeError
from step_node.testing.chaos.hardware import Impossible
from step_node.testing.devnet.node_client import Unavailable
from tests.monitoring.faults import FAULTS, STORES, Fault, prepare
from tests.monitoring.rules import shipped_alerts
from tests.monitoring.watched_network import LONGEST_SECONDS, WatchedNetwork, watched_network

log = logging.getLogger(__name__)


@dataclass
class Outcome:
    """After how many seconds each alert fired once the network was broken, and cleared once it was mended."""

    fired: dict[str, float] = field(default_factory=dict)
    cleared: dict[str, float] = field(default_factory=dict)
    problem: str = ""
    impossible: str = ""


Rehearse: TypeAlias = Callable[[Fault], Outcome]

EACH = [
    pytest.param(fault.network, fault, alert, id=f"{alert}, by {fault.name}, {fault.network}")
    for fault in FAULTS
    for alert in (*fault.alerts, *fault.afterwards)
]


def test_each_alert_is_made_to_fire_on_one_of_the_networks() -> None:
    made = {alert for fault in FAULTS for alert in (*fault.alerts, *fault.afterwards)}
    assert {alert.name for alert in shipped_alerts()} == made


@pytest.fixture(scope="module")
def rehearse(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearse]:
    """Plays a fault on a network that runs beside the tests, or tells what came of it when it was played before."""
    logging.getLogger("httpx").setLevel(logging.WARNING)  # It would log a line for each look.
    name: str = request.param
    folder = tmp_path_factory.mktemp(name)
    opened = watched_network(folder, STORES[name](folder / "network"), lambda devnet: prepare(name, devnet))
    played: dict[str, Outcome] = {}
    with start_blocking_portal("trio") as portal, portal.wrap_async_context_manager(opened) as network:

        def once(fault: Fault) -> Outcome:
            if fault.name not in played:
                playing = portal.start_task_soon(play, fault, network)
                try:
                    played[fault.name] = playing.result()
                finally:
                    playing.cancel()  # Ctrl-C has ended the waiting alone.
            return played[fault.name]

        yield once


async def play(fault: Fault, network: WatchedNetwork) -> Outcome:
    """Break it, wait for the alerts, mend it, and wait until they are gone."""
    outcome = Outcome()
    both = fault.alerts | fault.afterwards
    try:
        await network.restart_what_ended()
        await network.clear_after(both)
        async with fault.breaks(network):
            outcome.fired = await network.firing_after(fault.alerts)
        outcome.fired |= await network.firing_after(fault.afterwards)
        outcome.cleared = await network.clear_after(both)
    except Impossible as error:
        outcome.impossible = str(error)
    except (StepNodeError, Unavailable, httpx.HTTPError, trio.TooSlowError) as error:
        outcome.problem = f"{type(error).__name__}: {error}"
    return outcome


@pytest.mark.long
@pytest.mark.parametrize(("rehearse", "fault", "alert"), EACH, indirect=["rehearse"], scope="module")
def test_the_alert_fires_and_clears(rehearse: Rehearse, fault: Fault, alert: str) -> None:
    outcome = rehearse(fault)
    if outcome.impossible:
        pytest.skip(outcome.impossible)
    assert alert in outcome.fired, outcome.problem or f"it has not fired within {LONGEST_SECONDS:g} s"
    assert alert in outcome.cleared, outcome.problem or f"it has not cleared within {LONGEST_SECONDS:g} s"
    log.info("%s fired after %.0f s, cleared after %.0f s", alert, outcome.fired[alert], outcome.cleared[alert])
