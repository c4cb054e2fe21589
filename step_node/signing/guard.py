"""The double-sign guard: what this validator has ever signed binds it, across crashes too (protocol.md §4).

Two different votes of one kind for a height and round cost half the stake, and finalise two batches at worst. The
consensus machine never asks for that; but a machine that restarts may have forgotten. So each thing to be signed is
first written to the guard's own file and fsynced, and only then signed. The rules, for each kind of message by itself
(as CometBFT's priv_validator_state keeps them for one height, round and step):

- the height is never below the highest one signed, of any kind;
- within a height, the round is never below the highest one signed of that kind;
- for a height, round and kind there is one value, ever.

What was authorised at this height may be authorised again: it gives the same signature (RFC 6979).

The file is a `RecordLog` whose header names the chain; a history of another chain is refused. It stays small: past
`RECORDS_MAX` records it is replaced by those of the present height, and of those the last `ROUNDS_KEPT` rounds of each
kind. An older round can then no longer be signed at all, not even again, which is safe.
"""

from __future__ import annotations

import threading
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import msgpack

from step_node.durable.file_system import DISK, FileSystem
from step_node.durable.record_log import DamagedLog, RecordLog
from step_node.errors import StepNodeError

RECORDS_MAX = 1_000
"""Above this many records in the file, the next new one compacts it."""
ROUNDS_KEPT = 100
VALUE_BYTES_MAX = 256
HEIGHT_MAX = 2**63 - 1
ROUND_MAX = 2**31 - 1


class SigningKind(StrEnum):
    """What a validator signs. Each kind has a history of its own; a timeout message's kind is part of its own."""

    PROPOSAL = "PROPOSAL"
    PRE_VOTE = "PRE_VOTE"
    PRE_COMMIT = "PRE_COMMIT"
    TIMEOUT_PROPOSER = "TIMEOUT_PROPOSER"
    TIMEOUT_PRE_VOTE = "TIMEOUT_PRE_VOTE"
    TIMEOUT_PRE_COMMIT = "TIMEOUT_PRE_COMMIT"


class DoubleSignRefused(StepNodeError):
    """Signing this would contradict what this validator has signed. The message says what, and which rule."""


class SignedRecord(NamedTuple):
    """One line of the history."""

    height: int
    round: int
    kind: SigningKind
    value: bytes


_Records = dict[tuple[int, SigningKind], SignedRecord]
"""By (round, kind), all of one height."""


