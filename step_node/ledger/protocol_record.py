"""Which rules the chain follows, and what its validators agree on for later: one record of the state (protocol.md §6).

`Upgrade` is what is agreed on, or put to the vote: from a height on, the rules of a version. A node that does not know
that version stops before the height; `release` tells its operator what to install.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgpack


@dataclass(frozen=True, slots=True)
class Upgrade:
    """The rules of `protocol_version` from `activation_height` on; `release` is one of this program that knows them."""

    protocol_version: int
    activation_height: int
    release: str = ""


@dataclass(frozen=True, slots=True)
class UpgradeVote:
    """What a validator (20 bytes, the address of its hot key) has approved, and not taken back."""

    validator: bytes
    upgrade: Upgrade


@dataclass(frozen=True, slots=True)
class ProtocolRecord:
    """`in_force` are the rules of the next batch, as the validators of the head are those of the next batch.

    `agreed` is what comes after them, if anything is agreed on; `votes` has one vote at most of each validator, sorted
    by its address.
    """

    in_force: Upgrade = Upgrade(1, 1)
    agreed: Upgrade | None = None
    votes: tuple[UpgradeVote, ...] = ()

    def kept(self) -> tuple[ProtocolRecord, ...]:
        """Itself, where the state has a record for it: as of an untouched triangle, there is none of what all begin
        with. So a chain from before there were versions is one of the first."""
        return () if self == ProtocolRecord() else (self,)

    @property
    def version(self) -> int:
        """The version of the rules of the next batch."""
        return self.in_force.protocol_version


def protocol_fields(record: ProtocolRecord) -> tuple[object, ...]:
    """`[kind, field…]`, as every record of the state is written."""
    agreed = None if record.agreed is None else _upgrade_fields(record.agreed)
    votes = [(vote.validator, _upgrade_fields(vote.upgrade)) for vote in record.votes]
    return "protocol", _upgrade_fields(record.in_force), agreed, votes


class MalformedProtocolRecord(ValueError):
    """The bytes that a store has kept are no record of the protocol: it is damaged."""


def protocol_record_from(data: bytes) -> ProtocolRecord:
    """The record whose canonical bytes a store of ours has kept; of none, what all chains begin with.

    Raises `MalformedProtocolRecord`.
    """
    if not data:
        return ProtocolRecord()
    try:
        _, in_force, agreed, votes = msgpack.unpackb(data)
        record = ProtocolRecord(
            in_force=_upgrade(in_force),
            agreed=None if agreed is None else _upgrade(agreed),
            votes=tuple(UpgradeVote(_of_type(validator, bytes), _upgrade(upgrade)) for validator, upgrade in votes),
        )
    except (msgpack.UnpackException, ValueError, TypeError) as error:
        raise MalformedProtocolRecord("the record of the protocol's version in the store cannot be read") from error
    if msgpack.packb(protocol_fields(record)) != data:
        raise MalformedProtocolRecord("the record of the protocol's version in the store is not in its one form")
    return record


def _upgrade(fields: Sequence[Any]) -> Upgrade:
    protocol_version, activation_height, release = fields
    return Upgrade(_of_type(protocol_version, int), _of_type(activation_height, int), _of_type(release, str))


_Field = TypeVar("_Field", bytes, int, str)


def _of_type(value: object, wanted: type[_Field]) -> _Field:
    if not isinstance(value, wanted) or isinstance(value, bool):
        raise TypeError(f"must be of type {wanted.__name__}")
    return value


def _upgrade_fields(upgrade: Upgrade) -> tuple[object, ...]:
    return upgrade.protocol_version, upgrade.activation_height, upgrade.release
