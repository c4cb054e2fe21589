"""Writing a file so that, after a crash at any moment, its path holds the whole old content or the whole new one.

The content goes to a second file in the same directory, is fsynced, and takes the path by one atomic step; then the
directory is fsynced, because the name is the directory's data and not the file's.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PRIVATE_MODE = 0o600
"""Read and written by the owner alone."""


def write_atomically(path: Path, content: bytes, mode: int = PRIVATE_MODE, replace: bool = True) -> None:
    """Durably make `content` the content of `path`, with permission bits `mode` whatever the umask.

    One writer at a time for a path. With `replace` false an existing file is kept, and FileExistsError raised.
    Raises OSError as the system gives it; the path then holds the old content or, if only the directory could not be
    fsynced, the new one.
    """
    with written_atomically(path, mode, replace) as file:
        write_fully(file.fileno(), content)


@contextmanager
def written_atomically(path: Path, mode: int = PRIVATE_MODE, replace: bool = True) -> Iterator[BinaryIO]:
    """The same for a content that is too large for memory: what is written to the file in this block.

    If the block raises, the path is as it was.
    """
    new = path.with_name(f".{path.name}.new")
    # What a crash left half-written; made anew, so that its permissions are `mode` from the first byte.
    new.unlink(missing_ok=True)
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with open(descriptor, "wb") as file:  # noqa: PTH123 (of a descriptor, which a Path cannot open)
            os.fchmod(descriptor, mode)
            yield file
            file.flush()
            os.fsync(descriptor)
        if replace:
            new.replace(path)
        else:
            path.hardlink_to(new)
    finally:
        new.unlink(missing_ok=True)
    fsync_directory(path.parent)


def copy_durably(source: Path, target: Path, mode: int = PRIVATE_MODE) -> None:
    """Durably make a copy of a file, which may be too large for memory. Raises FileExistsError, OSError."""
    with source.open("rb") as original, written_atomically(target, mode, replace=False) as file:
        shutil.copyfileobj(original, file)


def write_fully(descriptor: int, content: bytes) -> None:
    """`os.write` until all is written: one call may write a part."""
    remaining = memoryview(content)
    while remaining:
        remaining = remaining[os.write(descriptor, remaining) :]


def make_directory(directory: Path) -> None:
    """Durably make `directory`, of mode 0700, in a parent that exists; one that is there is left as it is."""
    directory.mkdir(mode=0o700, exist_ok=True)
    fsync_directory(directory.parent)


def fsync_directory(directory: Path) -> None:
    """Make the names in `directory` durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
