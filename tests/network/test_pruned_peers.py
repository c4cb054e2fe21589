"""Peers that have let go of the past: others are asked for it; where all have pruned, a snapshot is joined from."""

from __future__ import annotations

from pathlib import Path

from p2p.memory import MemoryHub
from step_node.chain.chain import Chain
from step_node.storage.interface import Prunable
from tests.network.nodes import syncing_node
from tests.network.test_snapshots import BASE, GENESIS, HEIGHT, giving_chain, shelf_at
from tests.support.chains import open_chain
from tests.support.waiting import until


async def prune_below(chain: Chain, height: int) -> None:
    while await chain.storage.prune(Prunable.BATCHES, below=height):
        pass


async def test_a_pruned_peer_is_passed_by_without_blame_and_another_gives_what_it_lacks(tmp_path: Path) -> None:
    hub, empty = MemoryHub(), await open_chain(GENESIS)
    pruned, _ = await giving_chain(tmp_path / "pruned")
    whole, _ = await giving_chain(tmp_path / "whole")
    await prune_below(pruned, HEIGHT)
    async with (
        syncing_node(hub, "a", empty, tmp_path) as newcomer,
        syncing_node(hub, "b", pruned, tmp_path) as pruned_node,
        syncing_node(hub, "c", whole, tmp_path),
    ):
        await until(lambda: newcomer.height == HEIGHT)
        assert newcomer.chain.head == whole.head == pruned.head
        assert newcomer.faults() == pruned_node.faults() == {}
        assert pruned_node.network.statistics().handler_failures == 0


async def test_where_all_have_pruned_a_newcomer_joins_from_a_snapshot(tmp_path: Path) -> None:
    hub, empty = MemoryHub(), await open_chain(GENESIS)
    pruned, snapshots = await giving_chain(tmp_path / "giver")
    await prune_below(pruned, BASE)
    async with (
        syncing_node(hub, "a", empty, tmp_path, snapshot_store=await shelf_at(tmp_path / "joiner")) as newcomer,
        syncing_node(hub, "b", pruned, tmp_path, snapshot_store=snapshots),
    ):
        await until(lambda: newcomer.height == HEIGHT)
        assert newcomer.chain.head == pruned.head
        assert await newcomer.chain.storage.first_height() == BASE
