"""The few things that a node's files ask of a file system; the simulator has one that loses what was not synced."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from step_node.durable.atomic_file import write_atomically, write_fully


class OpenFile(Protocol):
    """A file that is open for appending. Every method may raise OSError."""

    def size_bytes(self) -> int:
        """How long the file is."""
        ...

    def append(self, content: bytes) -> None:
        """Write all of `content` at the end; durable only after `sync`."""
        ...

    def truncate(self, size_bytes: int) -> None:
        """Cut the file off there; durable only after `sync`."""
        ...

    def sync(self) -> None:
        """Make what was written durable."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


class FileSystem(Protocol):
    """Where a node keeps its files. Every method may raise OSError."""

    def exists(self, path: Path) -> bool:
        """Whether there is a file at `path`."""
        ...

    def open(self, path: Path) -> OpenFile:
        """Open an existing file for appending."""
        ...

    def read(self, path: Path) -> bytes:
        """The whole content of a file."""
        ...

    def replace(self, path: Path, content: bytes) -> None:
        """Durably make `content` the file's content; after a crash meanwhile it is the old one or the new one."""
        ...

    def write(self, path: Path, content: bytes) -> None:
        """Make `content` the file's content; a crash may leave any of it: for what is checked when it is read."""
        ...

    def make_folder(self, path: Path) -> None:
        """Make the folder, and those above it, where they are missing."""
        ...

    def entries(self, folder: Path) -> Sequence[Path]:
        """The files and folders in a folder, in no particular order."""
        ...

    def rename(self, folder: Path, new: Path) -> None:
        """Give a folder another name, at which nothing may be."""
        ...

    def remove(self, folder: Path) -> None:
        """Take a folder away with all that is in it, or a file, as far as it can be; nothing if there is none."""
        ...


class _DiskFile:
    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)

    def size_bytes(self) -> int:
        return os.fstat(self._descriptor).st_size

    def append(self, content: bytes) -> None:
        write_fully(self._descriptor, content)

    def truncate(self, size_bytes: int) -> None:
        os.ftruncate(self._descriptor, size_bytes)

    def sync(self) -> None:
        os.fsync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


class DiskFileSystem:
    """The machine's own."""

    def exists(self, path: Path) -> bool:
        """See `FileSystem.exists`."""
        return path.exists()

    def open(self, path: Path) -> OpenFile:
        """See `FileSystem.open`."""
        return _DiskFile(path)

    def read(self, path: Path) -> bytes:
        """See `FileSystem.read`."""
        return path.read_bytes()

    def replace(self, path: Path, content: bytes) -> None:
        """See `FileSystem.replace`."""
        write_atomically(path, content)

    def write(self, path: Path, content: bytes) -> None:
        """See `FileSystem.write`."""
        path.write_bytes(content)

    def make_folder(self, path: Path) -> None:
        """See `FileSystem.make_folder`."""
        path.mkdir(parents=True, exist_ok=True)

    def entries(self, folder: Path) -> Sequence[Path]:
        """See `FileSystem.entries`."""
        return tuple(folder.iterdir())

    def rename(self, folder: Path, new: Path) -> None:
        """See `FileSystem.rename`."""
        folder.rename(new)

    def remove(self, folder: Path) -> None:
        """See `FileSystem.remove`."""
        if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder, ignore_errors=True)
        else:
            with suppress(OSError):
                folder.unlink()


DISK = DiskFileSystem()
