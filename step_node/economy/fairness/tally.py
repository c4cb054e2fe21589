"""What the validators of an epoch did and earned, counted batch by batch.

Who has signed for a batch stands in the next one's `last_commit`, and with it the validators are paid. So an epoch's
batches tell of the batch before the epoch, and not of the epoch's last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from step_node.economy.fairness.point import BatchStep, ChainPoint
from step_node.ledger.records import ValidatorRecord, ValidatorState
from step_node.operations.operation import hot_address


@dataclass(slots=True)
class ValidatorCount:
    """Of one validator: for how many batches its pre-commit was due, in how many `last_commit`s it lacked, and what
    its owner was paid."""

    owner: bytes
    batches: int = 0
    absences: int = 0
    rewards_ustep: int = 0


class ValidatorTally:
    """See the module's docstring."""

    def __init__(self) -> None:
        self._counts: dict[bytes, ValidatorCount] = {}

    def add(self, before: ChainPoint, step: BatchStep) -> None:
        """Count the batch that `step` is, on top of `before`."""
        signers = frozenset(step.signers)
        records = {record.address: record for record in before.validators}
        if before.height > 0:
            for record in before.validators:
                if record.was_in_set(before.height):
                    count = self._count(record.address, records)
                    count.batches += 1
                    count.absences += record.address not in signers
        for address, reward_ustep in step.rewards_ustep.items():
            self._count(address, records).rewards_ustep += reward_ustep

    def counts(self, at_end: Iterable[ValidatorRecord]) -> dict[bytes, ValidatorCount]:
        """By the address of the key that a validator has `at_end`, in order; one whose key was replaced counts once."""
        records = {record.address: record for record in at_end}
        counts: dict[bytes, ValidatorCount] = {}
        for address, count in self._counts.items():
            together = counts.setdefault(_present_address(address, records), ValidatorCount(count.owner))
            together.batches += count.batches
            together.absences += count.absences
            together.rewards_ustep += count.rewards_ustep
        for record in records.values():
            if record.is_in_set:
                counts.setdefault(record.address, ValidatorCount(record.owner))
        return dict(sorted(counts.items()))

    def _count(self, address: bytes, records: Mapping[bytes, ValidatorRecord]) -> ValidatorCount:
        # The record of a replaced key may be gone by the epoch's end, so it is asked now who has come after it.
        present = _present_address(address, records)
        count = self._counts.get(present)
        if count is None:
            record = records.get(present)
            count = self._counts[present] = ValidatorCount(present if record is None else record.owner)
        return count


def _present_address(address: bytes, records: Mapping[bytes, ValidatorRecord]) -> bytes:
    record = records.get(address)
    while record is not None and record.state is ValidatorState.ROTATED:
        address = hot_address(record.next_public_key)
        record = records.get(address)
    return address
