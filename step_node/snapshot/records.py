"""Records back from their canonical bytes, and the one order in which a snapshot has them.

`ledger.records.record_bytes` writes a record as `[kind, field, …]`, its fields in the order of the class. That is read
back here by the class's own annotations, so a field more is nothing to change here; a new *kind* is one line in
`KINDS`. A record that would be written in any other way than it was read is refused.

The order (kind, then key, each strictly above the last) is not for looks. The state root is a sum modulo 2^16 lane by
lane, so a forged record that stands there 65,536 times leaves it as it is. In a strict order nothing stands twice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Final, TypeAlias, cast, get_args, get_origin, get_type_hints

import msgpack

from step_node.ledger.protocol_record import ProtocolRecord
from step_node.ledger.records import (
    Account,
    ChainRecord,
    NonceRecord,
    ParametersRecord,
    Record,
    Triangle,
    ValidatorRecord,
    record_bytes,
)


class InvalidSnapshot(ValueError):
    """What was sent is not what the chain has committed to. The message names the part and the rule."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of record. `key_fields`: how many of its first fields are its key."""

    name: str
    record: type[Any]
    key_fields: int


KINDS: Final = (
    Kind("chain", ChainRecord, 0),
    Kind("parameters", ParametersRecord, 0),
    Kind("protocol", ProtocolRecord, 0),
    Kind("validator", ValidatorRecord, 1),
    Kind("account", Account, 1),
    Kind("triangle", Triangle, 1),
    Kind("nonce", NonceRecord, 2),
)
"""In the order in which a snapshot has them."""

_BY_NAME: Final = {kind.name: (rank, kind) for rank, kind in enumerate(KINDS)}

Place: TypeAlias = tuple[int, tuple[Any, ...]]
"""Where a record stands in the order: the rank of its kind, and its key."""


def read_records(data: bytes, after: Place | None) -> tuple[list[Record], list[bytes], Place | None]:
    """The records whose canonical bytes stand end to end in `data`, those bytes one by one, and the last one's place.

    `after` is the place of the record before. Raises `InvalidSnapshot`.
    """
    records: list[Record] = []
    encoded: list[bytes] = []
    unpacker = msgpack.Unpacker(raw=False, use_list=True, strict_map_key=True, max_buffer_size=max(len(data), 1))
    unpacker.feed(data)
    try:
        for fields in unpacker:
            record, place = _read(fields)
            if after is not None and place <= after:
                raise InvalidSnapshot("records: must be in order, each once")
            after = place
            records.append(record)
            encoded.append(record_bytes(record))
    except InvalidSnapshot:
        raise
    except (ValueError, OverflowError, msgpack.exceptions.UnpackException) as error:
        raise InvalidSnapshot(f"records: cannot be read: {str(error) or type(error).__name__}") from error
    if b"".join(encoded) != data:
        raise InvalidSnapshot("records: must be in their canonical encoding, with nothing after the last")
    return records, encoded, after


def _read(fields: object) -> tuple[Record, Place]:
    match fields:
        case [str(name), *values] if name in _BY_NAME:
            rank, kind = _BY_NAME[name]
            return cast(Record, _instance(kind.record, values)), (rank, tuple(values[: kind.key_fields]))
        case _:
            raise InvalidSnapshot("records: one is of no known kind")


def _instance(record: type[Any], values: Sequence[object]) -> object:
    hints = _field_types(cast(Hashable, record))
    if len(values) != len(hints):
        raise InvalidSnapshot(f"records: {record.__name__} has {len(hints)} fields, not {len(values)}")
    return record(*(_value(hint, value) for hint, value in zip(hints, values, strict=True)))


def _value(hint: Any, value: object) -> object:
    # Not isinstance: a bool is an int, and would be written as another byte.
    if type(value) is hint:
        return value
    if isinstance(hint, UnionType):
        if value is None and NoneType in get_args(hint):
            return None
        (hint,) = (member for member in get_args(hint) if member is not NoneType)
    if get_origin(hint) is tuple and isinstance(value, list):
        return tuple(_value(get_args(hint)[0], item) for item in value)
    if dataclasses.is_dataclass(hint) and isinstance(value, list):
        return _instance(cast(type[Any], hint), value)
    if issubclass(hint, IntEnum) and type(value) is int:
        return hint(value)
    if type(value) is not hint:
        raise InvalidSnapshot(f"records: a field must be {hint.__name__}, not {type(value).__name__}")
    return value


@lru_cache(maxsize=64)
def _field_types(record: Any) -> tuple[Any, ...]:
    hints = get_type_hints(record)
    return tuple(hints[field.name] for field in dataclasses.fields(record))
