"""Which rules the chain follows, and what its validators agree on for later: one record of the state (protocol.md §6).

`Upgrade` is what is agreed on, or put to the vote: from a height on, the rules of a version. A node that does not know
that version stops before the height; `release` tells its operator what to install.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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


def protocol_record_from(data: bytes) -> ProtocolRecord:
    """The record whose canonical bytes a store of ours has kept; of none, what all chains begin with."""
    if not data:
        return ProtocolRecord()
    _, in_force, agreed, votes = msgpack.unpackb(data)
    return ProtocolRecord(
        in_force=Upgrade(*in_force),
        agreed=None if agreed is None else Upgrade(*agreed),
        votes=tuple(UpgradeVote(validator, _upgrade(upgrade)) for validator, upgrade in votes),
    )


def _upgrade(fields: Sequence[Any]) -> Upgrade:
    return Upgrade(*fields)


def _upgrade_fields(upgrade: Upgrade) -> tuple[object, ...]:
    return upgrade.protocol_version, upgrade.activation_height, upgrade.release
