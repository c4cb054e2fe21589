"""Mining with a display collection beside the ledger is mining without one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mesh import TriangleId, centroid
from step_node.proofs.proof import SignedProof
from step_node.seeding.seeder import MongoTarget, Target, open_collection, seed
from step_node.storage.open import MongoSettings, SqliteSettings, StorageSettings, open_storage
from tests.seeding.conftest import Told
from tests.support.chains import finalise, open_chain
from tests.support.clock import SetClock
from tests.support.mongod import new_database_name
from tests.support.proofs import START_MS, signed_proof

STEP_MS = 60_000


def _proofs() -> list[SignedProof]:
    """Twelve clicks in a triangle that a display collection has too: the eleventh subdivides it; then in its child."""
    parent = TriangleId(5, 3, 9)
    triangles = [parent] * 11 + [parent.children[3]]
    proofs = []
    for index, triangle in enumerate(triangles):
        longitude, latitude = centroid(triangle)
        time_ms = START_MS + index * STEP_MS
        proofs.append(
            signed_proof(
                f"walker-{index}",
                lat=latitude,
                lon=longitude,
                level=triangle.level,
                timestamp_ms=time_ms,
                nonce=f"seeding-{index}",
            )
        )
    return proofs


async def _mined(settings: StorageSettings, beside: Callable[[int], None]) -> list[object]:
    """What a chain makes of the proofs, a batch each; `beside` is called before each one, with its index."""
    found: list[object] = []
    clock = SetClock(START_MS)
    async with open_storage(settings) as storage:
        chain = await open_chain(storage=storage, clock=clock)
        for index, proof in enumerate(_proofs()):
            clock.time_ms = START_MS + index * STEP_MS
            beside(index)
            judged = await finalise(chain, [proof])
            receipts = await storage.receipts([proof.proof_id])
            # The hash is that of the header, in which the state root stands.
            found += [judged.batch.hash, judged.batch.header.state_root, receipts]
            found.append(await storage.triangle(proof.triangle.integer))
        found += [await storage.totals(), await storage.level_counts(), await storage.leaderboard(limit=20)]
    return found


def _beside(target: Target, path: Path) -> StorageSettings:
    """A ledger of its own in the same folder, or on the same server."""
    return MongoSettings(target.uri, new_database_name()) if isinstance(target, MongoTarget) else SqliteSettings(path)


async def test_roots_receipts_and_answers_are_the_same_with_it_and_without(target: Target, tmp_path: Path) -> None:
    with_it, without = (_beside(target, tmp_path / name) for name in ("with.sqlite", "without.sqlite"))
    collection = open_collection(target, create=True)

    def seed_and_unseed(index: int) -> None:
        level = 1 + index % 4
        if index < 8:
            seed(collection, range(level, level + 1), Told(), lambda: False)
        else:
            collection.remove(level)

    try:
        alone = await _mined(without, lambda _: None)
        assert await _mined(with_it, seed_and_unseed) == alone
        assert collection.levels() == {}
    finally:
        collection.close()
