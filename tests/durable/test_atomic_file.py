import os
import stat
from pathlib import Path

import pytest

from step_node.durable.atomic_file import write_atomically


def test_the_content_is_replaced_whole_with_the_mode_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "file"
    previous_umask = os.umask(0o077)
    try:
        write_atomically(path, b"old" * 1000)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        write_atomically(path, b"new", mode=0o644)
    finally:
        os.umask(previous_umask)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_the_order_is_content_then_name_then_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    original_fsync, original_replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        calls.append("fsync directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "fsync file")
        original_fsync(descriptor)

    def replace(source: Path, target: Path) -> None:
        calls.append("replace")
        original_replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    write_atomically(tmp_path / "file", b"content")
    assert calls == ["fsync file", "replace", "fsync directory"]


def test_a_leftover_of_a_crash_is_in_nobodys_way(tmp_path: Path) -> None:
    path = tmp_path / "file"
    leftover = tmp_path / ".file.new"
    leftover.write_bytes(b"half")
    leftover.chmod(0o666)
    write_atomically(path, b"whole")
    assert path.read_bytes() == b"whole"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not leftover.exists()


def test_an_existing_file_is_kept_when_it_must_not_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"first", replace=False)
    with pytest.raises(FileExistsError):
        write_atomically(path, b"second", replace=False)
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]
