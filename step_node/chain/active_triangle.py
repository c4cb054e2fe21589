"""The triangles that hold a point, as they stand in one snapshot of the state."""

from __future__ import annotations

from dataclasses import dataclass

from step_node.ledger.active_triangle import Standing, active_of, column_keys, standings, triangles_at
from step_node.storage.interface import StorageReads


@dataclass(frozen=True, slots=True)
class Column:
    """All 21 triangles that hold a point, by level, after the batch of `height`."""

    height: int
    standings: tuple[Standing, ...]

    @property
    def active(self) -> Standing | None:
        """The triangle to prove in: the largest that is active, or None where level 21 is used up."""
        return active_of(self.standings)


async def column_at(storage: StorageReads, lat: float, lon: float) -> Column:
    """The column at a point (degrees), by one read. For a client's question hand in `storage.for_strangers()`.

    Raises `StorageUnavailable`.
    """
    column = triangles_at(lat, lon)
    state = await storage.load(column_keys(column))
    return Column(state.head.chain.height, standings(column, state.triangles, state.head.parameters.seeded_level))
