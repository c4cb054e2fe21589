"""The snapshots in a home: taken whole, kept in bounds, and thrown away when they are damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from step_node.chain.chain import Chain
from step_node.snapshot.manifest import SnapshotIndex
from step_node.snapshot.store import KEPT_MAX, SnapshotStore
from tests.snapshot.snapshots import grow
from tests.support.chains import make_genesis, open_chain


async def shelf_with(folder: Path, snapshots: int) -> tuple[Chain, SnapshotStore, list[SnapshotIndex]]:
    chain, snapshot_store, taken = (
        await open_chain(make_genesis(1)),
        await SnapshotStore.open(folder, chunk_bytes=400),
        [],
    )
    for _ in range(snapshots):
        await grow(chain, 2)
        taken.append(await snapshot_store.take(chain.storage))
    return chain, snapshot_store, taken


async def test_the_latest_snapshots_are_kept_also_over_a_restart(tmp_path: Path) -> None:
    _, snapshot_store, taken = await shelf_with(tmp_path / "snapshots", KEPT_MAX + 2)
    latest = tuple(reversed(taken))[:KEPT_MAX]
    assert snapshot_store.snapshots() == latest
    assert {path.name for path in (tmp_path / "snapshots").iterdir()} == {str(one.height) for one in latest}
    again = await SnapshotStore.open(tmp_path / "snapshots")
    assert again.snapshots() == latest
    for index in latest:
        assert len(index.chunks) > 1
        assert all([await again.chunk(index, number) for number in range(len(index.chunks))])


async def test_one_that_is_taken_again_takes_the_place_of_the_first(tmp_path: Path) -> None:
    chain, snapshot_store, (first,) = await shelf_with(tmp_path, 1)
    assert await snapshot_store.take(chain.storage) == first
    assert snapshot_store.snapshots() == (first,)
    assert await snapshot_store.chunk(first, 0)


@pytest.mark.parametrize("damage", [b"", b"something else"])
async def test_a_damaged_chunk_takes_its_snapshot_off_the_shelf(tmp_path: Path, damage: bytes) -> None:
    _, snapshot_store, (first, second) = await shelf_with(tmp_path, 2)
    (tmp_path / str(second.height) / "000001").write_bytes(damage)
    assert await snapshot_store.chunk(second, 0)
    assert await snapshot_store.chunk(second, 1) is None
    assert snapshot_store.snapshots() == (first,)
    assert await snapshot_store.chunk(second, 0) is None
    assert await snapshot_store.chunk(first, 0)


async def test_what_a_stop_left_unfinished_is_thrown_away(tmp_path: Path) -> None:
    _, snapshot_store, (index,) = await shelf_with(tmp_path, 1)
    (tmp_path / str(index.height) / "index").rename(tmp_path / "index")
    for name in ("taking", "fetching", "17"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "000000").write_bytes(b"half")
    (tmp_path / "18").mkdir()
    (tmp_path / "index").rename(tmp_path / "18" / "index")
    assert (await SnapshotStore.open(tmp_path)).snapshots() == ()
    assert list(tmp_path.iterdir()) == []
    # Who still holds it learns that it is gone.
    assert await snapshot_store.chunk(index, 0) is None


async def test_fetched_chunks_that_change_on_disk_are_not_read(tmp_path: Path) -> None:
    _, snapshot_store, (index,) = await shelf_with(tmp_path, 1)
    fetched = snapshot_store.fetching()
    fetched.clear()
    for number in range(len(index.chunks)):
        fetched.write(number, await snapshot_store.chunk(index, number) or b"")
    assert len(list(fetched.read_all(index))) == len(index.chunks)
    (tmp_path / "fetching" / "000001").write_bytes(b"another")
    with pytest.raises(OSError, match="not what was written"):
        list(fetched.read_all(index))
    fetched.remove()
    assert not (tmp_path / "fetching").exists()
