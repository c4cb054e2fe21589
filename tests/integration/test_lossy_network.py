"""Whole nodes on a network that loses a fifth of what is gossiped, or has a liar for a validator: the chain goes on."""

from __future__ import annotations

import random
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from consensus.messages import ProofBatch, decode_message
from p2p.memory import MemoryHub
from p2p.network import PeerId
from step_node.node.node import Node
from tests.integration.test_nodes_in_memory import fresh_proofs, reach, submit_all
from tests.support.chains import make_genesis, validator_names
from tests.support.nodes import QUICK, running_node
from tests.support.proofs import address

LOSS = 0.2


async def test_the_chain_goes_on_when_a_fifth_of_all_gossip_is_lost(tmp_path: Path) -> None:
    dice = random.Random(20)

    def drop(_sender: PeerId, _receiver: PeerId, _topic: str, _data: bytes) -> bool:
        return dice.random() < LOSS

    genesis, hub = make_genesis(4, **QUICK), MemoryHub(drop=drop)
    async with AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(running_node(hub, name, genesis, tmp_path / name))
            for name in validator_names(4)
        ]
        for wave in range(5):
            await submit_all(nodes, fresh_proofs(8, prefix=f"lossy-{wave}"))
        await _agree(nodes)


@pytest.mark.parametrize("reached", [1, 2])
async def test_the_chain_goes_on_when_a_proposer_sends_its_batches_to_some_only(tmp_path: Path, reached: int) -> None:
    """With one other the round fails; with two there is a quorum, and the fourth asks for what it has not seen."""
    names = validator_names(4)
    liar, left_out = address(names[0]), names[1 + reached :]

    def drop(_sender: PeerId, receiver: PeerId, topic: str, data: bytes) -> bool:
        if receiver not in left_out or "/consensus/" not in topic:
            return False
        message = decode_message(data)
        return isinstance(message, ProofBatch) and message.proposer == liar

    genesis, hub = make_genesis(4, **QUICK), MemoryHub(drop=drop)
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(running_node(hub, name, genesis, tmp_path / name)) for name in names]
        # Five heights and more: each validator has its turn.
        for wave in range(6):
            await submit_all(nodes, fresh_proofs(4, prefix=f"left-out-{wave}"))
        await _agree(nodes)


async def _agree(nodes: list[Node]) -> None:
    height = max(node.status().height for node in nodes)
    await reach(nodes, height)
    assert len({node.status().state_root for node in nodes if node.status().height == height}) == 1
