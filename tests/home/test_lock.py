import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from step_node.home.lock import LOCK_FILE_NAME, HomeInUse, HomeLock

HOLD = """
import sys, pathlib
from step_node.home.lock import HomeLock
with HomeLock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_and_told_which_process_holds_the_home(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(HomeInUse, match=f"in use by process {holder.pid}; stop it first") as caught:
            HomeLock(tmp_path)
        assert caught.value.pid == holder.pid
        holder.send_signal(signal.SIGKILL)
        holder.wait(timeout=30)
    # A killed process holds nothing, and its file is in nobody's way.
    with HomeLock(tmp_path):
        assert (tmp_path / LOCK_FILE_NAME).read_text() == f"{os.getpid()}\n"


def test_the_lock_is_free_again_after_release(tmp_path: Path) -> None:
    lock = HomeLock(tmp_path)
    with pytest.raises(HomeInUse, match=f"process {os.getpid()}"):
        HomeLock(tmp_path)
    lock.release()
    lock.release()
    HomeLock(tmp_path).release()


def test_a_holder_that_has_not_written_its_id_yet_is_another_process(tmp_path: Path) -> None:
    with HomeLock(tmp_path):
        (tmp_path / LOCK_FILE_NAME).write_bytes(b"")
        with pytest.raises(HomeInUse, match="in use by another process"):
            HomeLock(tmp_path)


def test_a_home_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        HomeLock(tmp_path / "nowhere")


@pytest.mark.parametrize("is_moved", [False, True])
def test_a_second_process_is_refused_though_the_lock_file_is_deleted(tmp_path: Path, is_moved: bool) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with holding(home) as holder:
        (home / LOCK_FILE_NAME).unlink()
        if is_moved:
            home = home.rename(tmp_path / "elsewhere")
        second = run_holder(home)
        assert second.returncode == 1
        assert f"{home}: this node home is in use by another process; stop it first" in second.stderr
        # What the refused process leaves behind does not help a third one either.
        assert "in use by another process" in run_holder(home).stderr
        assert holder.poll() is None
    with HomeLock(home):
        pass


def test_two_homes_that_share_their_data_are_one(tmp_path: Path) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    (home / "data").mkdir(parents=True)
    other.mkdir()
    (other / "data").symlink_to(home / "data")
    with holding(home):
        second = run_holder(other)
        assert second.returncode == 1
        assert f"{other}: this node home is in use by another process" in second.stderr


@contextmanager
def holding(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds the home."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        yield holder
        assert holder.stdin is not None
        holder.stdin.close()


def run_holder(home: Path) -> subprocess.CompletedProcess[str]:
    """A process that would hold it; it ends at once either way."""
    return subprocess.run(
        [sys.executable, "-c", HOLD, str(home)], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
