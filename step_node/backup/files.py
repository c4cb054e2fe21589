"""The files of a backup: written whole, hashed, and read back under check.

Files that this program makes are small enough to be held in memory. That of an initial state may be as large as a disk,
so it passes through in pieces, both ways.

Batches, and the records of a state, are compressed (gzip, so that any tool can look into them), always to the same
bytes; what is in it is read no further than the manifest says that it goes.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final

from step_node.backup.manifest import BackupError, BackupFile, digest_text, hash_text
from step_node.durable.atomic_file import make_directory, write_atomically, written_atomically

LOCK_NAME: Final = "lock"
FOLDERS: Final = ("batches", "states", "reports", "home")
"""What a backup has of its own beside its manifest."""
_GZIP: Final = 31
"""zlib's word for gzip's form, whose header it writes without a name and a time."""
_COMPRESSION_LEVEL: Final = 4
"""Signatures do not get any smaller: 9 takes four times as long for two hundredths less."""
_LENGTH: Final = struct.Struct("<I")
PIECE_BYTES: Final = 1_048_576
"""Of a file that is not held in memory as a whole, so much is."""
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
        write_atomically(self._place(path), content)
        return BackupFile(path=path, bytes=len(content), sha256=hash_text(content))

    def copy(self, path: str, source: Path) -> BackupFile:
        """Durably write a file with the content of `source`, in pieces, and say what it is. Raises OSError."""
        size_bytes, digest = 0, hashlib.sha256()
        with source.open("rb") as original, written_atomically(self._place(path)) as copy:
            while piece := original.read(PIECE_BYTES):
                digest.update(piece)
                size_bytes += len(piece)
                copy.write(piece)
        return BackupFile(path=path, bytes=size_bytes, sha256=digest_text(digest))

    def _place(self, path: str) -> Path:
        """Where a file goes, in a directory that is there."""
        target = self.root / path
        for parent in reversed(target.relative_to(self.root).parents[:-1]):
            make_directory(self.root / parent)
        return target

    def keep_only(self, kept: frozenset[str]) -> None:
        """Delete every file of a backup's own directories whose path is not in `kept`. Raises OSError."""
        for name in FOLDERS:
            for path in sorted((self.root / name).rglob("*"), reverse=True):
                if path.is_dir() and not path.is_symlink():
                    if not any(path.iterdir()):
                        path.rmdir()
                elif str(path.relative_to(self.root)) not in kept:
                    path.unlink()


def read_file(root: Path, file: BackupFile) -> bytes:
    """Its content, found to be what the manifest says. Raises `DamagedFile`."""
    return b"".join(_pieces(root, file))


def check_file(root: Path, file: BackupFile) -> None:
    """Find it to be what the manifest says, in pieces. Raises `DamagedFile`."""
    for _ in _pieces(root, file):
        pass


def copy_file(root: Path, file: BackupFile, target: Path) -> None:
    """Durably make its content, in pieces, the content of `target`. Raises `DamagedFile`, and `target` is as it was."""
    with written_atomically(target) as copy:
        for piece in _pieces(root, file):
            copy.write(piece)


def _pieces(root: Path, file: BackupFile) -> Iterator[bytes]:
    """Its content; not before the end is it found to be what the manifest says. Raises `DamagedFile`."""
    path, remaining_bytes, digest = root / file.path, file.bytes, hashlib.sha256()
    try:
        with path.open("rb") as opened:
            while piece := opened.read(min(PIECE_BYTES, remaining_bytes)):
                digest.update(piece)
                remaining_bytes -= len(piece)
                yield piece
            is_longer = bool(opened.read(1))
    except FileNotFoundError as error:
        raise DamagedFile("is not there") from error
    except OSError as error:
        raise DamagedFile(f"cannot be read: {error.strerror}") from error
    if remaining_bytes or is_longer:
        raise DamagedFile(f"must have {file.bytes} bytes, and has {path.stat().st_size}")
    if digest_text(digest) != file.sha256:
        raise DamagedFile("its content has changed: the hash is another one")


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
