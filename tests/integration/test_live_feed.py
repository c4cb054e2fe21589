"""The feed of whole nodes: an id that one has given is gone on from at another, which was not even there."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

from p2p.memory import MemoryHub
from step_node.api.events.follower import Follower
from step_node.api.events.texts import EventTexts
from step_node.feed.events import LOCAL_KINDS, EventKind
from step_node.feed.filters import EventFilter
from step_node.feed.position import Position, parse_position
from step_node.node.node import Node
from tests.integration.test_nodes_in_memory import fresh_proofs, reach, submit_all
from tests.support.chains import make_genesis, validator_names
from tests.support.nodes import QUICK, running_node

FINAL = EventFilter(kinds=frozenset(EventKind) - LOCAL_KINDS)


async def told_by(node: Node, since: Position, height: int) -> bytes:
    """All final events after `since` up to this height, as a client reads them."""
    services = node.services(wait_ms_max=0)
    follower = Follower(services.feed, EventTexts(services.feed, services.chain.storage), FINAL, since)
    await follower.begin()
    text = b""
    while follower.position.height <= height:
        text += (await follower.take()).text
    return text


async def test_every_node_tells_the_same_and_goes_on_from_any_other_s_id(tmp_path: Path) -> None:
    genesis, hub = make_genesis(4, **QUICK), MemoryHub()
    names = validator_names(4)
    async with AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(running_node(hub, name, genesis, tmp_path / name)) for name in names[:3]
        ]
        await submit_all(nodes, fresh_proofs(12, prefix="feed"))
        height = max(node.status().height for node in nodes)
        # One that comes later fetches the batches from its peers, and tells of them all the same.
        late = await stack.enter_async_context(running_node(hub, names[3], genesis, tmp_path / names[3]))
        await reach([*nodes, late], height)
        texts = [await told_by(node, Position(1), height) for node in (*nodes, late)]
        assert texts[0].count(b"event: proof_finalised") == 12
        assert texts[0].count(b"event: batch") == height
        assert texts == [texts[0]] * 4
        ids = [line[4:].decode() for line in texts[0].split(b"\n") if line.startswith(b"id: ")]
        middle = ids[len(ids) // 2]
        rest = await told_by(late, parse_position(middle), height)
        assert texts[1].partition(f"id: {middle}\n".encode())[2].endswith(rest)
        assert rest.count(b"\nevent: ") == len(ids) - len(ids) // 2 - 1
    async with running_node(hub, names[3], genesis, tmp_path / names[3]) as again:
        assert await told_by(again, parse_position(middle), height) == rest
