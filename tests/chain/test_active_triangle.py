"""The active triangle at a point: by one read, whatever of the column above it is used up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mesh import LEVEL_MAX, TriangleId, contains
from step_node.chain.active_triangle import column_at
from step_node.ledger.active_triangle import active_of, standings, triangles_at
from step_node.ledger.records import Triangle, TriangleState
from step_node.ledger.state import StateKeys, StateSlice
from step_node.storage.memory import MemoryStorage
from tests.support.chains import make_genesis

ZURICH = (47.3769, 8.5417)
SEEDED_LEVEL = 10


def used_up(triangle: TriangleId) -> Triangle:
    if triangle.level == LEVEL_MAX:
        return Triangle(triangle.integer, 28, TriangleState.EXHAUSTED)
    return Triangle(triangle.integer, 11, TriangleState.SUBDIVIDED)


@given(lat=st.floats(-90, 90), lon=st.floats(-180, 180), levels=st.integers(0, LEVEL_MAX))
def test_where_so_many_levels_are_used_up_the_next_is_active(lat: float, lon: float, levels: int) -> None:
    column = triangles_at(lat, lon)
    assert [triangle.level for triangle in column] == list(range(1, LEVEL_MAX + 1))
    assert all(contains(triangle, lat, lon) for triangle in column)
    records = {one.integer: used_up(one) if one.level <= levels else None for one in column}
    found = standings(column, records, SEEDED_LEVEL)
    active = active_of(found)
    if levels == LEVEL_MAX:
        assert active is None
    else:
        assert active is not None
        assert active.triangle == column[levels]
    assert [one.exists for one in found] == [one.level <= max(SEEDED_LEVEL, levels + 1) for one in column]


def test_what_waits_may_use_a_triangle_up_and_its_child_does_not_exist_yet() -> None:
    column = triangles_at(*ZURICH)
    records = {one.integer: used_up(one) if one.level < SEEDED_LEVEL else None for one in column}
    tenth = column[SEEDED_LEVEL - 1]
    found = standings(column, records, SEEDED_LEVEL)
    assert active_of(found, {tenth.integer: 10}) == found[SEEDED_LEVEL - 1]
    assert active_of(found, {tenth.integer: 11}) is None


async def test_a_column_is_read_at_once_and_tells_its_height() -> None:
    genesis = make_genesis()
    storage = MemoryStorage()
    await storage.initialise(genesis.hash, genesis.head(), genesis.accounts())
    reads: list[StateKeys] = []

    class Counted(MemoryStorage):
        async def load(self, keys: StateKeys) -> StateSlice:
            reads.append(keys)
            return await storage.load(keys)

    column = await column_at(Counted(), *ZURICH)
    assert [len(keys.triangles) for keys in reads] == [LEVEL_MAX]
    assert column.height == 0
    assert column.active is not None
    assert column.active.triangle.level == 1
