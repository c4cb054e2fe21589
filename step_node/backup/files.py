"""The files of a backup: written whole, hashed, and read back under check.

Batches, and the records of a state, are compressed (gzip, so that any tool can look into them), always to the same
bytes; what is in it is read no further than the manifest says that it goes.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final

from step_node.backup.manifest import BackupError, BackupFile, hash_text
from step_node.durable.atomic_file import make_directory, write_atomically

LOCK_NAME: Final = "lock"
_GZIP: Final = 31
"""zlib's word for gzip's form, whose header it writes without a name and a time."""
_COMPRESSION_LEVEL: Final = 4
"""Signatures do not get any smaller: 9 takes four times as long for two hundredths less."""
_LENGTH: Final = struct.Struct("<I")
FREE_BYTES_KEPT: Final = 100_000_000
"""What must be free on a disk beyond what is going to be written."""


class DamagedFile(ValueError):
    """A file of a backup is not what the manifest says. The message is what is wrong with it."""


class BackupFolder:
    """A backup's directory, held by this process alone until the end of the `with` block. Methods block."""

    def __init__(self, root: Path) -> None:
        """Raises `BackupError` while another process works on it, OSError."""
        self.root = root
        self._lock = os.open(root / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            raise BackupError(f"{root}: another process is at work on this backup; wait for its end") from error

    def __enter__(self) -> BackupFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._lock)

    def write(self, path: str, content: bytes) -> BackupFile:
        """Durably write a file, and say what it is. Raises OSError."""
        target = self.root / path
        for parent in reversed(target.relative_to(self.root).parents[:-1]):
            make_directory(self.root / parent)
        write_atomically(target, content)
        return BackupFile(path=path, bytes=len(content), sha256=hash_text(content))

    def keep_only(self, kept: frozenset[str]) -> None:
        """Delete every file of a backup's own directories whose path is not in `kept`. Raises OSError."""
        for name in ("batches", "states", "home"):
            for path in sorted((self.root / name).rglob("*"), reverse=True):
                if path.is_dir() and not path.is_symlink():
                    if not any(path.iterdir()):
                        path.rmdir()
                elif str(path.relative_to(self.root)) not in kept:
                    path.unlink()


def read_file(root: Path, file: BackupFile) -> bytes:
    """Its content, found to be what the manifest says. Raises `DamagedFile`."""
    path = root / file.path
    try:
        with path.open("rb") as opened:
            content = opened.read(file.bytes + 1)
    except FileNotFoundError as error:
        raise DamagedFile("is not there") from error
    except OSError as error:
        raise DamagedFile(f"cannot be read: {error.strerror}") from error
    if len(content) != file.bytes:
        raise DamagedFile(f"must have {file.bytes} bytes, and has {path.stat().st_size}")
    if hash_text(content) != file.sha256:
        raise DamagedFile("its content has changed: the hash is another one")
    return content


def packed(content: bytes) -> bytes:
    """`content` compressed; the same bytes for the same content."""
    compressor = zlib.compressobj(level=_COMPRESSION_LEVEL, wbits=_GZIP)
    return compressor.compress(content) + compressor.flush()


def unpacked(content: bytes, bytes_max: int) -> bytes:
    """What `packed` made of at most `bytes_max` bytes. Raises `DamagedFile`."""
    decompressor = zlib.decompressobj(wbits=_GZIP)
    try:
        plain = decompressor.decompress(content, bytes_max + 1)
    except zlib.error as error:
        raise DamagedFile(f"is not gzip: {error}") from error
    if len(plain) > bytes_max or not decompressor.eof or decompressor.unused_data:
        raise DamagedFile("what is compressed in it is not as long as it must be")
    return plain


def batch_record(batch: bytes, commit: bytes) -> bytes:
    """A batch with its commit as a segment has them: each with its length before it, four bytes, little-endian."""
    return _LENGTH.pack(len(batch)) + batch + _LENGTH.pack(len(commit)) + commit


def batch_records(segment: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The batches with their commits in a segment. Raises `DamagedFile`."""
    position, parts = 0, []
    while position < len(segment):
        if len(segment) - position < _LENGTH.size:
            raise DamagedFile("ends within a batch")
        (length,) = _LENGTH.unpack_from(segment, position)
        position += _LENGTH.size
        if len(segment) - position < length:
            raise DamagedFile("ends within a batch")
        parts.append(segment[position : position + length])
        position += length
        if len(parts) == 2:
            yield parts[0], parts[1]
            parts.clear()
    if parts:
        raise DamagedFile("ends with a batch without its commit")


def require_space(directory: Path, needed_bytes: int, purpose: str) -> None:
    """Raise `BackupError` unless the disk of `directory` (or of what will hold it) has that much, and some more."""
    existing = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    free_bytes = shutil.disk_usage(existing).free
    if free_bytes < needed_bytes + FREE_BYTES_KEPT:
        raise BackupError(
            f"{directory}: {purpose} takes some {needed_bytes / 1e6:,.0f} MB, with {FREE_BYTES_KEPT / 1e6:,.0f} MB to"
            f" be left, and {free_bytes / 1e6:,.0f} MB are free: make room, or choose another disk"
        )
