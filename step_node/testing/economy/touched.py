"""All triangles that a run can touch, as arrays: which of them hold each place, and how often each is clicked.

A triangle's integer form is its path from the base face, so the places in order of their smallest triangles are in
order of the larger ones too: sorted once, each level's triangles are runs of places.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mesh import LEVEL_MAX, TriangleId
from mesh.triangle_id import LEVEL_BITS
from step_node.ledger.records import TriangleState
from step_node.ledger.state_gates import clicks_max
from step_node.testing.economy.movement import Integers

_LEVELS = range(1, LEVEL_MAX + 1)


@dataclass(frozen=True, slots=True)
class Filled:
    """What a row of attempts does to the triangles: a proposal, until it is taken.

    `levels` and `clicks` are, of each attempt, the level of the triangle that it clicks and the how manieth click that
    is; both 0 where nothing is left.
    """

    levels: npt.NDArray[np.int8]
    clicks: npt.NDArray[np.int8]
    added: tuple[tuple[Integers, Integers], ...]
    """(triangles, clicks of each)."""


class TouchedTriangles:
    """`lowest` has the triangle of level 21, in integer form, of each place."""

    def __init__(self, lowest: Integers, seeded_level: int) -> None:
        self._seeded_level = seeded_level
        order = np.argsort(lowest, kind="stable")
        rising = lowest[order]
        self._of = np.empty((LEVEL_MAX, len(lowest)), dtype=np.int32)
        ids: list[Integers] = []
        count = 0
        for level in _LEVELS:
            below = LEVEL_BITS + 2 * (LEVEL_MAX - level)
            shortened = rising >> below
            is_new = np.ones(len(rising), dtype=np.bool_)
            is_new[1:] = shortened[1:] != shortened[:-1]
            self._of[level - 1, order] = count - 1 + np.cumsum(is_new)
            ids.append((shortened[is_new] << below) | level)
            count += len(ids[-1])
        self._ids = np.concatenate(ids)
        self._clicks = np.zeros(count, dtype=np.int64)

    def fill(self, places: Integers) -> Filled:
        """Each of `places`, in order, clicks the largest triangle there that is not used up by then.

        One that is used up is subdivided, so what is below it exists; nothing else has to be asked.
        """
        levels = np.zeros(len(places), dtype=np.int8)
        clicks = np.zeros(len(places), dtype=np.int8)
        added: list[tuple[Integers, Integers]] = []
        waiting = np.arange(len(places))
        for level in _LEVELS:
            if not len(waiting):
                break
            triangles = self._of[level - 1, places[waiting]]
            room = clicks_max(level) - self._clicks[triangles]
            open_ones = np.flatnonzero(room)
            if not len(open_ones):
                continue
            # By triangle, and those of one triangle in their order.
            order = open_ones[np.argsort(triangles[open_ones], kind="stable")]
            of, room = triangles[order], room[order]
            is_first = np.ones(len(of), dtype=np.bool_)
            is_first[1:] = of[1:] != of[:-1]
            starts = np.flatnonzero(is_first)
            sizes = np.diff(starts, append=len(of))
            turn = np.arange(len(of)) - np.repeat(starts, sizes)
            fits = turn < room
            placed = order[fits]
            who = waiting[placed]
            levels[who] = level
            clicks[who] = clicks_max(level) - room[fits] + turn[fits] + 1
            added.append((of[starts], np.minimum(sizes, room[starts])))
            stays = np.ones(len(waiting), dtype=np.bool_)
            stays[placed] = False
            waiting = waiting[stays]
        return Filled(levels, clicks, tuple(added))

    def take(self, filled: Filled) -> None:
        """Have it be so."""
        for triangles, clicks in filled.added:
            self._clicks[triangles] += clicks

    def records(self) -> dict[int, tuple[int, TriangleState]]:
        """Clicks and state, by integer form, of the triangles that have a record: children of subdivided ones too."""
        found: dict[int, tuple[int, TriangleState]] = {}
        for place in np.flatnonzero(self._clicks):
            triangle, clicks = TriangleId.from_int(int(self._ids[place])), int(self._clicks[place])
            state = TriangleState.ACTIVE
            if clicks >= clicks_max(triangle.level):
                state = TriangleState.EXHAUSTED if triangle.level == LEVEL_MAX else TriangleState.SUBDIVIDED
            found[triangle.integer] = (clicks, state)
            if state is TriangleState.SUBDIVIDED and triangle.level >= self._seeded_level:
                for child in triangle.children:
                    found.setdefault(child.integer, (0, TriangleState.ACTIVE))
        return found
