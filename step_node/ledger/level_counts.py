"""How much has happened at each level of the mesh: what is shown of it, never what is decided by it.

A finalised proof is one click, and its receipt says what became of the triangle. So a batch's receipts say by how much
each level's counts grow, and nobody has to look at the triangles that are there. The state root knows nothing of this:
from the records of the state the same figures can be counted at any time, as they are where a store begins with a
snapshot.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from mesh import FACE_COUNT, LEVEL_MAX, LEVEL_MIN
from mesh.triangle_id import LEVEL_MASK
from step_node.ledger.records import Triangle, TriangleState
from step_node.ledger.state import Receipt


@dataclass(slots=True)
class LevelCounts:
    """Of the triangles of one level: how many were clicked, subdivided and exhausted, and all their clicks."""

    touched: int = 0
    subdivided: int = 0
    exhausted: int = 0
    clicks: int = 0

    def note_end(self, state: TriangleState) -> None:
        """A triangle is in this state, and was counted as active."""
        self.subdivided += state is TriangleState.SUBDIVIDED
        self.exhausted += state is TriangleState.EXHAUSTED

    def add(self, more: LevelCounts) -> None:
        """Make this the sum of both."""
        self.touched += more.touched
        self.subdivided += more.subdivided
        self.exhausted += more.exhausted
        self.clicks += more.clicks


CountsByLevel: TypeAlias = dict[int, LevelCounts]
"""Levels of which there is nothing to count may be absent."""


def counts_of_receipts(receipts: Iterable[Receipt]) -> CountsByLevel:
    """By how much the counts grow with the batch that has these receipts."""
    counts: CountsByLevel = {}
    for receipt in receipts:
        of_level = counts.setdefault(receipt.triangle & LEVEL_MASK, LevelCounts())
        of_level.touched += receipt.clicks == 1
        of_level.clicks += 1
        of_level.note_end(receipt.triangle_state)
    return counts


def counts_of_triangles(triangles: Iterable[Triangle]) -> CountsByLevel:
    """The counts of these records, which are all that there are."""
    counts: CountsByLevel = {}
    for triangle in triangles:
        of_level = counts.setdefault(triangle.id & LEVEL_MASK, LevelCounts())
        of_level.touched += triangle.clicks > 0
        of_level.clicks += triangle.clicks
        of_level.note_end(triangle.state)
    return counts


def add_counts(counts: CountsByLevel, more: CountsByLevel) -> None:
    """Add `more` to `counts`."""
    for level, of_level in more.items():
        counts.setdefault(level, LevelCounts()).add(of_level)


def existing_triangles(level: int, counts: CountsByLevel, seeded_level: int) -> int:
    """How many triangles of `level` exist: all of those that are seeded, and four for each that was subdivided."""
    if level <= seeded_level:
        return mesh_triangles(level)
    above = counts.get(level - 1)
    return 0 if above is None else 4 * above.subdivided


def mesh_triangles(level: int) -> int:
    """How many triangles of `level`, 1 to 21, the mesh has, existing in the ledger or not (protocol.md §1)."""
    if not LEVEL_MIN <= level <= LEVEL_MAX:
        raise ValueError(f"level: must be {LEVEL_MIN} to {LEVEL_MAX}")
    return FACE_COUNT << 2 * (level - 1)
