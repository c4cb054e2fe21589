"""What the events of the feed say: the `data` of each kind, and its text."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from mesh import TriangleId
from step_node.amounts import step_text
from step_node.api.details import DetailsAnswer
from step_node.api.models.ledger import BatchEntry
from step_node.api.models.proofs import TriangleProofEntry
from step_node.api.models.schema import AddressText, Answer, HashText, StepText, TimestampText, TriangleText, hex_text
from step_node.batch.batch import Batch
from step_node.batch.summary import BatchSummary
from step_node.feed.events import (
    AcceptedProof,
    AppliedOperation,
    EventKind,
    FeedEvent,
    ProofDrop,
    TimedChange,
)
from step_node.ledger.offences import OffenceKind, Slashing
from step_node.ledger.records import TriangleState
from step_node.operations.json_form import name_of, operation_json
from step_node.proofs.proof import SignedProof
from step_node.proofs.timestamps import format_timestamp
from step_node.storage.interface import FinalisedProof

ValidatorWord = Literal[
    "slashed", "registered", "joined", "leaving", "left", "jailed", "withdrawn", "key_replaced", "moved"
]


class WaitingProof(Answer):
    """A proof as it was signed."""

    proof_id: HashText
    account: AddressText
    triangle_id: TriangleText
    level: int
    lat: float
    lon: float
    accuracy: float
    timestamp: TimestampText = Field(description="When the client says it was there.")
    nonce: str


class ProofAcceptedEvent(WaitingProof):
    """`proof_accepted`: it waits on this node, since `acceptedAt`."""

    accepted_at: TimestampText = Field(description="By this node's clock.")


class ProofDroppedEvent(WaitingProof):
    """`proof_dropped`: it waited on this node until `droppedAt`, and never will be final."""

    dropped_at: TimestampText = Field(description="By this node's clock.")
    code: str = Field(description="The gate that it fails for good.", examples=["TRIANGLE_EXHAUSTED"])
    message: str
    details: DetailsAnswer = Field(description="As of that moment.")


class TriangleEvent(Answer):
    """`triangle_subdivided` and `triangle_exhausted`: nothing more can be proven in it."""

    triangle_id: TriangleText
    level: int
    state: Literal["subdivided", "exhausted"]
    clicks: int
    height: int
    index: int = Field(description="Of the proof that was the last click, in its batch.")
    proof_id: HashText
    account: AddressText
    processed_at: TimestampText


class OperationEvent(Answer):
    """`operation_applied`: an operation of a stake's or an account's owner has come into effect."""

    height: int
    index: int = Field(description="Its place among the batch's operations.")
    name: str = Field(description="As the paths of the API name it.", examples=["register"])
    owner: AddressText
    sequence: int
    operation: dict[str, Any] = Field(description="As it was submitted.")
    processed_at: TimestampText


class Slash(Answer):
    """What an offence has cost; `/evidence` says more."""

    kind: OffenceKind
    accused: AddressText = Field(description="Whose key did it.")
    offence_height: int
    amount: StepText = Field(description="Burnt.")


class ValidatorEvent(Answer):
    """`validator`: something has become of one. Which fields there are depends on `change`."""

    height: int
    change: ValidatorWord
    validator: AddressText
    owner: AddressText | None = Field(default=None, description="Not with `slashed`.")
    stake: StepText | None = Field(default=None, description="After the batch; not with `slashed`.")
    successor: AddressText | None = Field(default=None, description="With `key_replaced`: its new address.")
    slash: Slash | None = Field(default=None, description="With `slashed`.")
    processed_at: TimestampText


def event_text(event: FeedEvent) -> bytes:
    """The lines `event` and `data` of the event, and the empty line after them."""
    data = _data_of(event).model_dump_json(by_alias=True, exclude_none=True)
    return f"event: {event.kind}\ndata: {data}\n\n".encode()


def _data_of(event: FeedEvent) -> Answer:
    match event.told:
        case AcceptedProof(proof, at_ms):
            return ProofAcceptedEvent(**_said(proof), accepted_at=format_timestamp(at_ms))
        case ProofDrop(proof, refusal, at_ms):
            return ProofDroppedEvent(
                **_said(proof),
                dropped_at=format_timestamp(at_ms),
                code=refusal.code,
                message=refusal.message,
                details=DetailsAnswer.of(refusal.code, refusal.message, refusal.details, now_ms=at_ms),
            )
        case FinalisedProof() as final:
            if event.kind is EventKind.PROOF_FINALISED:
                return TriangleProofEntry.of(final.proof, final.receipt)
            return _triangle_event(final)
        case AppliedOperation(height, index, timestamp_ms, operation):
            return OperationEvent(
                height=height,
                index=index,
                name=name_of(operation),
                owner=hex_text(operation.owner),
                sequence=operation.sequence,
                operation=operation_json(operation),
                processed_at=format_timestamp(timestamp_ms),
            )
        case Slashing() as slashing:
            return ValidatorEvent(
                height=slashing.height,
                change="slashed",
                validator=hex_text(slashing.validator),
                slash=Slash(
                    kind=slashing.kind,
                    accused=hex_text(slashing.accused),
                    offence_height=slashing.offence_height,
                    amount=step_text(slashing.amount_ustep),
                ),
                processed_at=format_timestamp(slashing.timestamp_ms),
            )
        case TimedChange(change, timestamp_ms):
            return ValidatorEvent(
                height=change.height,
                change=change.kind.value,
                validator=hex_text(change.validator),
                owner=hex_text(change.owner),
                stake=step_text(change.stake_ustep),
                successor=hex_text(change.successor) if change.successor else None,
                processed_at=format_timestamp(timestamp_ms),
            )
        case Batch() as batch:
            return BatchEntry.of(BatchSummary.of(batch))


def _said(proof: SignedProof) -> dict[str, Any]:
    return {
        "proof_id": hex_text(proof.proof_id),
        "account": hex_text(proof.account),
        "triangle_id": proof.triangle.text,
        "level": proof.triangle.level,
        "lat": proof.lat,
        "lon": proof.lon,
        "accuracy": proof.accuracy_m,
        "timestamp": format_timestamp(proof.timestamp_ms),
        "nonce": proof.nonce,
    }


def _triangle_event(final: FinalisedProof) -> TriangleEvent:
    receipt = final.receipt
    triangle = TriangleId.from_int(receipt.triangle)
    return TriangleEvent(
        triangle_id=triangle.text,
        level=triangle.level,
        state="subdivided" if receipt.triangle_state is TriangleState.SUBDIVIDED else "exhausted",
        clicks=receipt.clicks,
        height=receipt.height,
        index=receipt.index,
        proof_id=hex_text(receipt.proof_id),
        account=hex_text(receipt.account),
        processed_at=format_timestamp(receipt.processed_at_ms),
    )
