"""Simulated people who walk for as long as the network runs, so that there is something to see.

Unlike those of `walkers`, who hurry to make a number of proofs, they prove where they are now, and rest between two
proofs for as long as the chain asks, and a little longer.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Sequence

import trio

from step_node.clock import Clock, SystemClock
from step_node.parameters import Parameters
from step_node.testing.devnet.node_client import NodeClient, ProofState
from step_node.testing.devnet.walkers import Walker, prove_here, start_in_a_city

REST_LONGER_MAX = 1.5
"""The longest rest, in parts of the shortest: not everybody proves at once."""


async def stroll(
    clients: Sequence[NodeClient],
    parameters: Parameters,
    *,
    walkers: int,
    clock: Clock | None = None,
    report: Callable[[ProofState], None] = lambda _state: None,
) -> None:
    """Have so many people walk until cancelled, each in a city, and with the node of its turn. `report` is told of each
    proof that is decided, or given up."""
    places = random.Random(secrets.randbits(64))
    times = SystemClock() if clock is None else clock
    async with trio.open_nursery() as nursery:
        for index in range(walkers):
            start, seed = start_in_a_city(index, places), places.getrandbits(64)
            walker = Walker(parameters, start=start, clock=times, seed=seed, lookback_ms=0)
            nursery.start_soon(_walk, walker, clients, index, random.Random(seed), report)


async def _walk(
    walker: Walker,
    clients: Sequence[NodeClient],
    index: int,
    whims: random.Random,
    report: Callable[[ProofState], None],
) -> None:
    rest_seconds = walker.step_ms / 1000
    await trio.sleep(whims.uniform(0, rest_seconds))
    while True:
        walker.walk_on()
        _, state = await prove_here(walker, clients, index % len(clients))
        report(state)
        await trio.sleep(rest_seconds * whims.uniform(1, REST_LONGER_MAX))
