"""A short soak of real processes: visitors are served, and every figure of every node is measured."""

from __future__ import annotations

import pytest

from step_node.home.config import RetentionConfig, load_config
from step_node.testing.devnet.network import Devnet, DevnetSettings
from step_node.testing.soak.run import SoakSettings, soak
from step_node.testing.soak.samples import FIGURES

pytestmark = pytest.mark.long


async def test_a_retention_that_is_none_is_refused_before_anything_is_started() -> None:
    said: list[str] = []
    with pytest.raises(ValueError, match="must be 1000 batches at least"):
        await soak(SoakSettings(retention="10 batches"), report=said.append)
    assert said == []


async def test_the_nodes_of_a_network_with_retention_have_it_in_their_settings() -> None:
    kept = RetentionConfig(batches="1000 batches", histories="2 hours")
    async with Devnet(DevnetSettings(base_port=0, retention=kept)) as devnet:
        assert [load_config(node.home.config).retention for node in devnet.nodes] == [kept] * 4


async def test_a_network_that_is_soaked_serves_its_visitors_and_is_measured() -> None:
    said: list[str] = []
    settings = SoakSettings(minutes=1, sample_seconds=5, peers_per_minute=30)
    soaked = await soak(settings, report=said.append)
    assert soaked.proofs_finalised > 0
    assert soaked.peers_visited >= 20
    assert soaked.peers_failed < soaked.peers_visited / 2
    assert [set(growth.slopes) for growth in soaked.growth.values()] == [set(FIGURES)] * settings.validators
    assert any("RSS KiB" in line for line in said)
