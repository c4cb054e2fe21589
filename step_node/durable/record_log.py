"""An append-only file of records: for the write-ahead log, the signing history and the mempool's journal.

Records are appended in memory; `sync` writes all that wait as *one frame* and fsyncs it. So a frame is begun only
when the one before is on disk, and a crash can tear only the last frame. That is what tells a torn tail, which is
normal and is cut off, from damage, which is never skipped: losing a record in the middle would make a node forget
what it has signed or promised.

    file   = "STEPLOG1" frame(header) frame(records)*
    frame  = kind length:u32 content_crc:u32 frame_crc:u32 content         (little-endian; frame_crc covers 12 bytes)
    kind   = "STPF" | "STPB"
    content = (length:u32 record)*                                         (of the first frame: the header itself)

A frame of the kind "STPB" begins anew: its first record is another header, and everything before it is forgotten. A
log whose subject changes often is not replaced each time so: a new file of a page costs the disk five pages, with what
the file system writes of it, and two fsyncs (docs/adr/0055-bytes-written.md).

Reading, at each frame:
- whole and right: go on;
- its head is right, and its content is short of the file's end, or ends there with a wrong CRC: torn;
- its head is wrong, and no right head follows anywhere (so nothing was ever written after it; a tail of zeros, which
  file systems leave after a crash, is such a case): torn;
- everything else: damage. The head has a CRC of its own so that a damaged length is not taken for a torn tail.

The header says whose file it is; a log with another header, the last one in it, is refused. The file is created, and
`reset`, by atomic replacement, so its beginning is never torn.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from step_node.durable.file_system import DISK, FileSystem, OpenFile
from step_node.errors import StepNodeError

RECORD_BYTES_MAX = 8 * 1024 * 1024
"""`append` refuses a longer record."""
FRAME_BYTES_MAX = 16 * 1024 * 1024
"""Records that wait for `sync`; an append that would pass it syncs the others first."""
LOG_BYTES_MAX = 256 * 1024 * 1024
"""`sync` raises LogFull rather than let the file pass it: the owner has to `reset`."""

FORGOTTEN_BYTES_MAX = 1024 * 1024
"""`begin` replaces a file in which more is forgotten; so much is read at a start for nothing."""

_MAGIC = b"STEPLOG1"
_FRAME_MAGIC = b"STPF"
_BEGIN_MAGIC = b"STPB"
_ANY_MAGIC = b"STP"
_FRAME_HEAD = struct.Struct("<4sIII")
_FRAME_HEAD_CHECKED_BYTES = 12
_LENGTH = struct.Struct("<I")


class DamagedLog(StepNodeError):
    """The file holds something that no crash leaves behind. The message names file, offset, and what to do."""

    def __init__(self, path: Path, place: int | str, reason: str, *, cure: str = "") -> None:
        """`place` is an offset in bytes, or another description of where; `cure` what to do besides, in sentences."""
        self._parts = (path, place, reason)
        where = f"byte {place}" if isinstance(place, int) else place
        super().__init__(
            f"{path}: damaged at {where}: {reason}. Nothing was changed. Check the disk.{cure and ' '}{cure}"
        )

    def with_cure(self, cure: str) -> DamagedLog:
        """The same, by somebody who knows what the file is for."""
        return DamagedLog(*self._parts, cure=cure)


class ForeignLog(StepNodeError):
    """The file belongs to another chain or another purpose: its header is not the expected one."""

    def __init__(self, path: Path, found: bytes, expected: bytes) -> None:
        super().__init__(
            f"{path}: is of another chain, of another key, or of another version of this program: it begins with"
            f" {found[:200]!r}, not with {expected!r}. Nothing was changed. Put back the file that belongs to this"
            " home."
        )
        self.path = path
        self.found = found


class LogFull(StepNodeError):
    """The file would pass `LOG_BYTES_MAX`; `reset` it, keeping what is still needed."""


class RecordLog:
    """One open log, with one owner: not for several threads at once, nor for two processes (`HomeLock`)."""

    def __init__(
        self, path: Path, found: _Found, files: FileSystem, file: OpenFile, *, size_bytes: int, torn_bytes: int
    ) -> None:
        self.path = path
        self.header = found.header
        self.size_bytes = size_bytes
        """What is on disk; what waits for `sync` is not counted."""
        self.forgotten_bytes = found.forgotten_bytes
        """How much of it is what `begin` has forgotten."""
        self.torn_bytes = torn_bytes
        """How much was cut off at opening: more than 0 after a crash during a `sync`."""
        self._files = files
        self._file: OpenFile | None = file
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._begins = False
        """Whether the first of what waits is a header."""
        self._failed = False

    @classmethod
    def open(
        cls, path: Path, header: bytes = b"", *, first_records: Iterable[bytes] = (), files: FileSystem = DISK
    ) -> tuple[RecordLog, list[bytes]]:
        """Open the log at `path`, or create it with `header` and `first_records` (in one step: never without them);
        give it and the records that it holds, in order.

        A torn tail is cut off, durably, before anything is appended.
        Raises DamagedLog, ForeignLog if the header is not `header`, and OSError.
        """
        if not files.exists(path):
            files.replace(path, _whole(path, header, first_records))
        with ExitStack() as on_failure:
            # Opened before it is read, so that what is read is what will be appended to.
            file = files.open(path)
            on_failure.callback(file.close)
            size_bytes = file.size_bytes()
            if size_bytes > LOG_BYTES_MAX:
                raise DamagedLog(path, LOG_BYTES_MAX, f"{size_bytes} bytes, more than is ever written")
            data = files.read(path)
            found = _read(path, data)
            if found.header != header:
                raise ForeignLog(path, found.header, header)
            torn_bytes = len(data) - found.sound_bytes
            if torn_bytes:
                file.truncate(found.sound_bytes)
                file.sync()
            on_failure.pop_all()
        log = cls(path, found, files, file, size_bytes=found.sound_bytes, torn_bytes=torn_bytes)
        return log, found.records

    @staticmethod
    def read(path: Path, header: bytes) -> list[bytes]:
        """The records that were on disk a moment ago, while another process may go on with the log; nothing is changed.

        Raises DamagedLog, ForeignLog, OSError.
        """
        found = _read(path, DISK.read(path))
        if found.header != header:
            raise ForeignLog(path, found.header, header)
        return found.records

    def append(self, record: bytes) -> None:
        """Add a record to those that the next `sync` makes durable; until then a crash loses it.

        Raises ValueError if it is longer than `RECORD_BYTES_MAX`; and what `sync` raises.
        """
        if len(record) > RECORD_BYTES_MAX:
            raise ValueError(f"record: must be at most {RECORD_BYTES_MAX} bytes, not {len(record)}")
        if self._waiting_bytes + _LENGTH.size + len(record) > FRAME_BYTES_MAX:
            self.sync()
        self._waiting += (_LENGTH.pack(len(record)), record)
        self._waiting_bytes += _LENGTH.size + len(record)

    def sync(self) -> None:
        """Make every appended record durable: one write, one fsync; returns when they are on disk. Blocks meanwhile.

        Raises LogFull, with the records still waiting, or OSError. After an OSError it is unknown what is on disk (a
        second fsync may report success for pages that the first one lost), so the log refuses all further use: open
        it again.
        """
        file = self._usable_file()
        if not self._waiting:
            return
        frame = _frame(b"".join(self._waiting), _BEGIN_MAGIC if self._begins else _FRAME_MAGIC)
        if self.size_bytes + len(frame) > LOG_BYTES_MAX:
            raise LogFull(f"{self.path}: must be at most {LOG_BYTES_MAX} bytes")
        self._failed = True
        file.append(frame)
        file.sync()
        self._failed = False
        self.size_bytes += len(frame)
        self._nothing_waits()

    def begin(self, header: bytes) -> None:
        """Forget all records, those that wait too, and go on under another header: durably with the next `sync`.

        Until then a crash leaves the log as it is on disk, under the header that it has there. Where much is forgotten
        already, it is a `reset`, and raises what that does.
        """
        if self.size_bytes > FORGOTTEN_BYTES_MAX:
            self.reset(header)
            return
        self._usable_file()
        self._nothing_waits()
        self.append(header)
        self.header = header
        self.forgotten_bytes = self.size_bytes
        self._begins = True

    def reset(self, header: bytes, records: Iterable[bytes] = ()) -> None:
        """Replace the whole log by one with `header` and `records`, durably and atomically; what waits is dropped.

        After a crash meanwhile the file is the old log or the new one. Raises OSError, LogFull, and ValueError for a
        record that is too long; the log is then as before, except that after an OSError it has to be opened again.
        """
        file = self._usable_file()
        data = _whole(self.path, header, records)
        self._failed = True
        self._files.replace(self.path, data)
        self._file = self._files.open(self.path)
        file.close()
        self._failed = False
        self.header = header
        self.size_bytes = len(data)
        self.forgotten_bytes = 0
        self._nothing_waits()

    def close(self) -> None:
        """Close the file. What was appended and not synced is lost, as in a crash."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> RecordLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _nothing_waits(self) -> None:
        self._waiting.clear()
        self._waiting_bytes = 0
        self._begins = False

    def _usable_file(self) -> OpenFile:
        if self._file is None:
            raise ValueError(f"{self.path}: the log is closed")
        if self._failed:
            raise OSError(f"{self.path}: a write has failed, and it is unknown what is on disk; open the log again")
        return self._file


