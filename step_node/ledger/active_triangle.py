"""Which triangles hold a point, how each stands, and the one to prove in. Pure (protocol.md §1 and §3).

One triangle of each level holds a point: 21 of them, one in the other. Those up to the seeded level exist from the
beginning; of the others one exists when its parent is subdivided. So several of them may be active at once, as all
seeded ones are on a new chain. *The* active triangle at a point is the largest of them, which pays the most.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mesh import LEVEL_MAX, TriangleId, locate
from step_node.ledger.records import Triangle, TriangleState
from step_node.ledger.state import StateKeys
from step_node.ledger.state_gates import clicks_max


@dataclass(frozen=True, slots=True)
class Standing:
    """One triangle that holds the point. An untouched one is active without clicks, if it `exists` at all."""

    triangle: TriangleId
    record: Triangle
    exists: bool

    @property
    def is_active(self) -> bool:
        """Whether a proof in it is taken."""
        return self.exists and self.record.state is TriangleState.ACTIVE

    def has_room(self, waiting: int) -> bool:
        """Whether it is active, and a proof beside as many that wait in it is taken too."""
        return self.is_active and self.record.clicks + waiting < clicks_max(self.triangle.level)


def triangles_at(lat: float, lon: float) -> tuple[TriangleId, ...]:
    """The triangles that hold the point (degrees), from level 1 to `LEVEL_MAX`."""
    found = [locate(lat, lon, LEVEL_MAX)]
    while (parent := found[-1].parent) is not None:
        found.append(parent)
    return tuple(reversed(found))


def column_keys(column: tuple[TriangleId, ...]) -> StateKeys:
    """What `standings` needs of the state."""
    return StateKeys(triangles=frozenset(triangle.integer for triangle in column))


def standings(
    column: tuple[TriangleId, ...], records: Mapping[int, Triangle | None], seeded_level: int
) -> tuple[Standing, ...]:
    """How each of `triangles_at` a point stands. `records` has all of `column_keys`."""
    found: list[Standing] = []
    for triangle in column:
        record = records[triangle.integer] or Triangle(triangle.integer)
        exists = triangle.level <= seeded_level or found[-1].record.state is TriangleState.SUBDIVIDED
        found.append(Standing(triangle, record, exists))
    return tuple(found)


def active_of(column: tuple[Standing, ...], waiting: Mapping[int, int] | None = None) -> Standing | None:
    """The largest active triangle; None where level 21 is used up. With `waiting` (how many proofs wait, by triangle's
    integer), the largest that has room beside them."""
    counts = waiting or {}
    return next((one for one in column if one.has_room(counts.get(one.triangle.integer, 0))), None)
