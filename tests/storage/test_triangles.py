"""Triangles by ranges of ids and by level, and what is counted of them: the same promises of every engine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mesh import TriangleId
from mesh.triangle_id import LEVEL_MASK
from step_node.ledger.level_counts import CountsByLevel, add_counts, counts_of_receipts, counts_of_triangles
from step_node.ledger.records import Triangle, TriangleState
from step_node.ledger.state import StateKeys, TriangleRanges
from step_node.storage import mongo_reads
from step_node.storage.interface import RANGE_RECORDS_MAX, RANGES_MAX, FinalisedBatch, Storage
from step_node.storage.memory import MemoryStorage
from step_node.storage.open import StorageSettings
from tests.storage.made_up_chain import MadeUpChain, begin
from tests.storage.made_up_snapshot import restored_of
from tests.storage.test_snapshots import another_store
from tests.storage.test_storage_contract import grow
from tests.support.chains import finalise, make_genesis, open_chain
from tests.support.proofs import START_MS, signed_proof


async def in_ranges(store: Storage, ranges: list[tuple[int, int]], records_max: int) -> list[Triangle]:
    """What one `load` gives of these ranges."""
    loaded = await store.load(StateKeys(ranges=TriangleRanges(tuple(ranges), records_max)))
    return list(loaded.in_ranges)


async def test_ranges_hold_all_descendants_and_the_first_of_them_are_read(
    started: Storage, chain: MadeUpChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongo_reads, "RANGES_PER_QUERY", 3)
    await grow(started, chain, 5, proofs=30)
    faces = [TriangleId(face, 1, 0) for face in range(20)]
    everything = sorted(chain.triangles.values(), key=lambda one: one.id)
    assert await in_ranges(started, [(face.integer, face.last_integer) for face in faces], 5_000) == everything
    some = [(face.integer, face.last_integer) for face in faces[1::2]]
    within = [one for one in everything if any(first <= one.id <= last for first, last in some)]
    assert 8 < len(within) < len(everything)
    for records_max in (1, 7, len(within), len(within) + 1):
        assert await in_ranges(started, some, records_max) == within[:records_max]
    alone = everything[len(everything) // 2].id
    assert [one.id for one in await in_ranges(started, [(alone, alone)], 2)] == [alone]
    assert await in_ranges(started, [], 1) == []
    assert (await started.load(StateKeys())).in_ranges == ()


@pytest.mark.parametrize(
    ("ranges", "records_max", "rule"),
    [
        ([(5, 4)], 1, "in rising order"),
        ([(1, 5), (5, 9)], 1, "in rising order"),
        ([(6, 7), (1, 2)], 1, "in rising order"),
        ([(1, 2)], 0, "records_max"),
        ([(1, 2)], RANGE_RECORDS_MAX + 1, "records_max"),
        ([(n, n) for n in range(RANGES_MAX + 1)], 1, "ranges: 1001"),
    ],
)
async def test_wrong_ranges_are_refused(
    started: Storage, ranges: list[tuple[int, int]], records_max: int, rule: str
) -> None:
    with pytest.raises(ValueError, match=rule):
        await in_ranges(started, ranges, records_max)


async def test_active_triangles_of_a_level_come_by_id_a_page_at_a_time(started: Storage, chain: MadeUpChain) -> None:
    await grow(started, chain, 6, proofs=40)
    # With some of them used up.
    batch = chain.grow(0)
    ended = tuple(Triangle(one.id, 28, TriangleState.EXHAUSTED) for one in list(chain.triangles.values())[::3])
    chain.triangles |= {one.id: one for one in ended}
    await started.finalise(_with_triangles(batch, ended))
    for level in range(1, 22):
        active = sorted(
            (
                one
                for one in chain.triangles.values()
                if one.id & LEVEL_MASK == level and one.state is TriangleState.ACTIVE
            ),
            key=lambda one: one.id,
        )
        found: list[Triangle] = []
        while page := await started.active_triangles(level, after=found[-1].id if found else 0, limit=3):
            found += page
        assert found == active


def _with_triangles(batch: FinalisedBatch, triangles: tuple[Triangle, ...]) -> FinalisedBatch:
    return replace(batch, changes=replace(batch.changes, triangles=triangles))


async def test_levels_are_counted_as_batches_come_and_anew_from_a_snapshot(
    started: Storage, chain: MadeUpChain, settings: StorageSettings
) -> None:
    assert await started.level_counts() == {}
    await grow(started, chain, 4, proofs=20)
    expected: CountsByLevel = {}
    for batch in chain.batches:
        add_counts(expected, counts_of_receipts(batch.receipts))
    assert await started.level_counts() == expected == counts_of_triangles(chain.triangles.values())
    # Written again, a height counts once.
    await started.finalise(chain.batches[-1])
    assert await started.level_counts() == expected
    async with another_store(settings) as second:
        await begin(second, chain)
        await second.restore(restored_of(chain))
        assert await second.level_counts() == expected
        batch = chain.grow(20)
        await started.finalise(batch)
        await second.finalise(batch)
        assert await second.level_counts() == await started.level_counts()


async def test_what_is_counted_of_receipts_is_what_the_records_of_a_real_chain_say() -> None:
    storage = MemoryStorage()
    chain = await open_chain(make_genesis(seeded_level=20), storage=storage)
    for level, clicks in ((20, 11), (21, 28), (3, 2), (19, 11)):
        timestamp_ms = START_MS + level
        await finalise(
            chain,
            [
                signed_proof(f"{level}-{number}", level=level, timestamp_ms=timestamp_ms, nonce=f"{level}-{number}")
                for number in range(clicks)
            ],
        )
    counts = await storage.level_counts()
    assert counts == counts_of_triangles(storage._triangles.values())
    assert (counts[20].subdivided, counts[21].exhausted, counts[3].clicks, counts[3].touched) == (1, 1, 2, 1)
