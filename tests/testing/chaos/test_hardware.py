"""What scenarios ask of the machine: a small disk is full when it is filled, and holds what was there before."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from step_node.testing.chaos.hardware import Impossible, SmallDisk


def test_a_small_disk_has_what_was_in_its_place_and_is_full_when_it_is_filled(tmp_path: Path) -> None:
    history = tmp_path / "data" / "signing_history" / "0xabc.log"
    history.parent.mkdir(parents=True, mode=0o700)
    history.write_bytes(b"history")
    history.chmod(0o600)
    try:
        disk = SmallDisk(tmp_path / "data", 8)
    except Impossible as error:
        pytest.skip(str(error))
    try:
        assert history.read_bytes() == b"history"
        assert (history.stat().st_mode & 0o777, history.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        disk.fill()
        with pytest.raises(OSError, match="space") as full, (tmp_path / "data" / "more").open("wb", 0) as more:
            more.write(bytes(100_000))
        assert full.value.errno == errno.ENOSPC
        disk.free()
        (tmp_path / "data" / "more").write_bytes(bytes(100_000))
    finally:
        disk.unmount()
    assert history.read_bytes() == b"history"
    assert not (tmp_path / "data" / "more").exists()
