"""Validators that have lost their consensus logs, two of four and all four, at a moment when they are locked.

Whole nodes over an in-memory network. The pre-commits are withheld, so that height 1 stands while everybody is locked
on its batch; then the nodes are stopped, the logs deleted, and everything passes again. The batch was locked on, so
that batch, and no other, must be final. (Where all four have lost the proof of their lock as well, nobody has the batch
any more, and nobody can ever unlock: docs/adr/0019-signing-at-the-head.md.)
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest
import trio

from consensus.messages import Message, PreCommit
from p2p.memory import MemoryHub
from step_node.home.paths import NodeHome
from step_node.node.node import Node
from step_node.node.parts import NodeHooks
from tests.integration.test_nodes_in_memory import fresh_proofs, reach, submit_all
from tests.support.chains import make_genesis, validator_names
from tests.support.nodes import QUICK, equal_roots, running_node

LONGEST_SECONDS = 60.0
NAMES = validator_names(4)


def without_pre_commits(message: Message) -> Sequence[Message]:
    return () if isinstance(message, PreCommit) else (message,)


async def all_locked(nodes: Sequence[Node]) -> bytes:
    """Wait until all are locked on one batch, and give its hash."""
    with trio.fail_after(LONGEST_SECONDS):
        while not all(node.driver.state.locked_hash for node in nodes):
            await trio.sleep(0.01)
    (locked,) = {node.driver.state.locked_hash for node in nodes}
    assert locked is not None
    return locked


@pytest.mark.parametrize(("losers", "proofs_of_lock_are_lost_too"), [(2, False), (2, True), (4, False)])
async def test_a_network_whose_locked_validators_have_lost_their_logs_goes_on_with_the_locked_batch(
    tmp_path: Path, losers: int, proofs_of_lock_are_lost_too: bool
) -> None:
    genesis, hub = make_genesis(4, **QUICK), MemoryHub()
    async with AsyncExitStack() as stack:
        hooks = NodeHooks(outgoing=without_pre_commits)
        nodes = [
            await stack.enter_async_context(running_node(hub, name, genesis, tmp_path / name, hooks=hooks))
            for name in NAMES
        ]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                partial(nodes[0].admission.submit, fresh_proofs(1, prefix="locked")[0], wait_ms=0, source="client")
            )
            locked = await all_locked(nodes)
            nursery.cancel_scope.cancel()
        assert all(node.status().height == 0 for node in nodes)
    for name in NAMES[:losers]:
        NodeHome(tmp_path / name).consensus_log.unlink()
        if proofs_of_lock_are_lost_too:
            NodeHome(tmp_path / name).proof_of_lock.unlink()
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(running_node(hub, name, genesis, tmp_path / name)) for name in NAMES]
        await reach(nodes, 1)
        for node in nodes:
            (first,) = await node.services(wait_ms_max=0).chain.storage.batches(1, 1)
            assert first.batch_hash == locked
        await submit_all(nodes, fresh_proofs(4, prefix="after"))
        await equal_roots(nodes)


async def test_a_network_whose_validators_have_lost_their_logs_amid_their_votes_goes_on(tmp_path: Path) -> None:
    """Nobody is locked: pre-votes are withheld too, so that each has signed a vote that nobody has heard."""
    genesis, hub = make_genesis(4, **QUICK), MemoryHub()
    silent = NodeHooks(outgoing=lambda _message: ())
    async with AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(running_node(hub, name, genesis, tmp_path / name, hooks=silent))
            for name in NAMES
        ]
        async with trio.open_nursery() as nursery:
            for node, proof in zip(nodes, fresh_proofs(4, prefix="lost"), strict=True):
                nursery.start_soon(partial(node.admission.submit, proof, wait_ms=0, source="client"))
            with trio.fail_after(LONGEST_SECONDS):
                while not all(node.driver.state.current.own for node in nodes):
                    await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
    for name in NAMES:
        NodeHome(tmp_path / name).consensus_log.unlink()
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(running_node(hub, name, genesis, tmp_path / name)) for name in NAMES]
        await reach(nodes, 1)
        await submit_all(nodes, fresh_proofs(4, prefix="after"))
        await equal_roots(nodes)
