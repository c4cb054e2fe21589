"""Where to prove instead: the active triangle at the point of a proof whose own triangle takes none.

It costs a read of 21 records, so it is found for what was refused, and no more than `POINTS_MAX` at a time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import trio

from step_node.explanations.details import TryInstead
from step_node.ledger.active_triangle import active_of, standings, triangles_at
from step_node.ledger.state import StateKeys, StateSlice
from step_node.mempool.pool import TRIANGLE_CLICKS
from step_node.proofs.proof import Refusal, RefusalCode, SignedProof

POINTS_MAX = 100
"""Refusals that are explained at a time, of one request or one batch; those beyond tell no triangle to try instead."""

POINTS_AT_ONCE_MAX = 16
"""Of them before other tasks have their turn: finding the 21 triangles of a point takes some 0.1 ms."""

_CODES = (RefusalCode.TRIANGLE_NOT_FOUND, RefusalCode.TRIANGLE_EXHAUSTED)


def needs_triangle(refusal: Refusal) -> bool:
    """Whether another triangle is the way out."""
    return refusal.code in _CODES or refusal.details.gate == TRIANGLE_CLICKS


async def with_triangles(
    refused: Sequence[tuple[SignedProof, Refusal]],
    *,
    load: Callable[[StateKeys], Awaitable[StateSlice]],
    waiting_in: Callable[[int], int],
) -> list[Refusal]:
    """These refusals, in order, each with the largest active triangle at its point that has room beside what waits.

    All are of one snapshot, which `load` reads. `waiting_in` says how many proofs wait in a triangle. Raises what
    `load` raises.
    """
    wanted = [index for index, (_, refusal) in enumerate(refused) if needs_triangle(refusal)][:POINTS_MAX]
    columns = {}
    for number, index in enumerate(wanted, start=1):
        proof, _ = refused[index]
        columns[index] = triangles_at(proof.lat, proof.lon)
        if number % POINTS_AT_ONCE_MAX == 0:
            await trio.lowlevel.checkpoint()
    explained = [refusal for _, refusal in refused]
    if not columns:
        return explained
    keys = frozenset(triangle.integer for column in columns.values() for triangle in column)
    state = await load(StateKeys(triangles=keys))
    waiting = {key: waiting_in(key) for key in keys}
    for index, column in columns.items():
        active = active_of(standings(column, state.triangles, state.head.parameters.seeded_level), waiting)
        if active is not None:
            instead = TryInstead(active.triangle.text, active.triangle.level)
            refusal = explained[index]
            explained[index] = replace(refusal, details=refusal.details._replace(try_instead=instead))
    return explained
