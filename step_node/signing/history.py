"""What a signing history says: its entries, their sum, and how each is written. The rules are the guard's.

An entry is msgpack: `[height, round, kind, value]` for what was signed, `["FLOOR", height]`, `["DOUBT", reason]`,
`["SETTLED", floor]`. The sum of the entries, in their order, is what binds the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

import msgpack

from step_node.errors import StepNodeError

ROUNDS_KEPT = 100
VALUE_BYTES_MAX = 256
HEIGHT_MAX = 2**63 - 1
ROUND_MAX = 2**31 - 1
DOUBT_CHARACTERS_MAX = 500


class HistoriesContradict(StepNodeError):
    """Two histories of one key have different values for the same height, round and kind: it has signed twice."""


class SigningKind(StrEnum):
    """What a validator signs. Each kind has a history of its own; a timeout message's kind is part of its own."""

    PROPOSAL = "PROPOSAL"
    PRE_VOTE = "PRE_VOTE"
    PRE_COMMIT = "PRE_COMMIT"
    TIMEOUT_PROPOSER = "TIMEOUT_PROPOSER"
    TIMEOUT_PRE_VOTE = "TIMEOUT_PRE_VOTE"
    TIMEOUT_PRE_COMMIT = "TIMEOUT_PRE_COMMIT"


class SignedRecord(NamedTuple):
    """One thing that was signed."""

    height: int
    round: int
    kind: SigningKind
    value: bytes


@dataclass(frozen=True, slots=True)
class HistoryContent:
    """All that a history says; the empty one says that the key has never signed."""

    records: tuple[SignedRecord, ...] = ()
    """What was signed at the highest height. (Those of other heights are passed over.)"""
    floor: int = 0
    doubt: str | None = None
    """Why the history is doubtful; None if it is not."""


NEVER_SIGNED = HistoryContent()


class FloorRaised(NamedTuple):
    """Nothing at this height or below is signed any more."""

    floor: int


class Doubted(NamedTuple):
    """The key may have signed what is not in this history."""

    reason: str


class Settled(NamedTuple):
    """Whatever it has signed is at this height or below: the doubt is over."""

    floor: int


Entry = SignedRecord | FloorRaised | Doubted | Settled
_Records = Mapping[tuple[int, SigningKind], SignedRecord]
"""By (round, kind), all of one height."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What binds the key: the sum of all entries."""

    height: int = 0
    """The highest height that anything was signed for."""
    present: _Records = field(default_factory=lambda: MappingProxyType({}))
    """What was signed at `height`."""
    floor: int = 0
    doubt: str | None = None

    def after(self, entry: Entry) -> Bound:
        """Once `entry` has been added."""
        match entry:
            case SignedRecord(height=height):
                if height < self.height:
                    return self
                kept = self.present if height == self.height else {}
                return replace(self, height=height, present={**kept, (entry.round, entry.kind): entry})
            case FloorRaised(floor):
                return replace(self, floor=max(self.floor, floor))
            case Doubted(reason):
                return replace(self, doubt=self.doubt or reason)
            case Settled(floor):
                return replace(self, floor=max(self.floor, floor), doubt=None)

    def compacted(self) -> Bound:
        """Without the rounds that are forgotten for the sake of space."""
        highest_rounds: dict[SigningKind, int] = {}
        for round_number, kind in self.present:
            highest_rounds[kind] = max(round_number, highest_rounds.get(kind, 0))
        return replace(
            self,
            present={
                key: record
                for key, record in self.present.items()
                if record.round > highest_rounds[record.kind] - ROUNDS_KEPT
            },
        )

    def entries(self) -> list[Entry]:
        """The fewest that say all this."""
        said: list[Entry] = []
        if self.floor > 0:
            said.append(FloorRaised(self.floor))
        if self.doubt is not None:
            said.append(Doubted(self.doubt))
        return [*said, *self.records()]

    def records(self) -> list[SignedRecord]:
        """What was signed at `height`, in order of round and kind."""
        return [self.present[key] for key in sorted(self.present)]

    def merged_with(self, content: HistoryContent) -> Bound:
        """Bound by `content` as well: the higher height and floor count, a doubt of either, at one height the records
        of both. Raises HistoriesContradict, and ValueError for what is out of range."""
        merged = self.after(FloorRaised(checked_floor(content.floor)))
        if content.doubt is not None:
            merged = merged.after(Doubted(checked_reason(content.doubt)))
        height = max((record.height for record in content.records), default=0)
        for record in (checked_record(*each) for each in content.records if each.height == height >= self.height):
            present = merged.present.get((record.round, record.kind)) if height == merged.height else None
            if present is not None and present.value != record.value:
                raise HistoriesContradict(
                    f"{record.kind} at height {height}, round {record.round}: the two histories have different"
                    f" values, 0x{present.value.hex()} and 0x{record.value.hex()}: this key has signed twice"
                )
            merged = merged.after(record)
        return merged


def checked_record(height: object, round_number: object, kind: object, value: object) -> SignedRecord:
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


def checked_floor(floor: object) -> int:
    """It, if it can be a floor. Raises ValueError."""
    if type(floor) is not int or not 0 <= floor <= HEIGHT_MAX:
        raise ValueError(f"floor: must be an integer from 0 to {HEIGHT_MAX}")
    return floor


def checked_reason(reason: object) -> str:
    """It, if it can be the reason of a doubt. Raises ValueError."""
    # Printable, because it goes to logs and terminals, and an imported history brings the reason of somebody else.
    if not isinstance(reason, str) or not 1 <= len(reason) <= DOUBT_CHARACTERS_MAX or not reason.isprintable():
        raise ValueError(f"reason: must be 1 to {DOUBT_CHARACTERS_MAX} printable characters")
    return reason


def encode_entry(entry: Entry) -> bytes:
    """Its bytes in the log."""
    match entry:
        case SignedRecord():
            parts = [entry.height, entry.round, str(entry.kind), entry.value]
        case FloorRaised(floor):
            parts = ["FLOOR", floor]
        case Doubted(reason):
            parts = ["DOUBT", reason]
        case Settled(floor):
            parts = ["SETTLED", floor]
    encoded: bytes = msgpack.packb(parts)
    return encoded


def decode_entry(encoded: bytes) -> Entry:
    """What `encode_entry` made bytes of. Raises ValueError saying what is wrong."""
    entry = _read_entry(encoded)
    if encode_entry(entry) != encoded:
        raise ValueError("it is not in the one form in which it is written")
    return entry


def _read_entry(encoded: bytes) -> Entry:
    try:
        match msgpack.unpackb(encoded):
            case ["FLOOR", floor]:
                return FloorRaised(checked_floor(floor))
            case ["DOUBT", reason]:
                return Doubted(checked_reason(reason))
            case ["SETTLED", floor]:
                return Settled(checked_floor(floor))
            case [height, round_number, kind, value]:
                return checked_record(height, round_number, kind, value)
    except (TypeError, msgpack.UnpackException) as error:
        raise ValueError(f"it is not msgpack: {error}") from error
    raise ValueError("it is neither something that was signed, nor FLOOR, DOUBT or SETTLED")