def _whole(path: Path, header: bytes, records: Iterable[bytes]) -> bytes:
    """A whole file. Raises LogFull, and ValueError for a record that is too long."""
    content = bytearray()
    for record in records:
        if len(record) > RECORD_BYTES_MAX:
            raise ValueError(f"record: must be at most {RECORD_BYTES_MAX} bytes, not {len(record)}")
        content += _LENGTH.pack(len(record)) + record
    data = _MAGIC + _frame(header) + (_frame(bytes(content)) if content else b"")
    if len(data) > LOG_BYTES_MAX:
        raise LogFull(f"{path}: must be at most {LOG_BYTES_MAX} bytes, not {len(data)}")
    return data


def _frame(content: bytes, magic: bytes = _FRAME_MAGIC) -> bytes:
    head = magic + _LENGTH.pack(len(content)) + _LENGTH.pack(zlib.crc32(content))
    return head + _LENGTH.pack(zlib.crc32(head)) + content


@dataclass(frozen=True, slots=True)
class _Head:
    """What stands before the content of a frame."""

    length: int
    content_crc: int
    begins: bool


def _frame_head(data: bytes, offset: int) -> _Head | None:
    """The head of the frame at `offset`, or None if there is no right one."""
    if len(data) - offset < _FRAME_HEAD.size:
        return None
    magic, length, content_crc, frame_crc = _FRAME_HEAD.unpack_from(data, offset)
    if magic not in (_FRAME_MAGIC, _BEGIN_MAGIC):
        return None
    if zlib.crc32(data[offset : offset + _FRAME_HEAD_CHECKED_BYTES]) != frame_crc:
        return None
    return _Head(length, content_crc, magic == _BEGIN_MAGIC)


