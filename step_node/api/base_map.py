"""The base map that an operator may add to the web app: a file of tiles (PMTiles), of which pages ask for parts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from step_node.errors import StepNodeError

PART_BYTES_MAX: Final = 2 * 1024 * 1024
"""Of one answer. Tiles and directories are smaller by far."""

_MAGIC: Final = b"PMTiles\x03"


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of the file from `first` on, and the file as it was then: its size, and a tag that changes with it."""

    content: bytes
    first: int
    size: int
    tag: str


def checked_base_map(path: Path) -> Path:
    """The path again. Raises StepNodeError unless a PMTiles file of version 3 can be read there."""
    try:
        with path.open("rb") as file:
            begin = file.read(len(_MAGIC))
    except OSError as error:
        raise StepNodeError(f"api.web_app_base_map: {path} cannot be read: {error.strerror}") from error
    if begin != _MAGIC:
        raise StepNodeError(f"api.web_app_base_map: {path} must be a PMTiles file of version 3")
    return path


def read_part(path: Path, first: int, count: int) -> Part:
    """At most `count` bytes from `first` on; fewer at the end. Raises OSError if the file is not there any more."""
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        content = b""
        if first < status.st_size:  # Far beyond the end, some file systems refuse to seek.
            file.seek(first)
            content = file.read(count)
    return Part(content, first, status.st_size, f'"{status.st_size:x}-{status.st_mtime_ns:x}"')
