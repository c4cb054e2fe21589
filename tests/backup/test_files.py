"""A file of a backup that is larger than memory may be: copied, checked and restored piece by piece."""

from __future__ import annotations

import hashlib
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from step_node.backup.files import PIECE_BYTES, BackupFolder, DamagedFile, check_file, copy_file, read_file
from step_node.backup.manifest import BackupFile

LARGE_BYTES = 24 * PIECE_BYTES + 7


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    piece = os.urandom(PIECE_BYTES)
    with path.open("wb") as file:
        for number in range(LARGE_BYTES // PIECE_BYTES):
            file.write(number.to_bytes(4, "big") + piece[4:])
        file.write(piece[: LARGE_BYTES % PIECE_BYTES])
    return path


def peak_bytes(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def copied(folder: Path, source: Path) -> BackupFile:
    folder.mkdir()
    with BackupFolder(folder) as files:
        return files.copy("home/1/initial_state.bin", source)


def test_a_large_file_is_copied_checked_and_restored_without_being_held_in_memory(tmp_path: Path, large: Path) -> None:
    folder, target = tmp_path / "backup", tmp_path / "restored"
    made: list[BackupFile] = []
    bytes_max = 4 * PIECE_BYTES
    assert peak_bytes(lambda: made.append(copied(folder, large))) < bytes_max
    (file,) = made
    assert file.bytes == LARGE_BYTES
    assert file.sha256 == f"0x{hashlib.sha256(large.read_bytes()).hexdigest()}"
    assert peak_bytes(lambda: check_file(folder, file)) < bytes_max
    assert peak_bytes(lambda: copy_file(folder, file, target)) < bytes_max
    assert target.read_bytes() == large.read_bytes() == read_file(folder, file)
    assert target.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-1], f"must have {LARGE_BYTES} bytes, and has {LARGE_BYTES - 1}"),
        (lambda content: content + b"x", f"must have {LARGE_BYTES} bytes, and has {LARGE_BYTES + 1}"),
        (lambda content: content[:-1] + bytes([content[-1] ^ 1]), "its content has changed"),
        (lambda content: content[: PIECE_BYTES - 1], "bytes, and has"),
    ],
)
def test_a_damaged_file_takes_nothing_s_place(
    tmp_path: Path, large: Path, damage: Callable[[bytes], bytes], message: str
) -> None:
    folder, target = tmp_path / "backup", tmp_path / "restored"
    file = copied(folder, large)
    (folder / file.path).write_bytes(damage(large.read_bytes()))
    target.write_bytes(b"as it was")
    with pytest.raises(DamagedFile, match=message):
        check_file(folder, file)
    with pytest.raises(DamagedFile, match=message):
        copy_file(folder, file, target)
    assert target.read_bytes() == b"as it was"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup", "large", "restored"]


def test_a_file_that_is_gone_is_named_so(tmp_path: Path, large: Path) -> None:
    folder = tmp_path / "backup"
    file = copied(folder, large)
    (folder / file.path).unlink()
    with pytest.raises(DamagedFile, match="is not there"):
        check_file(folder, file)
