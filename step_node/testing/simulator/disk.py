"""A disk that loses in a crash what was not synced, or all but a torn piece of it; that can be slow, and full.

What survives a crash belongs to the `SimulatedDisk`: files, the journal's database, the store. A node that runs has a
`Mount`, which dies with it: from the moment of the crash on, nothing that its tasks still do reaches the disk.
"""

from __future__ import annotations

import errno
import random
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import trio

from step_node.durable.file_system import OpenFile
from step_node.mempool.journal import _connect

T = TypeVar("T")


class NodeCrashed(BaseException):
    """The node's process is gone. Derived from BaseException: no code of the node may survive it."""


@dataclass(slots=True)
class _File:
    durable: bytes = b""
    unsynced: list[bytes] = field(default_factory=list)

    @property
    def content(self) -> bytes:
        return self.durable + b"".join(self.unsynced)


class SimulatedDisk:
    """What one node has on disk, crash after crash."""

    def __init__(self, rng: random.Random, genesis_hash: bytes = bytes(32)) -> None:
        self._rng = rng
        self.files: dict[Path, _File] = {}
        self.journal: sqlite3.Connection = _connect(Path(":memory:"), genesis_hash)
        self.slowness_ms = 0
        self.is_full = False
        self.times_full = 0
        self.crash_rate = 0.0
        """How likely each write is to be the node's last act."""

    def fill(self, is_full: bool) -> None:
        """No room any more, or again."""
        self.is_full = is_full
        self.times_full += is_full

    def durable(self, path: Path) -> bytes:
        """What a crash now would leave of a file at least."""
        file = self.files.get(path)
        return b"" if file is None else file.durable

    def lose_unsynced(self) -> int:
        """A crash: of what was not synced, a piece of the beginning is there at most. Returns the bytes lost."""
        lost = 0
        for path in sorted(self.files):
            file = self.files[path]
            waiting = b"".join(file.unsynced)
            kept = self._rng.randrange(len(waiting) + 1) if waiting and self._rng.random() < 0.5 else 0
            lost += len(waiting) - kept
            file.durable += waiting[:kept]
            file.unsynced.clear()
        return lost

    def put(self, path: Path, content: bytes) -> None:
        """Put a file there, whole."""
        self.files[path] = _File(content)

    def wipe(self, genesis_hash: bytes) -> None:
        """A new disk, in place of one that is gone."""
        self.journal.close()
        self.files.clear()
        self.journal = _connect(Path(":memory:"), genesis_hash)

    def copy_to(self, other: SimulatedDisk) -> None:
        """Copy all of it, as of a node that does not run."""
        other.files = {path: _File(file.durable) for path, file in self.files.items()}
        self.journal.backup(other.journal)

    def lose_file(self, path: Path) -> None:
        """Somebody deletes a file, if it is there."""
        self.files.pop(path, None)

    def close(self) -> None:
        """The end of the world."""
        self.journal.close()


class Mount:
    """A `step_node.durable.file_system.FileSystem`, and a `step_node.offload.Offload`, of one life of a node."""

    def __init__(self, disk: SimulatedDisk, rng: random.Random) -> None:
        self._disk = disk
        self._rng = rng
        self.is_dead = False

    async def __call__(self, work: Callable[[], T], /) -> T:
        """Blocking work: the time it takes, and whether the node lives to see its end."""
        await self.take_time()
        self.act()
        result = work()
        self.act()
        return result

    async def take_time(self) -> None:
        slowness_ms = self._disk.slowness_ms
        if slowness_ms:
            await trio.sleep(self._rng.random() * slowness_ms / 1000)
        elif self._rng.random() < 0.1:
            await trio.sleep(self._rng.random() * 0.003)
        else:
            await trio.lowlevel.checkpoint()

    def act(self) -> None:
        """Something is about to become visible outside of the process, if it is still there. Raises NodeCrashed."""
        if self.is_dead:
            raise NodeCrashed
        if self._disk.crash_rate and self._rng.random() < self._disk.crash_rate:
            self.is_dead = True
            raise NodeCrashed

    def _write(self) -> None:
        self.act()
        if self._disk.is_full:
            raise OSError(errno.ENOSPC, "no space left on device")

    def exists(self, path: Path) -> bool:
        """See `FileSystem.exists`."""
        return path in self._disk.files

    def open(self, path: Path) -> OpenFile:
        """See `FileSystem.open`."""
        return _MountedFile(self, self._file(path))

    def read(self, path: Path) -> bytes:
        """See `FileSystem.read`."""
        return self._file(path).content

    def replace(self, path: Path, content: bytes) -> None:
        """See `FileSystem.replace`."""
        self._write()
        # A new file, as with rename: who has the old one open keeps that.
        self._disk.files[path] = _File(content)
        self.act()

    def write(self, path: Path, content: bytes) -> None:
        """See `FileSystem.write`."""
        self._write()
        self._disk.files[path] = _File(unsynced=[content])
        self.act()

    def make_folder(self, path: Path) -> None:  # noqa: ARG002 - a folder is there as soon as something is in it
        """See `FileSystem.make_folder`."""
        self.act()

    def entries(self, folder: Path) -> Sequence[Path]:
        """See `FileSystem.entries`."""
        depth = len(folder.parts)
        return sorted({Path(*path.parts[: depth + 1]) for path in self._disk.files if folder in path.parents})

    def rename(self, folder: Path, new: Path) -> None:
        """See `FileSystem.rename`."""
        self._write()
        for path in self._inside(folder):
            self._disk.files[new / path.relative_to(folder)] = self._disk.files.pop(path)
        self.act()

    def remove(self, folder: Path) -> None:
        """See `FileSystem.remove`."""
        self.act()
        for path in self._inside(folder):
            del self._disk.files[path]
        self.act()

    def _inside(self, folder: Path) -> list[Path]:
        return [path for path in self._disk.files if path == folder or folder in path.parents]

    def _file(self, path: Path) -> _File:
        file = self._disk.files.get(path)
        if file is None:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
        return file


class _MountedFile:
    def __init__(self, mount: Mount, file: _File) -> None:
        self._mount = mount
        self._file = file

    def size_bytes(self) -> int:
        return len(self._file.content)

    def append(self, content: bytes) -> None:
        self._mount._write()
        self._file.unsynced.append(content)
        self._mount.act()

    def truncate(self, size_bytes: int) -> None:
        self._mount.act()
        content = self._file.content[:size_bytes]
        self._file.durable = self._file.durable[:size_bytes]
        self._file.unsynced = [content[len(self._file.durable) :]]

    def sync(self) -> None:
        self._mount.act()
        self._file.durable = self._file.content
        self._file.unsynced.clear()
        self._mount.act()

    def close(self) -> None:
        """Closing writes nothing."""
