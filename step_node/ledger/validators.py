"""The validators as a batch changes them: offences, absences, operations, and the end of an epoch (protocol.md §4).

A working sheet over the head's records, like `LedgerExecution`, which owns one. A validator is a chain of records: the
one that holds the stake, and, for each key it has replaced, one in the state ROTATED that leads to it. So a stake stays
answerable for what any of its keys has signed. The set of the next height is never empty: the last validator in it is
slashed, but not jailed, and cannot leave (docs/adr/0011-validators.md).

Of the offences up to a slash the gravest counts, in whatever order they come: a graver one is topped up to its share,
and one that is no graver costs nothing more (docs/adr/0020-gravest-offence.md).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from consensus.values import VALIDATORS_MAX, Validator, ValidatorSet
from step_node.amounts import step_text
from step_node.explanations.details import Details
from step_node.ledger.offences import Offence, OffenceKind, Slashing, slash_bps
from step_node.ledger.records import ValidatorRecord, ValidatorState
from step_node.ledger.rewards import BASIS_POINTS
from step_node.ledger.state import StateHead
from step_node.operations.operation import (
    OperationCode,
    OperationRefused,
    Register,
    RotateKey,
    SetAddress,
    Unbond,
    UpgradeOperation,
    Withdraw,
    hot_address,
)
from step_node.parameters import USTEP_PER_STEP

SET_VALIDATORS_MAX = VALIDATORS_MAX
"""Members of the set and those who wait to join it; a further registration is refused."""

RECORDS_MAX = 1_000
"""Records of validators in all; at that many a registration is refused. Rotations are bounded for each validator."""

ROTATIONS_MAX = 4
"""Keys of a validator that are replaced and still remembered; at that many a further rotation must wait."""

OFFLINE_BATCHES_MIN = 100
"""No validator is offline before it has missed so many batches in a row: on a chain that stands idle for a day, one
late pre-commit is not a day of absence."""


class ValidatorSheet:
    """The records of one batch in the making, of `height` and batch time `timestamp_ms`, on top of `head`."""

    def __init__(self, head: StateHead, *, timestamp_ms: int) -> None:
        self._chain = head.chain
        self._parameters = head.parameters
        self._height = head.chain.height + 1
        self._timestamp_ms = timestamp_ms
        self._before = head.validators
        self._records = {record.address: record for record in head.validators}
        self.slashings: list[Slashing] = []

    @property
    def burnt_ustep(self) -> int:
        """What the slashings so far have burnt."""
        return sum(slashing.amount_ustep for slashing in self.slashings)

    def records(self) -> tuple[ValidatorRecord, ...]:
        """All of them, sorted by address."""
        return tuple(self._records[address] for address in sorted(self._records))

    def changes(self) -> tuple[list[ValidatorRecord], list[ValidatorRecord]]:
        """(records that are no more as they were, records as they are instead)."""
        removed = [record for record in self._before if self._records.get(record.address) != record]
        before = {record.address: record for record in self._before}
        added = [record for record in self.records() if before.get(record.address) != record]
        return removed, added

    def owner_of(self, address: bytes) -> bytes:
        """Whose account earns what the validator `address` earns."""
        record = self._records.get(address)
        return address if record is None else record.owner

    # --- offences -----------------------------------------------------------------------------------------------

    def try_offence(self, offence: Offence) -> Slashing | str:
        """Slash for it; or why it cannot be, and then nothing has changed."""
        record = self._records.get(offence.accused)
        name = f"0x{offence.accused.hex()}"
        if record is None:
            return f"{name} is no validator"
        if offence.height > self._height:
            return f"height {offence.height} is after this batch's, {self._height}"
        if offence.height <= self._chain.evidence_floor_height:
            return f"height {offence.height} is too old: evidence must be above {self._chain.evidence_floor_height}"
        if not record.was_in_set(offence.height):
            return f"{name} was not in the set of height {offence.height}"
        holder = self._holder(record)
        if offence.height <= holder.slashed_at_height and not self._due_ustep(holder, offence):
            return (
                f"{name} was slashed at height {holder.slashed_at_height} already, for no less than"
                f" {offence.kind} costs"
            )
        return self._slash(holder, offence)

    def note_signers(self, signers: Collection[bytes]) -> None:
        """Count who is absent from the last commit, and slash who has been for too long.

        The commit is of the height before; its validators are those whose term covers it.
        """
        if self._chain.height == 0:
            return
        present = frozenset(signers)
        for record in self.records():
            if not record.was_in_set(self._chain.height):
                continue
            if record.address in present:
                if record.absent_batches:
                    self._put(replace(record, absent_since_ms=0, absent_batches=0))
                continue
            since_ms = record.absent_since_ms or self._timestamp_ms
            absent = replace(record, absent_since_ms=since_ms, absent_batches=record.absent_batches + 1)
            self._put(absent)
            is_too_long = self._timestamp_ms - since_ms > self._parameters.offline_ms
            if absent.is_in_set and is_too_long and absent.absent_batches >= OFFLINE_BATCHES_MIN:
                self._slash(absent, Offence(OffenceKind.OFFLINE, record.address, self._chain.height, b""))

    def _due_ustep(self, holder: ValidatorRecord, offence: Offence) -> int:
        """What the offence costs the holder of the stake: of one up to its last slash, only what that did not take."""
        settled_ustep = holder.slashed_ustep if offence.height <= holder.slashed_at_height else 0
        share_ustep = (holder.stake_ustep + settled_ustep) * slash_bps(offence.kind, self._parameters) // BASIS_POINTS
        return max(0, share_ustep - settled_ustep)

    def _slash(self, holder: ValidatorRecord, offence: Offence) -> Slashing:
        amount_ustep = self._due_ustep(holder, offence)
        is_topped_up = offence.height <= holder.slashed_at_height
        punished = replace(
            holder,
            stake_ustep=holder.stake_ustep - amount_ustep,
            # Kept when it is topped up: what was done after the first slash is not settled by it.
            slashed_at_height=holder.slashed_at_height if is_topped_up else self._height,
            slashed_ustep=amount_ustep + (holder.slashed_ustep if is_topped_up else 0),
            absent_since_ms=0,
            absent_batches=0,
        )
        is_last = holder.is_in_set and not any(
            record.is_in_set for record in self._records.values() if record.address != holder.address
        )
        if not is_last:
            punished = replace(
                punished,
                state=ValidatorState.JAILED,
                active_until_height=self._height + 1 if holder.is_in_set else holder.active_until_height,
                locked_until_ms=max(holder.locked_until_ms, self._timestamp_ms + self._parameters.jail_ms),
                next_public_key=b"",
            )
        self._put(punished)
        slashing = Slashing(
            height=self._height,
            index=len(self.slashings),
            kind=offence.kind,
            accused=offence.accused,
            validator=holder.address,
            offence_height=offence.height,
            amount_ustep=amount_ustep,
            timestamp_ms=self._timestamp_ms,
            evidence=offence.evidence,
        )
        self.slashings.append(slashing)
        return slashing

    # --- operations ---------------------------------------------------------------------------------------------

    def apply_operation(
        self, operation: Register | Unbond | Withdraw | RotateKey | SetAddress, balance_ustep: int
    ) -> int:
        """Apply it; the owner's balance after it. `balance_ustep` is the one before.

        Raises OperationRefused, and then nothing has changed.
        """
        match operation:
            case Register():
                return self._register(operation, balance_ustep)
            case Unbond():
                self._unbond(self.owned(operation))
            case Withdraw():
                return balance_ustep + self._withdraw(self.owned(operation))
            case RotateKey():
                self._rotate(self.owned(operation), operation.public_key)
            case SetAddress():
                self._set_address(self.owned(operation), operation.p2p_address)
        return balance_ustep

    def _register(self, operation: Register, balance_ustep: int) -> int:
        address = hot_address(operation.public_key)
        known = self._records.get(address)
        returns = (
            known is not None and known.state is ValidatorState.JAILED and known.locked_until_ms <= self._timestamp_ms
        )
        if known is not None and returns and known.owner != operation.owner:
            raise OperationRefused(
                OperationCode.NOT_THE_OWNER,
                f"owner: of 0x{address.hex()} is another",
                Details(value=f"0x{operation.owner.hex()}"),
            )
        if (known is not None and not returns) or self._is_coming_key(operation.public_key):
            raise OperationRefused(
                OperationCode.KEY_IN_USE,
                f"public_key: 0x{address.hex()} is a validator already",
                _key(operation.public_key),
            )
        stake_ustep = operation.stake_ustep + (0 if known is None else known.stake_ustep)
        least_ustep = self._parameters.min_stake * USTEP_PER_STEP
        if stake_ustep < least_ustep:
            raise OperationRefused(
                OperationCode.STAKE_TOO_LOW,
                f"stake_ustep: {stake_ustep} in all; at least {least_ustep} is needed",
                Details(have=step_text(stake_ustep), need=step_text(least_ustep), unit="STEP"),
            )
        if balance_ustep < operation.stake_ustep:
            raise OperationRefused(
                OperationCode.INSUFFICIENT_BALANCE,
                f"stake_ustep: the owner's balance is {balance_ustep}",
                Details(have=step_text(balance_ustep), need=step_text(operation.stake_ustep), unit="STEP"),
            )
        places = sum(one.is_in_set or one.state is ValidatorState.WAITING for one in self._records.values())
        if places >= SET_VALIDATORS_MAX or (known is None and len(self._records) >= RECORDS_MAX):
            raise OperationRefused(
                OperationCode.NO_PLACE,
                f"there are {places} validators; at most {SET_VALIDATORS_MAX} may be",
                Details(value=places, limit=SET_VALIDATORS_MAX, unit="validators"),
            )
        newcomer = ValidatorRecord(
            address=address,
            public_key=operation.public_key,
            stake_ustep=stake_ustep,
            p2p_address=operation.p2p_address,
            owner=operation.owner,
            state=ValidatorState.WAITING,
            active_from_height=self._end_of_epoch() + self._parameters.epoch_batches + 1,
        )
        self._put(newcomer)
        return balance_ustep - operation.stake_ustep

    def _unbond(self, record: ValidatorRecord) -> None:
        if record.state is ValidatorState.ACTIVE:
            self._put(replace(record, state=ValidatorState.LEAVING))
        elif record.state is ValidatorState.WAITING:
            self._put(self._unbonding(record, active_until_height=record.active_from_height))
        else:
            raise wrong_state(
                record,
                "only one that is active or waits to be can leave",
                (ValidatorState.ACTIVE, ValidatorState.WAITING),
            )

    def _withdraw(self, record: ValidatorRecord) -> int:
        if record.state not in (ValidatorState.UNBONDING, ValidatorState.JAILED):
            raise wrong_state(
                record,
                "only one that has left can be withdrawn",
                (ValidatorState.UNBONDING, ValidatorState.JAILED),
            )
        if record.locked_until_ms > self._timestamp_ms:
            raise wrong_state(
                record, f"its stake is locked until {record.locked_until_ms}", retry_at_ms=record.locked_until_ms
            )
        for earlier in self._earlier_keys(record):
            del self._records[earlier.address]
        del self._records[record.address]
        return record.stake_ustep

    def _rotate(self, record: ValidatorRecord, public_key: bytes) -> None:
        if record.state is not ValidatorState.ACTIVE or record.next_public_key:
            raise wrong_state(
                record,
                "only one that is active, and not changing its key already, can change it",
                (ValidatorState.ACTIVE,),
            )
        if hot_address(public_key) in self._records or self._is_coming_key(public_key):
            raise OperationRefused(OperationCode.KEY_IN_USE, "public_key: is a validator's already", _key(public_key))
        if len(self._earlier_keys(record)) >= ROTATIONS_MAX:
            raise wrong_state(record, f"{ROTATIONS_MAX} keys before this one are not forgotten yet")
        self._put(replace(record, next_public_key=public_key))

    def _set_address(self, record: ValidatorRecord, p2p_address: str) -> None:
        # At once, and not at the epoch's end: the hash of the set is over addresses of keys, keys and stakes.
        if not (record.is_in_set or record.state is ValidatorState.WAITING):
            raise wrong_state(
                record,
                "only one that is in the set, or waits to join it, can change its address",
                (ValidatorState.WAITING, ValidatorState.ACTIVE, ValidatorState.LEAVING),
            )
        if record.p2p_address == p2p_address:
            raise wrong_state(record, "this is its p2p address already")
        self._put(replace(record, p2p_address=p2p_address))

    def owned(self, operation: Unbond | Withdraw | RotateKey | SetAddress | UpgradeOperation) -> ValidatorRecord:
        """The record of the validator that it names. Raises OperationRefused unless that is its owner's."""
        record = self._records.get(operation.validator)
        if record is None:
            raise OperationRefused(
                OperationCode.UNKNOWN_VALIDATOR,
                f"validator: 0x{operation.validator.hex()} is none",
                Details(value=f"0x{operation.validator.hex()}"),
            )
        if record.owner != operation.owner:
            raise OperationRefused(
                OperationCode.NOT_THE_OWNER,
                f"owner: of 0x{operation.validator.hex()} is 0x{record.owner.hex()}",
                Details(value=f"0x{operation.owner.hex()}"),
            )
        return record

    # --- the end of an epoch ------------------------------------------------------------------------------------

    def end_batch(self) -> None:
        """At an epoch's end: who asked to leave leaves, keys are replaced, who has waited joins, the old is forgotten.

        Others join before anybody leaves, so that the last one can leave when there is somebody after it.
        """
        if self._height % self._parameters.epoch_batches:
            return
        for record in self.records():
            if record.state is ValidatorState.WAITING and record.active_from_height <= self._height + 1:
                self._put(replace(record, state=ValidatorState.ACTIVE, active_from_height=self._height + 1))
        members = sum(record.is_in_set for record in self._records.values())
        for record in self.records():
            if record.state is ValidatorState.LEAVING and members > 1:
                members -= 1
                self._put(self._unbonding(record, active_until_height=self._height + 1))
        for record in self.records():
            if record.is_in_set and record.next_public_key:
                self._replace_key(record)
        for record in self.records():
            if record.state is ValidatorState.ROTATED and record.locked_until_ms <= self._timestamp_ms:
                del self._records[record.address]

    def _replace_key(self, record: ValidatorRecord) -> None:
        self._put(
            replace(
                record,
                address=hot_address(record.next_public_key),
                public_key=record.next_public_key,
                active_from_height=self._height + 1,
                next_public_key=b"",
            )
        )
        self._put(
            replace(
                record,
                stake_ustep=0,
                state=ValidatorState.ROTATED,
                active_until_height=self._height + 1,
                slashed_at_height=0,
                slashed_ustep=0,
                locked_until_ms=self._timestamp_ms + self._parameters.unbonding_ms,
                absent_since_ms=0,
                absent_batches=0,
            )
        )

    def _unbonding(self, record: ValidatorRecord, *, active_until_height: int) -> ValidatorRecord:
        return replace(
            record,
            state=ValidatorState.UNBONDING,
            active_until_height=active_until_height,
            locked_until_ms=self._timestamp_ms + self._parameters.unbonding_ms,
            absent_since_ms=0,
            absent_batches=0,
            next_public_key=b"",
        )

    def _end_of_epoch(self) -> int:
        """The height that ends the epoch of this batch."""
        epoch_batches = self._parameters.epoch_batches
        return -(-self._height // epoch_batches) * epoch_batches

    # --- chains of keys -----------------------------------------------------------------------------------------

    def _put(self, record: ValidatorRecord) -> None:
        self._records[record.address] = record

    def holder_of(self, address: bytes) -> ValidatorRecord | None:
        """The record that has come after the one of the key with this address, or that one; None if there is none."""
        record = self._records.get(address)
        return None if record is None else self._holder(record)

    def _holder(self, record: ValidatorRecord) -> ValidatorRecord:
        """The record that has the stake that answers for `record`."""
        while record.state is ValidatorState.ROTATED:
            record = self._records[hot_address(record.next_public_key)]
        return record

    def _earlier_keys(self, holder: ValidatorRecord) -> list[ValidatorRecord]:
        """The ROTATED records that lead to `holder`."""
        found: list[ValidatorRecord] = []
        keys = {holder.public_key}
        remaining = [record for record in self.records() if record.state is ValidatorState.ROTATED]
        while earlier := [record for record in remaining if record.next_public_key in keys]:
            found += earlier
            keys = {record.public_key for record in earlier}
            remaining = [record for record in remaining if record not in earlier]
        return found

    def _is_coming_key(self, public_key: bytes) -> bool:
        return any(record.next_public_key == public_key for record in self._records.values())


def _key(public_key: bytes) -> Details:
    return Details(value=f"0x{public_key.hex()}")


def wrong_state(
    record: ValidatorRecord, rule: str, allowed: tuple[ValidatorState, ...] = (), *, retry_at_ms: int | None = None
) -> OperationRefused:
    """The refusal of what cannot be done with a validator in this state."""
    return OperationRefused(
        OperationCode.WRONG_STATE,
        f"validator: 0x{record.address.hex()} is {record.state.name.lower()}: {rule}",
        Details(
            rule=rule,
            value=f"0x{record.address.hex()}",
            state=record.state.name.lower(),
            allowed=tuple(state.name.lower() for state in allowed) or None,
            retryable=retry_at_ms is not None,
            retry_at_ms=retry_at_ms,
        ),
    )


def validator_set(records: Iterable[ValidatorRecord], *, height: int | None = None) -> ValidatorSet:
    """The consensus engine's view of the validators in the state: those of the next height, or of the head's.

    `height` may be the head's, whose commit is in the next batch; the stakes are those of now. Other sets cannot be
    told from the state.
    """
    return ValidatorSet(
        tuple(
            Validator(record.address, record.public_key, record.stake_ustep)
            for record in records
            if (record.is_in_set if height is None else record.was_in_set(height))
        )
    )
