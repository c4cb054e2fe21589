"""The events: what a finalised batch has done, one by one and the same on every node, and what this node has decided.

The order within a batch is that in which the ledger applies it: slashings, operations, proofs (each before the triangle
that it ends), the lives of validators at its end; the batch itself comes last, and says that this was all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from step_node.batch.batch import Batch
from step_node.ledger.offences import Slashing
from step_node.ledger.records import TriangleState
from step_node.ledger.state import Receipt
from step_node.ledger.validator_changes import ValidatorChange
from step_node.operations.operation import Operation, decode_operation, recipient_of
from step_node.proofs.proof import Refusal, SignedProof
from step_node.storage.interface import FinalisedProof


class EventKind(StrEnum):
    """What is told of, as `event` names it."""

    PROOF_ACCEPTED = "proof_accepted"
    """A proof waits on this node, from a client of its own or by way of a peer."""
    PROOF_DROPPED = "proof_dropped"
    """One that waited here never will be final."""
    PROOF_FINALISED = "proof_finalised"
    TRIANGLE_SUBDIVIDED = "triangle_subdivided"
    TRIANGLE_EXHAUSTED = "triangle_exhausted"
    OPERATION_APPLIED = "operation_applied"
    VALIDATOR = "validator"
    BATCH = "batch"


LOCAL_KINDS: Final = frozenset({EventKind.PROOF_ACCEPTED, EventKind.PROOF_DROPPED})
"""Of this node alone; all others are of the chain."""

_END_OF_TRIANGLE: Final = {
    TriangleState.SUBDIVIDED: EventKind.TRIANGLE_SUBDIVIDED,
    TriangleState.EXHAUSTED: EventKind.TRIANGLE_EXHAUSTED,
}


@dataclass(frozen=True, slots=True)
class AcceptedProof:
    """A proof that waits since `at_ms`, by this node's clock."""

    proof: SignedProof
    at_ms: int


@dataclass(frozen=True, slots=True)
class ProofDrop:
    """A proof that waited here, and the gate that it fails for good."""

    proof: SignedProof
    refusal: Refusal
    at_ms: int


@dataclass(frozen=True, slots=True)
class AppliedOperation:
    """An operation in the batch at `height`, of batch time `timestamp_ms`; `index` is its place among operations."""

    height: int
    index: int
    timestamp_ms: int
    operation: Operation


@dataclass(frozen=True, slots=True)
class TimedChange:
    """A change of a validator's life, with the time of its batch."""

    change: ValidatorChange
    timestamp_ms: int


Told: TypeAlias = AcceptedProof | ProofDrop | FinalisedProof | AppliedOperation | Slashing | TimedChange | Batch


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """One event. `accounts` are the addresses that it is about; `triangle` (its integer form) and `point` (lat, lon in
    degrees) where it happened, None where that is nowhere."""

    kind: EventKind
    told: Told
    accounts: tuple[bytes, ...] = ()
    triangle: int | None = None
    point: tuple[float, float] | None = None


def of_proof(kind: EventKind, told: AcceptedProof | ProofDrop | FinalisedProof) -> FeedEvent:
    """An event about a proof, or about the triangle that it has ended."""
    proof = told.proof
    return FeedEvent(kind, told, (proof.account,), proof.triangle.integer, (proof.lat, proof.lon))


def events_of(
    batch: Batch,
    receipts: Sequence[Receipt],
    slashings: Sequence[Slashing],
    changes: Sequence[ValidatorChange],
) -> tuple[FeedEvent, ...]:
    """The events of a finalised batch, in their order. `receipts` are of its proofs, in theirs."""
    return tuple(_events_of(batch, receipts, slashings, changes))


def _events_of(
    batch: Batch,
    receipts: Sequence[Receipt],
    slashings: Sequence[Slashing],
    changes: Sequence[ValidatorChange],
) -> Iterator[FeedEvent]:
    header = batch.header
    for slashing in slashings:
        yield FeedEvent(EventKind.VALIDATOR, slashing, tuple({slashing.validator: None, slashing.accused: None}))
    for index, encoded in enumerate(batch.operations):
        operation = decode_operation(encoded)
        applied = AppliedOperation(header.height, index, header.timestamp_ms, operation)
        recipient = recipient_of(operation)
        concerned = [operation.owner] if recipient is None else [operation.owner, recipient]
        yield FeedEvent(EventKind.OPERATION_APPLIED, applied, tuple(concerned))
    for proof, receipt in zip(batch.proofs, receipts, strict=True):
        final = FinalisedProof(proof, receipt)
        yield of_proof(EventKind.PROOF_FINALISED, final)
        end = _END_OF_TRIANGLE.get(receipt.triangle_state)
        if end is not None:
            yield of_proof(end, final)
    for change in changes:
        accounts = (change.validator, change.owner, *([change.successor] if change.successor else []))
        yield FeedEvent(EventKind.VALIDATOR, TimedChange(change, header.timestamp_ms), tuple(dict.fromkeys(accounts)))
    yield FeedEvent(EventKind.BATCH, batch)
