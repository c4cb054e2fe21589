"""What the simulated disk keeps and loses."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from step_node.durable.record_log import RecordLog
from step_node.testing.simulator.disk import Mount, NodeCrashed, SimulatedDisk

LOG = Path("log")


def disk_and_mount(seed: int = 0) -> tuple[SimulatedDisk, Mount]:
    rng = random.Random(seed)
    disk = SimulatedDisk(rng)
    return disk, Mount(disk, rng)


def test_what_was_synced_survives_a_crash() -> None:
    disk, mount = disk_and_mount()
    log, _ = RecordLog.open(LOG, b"header", files=mount)
    log.append(b"one")
    log.sync()
    disk.lose_unsynced()
    _, records = RecordLog.open(LOG, b"header", files=Mount(disk, random.Random(1)))
    assert records == [b"one"]


def test_of_what_was_not_synced_a_beginning_is_left_at_most_and_the_log_cuts_it_off() -> None:
    torn = 0
    for seed in range(20):
        disk, mount = disk_and_mount(seed)
        log, _ = RecordLog.open(LOG, b"header", files=mount)
        log.append(b"one")
        log.sync()
        size_bytes = len(disk.durable(LOG))
        mount.open(LOG).append(b"STPF and what a write had come to")
        disk.lose_unsynced()
        torn += len(disk.durable(LOG)) > size_bytes
        _, records = RecordLog.open(LOG, b"header", files=Mount(disk, random.Random(1)))
        assert records == [b"one"]
    assert torn > 0


def test_a_dead_node_writes_nothing() -> None:
    disk, mount = disk_and_mount()
    log, _ = RecordLog.open(LOG, b"header", files=mount)
    log.append(b"one")
    mount.is_dead = True
    with pytest.raises(NodeCrashed):
        log.sync()
    disk.lose_unsynced()
    _, records = RecordLog.open(LOG, b"header", files=Mount(disk, random.Random(1)))
    assert records == []


def test_a_full_disk_refuses_writes_until_there_is_room() -> None:
    disk, mount = disk_and_mount()
    log, _ = RecordLog.open(LOG, b"header", files=mount)
    disk.fill(True)
    log.append(b"one")
    with pytest.raises(OSError, match="no space left"):
        log.sync()
    disk.fill(False)
    log, records = RecordLog.open(LOG, b"header", files=mount)
    assert records == []
    log.append(b"two")
    log.sync()


def test_what_is_only_written_may_be_torn_and_a_folder_is_renamed_and_removed_whole() -> None:
    lengths = set()
    for seed in range(20):
        disk, mount = disk_and_mount(seed)
        mount.make_folder(Path("shelf"))
        mount.write(Path("shelf/taking/0"), b"a chunk")
        mount.replace(Path("shelf/taking/index"), b"all of it")
        mount.rename(Path("shelf/taking"), Path("shelf/7"))
        assert mount.entries(Path("shelf")) == [Path("shelf/7")]
        assert mount.read(Path("shelf/7/0")) == b"a chunk"
        disk.lose_unsynced()
        lengths.add(len(disk.durable(Path("shelf/7/0"))))
        assert disk.durable(Path("shelf/7/index")) == b"all of it"
        mount.remove(Path("shelf/7"))
        assert mount.entries(Path("shelf")) == []
        with pytest.raises(FileNotFoundError):
            mount.read(Path("shelf/7/0"))
    assert 0 in lengths
    assert len(lengths) > 1
