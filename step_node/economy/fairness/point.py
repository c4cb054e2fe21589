"""Where the chain stood after a batch, as far as the validators' part of a report needs it; and the next such point.

A node that follows the chain sees its validators change. One that reads batches again does not, since a store has the
validators of its head alone; but a batch says all that happens to them. So from one point, that of genesis or that
which an earlier report has kept, the batches lead to every later one. Each header names the hash of the set that
stands behind it, by which a way that has gone astray is noticed at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgpack

from consensus.evidence import InvalidEvidence
from step_node.batch.batch import Batch
from step_node.chain.judging import JudgedBatch, signers_of
from step_node.ledger.evidence import offence_in
from step_node.ledger.records import ValidatorRecord, ValidatorState, records_bytes
from step_node.ledger.rewards import validator_rewards_ustep
from step_node.ledger.state import Receipt, StateHead
from step_node.ledger.validators import ValidatorSheet, validator_set
from step_node.operations.operation import OperationRefused, Transfer, UpgradeOperation, decode_operation
from step_node.parameters import USTEP_MAX

POINT_BYTES_MAX: Final = 1 << 19
"""One with a thousand validators has 250 KB; what is longer is none."""


class InvalidPoint(ValueError):
    """The bytes are no point, or not one that the batches go on from. The message says why."""


@dataclass(frozen=True, slots=True)
class ChainPoint:
    """After the batch at `height`: who proposed it, what it paid, and the validators, sorted by address."""

    height: int
    batch_hash: bytes
    proposer: bytes
    paid_ustep: int
    validators: tuple[ValidatorRecord, ...]

    @classmethod
    def of(cls, head: StateHead) -> ChainPoint:
        """The point that the state's head tells of."""
        chain = head.chain
        return cls(chain.height, chain.batch_hash, chain.proposer, chain.paid_ustep, head.validators)

    def encoded(self) -> bytes:
        """What `decoded` reads."""
        fields = (self.height, self.batch_hash, self.proposer, self.paid_ustep, records_bytes(self.validators))
        return bytes(msgpack.packb(fields))

    @classmethod
    def decoded(cls, data: bytes) -> ChainPoint:
        """The point in `data`. Raises `InvalidPoint`."""
        if len(data) > POINT_BYTES_MAX:
            raise InvalidPoint(f"a point of the chain has {POINT_BYTES_MAX} bytes at most, not {len(data)}")
        try:
            height, batch_hash, proposer, paid_ustep, records = msgpack.unpackb(data)
            validators = tuple(_record_in(record) for record in records)
            point = cls(height, batch_hash, proposer, paid_ustep, validators)
            is_its_form = point.encoded() == data
        except (ValueError, TypeError, OverflowError, msgpack.UnpackException) as error:
            raise InvalidPoint(f"a point of the chain cannot be read: {error}") from error
        if not is_its_form:
            raise InvalidPoint("a point of the chain must be in its one form")
        return point


@dataclass(frozen=True, slots=True)
class BatchStep:
    """What a report needs of one batch: it leads from one point of the chain to the next, `after`.

    `signers` are the validators whose pre-commits for the batch before it carries, `rewards_ustep` what it pays to the
    validators' owners, by validator.
    """

    timestamp_ms: int
    signers: tuple[bytes, ...]
    rewards_ustep: Mapping[bytes, int]
    receipts: Sequence[Receipt]
    after: ChainPoint

    @classmethod
    def of(cls, judged: JudgedBatch) -> BatchStep:
        """The step of a batch that has just become final."""
        transition = judged.transition
        return cls(
            judged.batch.header.timestamp_ms,
            signers_of(judged.batch.last_commit),
            transition.validator_rewards_ustep,
            transition.receipts,
            ChainPoint.of(transition.changes.head),
        )

    @classmethod
    def read(cls, before: ChainPoint, batch: Batch, receipts: Sequence[Receipt], head: StateHead) -> BatchStep:
        """The step of the final batch after `before`, with its proofs' receipts in order; `head` is any of the chain's.

        Raises `InvalidPoint`.
        """
        header = batch.header
        if header.height != before.height + 1 or header.previous_batch_hash != before.batch_hash:
            raise InvalidPoint(f"height {header.height}: the batch does not follow the point at {before.height}")
        if validator_set(before.validators).hash != header.validator_set_hash:
            raise InvalidPoint(f"height {header.height}: the validators are others than its header says")
        signers = signers_of(batch.last_commit)
        rewards_ustep = validator_rewards_ustep(
            before.paid_ustep, head.parameters.validator_reward_bps, signers, before.proposer
        )
        paid_ustep = sum(receipt.reward_ustep for receipt in receipts)
        validators = _validators_after(before, batch, signers, head)
        after = ChainPoint(header.height, batch.hash, header.proposer, paid_ustep, validators)
        return cls(header.timestamp_ms, signers, rewards_ustep, receipts, after)


def _validators_after(
    before: ChainPoint, batch: Batch, signers: Sequence[bytes], head: StateHead
) -> tuple[ValidatorRecord, ...]:
    """As `ledger.apply` has it, of a batch that is final: so nothing of it can be refused."""
    chain = replace(head.chain, height=before.height, batch_hash=before.batch_hash, evidence_floor_height=0)
    there = replace(head, chain=chain, validators=before.validators)
    sheet = ValidatorSheet(there, timestamp_ms=batch.header.timestamp_ms)
    sheet.note_signers(signers)
    try:
        for piece in batch.evidence:
            refused = sheet.try_offence(offence_in(piece, chain_id=batch.header.chain_id, parameters=head.parameters))
            if isinstance(refused, str):
                raise InvalidPoint(f"height {batch.header.height}: evidence of a final batch is refused: {refused}")
        for encoded in batch.operations:
            operation = decode_operation(encoded)
            if not isinstance(operation, Transfer | UpgradeOperation):
                # That the owner can pay was asked when the batch was judged.
                sheet.apply_operation(operation, USTEP_MAX)
    except (InvalidEvidence, OperationRefused) as error:
        raise InvalidPoint(f"height {batch.header.height}: a part of a final batch is refused: {error}") from error
    sheet.end_batch()
    return sheet.records()


def _record_in(data: Any) -> ValidatorRecord:
    _, *fields = msgpack.unpackb(data)
    record = ValidatorRecord(*fields)
    return replace(record, state=ValidatorState(record.state))
