"""Whether the rules change on all nodes at the height that was agreed on, and at no other: counted outside the ledger.

Who approves what is counted anew from the operations in each finalised batch; what a proof is paid, and in which epoch
a height lies, is reckoned anew. Of the ledger's own record one thing is taken: what it holds to be agreed on. That must
have had the approvals of a quorum, and must be what comes into force.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from fractions import Fraction
from math import floor

from mesh.triangle_id import LEVEL_MASK
from step_node.batch.batch import Batch
from step_node.chain.genesis import Genesis
from step_node.ledger.protocol_record import ProtocolRecord, Upgrade
from step_node.ledger.state import Receipt, StateHead
from step_node.operations.operation import ApproveUpgrade, CancelUpgrade, decode_operation
from step_node.parameters import USTEP_PER_STEP

PROMISE = "rules change at the height that was agreed on"


class RulesChecker:
    """See the module's docstring. `broken(promise, who, what)` is told of what does not hold."""

    def __init__(self, genesis: Genesis, broken: Callable[[str, str, str], None]) -> None:
        self._epoch_batches = genesis.parameters.epoch_batches
        self._broken = broken
        self._before: ProtocolRecord = genesis.head().protocol
        self._versions = {1: self._before.version}
        """Height -> the version of its rules, up to the one after the last finalised height."""
        self._approvals: dict[bytes, Upgrade] = {}

    def used(self, who: str, height: int, newest_rules: int, what: str) -> None:
        """An honest node that knows the rules up to a version has signed or finalised something of this height."""
        version = self._versions.get(height, 0)
        if version > newest_rules:
            self._broken(
                "a node stops before rules that it does not know",
                who,
                f"{what} at height {height}, whose rules are of version {version}: it knows {newest_rules}",
            )

    def finalised(
        self, who: str, batch: Batch, after: StateHead, receipts: Sequence[Receipt], members: Collection[bytes]
    ) -> None:
        """A batch is finalised, and leaves the state `after`; `members` is the set of its own height."""
        height, before, record = batch.header.height, self._before, after.protocol
        version = self._versions[height]
        if batch.header.protocol_version != version:
            self._broken(
                PROMISE, who, f"height {height}: is of version {batch.header.protocol_version}, and not of {version}"
            )
        for receipt in receipts:
            expected_ustep = reward_ustep(version, receipt.triangle & LEVEL_MASK, receipt.clicks)
            if receipt.reward_ustep != expected_ustep:
                what = f"a proof is paid {receipt.reward_ustep} µSTEP, and not {expected_ustep}"
                self._broken(PROMISE, who, f"height {height}, of version {version}: {what}")
        is_any_cancelled = self._count(batch)
        self._check_change(who, height, record, is_any_cancelled)
        if record.agreed not in (None, before.agreed):
            in_set_after = sum(1 for one in after.validators if one.is_in_set)
            self._check_agreement(who, height, record.agreed, min(len(members), in_set_after))
        self._versions[height + 1] = record.version
        self._before = record

    def _count(self, batch: Batch) -> bool:
        """Take in who approves what; whether anybody takes an approval back."""
        is_any_cancelled = False
        for operation in map(decode_operation, batch.operations):
            match operation:
                case ApproveUpgrade():
                    self._approvals[operation.validator] = Upgrade(
                        operation.protocol_version, operation.activation_height, operation.release
                    )
                case CancelUpgrade():
                    self._approvals.pop(operation.validator, None)
                    is_any_cancelled = True
                case _:
                    pass
        return is_any_cancelled

    def _check_change(self, who: str, height: int, record: ProtocolRecord, is_any_cancelled: bool) -> None:
        before, agreed = self._before, self._before.agreed
        is_due = agreed is not None and agreed.activation_height == height + 1
        if record.in_force == before.in_force:
            if is_due and not is_any_cancelled:
                self._broken(PROMISE, who, f"height {height + 1}: {agreed} was agreed on, and {record.in_force} holds")
        elif not is_due or record.in_force != agreed:
            self._broken(PROMISE, who, f"height {height + 1}: {record.in_force} holds, and {agreed} was agreed on")

    def _check_agreement(self, who: str, height: int, agreed: Upgrade | None, members: int) -> None:
        """`members` counts the set of the height or the one after it, whichever is smaller: the evidence of a batch
        comes before its operations, and whom it puts out has no voice any more; who comes in comes after them."""
        approving = sum(1 for upgrade in self._approvals.values() if upgrade == agreed)
        if 3 * approving < 2 * members:
            what = f"{agreed} counts as agreed on with {approving} approvals in a set of {members}"
            self._broken("what rules come next is approved by a quorum", who, f"height {height}: {what}")
        whole_epoch_after = height + self._epoch_batches
        first = 0 if agreed is None else agreed.activation_height
        if first <= whole_epoch_after or (first - 1) % self._epoch_batches:
            self._broken(PROMISE, who, f"height {height}: {agreed} does not begin an epoch, a whole one later")


def reward_ustep(version: int, level: int, clicks: int) -> int:
    """What the proof is paid that is a triangle's `clicks`th, reckoned in fractions."""
    share = Fraction(USTEP_PER_STEP, 2 ** (level - 1))
    if version == 1:
        return floor(share + Fraction(1, 2))
    return floor(clicks * share) - floor((clicks - 1) * share)
