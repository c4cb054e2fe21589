"""The double-sign guard: what this key has ever signed binds it, across crashes too (protocol.md §4).

Two different votes of one kind for a height and round cost half the stake, and finalise two batches at worst. The
consensus machine never asks for that; but a machine that restarts may have forgotten. So each thing to be signed is
first written to the guard's own file and fsynced, and only then signed. The rules, the first that is broken first:

- a doubtful history authorises nothing: the key may have signed what is not in it;
- the height is above the floor: what is final needs no signature any more, whoever signed it;
- the height is never below the highest one signed, of any kind;
- within a height, for each kind by itself (as CometBFT's priv_validator_state keeps them for one height, round and
  step): the round is never below the highest one signed, and for a height, round and kind there is one value, ever.

What was authorised at this height may be authorised again: it gives the same signature (RFC 6979).

Floor and doubt are for what the history cannot know: a history that was lost, or put back from a copy, holds less
than the key has signed. What the chain shows raises the floor; where that is not enough, `doubt` silences the key until
`settle` says from which height on it is sure (ADR 17).

The file is a `RecordLog` whose header names the chain and the key; another's history is refused. It holds entries, in
the order in which they were made: what was signed, floors, doubts, and their ends. It stays small: past `ENTRIES_MAX`
entries it is replaced by what binds at present, and of the present height's records by the last `ROUNDS_KEPT` rounds
of each kind. An older round can then no longer be signed at all, not even again, which is safe.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from types import TracebackType

from step_node.durable.file_system import DISK, FileSystem
from step_node.durable.record_log import DamagedLog, RecordLog
from step_node.errors import StepNodeError
from step_node.signing.history import (
    NEVER_SIGNED,
    Bound,
    Doubted,
    Entry,
    FloorRaised,
    HistoryContent,
    Settled,
    SignedRecord,
    SigningKind,
    checked_floor,
    checked_reason,
    checked_record,
    decode_entry,
    encode_entry,
)

ENTRIES_MAX = 1_000
"""Above this many entries in the file, the next new one compacts it."""
ADDRESS_BYTES = 20
CURE = (
    "Move the file out of the home, and start with --lost-signing-history: the node signs again once all that the key"
    " can have signed is final. An older copy of the file says too little."
)
"""What an operator does about a damaged history."""


class SigningRule(StrEnum):
    """By which rule the guard refuses."""

    DOUBT = "DOUBT"
    """The history is doubtful."""
    FLOOR = "FLOOR"
    """The height is at the floor or below."""
    HEIGHT_BELOW = "HEIGHT_BELOW"
    """The height is below one that was signed."""
    ROUND_BELOW = "ROUND_BELOW"
    """The round is below one that was signed at this height, of this kind."""
    ANOTHER_VALUE = "ANOTHER_VALUE"
    """Another value was signed for this height, round and kind."""


class DoubleSignRefused(StepNodeError):
    """Signing this might contradict what this key has signed. The message says what, `rule` by which rule."""

    def __init__(self, rule: SigningRule, message: str) -> None:
        super().__init__(message)
        self.rule = rule


class SigningGuard:
    """The signing history of one key on one chain. Safe to call from several threads.

    Whatever changes it is on disk when the call returns, which blocks for an fsync. After an OSError the guard
    authorises nothing new until it is opened again.
    """

    def __init__(self, log: RecordLog, validator: bytes, entries: Sequence[Entry]) -> None:
        self.validator = validator
        """The address of the key whose history this is, 20 bytes."""
        self._log = log
        self._lock = threading.Lock()
        self._entry_count = len(entries)
        self._bound = Bound()
        for entry in entries:
            self._bound = self._bound.after(entry)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        chain_id: str,
        validator: bytes,
        begin_with: HistoryContent = NEVER_SIGNED,
        files: FileSystem = DISK,
    ) -> SigningGuard:
        """Open the history at `path` of the key whose address is `validator` (20 bytes).

        If there is none, it is begun with `begin_with`, in one step: no crash leaves a history that says less.
        Raises ForeignLog if it is another chain's or another key's, DamagedLog if it cannot be trusted, OSError,
        ValueError for an address or a beginning that is none.
        """
        if len(validator) != ADDRESS_BYTES:
            raise ValueError(f"validator: must be an address of {ADDRESS_BYTES} bytes, not {len(validator)}")
        first_records = [encode_entry(entry) for entry in Bound().merged_with(begin_with).entries()]
        with ExitStack() as on_failure:
            try:
                log, encoded_entries = RecordLog.open(
                    path, _header(chain_id, validator), first_records=first_records, files=files
                )
                on_failure.callback(log.close)
                entries = [_decoded(path, index, encoded) for index, encoded in enumerate(encoded_entries)]
            except DamagedLog as error:
                raise error.with_cure(CURE) from error
            on_failure.pop_all()
        return cls(log, validator, entries)

    @staticmethod
    def read(path: Path, *, chain_id: str, validator: bytes) -> HistoryContent:
        """What the history at `path` said a moment ago, while a node may sign with it: it is old at once, so it is good
        for a floor, and never for saying what was not signed. Nothing is changed. Raises as `open` does, and OSError
        where there is none.
        """
        bound = Bound()
        for index, encoded in enumerate(RecordLog.read(path, _header(chain_id, validator))):
            bound = bound.after(_decoded(path, index, encoded))
        return _content(bound)

    @property
    def torn_bytes(self) -> int:
        """How much a crash had left half written at the end, and opening cut off: it was never signed."""
        return self._log.torn_bytes

    @property
    def height(self) -> int:
        """The highest height that anything was signed for; 0 if none."""
        return self._bound.height

    @property
    def floor(self) -> int:
        """Nothing at this height or below is ever authorised; 0 at first."""
        return self._bound.floor

    @property
    def is_doubtful(self) -> bool:
        """Whether the key may have signed what is not in this history; nothing is authorised then."""
        return self._bound.doubt is not None

    @property
    def is_current(self) -> bool:
        """Whether all that is signed with the key is known here at this moment: it is, since it is signed by this."""
        return True

    @property
    def doubt_reason(self) -> str | None:
        """Why it is doubtful; None if it is not."""
        return self._bound.doubt

    def history(self) -> list[SignedRecord]:
        """What was signed at `height`, in order of round and kind."""
        return self._bound.records()

    def content(self) -> HistoryContent:
        """All that the history says."""
        return _content(self._bound)

    def authorise(self, height: int, round: int, kind: SigningKind | str, value: bytes) -> None:  # noqa: A002
        """Return only if `value` may be signed, and only once that is on disk: blocks for an fsync if it is new.

        `value` is 0 to `VALUE_BYTES_MAX` bytes that say what is signed, the empty one included.
        Raises DoubleSignRefused; ValueError for arguments out of range; OSError if the disk fails.
        """
        record = checked_record(height, round, kind, value)
        with self._lock:
            if not self._is_authorised(record):
                # Bound by it only once it is on disk: if the disk fails, nothing was authorised.
                self._bound = self._write(record)

    def raise_floor(self, height: int) -> None:
        """Authorise nothing at `height` or below any more. A floor never sinks: a lower `height` changes nothing.

        Raises ValueError for a height out of range, OSError.
        """
        entry = FloorRaised(checked_floor(height))
        with self._lock:
            if entry.floor > self._bound.floor:
                # Bound at once, unlike `authorise`: if the disk fails, the one that errs on the safe side.
                self._bound = self._bound.after(entry)
                self._bound = self._write(entry)

    def doubt(self, reason: str) -> None:
        """This key may have signed what is not in this history: authorise nothing at all until `settle`.

        `reason` is for the operator, at most `DOUBT_CHARACTERS_MAX` printable characters; of several the first is kept.
        Raises ValueError for a reason that is none, OSError.
        """
        entry = Doubted(checked_reason(reason))
        with self._lock:
            if self._bound.doubt is None:
                self._bound = self._bound.after(entry)
                self._bound = self._write(entry)

    def settle(self, floor: int) -> None:
        """Whatever this key has signed is at `floor` or below: raise the floor to it, and end the doubt, in one step.

        Raises ValueError for a floor out of range, OSError, with the doubt as it was.
        """
        entry = Settled(checked_floor(floor))
        with self._lock:
            if self._bound.doubt is not None or entry.floor > self._bound.floor:
                self._bound = self._write(entry)

    def forget(self, reason: str) -> None:
        """Replace the whole history, floor and all, by a doubtful one: for one that cannot be true.

        Safe, since a doubtful history authorises nothing, and `settle` gives it a floor that the chain vouches for.
        Raises ValueError for a reason that is none, OSError.
        """
        doubtful = Bound(doubt=checked_reason(reason))
        with self._lock:
            self._rewrite(doubtful)

    def merge(self, content: HistoryContent) -> int:
        """Let another history of the same key bind this one too; on disk when it returns. How many records were new.

        Of two histories the one that reaches the higher height counts; at the same height both do. The higher floor
        counts, and a doubt of either.
        Raises HistoriesContradict, and changes nothing, if they do; ValueError, OSError.
        """
        with self._lock:
            # Compacted, so that no round comes back that was forgotten here: its value is not known any more.
            before, merged = self._bound, self._bound.merged_with(content).compacted()
            if merged != before:
                self._rewrite(merged)
            return len(set(merged.records()) - set(before.records()))

    def close(self) -> None:
        """Close the file; every entry is on disk already."""
        with self._lock:
            self._log.close()

    def __enter__(self) -> SigningGuard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, entry: Entry) -> Bound:
        """Make `entry` durable; what binds then."""
        bound = self._bound.after(entry)
        if self._entry_count < ENTRIES_MAX:
            self._log.append(encode_entry(entry))
            self._log.sync()
            self._entry_count += 1
            return bound
        self._rewrite(bound.compacted())
        return self._bound

    def _rewrite(self, bound: Bound) -> None:
        entries = bound.entries()
        self._log.reset(self._log.header, [encode_entry(entry) for entry in entries])
        self._entry_count = len(entries)
        self._bound = bound

    def _is_authorised(self, record: SignedRecord) -> bool:
        """Whether exactly this was authorised before. Raises DoubleSignRefused if something else binds."""
        bound = self._bound
        what = f"{record.kind} at height {record.height}, round {record.round}"
        if bound.doubt is not None:
            raise DoubleSignRefused(
                SigningRule.DOUBT, f"{what}: the signing history is doubtful, so that nothing is signed: {bound.doubt}"
            )
        if record.height <= bound.floor:
            raise DoubleSignRefused(
                SigningRule.FLOOR, f"{what}: the height must be above {bound.floor}: up to there all is final"
            )
        if record.height < bound.height:
            raise DoubleSignRefused(
                SigningRule.HEIGHT_BELOW,
                f"{what}: the height must not be below {bound.height}, which was signed already",
            )
        if record.height > bound.height:
            return False
        earlier = bound.present.get((record.round, record.kind))
        if earlier is not None:
            if earlier.value == record.value:
                return True
            raise DoubleSignRefused(
                SigningRule.ANOTHER_VALUE, f"{what}: another value was signed already, 0x{earlier.value.hex()}"
            )
        highest_round = max((number for number, kind in bound.present if kind == record.kind), default=0)
        if record.round < highest_round:
            raise DoubleSignRefused(
                SigningRule.ROUND_BELOW,
                f"{what}: the round must not be below {highest_round}, which was signed already",
            )
        return False


def _content(bound: Bound) -> HistoryContent:
    return HistoryContent(tuple(bound.records()), bound.floor, bound.doubt)


def _header(chain_id: str, validator: bytes) -> bytes:
    return f"STEP signing history 2, chain {chain_id}, validator 0x{validator.hex()}".encode()


def _decoded(path: Path, index: int, encoded: bytes) -> Entry:
    try:
        return decode_entry(encoded)
    except ValueError as error:
        raise DamagedLog(path, f"entry {index}", f"it is no entry of a signing history: {error}") from error
