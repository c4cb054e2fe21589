"""The records of a state, written to a file in their order, so that two states can be compared that fit in no memory.

A store that a node runs on goes on; what it says at one height is kept here until the replay has come to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, TypeAlias

import msgpack

from mesh import TriangleId, TriangleIdError
from step_node.amounts import step_text
from step_node.ledger.records import Record, TriangleState, records_bytes
from step_node.ledger.state import StateHead
from step_node.storage.interface import RecordSink, StoredBatch

Value: TypeAlias = "int | str | bytes | float | tuple[Value, ...] | None"

READ_BYTES: Final = 1_048_576
RECORD_BYTES_MAX: Final = 65_536
"""No record is near as long."""

_KEY_FIELDS: Final = {"account": 1, "triangle": 1, "nonce": 2}
"""Of each kind, in the order of an export, how many fields make its key."""
_ORDER: Final = {kind: place for place, kind in enumerate(_KEY_FIELDS)}
_VALUES: Final = {
    "account": ("balance", "proofs", "last proof", "operations"),
    "triangle": ("clicks", "state"),
    "nonce": ("time",),
}


class RecordDifference(NamedTuple):
    """Of one record what the one side says, and the other; None where it has none. `what` names record and field."""

    what: str
    said: str | None
    made: str | None


class SpooledRecords(RecordSink):
    """The accounts, triangles and nonces of an export, in a file. The export may go on while its pages are written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self.head: StateHead | None = None

    def open(self) -> None:
        """Begin with no records."""
        self.close()
        self._file = self._path.open("wb")

    def begin(self, head: StateHead, base: StoredBatch | None) -> None:
        del base
        self.open()
        self.head = head

    def add(self, records: Sequence[Record]) -> None:
        assert self._file is not None
        self._file.write(b"".join(records_bytes(records)))

    def close(self) -> None:
        """Write what is still in memory."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def records(self) -> Iterator[tuple[Value, ...]]:
        """The records again, in their order, each as `[kind, key…, value…]`."""
        self.close()
        with self._path.open("rb") as file:
            yield from msgpack.Unpacker(
                file, read_size=READ_BYTES, max_buffer_size=READ_BYTES + RECORD_BYTES_MAX, use_list=False, raw=False
            )


def differences(said: SpooledRecords, made: SpooledRecords) -> Iterator[RecordDifference]:
    """What differs between two states, record by record, each read once."""
    ours, theirs = made.records(), said.records()
    mine, other = next(ours, None), next(theirs, None)
    while mine is not None or other is not None:
        if other is None or (mine is not None and _place(mine) < _place(other)):
            assert mine is not None
            yield RecordDifference(_name(mine), None, _shown_record(mine))
            mine = next(ours, None)
        elif mine is None or _place(other) < _place(mine):
            yield RecordDifference(_name(other), _shown_record(other), None)
            other = next(theirs, None)
        else:
            if mine != other:
                yield from _fields(mine, other)
            mine, other = next(ours, None), next(theirs, None)


def _fields(mine: tuple[Value, ...], other: tuple[Value, ...]) -> Iterator[RecordDifference]:
    kind = str(mine[0])
    first = 1 + _KEY_FIELDS[kind]
    for field, ours, theirs in zip(_VALUES[kind], mine[first:], other[first:], strict=True):
        if ours != theirs:
            yield RecordDifference(f"{field} of {_name(mine)}", _shown(field, theirs), _shown(field, ours))


def _place(record: tuple[Value, ...]) -> tuple[object, ...]:
    kind = str(record[0])
    return _ORDER[kind], *record[1 : 1 + _KEY_FIELDS[kind]]


def _name(record: tuple[Value, ...]) -> str:
    kind, key = str(record[0]), record[1]
    if kind == "triangle" and isinstance(key, int):
        return f"triangle {_triangle(key)}"
    return " ".join((kind, *(_shown("", one) for one in record[1 : 1 + _KEY_FIELDS[kind]])))


def _triangle(number: int) -> str:
    """Its text form; of a number that is none, the number."""
    try:
        return TriangleId.from_int(number).text
    except TriangleIdError:
        return str(number)


def _shown_record(record: tuple[Value, ...]) -> str:
    kind = str(record[0])
    values = record[1 + _KEY_FIELDS[kind] :]
    return ", ".join(f"{field} {_shown(field, value)}" for field, value in zip(_VALUES[kind], values, strict=True))


def _shown(field: str, value: Value) -> str:
    if field == "balance" and isinstance(value, int) and value >= 0:
        return f"{step_text(value)} STEP"
    if field == "state" and isinstance(value, int) and value in list(TriangleState):
        return TriangleState(value).name.lower()
    return f"0x{value.hex()}" if isinstance(value, bytes) else str(value)
