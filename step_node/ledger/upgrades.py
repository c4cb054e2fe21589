"""What rules come next: validators' approvals as a batch changes them, and the change itself (protocol.md §6).

A working sheet, as `ValidatorSheet` is, over which it stands. A validator approves one upgrade at a time. An upgrade is
agreed on once a quorum of the set approves it that has more than two thirds of the set's stake: a quorum, since that
many must run a program that knows the rules, or the chain would stand; and the stake, since that is what answers for
them. It stays agreed on while the set changes, and until so many take their approval back that it would not be agreed
on now. It comes into force at the first height of an epoch, where the set changes too, and no sooner than a whole epoch
after it is agreed on: so nobody is surprised by it who looks once an epoch.
"""

from __future__ import annotations

from dataclasses import replace

from consensus.values import quorum_of
from step_node.explanations.details import Details
from step_node.ledger.protocol_record import ProtocolRecord, Upgrade, UpgradeVote
from step_node.ledger.records import ValidatorRecord
from step_node.ledger.state import StateHead
from step_node.ledger.validators import ValidatorSheet, wrong_state
from step_node.operations.operation import ApproveUpgrade, OperationCode, OperationRefused, UpgradeOperation


class UpgradeSheet:
    """The record of one batch in the making, on top of `head`; `validators` are those of the same batch."""

    def __init__(self, head: StateHead, validators: ValidatorSheet) -> None:
        self._height = head.chain.height + 1
        self._epoch_batches = head.parameters.epoch_batches
        self._validators = validators
        self.record = head.protocol

    def apply_operation(self, operation: UpgradeOperation) -> None:
        """Apply it. Raises OperationRefused, and then nothing has changed."""
        record = self._validators.owned(operation)
        if not record.is_in_set:
            raise wrong_state(record, "only a member of the set is asked what rules come next")
        if isinstance(operation, ApproveUpgrade):
            wanted = Upgrade(operation.protocol_version, operation.activation_height, operation.release)
            self._approve(record.address, wanted)
        else:
            self._cancel(record.address)

    def _approve(self, validator: bytes, wanted: Upgrade) -> None:
        agreed = self.record.agreed
        if wanted in (vote.upgrade for vote in self.record.votes if vote.validator == validator):
            raise _refused("upgrade: this validator has approved it already")
        if agreed is not None and wanted != agreed:
            raise _refused(
                f"upgrade: version {agreed.protocol_version} from height {agreed.activation_height} on, release"
                f" {agreed.release or '(none)'}, is agreed on: approve that one, or have it cancelled first"
            )
        if agreed is None:
            self._require_possible(wanted)
        votes = [vote for vote in self.record.votes if vote.validator != validator]
        votes.append(UpgradeVote(validator, wanted))
        self.record = replace(self.record, votes=tuple(sorted(votes, key=lambda vote: vote.validator)))
        if self._is_carried(wanted):
            self.record = replace(self.record, agreed=wanted)

    def _require_possible(self, wanted: Upgrade) -> None:
        in_force, first = self.record.version, first_possible_height(self._height, self._epoch_batches)
        if wanted.protocol_version <= in_force:
            raise _refused(
                f"protocol_version: must be above the one in force, {in_force}",
                Details(value=wanted.protocol_version, limit=in_force),
            )
        if wanted.activation_height < first or (wanted.activation_height - 1) % self._epoch_batches:
            raise _refused(
                f"activation_height: must be the first height of an epoch, {first} or a multiple of"
                f" {self._epoch_batches} above it: a whole epoch lies between the agreement and the change",
                Details(value=wanted.activation_height, limit=first, unit="height"),
            )

    def _cancel(self, validator: bytes) -> None:
        votes = tuple(vote for vote in self.record.votes if vote.validator != validator)
        if votes == self.record.votes:
            raise _refused("upgrade: this validator has approved none, so there is nothing to take back")
        self.record = replace(self.record, votes=votes)
        if self.record.agreed is not None and not self._is_carried(self.record.agreed):
            self.record = replace(self.record, agreed=None)

    def end_batch(self) -> None:
        """Once the validators' own batch has ended: votes follow keys that were replaced, and go with who has left;
        what was agreed on for the next height comes into force."""
        agreed = self.record.agreed
        if agreed is not None and agreed.activation_height == self._height + 1:
            self.record = ProtocolRecord(in_force=agreed)
        elif self.record.votes:
            self._tidy_votes()

    def _tidy_votes(self) -> None:
        """What can be agreed on no more is forgotten as well: the next batch is one epoch's end nearer."""
        votes: dict[bytes, UpgradeVote] = {}
        first = first_possible_height(self._height + 1, self._epoch_batches)
        for vote in self.record.votes:
            holder = self._validators.holder_of(vote.validator)
            too_late = self.record.agreed is None and vote.upgrade.activation_height < first
            if holder is not None and holder.is_in_set and not too_late:
                votes[holder.address] = UpgradeVote(holder.address, vote.upgrade)
        kept = tuple(votes[address] for address in sorted(votes))
        if kept != self.record.votes:
            self.record = replace(self.record, votes=kept)

    def _is_carried(self, upgrade: Upgrade) -> bool:
        """Whether a quorum of the set approves it, with more than two thirds of the set's stake."""
        members = [record for record in self._validators.records() if record.is_in_set]
        approving = {vote.validator for vote in self.record.votes if vote.upgrade == upgrade}
        voters = [record for record in members if record.address in approving]
        has_quorum = len(voters) >= quorum_of(len(members))
        return has_quorum and 3 * _stake_ustep(voters) > 2 * _stake_ustep(members)


def first_possible_height(agreed_at: int, epoch_batches: int) -> int:
    """From which height on rules can hold that are agreed on in the batch of `agreed_at`: the first height of the epoch
    after the next one, so that all of the next one lies between."""
    return (-(-agreed_at // epoch_batches) + 1) * epoch_batches + 1


def _stake_ustep(records: list[ValidatorRecord]) -> int:
    return sum(record.stake_ustep for record in records)


def _refused(message: str, details: Details | None = None) -> OperationRefused:
    return OperationRefused(OperationCode.WRONG_UPGRADE, message, details or Details())