@dataclass(frozen=True, slots=True)
class _Found:
    """What a file holds: the last header and the records after it; how much stands before that; and how many bytes are
    sound (the rest is a torn tail)."""

    header: bytes
    records: list[bytes]
    forgotten_bytes: int
    sound_bytes: int


def _read(path: Path, data: bytes) -> _Found:
    """Raises DamagedLog."""
    if not data.startswith(_MAGIC):
        raise DamagedLog(path, 0, f"it must begin with {_MAGIC!r}: it is no record log, or of another version")
    head, header, offset = _read_frame(path, data, len(_MAGIC))
    if head is None or head.begins:
        # The file is only ever created whole.
        raise DamagedLog(path, len(_MAGIC), "the header is incomplete or wrong")
    records: list[bytes] = []
    forgotten_bytes = 0
    while offset < len(data):
        head, content, end = _read_frame(path, data, offset)
        if head is None:
            break
        of_frame = _split(path, offset, content)
        if head.begins:
            if not of_frame:
                raise DamagedLog(path, offset, "a frame that begins anew has no header")
            header, *records = of_frame
            forgotten_bytes = offset
        else:
            records += of_frame
        offset = end
    return _Found(header, records, forgotten_bytes, offset)


def _read_frame(path: Path, data: bytes, offset: int) -> tuple[_Head | None, bytes, int]:
    """Head and content of the frame at `offset`, None if it is torn, and where it ends. Raises DamagedLog."""
    head = _frame_head(data, offset)
    if head is None:
        following = data.find(_ANY_MAGIC, offset + 1)
        while following >= 0:
            if _frame_head(data, following) is not None:
                raise DamagedLog(path, offset, f"no frame begins here, but one begins at byte {following}")
            following = data.find(_ANY_MAGIC, following + 1)
        return None, b"", offset
    start = offset + _FRAME_HEAD.size
    end = start + head.length
    if end > len(data):
        return None, b"", offset
    content = data[start:end]
    if zlib.crc32(content) == head.content_crc:
        return head, content, end
    if end == len(data):
        return None, b"", offset
    raise DamagedLog(path, offset, "the CRC of a frame is wrong, and more was written after it")


def _split(path: Path, frame_offset: int, content: bytes) -> list[bytes]:
    records = []
    position = 0
    while position < len(content):
        if len(content) - position < _LENGTH.size:
            raise DamagedLog(path, frame_offset, "the records do not fill their frame")
        (length,) = _LENGTH.unpack_from(content, position)
        position += _LENGTH.size
        if len(content) - position < length:
            raise DamagedLog(path, frame_offset, "the records do not fill their frame")
        records.append(content[position : position + length])
        position += length
    return records
