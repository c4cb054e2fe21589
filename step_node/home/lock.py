"""One process for each node home: two on one home would sign, and write, against each other.

The lock is `flock` on a file in the home. The kernel holds it for the process and drops it when the process ends, in
whatever way; so a left-over file means nothing, and is never removed (removing it would let a third process lock a
new file of the same name). The file's text, the holder's process id, is only for the error message.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from step_node.errors import StepNodeError

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

    Raises HomeInUse at once if another process (or this one) holds it, and OSError if `home` is no directory that can
    be written.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self._descriptor = os.open(home / LOCK_FILE_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = _read_pid(self._descriptor)
            self.release()
            raise HomeInUse(home, pid) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        """Let go of the lock; once is enough, more does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> HomeLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def _read_pid(descriptor: int) -> int | None:
    text = os.pread(descriptor, _PROCESS_ID_BYTES_MAX, 0).strip()
    return int(text) if text.isdigit() else None
