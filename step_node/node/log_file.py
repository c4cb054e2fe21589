"""The log as a file: how large it may become, how many there are, and opening it again when another program moved it.

All of it happens on the thread that writes lines (`node.line_writer`), whose losses an unwilling disk becomes: nothing
here reaches those who log. Old files are `node.log.1`, the latest, to `node.log.9`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MODE: Final = 0o640
"""A log names addresses: its group may read it, as a program that collects logs does."""


@dataclass(frozen=True, slots=True)
class FileBounds:
    """How large a file may become (0: as it likes), and how many there are with the present one."""

    bytes_max: int
    count: int


class LogFile:
    """Gives the descriptor to write a line to. Raises OSError for a file that cannot be opened, here or later.

    `bounds` may be set at any time.
    """

    def __init__(self, path: Path, bounds: FileBounds) -> None:
        self.path = path
        self.bounds = bounds
        self._is_moved = False
        self._descriptor: int | None = None
        self._size_bytes = 0
        self._open()

    def reopen(self) -> None:
        """Have the next line written to the file that has the path by then. From any thread."""
        self._is_moved = True

    def descriptor(self, line_bytes: int) -> int:
        """Where a line of this size belongs. On the writer's thread."""
        if self._is_moved:
            self._is_moved = False
            self._close()
        elif self._is_full(line_bytes):
            self._put_aside()
        if self._descriptor is None:
            self._open()
        assert self._descriptor is not None
        self._size_bytes += line_bytes
        return self._descriptor

    def close(self) -> None:
        """When nothing writes any more."""
        self._close()

    def _is_full(self, line_bytes: int) -> bool:
        limit = self.bounds.bytes_max
        return 0 < limit < self._size_bytes + line_bytes and self._size_bytes > 0

    def _put_aside(self) -> None:
        count = self.bounds.count
        for number in range(count - 1, 0, -1):
            newer = self.path if number == 1 else self._old(number - 1)
            if newer.exists():
                newer.replace(self._old(number))
        if count == 1:
            self.path.unlink(missing_ok=True)
        # A smaller count than before leaves some behind.
        number = count
        while self._old(number).exists():
            self._old(number).unlink()
            number += 1
        self._close()

    def _old(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(self.path, flags, MODE)
        self._size_bytes = os.fstat(self._descriptor).st_size

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
