"""One process for each node home: two on one home would sign, and write, against each other.

The lock is `flock` on the home's directory, on its `data` directory, and on the file `lock` in the home. The kernel
holds it for the process and drops it when the process ends, in whatever way. The directories are what holds: nobody
deletes them under a running node, whereas a file `lock` gets tidied away, and the next process would lock a new file of
that name. `data` has a lock of its own because two homes may be made to share it (a link, a volume mounted twice), and
the signing history is there. The file's text, the holder's process id, is only for the error message, and the file is
locked too, so that it is true.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from step_node.errors import StepNodeError
from step_node.home.paths import NodeHome

LOCK_FILE_NAME = "lock"
_PROCESS_ID_BYTES_MAX = 32


class HomeInUse(StepNodeError):
    """Another process runs on this home. `pid` is its process id, or None if it has not written it yet."""

    def __init__(self, home: Path, pid: int | None) -> None:
        holder = "another process" if pid is None else f"process {pid}"
        super().__init__(f"{home}: this node home is in use by {holder}; stop it first, or choose another --home")
        self.home = home
        self.pid = pid


class HomeLock:
    """The exclusive lock on a node home, held from construction until `release` or the end of the `with` block.

    Its `data` directory is locked if it is there. Raises HomeInUse at once if another process (or this one) holds the
    lock, and OSError if `home` is no directory that can be written.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self._descriptors: list[int] = []
        holder_told = True
        try:
            self._lock(home, os.O_RDONLY | os.O_DIRECTORY)
            holder_told = False  # Whoever holds only `data` holds it by another home, and has told its id there.
            with suppress(FileNotFoundError):
                self._lock(NodeHome(home).data, os.O_RDONLY | os.O_DIRECTORY)
            file = self._lock(home / LOCK_FILE_NAME, os.O_RDWR | os.O_CREAT)
        except BlockingIOError as error:
            self.release()
            raise HomeInUse(home, _read_pid(home) if holder_told else None) from error
        except OSError:
            self.release()
            raise
        os.ftruncate(file, 0)
        os.pwrite(file, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        """Let go of the lock; once is enough, more does nothing."""
        while self._descriptors:
            os.close(self._descriptors.pop())

    def __enter__(self) -> HomeLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def _lock(self, path: Path, flags: int) -> int:
        """Raises BlockingIOError if somebody else holds it."""
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
        self._descriptors.append(descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return descriptor


def _read_pid(home: Path) -> int | None:
    """The process id in the lock file; None if there is none, or the file has been deleted."""
    try:
        with (home / LOCK_FILE_NAME).open("rb") as file:
            text = file.read(_PROCESS_ID_BYTES_MAX).strip()
    except FileNotFoundError:
        return None
    return int(text) if text.isdigit() else None
