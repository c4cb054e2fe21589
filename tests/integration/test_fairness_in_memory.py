"""Four whole nodes make the same reports of fairness, after a restart and a join from a snapshot, too."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import trio

from p2p.memory import MemoryHub
from step_node.home.config import SyncConfig
from step_node.mempool.outcomes import Finalised
from step_node.node.node import Node
from step_node.storage.memory import MemoryStorage
from tests.support.chains import make_genesis, validator_names
from tests.support.nodes import QUICK, running_node
from tests.support.proofs import signed_proof

EPOCH_BATCHES = 4
LONGEST_SECONDS = 60.0
NAMES = validator_names(4)


async def grow_to(nodes: Sequence[Node], height: int) -> None:
    """One proof after another, by different accounts, until the first node is there."""
    number = nodes[0].status().height
    while nodes[0].status().height < height:
        number += 1
        proof = signed_proof(
            f"walker-{number % 7}-{height}-{number}",
            lat=-60.0 + number % 120,
            lon=20.0,
            timestamp_ms=time.time_ns() // 1_000_000,
        )
        answer = await nodes[number % len(nodes)].admission.submit(
            proof, wait_ms=int(LONGEST_SECONDS * 1000), source="client"
        )
        assert isinstance(answer, Finalised), answer


async def reports_of(node: Node, epochs: range) -> list[bytes | None]:
    """Wait until the node has dealt with these epochs; what it has of each."""
    with trio.fail_after(LONGEST_SECONDS):
        while any(node.economy.fairness.is_to_come(epoch) for epoch in epochs):
            await trio.sleep(0.01)
    kept = [await node.economy.fairness.kept(epoch) for epoch in epochs]
    return [None if one is None or one.headline is None else one.report for one in kept]


async def test_nodes_with_different_stores_after_a_restart_and_after_a_snapshot_say_the_same(tmp_path: Path) -> None:
    genesis, hub = make_genesis(4, epoch_batches=EPOCH_BATCHES, **QUICK), MemoryHub()
    sync = SyncConfig(snapshot=True, snapshot_every_batches=5, snapshot_distance_batches=5)
    async with AsyncExitStack() as stack:
        stores = {NAMES[0]: MemoryStorage()}
        nodes = [
            await stack.enter_async_context(
                running_node(hub, name, genesis, tmp_path / name, sync=sync, storage=stores.get(name))
            )
            for name in NAMES[:3]
        ]
        async with running_node(hub, NAMES[3], genesis, tmp_path / NAMES[3], sync=sync) as fourth:
            await grow_to([*nodes, fourth], 2 * EPOCH_BATCHES + 2)
        await grow_to(nodes, 3 * EPOCH_BATCHES + 1)
        # Its side file was in memory: it makes all of them again from its store.
        fourth = await stack.enter_async_context(running_node(hub, NAMES[3], genesis, tmp_path / NAMES[3], sync=sync))
        joiner = await stack.enter_async_context(running_node(hub, "joiner", genesis, tmp_path / "joiner", sync=sync))
        with trio.fail_after(LONGEST_SECONDS):
            while joiner.status().height < nodes[0].status().height:
                await trio.sleep(0.01)
        joined_at = joiner.status().earliest_height
        assert joined_at > 1, "it has not joined from a snapshot"
        await grow_to(nodes, 6 * EPOCH_BATCHES)
        epochs = range(1, 7)
        expected = await reports_of(nodes[0], epochs)
        assert None not in expected
        for node in [*nodes[1:], fourth]:
            assert await reports_of(node, epochs) == expected
        # The joiner begins behind the snapshot's batch, and has the epochs that it has seen from their beginning.
        first = -(-joined_at // EPOCH_BATCHES) + 1
        assert await reports_of(joiner, epochs) == [None] * (first - 1) + expected[first - 1 :]
        assert first < 6
        assert await joiner.economy.fairness.first_epoch() == first
