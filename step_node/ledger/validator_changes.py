"""What a batch has changed in the lives of validators, told from their records before and after it.

History for whoever follows the chain, kept beside the state and not part of it, as slashings are. Only what is left at
the end of the batch counts: who asks to leave and leaves in one batch has left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from step_node.ledger.records import ValidatorRecord, ValidatorState


class ValidatorChangeKind(StrEnum):
    """What has become of a validator."""

    REGISTERED = "registered"
    """It waits to join the set."""
    JOINED = "joined"
    LEAVING = "leaving"
    """It has asked to leave, and does at the end of the epoch."""
    LEFT = "left"
    JAILED = "jailed"
    WITHDRAWN = "withdrawn"
    """Its stake is with its owner again, and it is forgotten."""
    KEY_REPLACED = "key_replaced"
    """Its stake answers for `successor` from now on, and for what the old key has signed."""
    MOVED = "moved"
    """Its node is found at another p2p address."""


@dataclass(frozen=True, slots=True)
class ValidatorChange:
    """One change. `validator`, `owner` and `successor` are addresses of 20 bytes; `successor` is empty but for
    KEY_REPLACED.

    `index` counts the changes of the batch at `height` from 0. `stake_ustep` is the stake after the batch; of WITHDRAWN
    what was paid back.
    """

    height: int
    index: int
    kind: ValidatorChangeKind
    validator: bytes
    owner: bytes
    stake_ustep: int
    successor: bytes = b""


_KIND_OF_STATE: Final = {
    ValidatorState.WAITING: ValidatorChangeKind.REGISTERED,
    ValidatorState.ACTIVE: ValidatorChangeKind.JOINED,
    ValidatorState.LEAVING: ValidatorChangeKind.LEAVING,
    ValidatorState.UNBONDING: ValidatorChangeKind.LEFT,
    ValidatorState.JAILED: ValidatorChangeKind.JAILED,
    ValidatorState.ROTATED: ValidatorChangeKind.KEY_REPLACED,
}


def validator_changes(
    before: Sequence[ValidatorRecord], after: Sequence[ValidatorRecord], *, height: int
) -> tuple[ValidatorChange, ...]:
    """What the batch at `height` has changed, in the order of the validators' addresses."""
    old = {record.address: record for record in before}
    new = {record.address: record for record in after}
    successors = {record.public_key: record.address for record in after if record.state is not ValidatorState.ROTATED}
    changes: list[ValidatorChange] = []
    for address in sorted(old.keys() | new.keys()):
        kind = _kind_of(old.get(address), new.get(address))
        if kind is None:
            continue
        record = new.get(address) or old[address]
        successor = b""
        if kind is ValidatorChangeKind.KEY_REPLACED:
            successor = successors[record.next_public_key]
            record = new[successor]
        changes.append(
            ValidatorChange(height, len(changes), kind, address, record.owner, record.stake_ustep, successor)
        )
    return tuple(changes)


def _kind_of(before: ValidatorRecord | None, after: ValidatorRecord | None) -> ValidatorChangeKind | None:
    if before is None:
        # A key that comes after another is told of at that one.
        is_new = after is not None and after.state is ValidatorState.WAITING
        return ValidatorChangeKind.REGISTERED if is_new else None
    if after is None:
        # A replaced key is forgotten without anything happening to the stake.
        return None if before.state is ValidatorState.ROTATED else ValidatorChangeKind.WITHDRAWN
    if before.state is not after.state:
        return _KIND_OF_STATE[after.state]
    return ValidatorChangeKind.MOVED if before.p2p_address != after.p2p_address else None
