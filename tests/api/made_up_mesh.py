"""States of the mesh as long mining leaves them: places where ever smaller triangles were used up, put into a store."""

from __future__ import annotations

import random

from mesh import LEVEL_MAX, TriangleId, locate
from step_node.ledger.records import Account, LastProof, Triangle, TriangleState
from step_node.ledger.state_gates import clicks_max
from step_node.storage.memory import MemoryStorage


def put(storage: MemoryStorage, triangle: TriangleId, clicks: int) -> None:
    """Have the triangle clicked so often; at its last click it is subdivided, or exhausted."""
    state = TriangleState.ACTIVE
    if clicks == clicks_max(triangle.level):
        state = TriangleState.EXHAUSTED if triangle.level == LEVEL_MAX else TriangleState.SUBDIVIDED
    storage._triangles[triangle.integer] = Triangle(triangle.integer, clicks, state)


def use_up(storage: MemoryStorage, lat: float, lon: float, *, seeded_level: int, through: int, first: int = 1) -> None:
    """Use up the triangles of the levels `first` to `through` that hold the point; children come into being."""
    for level in range(first, through + 1):
        triangle = locate(lat, lon, level)
        put(storage, triangle, clicks_max(level))
        if seeded_level <= level < LEVEL_MAX:
            for child in triangle.children:
                storage._triangles.setdefault(child.integer, Triangle(child.integer))


def put_account(storage: MemoryStorage, address: bytes, last: LastProof) -> None:
    """An account that was last proven to be there and then."""
    storage._accounts[address] = Account(address, proofs=1, last_proof=last)


def mined_around(
    storage: MemoryStorage, lat: float, lon: float, *, seeded_level: int, degrees: float, places: int, seed: int
) -> None:
    """Use up `places` random places within `degrees` of a point, down to random levels."""
    chance = random.Random(seed)
    for _ in range(places):
        there = (
            min(90.0, max(-90.0, lat + chance.uniform(-degrees, degrees))),
            (lon + chance.uniform(-degrees, degrees) + 180.0) % 360.0 - 180.0,
        )
        through = chance.randint(seeded_level, LEVEL_MAX)
        use_up(storage, *there, seeded_level=seeded_level, through=through, first=seeded_level)


def active_leaves(storage: MemoryStorage, seeded_level: int) -> list[TriangleId]:
    """All active triangles from the seeded level on, by looking at every one."""
    found = []
    stack = [TriangleId(face, seeded_level, path) for face in range(20) for path in range(4 ** (seeded_level - 1))]
    while stack:
        triangle = stack.pop()
        record = storage._triangles.get(triangle.integer)
        if record is None or record.state is TriangleState.ACTIVE:
            found.append(triangle)
        elif record.state is TriangleState.SUBDIVIDED:
            stack.extend(triangle.children)
    return sorted(found)