class SigningGuard:
    """The signing history of one validator on one chain. Safe to call from several threads."""

    def __init__(self, log: RecordLog, records: list[SignedRecord]) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._record_count = len(records)
        self._height = max((record.height for record in records), default=0)
        self._present = {(record.round, record.kind): record for record in records if record.height == self._height}

    @classmethod
    def open(cls, path: Path, chain_id: str, *, files: FileSystem = DISK) -> SigningGuard:
        """Open the history at `path`, or begin one.

        Raises ForeignLog if it is another chain's, DamagedLog if it cannot be trusted, OSError.
        """
        log, encoded_records = RecordLog.open(path, _header(chain_id), files=files)
        try:
            records = [_decode(path, index, encoded) for index, encoded in enumerate(encoded_records)]
        except DamagedLog:
            log.close()
            raise
        return cls(log, records)

    @property
    def torn_bytes(self) -> int:
        """How much a crash had left half written at the end, and opening cut off: it was never signed."""
        return self._log.torn_bytes

    @property
    def height(self) -> int:
        """The highest height that anything was signed for; 0 if none."""
        return self._height

    def history(self) -> list[SignedRecord]:
        """What binds this validator now: everything signed at `height`, in order of round and kind."""
        with self._lock:
            return [self._present[key] for key in sorted(self._present)]

    def authorise(self, height: int, round: int, kind: SigningKind | str, value: bytes) -> None:  # noqa: A002
        """Return only if `value` may be signed, and only once that is on disk: blocks for an fsync if it is new.

        `value` is 0 to `VALUE_BYTES_MAX` bytes that say what is signed, the empty one included.
        Raises DoubleSignRefused; ValueError for arguments out of range; OSError if the disk fails, after which the
        guard authorises nothing more until it is opened again.
        """
        record = _checked(height, round, kind, value)
        with self._lock:
            if self._is_authorised(record):
                return
            kept = self._present if record.height == self._height else {}
            if self._record_count < RECORDS_MAX:
                self._log.append(_encode(record))
                self._log.sync()
                self._record_count += 1
            else:
                kept = _last_rounds(kept)
                self._log.reset(self._log.header, [_encode(each) for each in (*kept.values(), record)])
                self._record_count = len(kept) + 1
            # Only now: if the disk failed, nothing was authorised.
            self._height = record.height
            self._present = {**kept, (record.round, record.kind): record}

    def merge(self, records: list[SignedRecord]) -> int:
        """Let another history of the same key bind this one too; on disk when it returns. How many records were new.

        Of two histories the one that reaches the higher height counts; at the same height both do.
        Raises DoubleSignRefused, and changes nothing, if they contradict one another; OSError.
        """
        height = max((record.height for record in records), default=0)
        with self._lock:
            if height < self._height:
                return 0
            kept = self._present if height == self._height else {}
            merged = dict(kept)
            for record in (each for each in records if each.height == height):
                present = merged.setdefault((record.round, record.kind), record)
                if present.value != record.value:
                    raise DoubleSignRefused(
                        f"{record.kind} at height {height}, round {record.round}: the two histories have different"
                        f" values, 0x{present.value.hex()} and 0x{record.value.hex()}: this key has signed twice"
                    )
            self._log.reset(self._log.header, [_encode(merged[key]) for key in sorted(merged)])
            self._record_count = len(merged)
            self._height, self._present = height, merged
            return len(merged) - len(kept)

    def close(self) -> None:
        """Close the file; every record is on disk already."""
        with self._lock:
            self._log.close()

    def __enter__(self) -> SigningGuard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _is_authorised(self, record: SignedRecord) -> bool:
        """Whether exactly this was authorised before. Raises DoubleSignRefused if something else binds."""
        what = f"{record.kind} at height {record.height}, round {record.round}"
        if record.height < self._height:
            raise DoubleSignRefused(f"{what}: the height must not be below {self._height}, which was signed already")
        if record.height > self._height:
            return False
        earlier = self._present.get((record.round, record.kind))
        if earlier is not None:
            if earlier.value == record.value:
                return True
            raise DoubleSignRefused(f"{what}: another value was signed already, 0x{earlier.value.hex()}")
        highest_round = max((number for number, kind in self._present if kind == record.kind), default=0)
        if record.round < highest_round:
            raise DoubleSignRefused(f"{what}: the round must not be below {highest_round}, which was signed already")
        return False


def _last_rounds(present: _Records) -> _Records:
    highest_rounds: dict[SigningKind, int] = {}
    for round_number, kind in present:
        highest_rounds[kind] = max(round_number, highest_rounds.get(kind, 0))
    return {key: record for key, record in present.items() if record.round > highest_rounds[record.kind] - ROUNDS_KEPT}


def _header(chain_id: str) -> bytes:
    return f"STEP signing history 1, chain {chain_id}".encode()


def _checked(height: object, round_number: object, kind: object, value: object) -> SignedRecord:
    """The record, if every part is of its type and in its range. Raises ValueError naming the part."""
    if type(height) is not int or not 1 <= height <= HEIGHT_MAX:
        raise ValueError(f"height: must be an integer from 1 to {HEIGHT_MAX}")
    if type(round_number) is not int or not 0 <= round_number <= ROUND_MAX:
        raise ValueError(f"round: must be an integer from 0 to {ROUND_MAX}")
    if not isinstance(kind, str) or kind not in SigningKind.__members__:
        raise ValueError(f"kind: must be one of {', '.join(SigningKind)}")
    if type(value) is not bytes or len(value) > VALUE_BYTES_MAX:
        raise ValueError(f"value: must be at most {VALUE_BYTES_MAX} bytes")
    return SignedRecord(height, round_number, SigningKind(kind), value)


def _encode(record: SignedRecord) -> bytes:
    encoded: bytes = msgpack.packb([record.height, record.round, str(record.kind), record.value])
    return encoded


def _decode(path: Path, index: int, encoded: bytes) -> SignedRecord:
    try:
        height, round_number, kind, value = msgpack.unpackb(encoded)
        return _checked(height, round_number, kind, value)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise DamagedLog(path, f"record {index}", f"it is no entry of a signing history: {error}") from error
