"""Costs are measured by calling what a node calls."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

import step_node.testing.wan.gossip_costs as gossip_costs_module
from step_node.testing.bench.growth import BATCH_PROOFS
from step_node.testing.bench.plans import Workshop
from step_node.testing.wan.gossip_costs import (
    LARGE_BYTES,
    RECEIVERS,
    SMALL_BYTES,
    Taken,
    costs_of,
    measured_gossip_costs,
)
from step_node.testing.wan.measuring import measured_costs, measured_proof_costs
from tests.testing.wan.fixed_costs import FIXED


def test_what_several_receivers_take_more_is_the_price_of_each() -> None:
    more_kib = (LARGE_BYTES - SMALL_BYTES) / 1024
    several = Taken(500 + 50 * RECEIVERS, 600)
    large = Taken(several.publisher_us + 2 * RECEIVERS * more_kib, 600 + 4 * more_kib)
    costs = costs_of(Taken(550, 550), several, large, recover_us=30)
    assert costs.publish_us == pytest.approx(500)
    assert costs.send_us == pytest.approx(50)
    assert costs.send_us_per_kib == pytest.approx(2)
    assert costs.receive_us == 550
    assert costs.receive_us_per_kib == pytest.approx(4)
    assert costs.told_id_us == pytest.approx(0.9)


def test_nothing_costs_less_than_nothing() -> None:
    costs = costs_of(Taken(500, 550), Taken(400, 500), Taken(300, 400), recover_us=30)
    assert (costs.send_us, costs.send_us_per_kib, costs.receive_us_per_kib) == (0, 0, 0)


@pytest.mark.costly
async def test_every_cost_of_a_node_is_measured(tmp_path: Path) -> None:
    proof_costs = await measured_proof_costs(Workshop(tmp_path), 2 * BATCH_PROOFS)
    costs = await measured_costs(proof_costs, 4, FIXED.gossip)
    assert all(value > 0 for value in costs.by_name().values())
    assert costs.gossip == FIXED.gossip
    # Most of a check is a recovery, and a proof costs more to apply than to find in a mempool's dictionary.
    assert costs.check_us > costs.recover_us / 3
    assert {field.name for field in fields(proof_costs)} < {field.name for field in fields(costs)}


@pytest.mark.long
@pytest.mark.slow
async def test_what_gossip_costs_is_measured_between_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gossip_costs_module, "SMALL_MESSAGES", 30)
    monkeypatch.setattr(gossip_costs_module, "LARGE_MESSAGES", 5)
    costs = await measured_gossip_costs(30.0)
    # A signature is made by the one, and verified by the other.
    assert costs.publish_us > 20
    assert costs.receive_us > 20
