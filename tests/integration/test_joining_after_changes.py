"""Whole nodes: one is slashed, another changes its key, and whoever comes after that still joins from a snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import trio

from consensus.messages import MESSAGE_BYTES_MAX, PreVote, encode_message
from p2p.memory import MemoryHub
from step_node.home.config import SyncConfig
from step_node.ledger.records import ValidatorState
from step_node.network.protocols import consensus_topic
from step_node.node.node import Node
from tests.integration.test_validator_life import NAMES, all_have, finalise_one, signed
from tests.support.chains import CHAIN_ID, make_genesis
from tests.support.nodes import QUICK, equal_roots, running_node
from tests.support.operations import rotate
from tests.support.proofs import address

LONGEST_SECONDS = 60.0
BATCHES_MAX = 200
"""A header must be signed by all three who remain; a quorum of two often does without the third. Ten are usual."""
OFTEN = SyncConfig(snapshot_every_batches=2, snapshot_distance_batches=2)


async def until_linked(nodes: Sequence[Node], *, links: int) -> None:
    """Have batches finalised until all nodes could show the present set to a newcomer."""
    for index in range(BATCHES_MAX):
        if all(len(node._set_links.links) >= links for node in nodes):
            return
        await finalise_one(nodes[0], account=f"link-{links}-{index}", lat=40.0 + index / 5)
    raise AssertionError("no header has been signed by enough of the old set")


async def test_a_node_joins_from_a_snapshot_after_a_slash_and_a_new_key(tmp_path: Path) -> None:
    genesis, hub = make_genesis(4, epoch_batches=2, **QUICK), MemoryHub()
    culprit, changing = NAMES[1], NAMES[2]
    async with AsyncExitStack() as stack:
        # The culprit's second process is the test, and its node must not stop for that.
        nodes = [
            await stack.enter_async_context(
                running_node(hub, name, genesis, tmp_path / name, sync=OFTEN, watches_for_doppelganger=name != culprit)
            )
            for name in NAMES
        ]
        outsider = await stack.enter_async_context(hub.join("outsider"))
        outsider.subscribe(consensus_topic(CHAIN_ID), message_bytes_max=MESSAGE_BYTES_MAX, buffer_messages=1)
        await outsider.start()
        await finalise_one(nodes[0], account="before", lat=10.0)
        height = nodes[0].status().height + 1
        for batch_hash in (b"\x01" * 32, b"\x02" * 32):
            vote = signed(PreVote(height, 0, batch_hash, address(culprit)), culprit)
            await outsider.publish(consensus_topic(CHAIN_ID), encode_message(vote))
        await all_have(nodes, culprit, ValidatorState.JAILED)
        await until_linked(nodes, links=1)
        assert await nodes[0].operations.submit(rotate(changing, changing, "again-0", 0)) is None
        for index in range(2):
            await finalise_one(nodes[0], account=f"after-{index}", lat=20.0 + index)
        await all_have(nodes, changing, ValidatorState.ROTATED)
        # The key that has been replaced signs no more, so two of three remain, and go on.
        await until_linked(nodes, links=2)
        for index in range(4):
            await finalise_one(nodes[index], account=f"later-{index}", lat=30.0 + index)
        async with running_node(hub, "newcomer", genesis, tmp_path / "newcomer", sync=OFTEN) as newcomer:
            with trio.fail_after(LONGEST_SECONDS):
                while newcomer.status().height < nodes[0].status().height:
                    await trio.sleep(0.01)
            await equal_roots([*nodes, newcomer])
            first = await newcomer.services(wait_ms_max=0).chain.storage.first_height()
            assert first is not None
            assert first > 1
