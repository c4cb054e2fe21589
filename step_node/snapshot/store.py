"""The snapshots in a node's home: those it has taken, and the one that it is fetching.

A snapshot is a directory named by its height, with its chunks and an index that is written last; what has no index, or
was being taken or fetched when the node stopped, is thrown away at the next start. Chunks are not fsynced: each is
held against its hash when it is read, and one that a crash has damaged takes its snapshot off the snapshot_store.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import structlog

from consensus.wire import WireError, decode, encode
from step_node.durable.file_system import DISK, FileSystem
from step_node.offload import run_blocking
from step_node.snapshot.chunks import ChunkWriter
from step_node.snapshot.manifest import CHUNK_BYTES_MAX, MANIFEST_BYTES_MAX, SnapshotIndex, chunk_hash
from step_node.storage.interface import BACKGROUND_SHARE, Storage

KEPT_MAX = 2
"""Snapshots kept: the latest may wait for the batch after it, and peers may be busy fetching the one before."""

_INDEX = "index"
_TAKING = "taking"
_FETCHING = "fetching"

log = structlog.get_logger("snapshot")


class SnapshotStore:
    """See the module's docstring. Made by `open`; one owner."""

    def __init__(self, folder: Path, kept: dict[int, SnapshotIndex], chunk_bytes: int, files: FileSystem) -> None:
        self._files = files
        self._folder = folder
        self._kept = kept
        self._chunk_bytes = chunk_bytes

    @classmethod
    async def open(cls, folder: Path, chunk_bytes: int = CHUNK_BYTES_MAX, *, files: FileSystem = DISK) -> SnapshotStore:
        """The store in `folder`, which is made where it is missing. Raises OSError."""
        return cls(folder, await run_blocking(_tidied, folder, files), chunk_bytes, files)

    def snapshots(self) -> tuple[SnapshotIndex, ...]:
        """Those that are here, the latest first."""
        return tuple(self._kept[height] for height in sorted(self._kept, reverse=True))

    async def take(self, storage: Storage) -> SnapshotIndex:
        """Take a snapshot of the store's head, and let go of the oldest beyond `KEPT_MAX`.

        Raises `InvalidSnapshot` when the store's records do not add up, `StorageUnavailable`, `ValueError` at height
        0, OSError.
        """
        folder = self._folder / _TAKING
        await run_blocking(_emptied, folder, self._files)
        writer = ChunkWriter(lambda number, chunk: _write_chunk(folder, number, chunk, self._files), self._chunk_bytes)
        await storage.export(writer, share=BACKGROUND_SHARE)
        index = await run_blocking(writer.finish)
        await run_blocking(self._put, folder, index)
        self._kept[index.height] = index
        for height in sorted(self._kept)[:-KEPT_MAX]:
            await self.discard(height)
        return index

    async def chunk(self, index: SnapshotIndex, number: int) -> bytes | None:
        """A chunk of a snapshot, None when it is not there, or is not any more what it was."""
        path = _chunk_path(self._folder / str(index.height), number)
        try:
            data = await run_blocking(self._files.read, path)
        except OSError:
            data = b""
        if chunk_hash(data) == index.chunks[number]:
            return data
        if self._kept.get(index.height) is index:
            log.error("a snapshot's chunk is damaged; the snapshot is thrown away", path=str(path))
            await self.discard(index.height)
        return None

    async def discard(self, height: int) -> None:
        """Throw a snapshot away."""
        self._kept.pop(height, None)
        await run_blocking(self._files.remove, self._folder / str(height))

    def fetching(self) -> FetchedChunks:
        """Where the chunks go that are being fetched; one at a time."""
        return FetchedChunks(self._folder / _FETCHING, self._files)

    def _put(self, folder: Path, index: SnapshotIndex) -> None:
        self._files.replace(folder / _INDEX, encode(index))
        final = self._folder / str(index.height)
        self._files.remove(final)
        self._files.rename(folder, final)


class FetchedChunks:
    """Chunks on their way into the store. Its methods block, and belong on a thread; each may raise OSError."""

    def __init__(self, folder: Path, files: FileSystem) -> None:
        self._folder = folder
        self._files = files

    def clear(self) -> None:
        """Begin anew, with an empty directory."""
        _emptied(self._folder, self._files)

    def write(self, number: int, chunk: bytes) -> None:
        """Keep a checked chunk."""
        _write_chunk(self._folder, number, chunk, self._files)

    def read_all(self, index: SnapshotIndex) -> Iterator[bytes]:
        """The chunks again, in order. Raises OSError for one that is not what it was."""
        for number, expected in enumerate(index.chunks):
            path = _chunk_path(self._folder, number)
            chunk = self._files.read(path)
            if chunk_hash(chunk) != expected:
                raise OSError(f"{path}: is not what was written")
            yield chunk

    def remove(self) -> None:
        """Take the directory away."""
        self._files.remove(self._folder)


def _tidied(folder: Path, files: FileSystem) -> dict[int, SnapshotIndex]:
    files.make_folder(folder)
    kept = {}
    for path in files.entries(folder):
        with suppress(OSError, WireError):
            index = decode(
                SnapshotIndex,
                files.read(path / _INDEX),
                bytes_max=MANIFEST_BYTES_MAX,
                structure_bytes_max=MANIFEST_BYTES_MAX,
            )
            if path.name == str(index.height):
                kept[index.height] = index
                continue
        files.remove(path)
    return kept


def _emptied(folder: Path, files: FileSystem) -> None:
    files.remove(folder)
    files.make_folder(folder)


def _chunk_path(folder: Path, number: int) -> Path:
    return folder / f"{number:06}"


def _write_chunk(folder: Path, number: int, chunk: bytes, files: FileSystem) -> None:
    if number == 0:
        # An export that begins again writes the same names again; none of a longer first attempt may stay.
        _emptied(folder, files)
    files.write(_chunk_path(folder, number), chunk)
