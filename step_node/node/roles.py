"""What this node is to the chain: a validator, one that waits, leaves or is jailed, or an observer; and saying so.

An operator whose validator has quietly become an observer loses rewards, and after a day of absence its place. So every
change is a warning in the log, and whatever lasts that an operator may want otherwise is a reason in `/health`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from p2p.network import PeerId
from step_node.api.status.health import HealthCode, HealthReason
from step_node.crypto.eip191 import address_of
from step_node.ledger.records import ValidatorRecord, ValidatorState

log = structlog.get_logger("node")


@dataclass(frozen=True, slots=True)
class Role:
    """`sentence` says which; `code` is None where it is what an operator wants who does nothing more."""

    sentence: str
    code: HealthCode | None

    @property
    def is_expected(self) -> bool:
        """Whether there is nothing to look at."""
        return self.code is None


def _has_none(_address: bytes) -> bool:
    return False


def _itself(address: bytes, _records: Sequence[ValidatorRecord]) -> bytes:
    return address


def role_with_key(
    own: bytes,
    records: Sequence[ValidatorRecord],
    *,
    has_next: Callable[[bytes], bool] = _has_none,
    heir: bytes | None = None,
) -> Role:
    """That of a node with the key of address `own` (20 bytes), by the validators' `records`.

    `has_next` is whether the node has the key of an address ready, and takes it by itself when its time comes. `heir`
    is the address of the key that has replaced it, if the chain has forgotten that.
    """
    name = f"this node's key 0x{own.hex()}"
    successor_of = next((one for one in records if _next_address(one) == own and one.is_in_set), None)
    record = next((one for one in records if one.address == own), None)
    if successor_of is not None:
        return Role(
            f"{name} takes over from 0x{successor_of.address.hex()} at the epoch's end; until then the node only"
            " observes, and the validator is absent",
            code=HealthCode.KEY_NOT_YET_ACTIVE,
        )
    if record is None and heir is not None:
        return _replaced(name, heir)
    if record is None:
        return Role(
            f"{name} is no validator's on this chain: the node only observes. `step-node validator register` makes it"
            " one, unless another key has taken its place longer ago than the chain remembers: then put that key's"
            " keystore there in place of keys/validator.json",
            code=HealthCode.KEY_NOT_A_VALIDATORS,
        )
    next_address = _next_address(record)
    match record.state:
        case ValidatorState.ACTIVE if next_address is not None:
            how = (
                "the node has it, and goes on with it by itself"
                if has_next(next_address)
                else "put its keystore at keys/next-validator.json (of a remote signer: into its keys/), made with"
                " `keys new --home`, and the node goes on with it by itself"
            )
            return Role(
                f"{name} is in the validator set until the epoch's end; then 0x{next_address.hex()} takes over: {how}",
                code=HealthCode.KEY_LEAVING,
            )
        case ValidatorState.ACTIVE:
            return Role(f"{name} is in the validator set", code=None)
        case ValidatorState.LEAVING:
            return Role(
                f"{name} leaves the validator set at the epoch's end; the node must run until then",
                code=HealthCode.KEY_LEAVING,
            )
        case ValidatorState.WAITING:
            return Role(
                f"{name} joins the validator set at height {record.active_from_height}; until then the node only"
                " observes",
                code=HealthCode.KEY_NOT_YET_ACTIVE,
            )
        case ValidatorState.UNBONDING:
            return Role(
                f"{name} has left the validator set: the node only observes. The stake waits for `step-node validator"
                " withdraw`",
                code=HealthCode.KEY_LEFT,
            )
        case ValidatorState.JAILED:
            return Role(
                f"{name} is jailed, slashed for height {record.slashed_at_height}: the node only observes. Find out why"
                " before `step-node validator register` or `withdraw`",
                code=HealthCode.KEY_JAILED,
            )
        case ValidatorState.ROTATED:
            return _replaced(name, next_address)


def _replaced(name: str, successor: bytes | None) -> Role:
    by = "another key" if successor is None else f"0x{successor.hex()}"
    return Role(
        f"{name} has been replaced by {by}: the node only observes, and the validator is absent. Put that key's"
        " keystore at keys/next-validator.json, with its signing history in this home",
        code=HealthCode.KEY_REPLACED,
    )


def role_without_key(
    records: Sequence[ValidatorRecord], *, peer_id: PeerId, signed_here: frozenset[bytes], is_on_purpose: bool
) -> Role:
    """That of a node without a validator's key, in whose home the keys of the addresses `signed_here` have signed.

    `is_on_purpose`: the operator has said that it shall only observe.
    """
    for record in records:
        if record.is_in_set and (record.address in signed_here or record.p2p_address.endswith(f"/p2p/{peer_id}")):
            why = "has signed in this home" if record.address in signed_here else "is said to be at this node's address"
            return Role(
                f"0x{record.address.hex()} is in the validator set and {why}, but its key is not used here: this node"
                " only observes, and unless the key signs elsewhere the validator is absent",
                code=None if is_on_purpose else HealthCode.KEY_NOT_HERE,
            )
    return Role("this node only observes", code=None)


class RoleWatch:
    """Looks at the validators after every batch, and says when this node's part among them has become another."""

    def __init__(
        self,
        *,
        own: bytes | None,
        peer_id: PeerId,
        signed_here: frozenset[bytes] = frozenset(),
        observes_on_purpose: bool = False,
        has_next: Callable[[bytes], bool] = _has_none,
        present: Callable[[bytes, Sequence[ValidatorRecord]], bytes] = _itself,
    ) -> None:
        """`own` is the address of the node's validator key, `has_next` whether the node takes the key of an address by
        itself when its time comes, `present` which key counts now for whoever had the one of an address; for the rest
        see `role_without_key`."""
        self._has_next = has_next
        self._present = present
        self._own = own
        self._peer_id = peer_id
        self._signed_here = signed_here
        self._observes_on_purpose = observes_on_purpose
        self._role: Role | None = None

    def use_key(self, address: bytes) -> None:
        """The node signs with this key (its address) from now on."""
        self._own = address

    def look(self, records: Sequence[ValidatorRecord]) -> None:
        """Take in the validators of the next height, all of them, in or out of the set."""
        if self._own is not None:
            present = self._present(self._own, records)
            heir = None if present == self._own else present
            role = role_with_key(self._own, records, has_next=self._has_next, heir=heir)
        else:
            role = role_without_key(
                records,
                peer_id=self._peer_id,
                signed_here=self._signed_here,
                is_on_purpose=self._observes_on_purpose,
            )
        before, self._role = self._role, role
        if before is None and (not role.is_expected or self._observes_on_purpose):
            log.warning("what this node is to the chain", role=role.sentence)
        elif before is not None and before != role:
            # Also where all is well again: that a validator has come into the set must not be missed either.
            log.warning("what this node is to the chain has changed", role=role.sentence, before=before.sentence)

    @property
    def reason(self) -> HealthReason | None:
        """For `/health`; None while the role is as expected."""
        role = self._role
        return None if role is None or role.code is None else HealthReason(role.code, role.sentence)


def _next_address(record: ValidatorRecord) -> bytes | None:
    return address_of(record.next_public_key) if record.next_public_key else None
