"""A short soak of real processes: visitors are served, and every figure of every node is measured."""

from __future__ import annotations

import pytest

from step_node.testing.soak.run import SoakSettings, soak
from step_node.testing.soak.samples import FIGURES

pytestmark = pytest.mark.long


async def test_a_network_that_is_soaked_serves_its_visitors_and_is_measured() -> None:
    said: list[str] = []
    settings = SoakSettings(minutes=1, sample_seconds=5, peers_per_minute=30)
    soaked = await soak(settings, report=said.append)
    assert soaked.proofs_finalised > 0
    assert soaked.peers_visited >= 20
    assert soaked.peers_failed < soaked.peers_visited / 2
    assert [set(growth.slopes) for growth in soaked.growth.values()] == [set(FIGURES)] * settings.validators
    assert any("RSS KiB" in line for line in said)
