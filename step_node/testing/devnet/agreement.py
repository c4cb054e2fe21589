"""Whether the nodes of a devnet agree: every proof final on every one, and one state root at one height."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import trio

from step_node.testing.devnet.node_client import Final, NodeClient, Standing, Unavailable

AGREEMENT_SECONDS_MAX = 60.0
"""How long nodes that are behind may take to catch up."""
POLL_SECONDS = 0.1
REQUESTS_MAX = 32
"""Requests under way at once."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the nodes say. `height` is the highest; `missing` counts the proofs that are not final on every node."""

    height: int
    state_roots_equal: bool
    missing: int


async def check_agreement(
    clients: Sequence[NodeClient], proof_ids: Sequence[str], *, seconds_max: float = AGREEMENT_SECONDS_MAX
) -> Agreement:
    """Ask every node for every proof and for its state root, giving those that are behind time to catch up."""
    standings: list[Standing] = []
    missing: dict[str, None] = dict.fromkeys(proof_ids)
    with trio.move_on_after(seconds_max):
        while not _agree(standings, len(clients)):
            standings = await _standings(clients) or standings
            if not _agree(standings, len(clients)):
                await trio.sleep(POLL_SECONDS)
        while missing:
            missing = await _not_final(clients, list(missing))
            if missing:
                await trio.sleep(POLL_SECONDS)
    height = max((standing.height for standing in standings), default=0)
    return Agreement(height, _agree(standings, len(clients)), len(missing))


def _agree(standings: Sequence[Standing], count: int) -> bool:
    """An idle chain makes no batches, so the heights meet; at one height the roots must be one."""
    return len(standings) == count and len({(standing.height, standing.state_root) for standing in standings}) == 1


async def _standings(clients: Sequence[NodeClient]) -> list[Standing]:
    try:
        return [await client.status() for client in clients]
    except Unavailable:
        return []


async def _not_final(clients: Sequence[NodeClient], proof_ids: Sequence[str]) -> dict[str, None]:
    limiter = trio.CapacityLimiter(REQUESTS_MAX)
    missing: dict[str, None] = {}

    async def ask(client: NodeClient, proof_id: str) -> None:
        try:
            if not isinstance(await client.proof(proof_id), Final):
                missing[proof_id] = None
        except Unavailable:
            missing[proof_id] = None
        finally:
            limiter.release_on_behalf_of((client.url, proof_id))

    async with trio.open_nursery() as nursery:
        for client in clients:
            for proof_id in proof_ids:
                # Taken before the task is made, so that there are never more tasks than requests under way.
                await limiter.acquire_on_behalf_of((client.url, proof_id))
                nursery.start_soon(ask, client, proof_id)
    return missing
