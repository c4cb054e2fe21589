"""Whole nodes over rules that change: all of them at one height, and none beyond the rules that it knows."""

from __future__ import annotations

from pathlib import Path

import trio

from p2p.memory import MemoryHub
from step_node.api.status.health import HealthReason
from step_node.errors import leaves
from step_node.ledger.protocol_record import Upgrade
from step_node.ledger.rules import RULES, UnknownRules
from step_node.node.health.upgrade_watch import UpgradeWatch
from step_node.node.node import Node
from tests.integration.test_validator_life import LONGEST_SECONDS, finalise_one, nodes_of
from tests.support.chains import make_genesis, validator_names
from tests.support.nodes import QUICK, equal_roots, running_node
from tests.support.operations import approve_upgrade

NAMES = validator_names(4)
EPOCH = 4


async def until_height(node: Node, height: int) -> None:
    step = 0
    while node.status().height < height:
        step += 1
        await finalise_one(node, account=f"step-{height}-{step}", lat=-60.0 + 3 * step)


def reason_of(watch: UpgradeWatch) -> HealthReason | None:
    return watch.reason


async def test_all_nodes_change_the_rules_at_the_height_that_was_agreed_on(tmp_path: Path) -> None:
    genesis, hub = make_genesis(4, epoch_batches=EPOCH, **QUICK), MemoryHub()
    async with nodes_of(NAMES, genesis, hub, tmp_path) as nodes:
        at = 4 * EPOCH + 1
        # Three of four agree, one with its hot key for an owner that is itself.
        for name, node in zip(NAMES[:3], nodes, strict=False):
            assert await node.operations.submit(approve_upgrade(name, name, 0, height=at)) is None
        chains = [node.services(wait_ms_max=0).chain for node in nodes]
        with trio.fail_after(LONGEST_SECONDS):
            while any(chain.head.protocol.agreed is None for chain in chains):
                await trio.sleep(0.01)
        assert {chain.head.protocol.agreed for chain in chains} == {Upgrade(2, at, "0.2.0")}
        await until_height(nodes[3], at + 1)
        await equal_roots(nodes)
        for node, chain in zip(nodes, chains, strict=True):
            assert chain.head.protocol.in_force == Upgrade(2, at, "0.2.0")
            assert node.status().protocol_version == 2


async def test_a_node_that_does_not_know_the_rules_has_the_last_batch_before_them_and_ends(tmp_path: Path) -> None:
    genesis, (name,) = make_genesis(1, epoch_batches=2, **QUICK), validator_names(1)
    unknown = max(RULES) + 1
    at = 5
    ended: list[BaseException] = []
    try:
        async with running_node(MemoryHub(), name, genesis, tmp_path) as node:
            chain = node.services(wait_ms_max=0).chain
            watch = UpgradeWatch(chain)
            watch.look()
            assert reason_of(watch) is None
            assert await node.operations.submit(approve_upgrade(name, name, 0, version=unknown, height=at)) is None
            with trio.fail_after(LONGEST_SECONDS):
                while chain.head.protocol.agreed is None:
                    await trio.sleep(0.01)
            watch.look()
            reason = reason_of(watch)
            assert reason is not None
            assert reason.figures["activation_height"] == at
            assert reason.figures["heights_left"] == at - 1 - chain.head.chain.height
            assert "Install release 0.2.0" in reason.message
            await until_height(node, at - 1)
            with trio.fail_after(LONGEST_SECONDS):
                await trio.sleep_forever()
    except BaseExceptionGroup as group:
        ended = [error for error in leaves(group) if not isinstance(error, trio.Cancelled)]
    assert ended
    assert {type(error) for error in ended} == {UnknownRules}, ended
    (error, *_) = ended
    assert isinstance(error, UnknownRules)
    assert error.exit_status == 5
    assert "Install release 0.2.0 that knows version 3" in str(error)
    assert chain.head.chain.height == at - 1
