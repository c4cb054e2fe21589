"""The bodies of answers about the ledger, the mesh and the node."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from step_node.api.histories.pages import LatestCursor, NextCursor
from step_node.api.models.schema import (
    AddressText,
    Answer,
    HashText,
    SignatureText,
    StepText,
    TimestampText,
    TriangleText,
    hex_text,
)
from step_node.api.models.transactions import OperationType, TransactionEntry
from step_node.batch.summary import BatchSummary
from step_node.ledger.offences import OffenceKind
from step_node.proofs.timestamps import format_timestamp


class LastProofAnswer(Answer):
    """Where and when an account was last proven to be."""

    timestamp: TimestampText
    lat: float = Field(description="Degrees.", examples=[47.3769])
    lon: float = Field(description="Degrees.", examples=[8.5417])


class AccountAnswer(Answer):
    """An account. One that was never paid has a balance of 0 and no rank."""

    ok: Literal[True] = True
    account: AddressText
    balance: StepText
    unit: Literal["STEP"] = "STEP"
    proofs: int = Field(description="How many of its proofs are finalised.", examples=[7])
    rank: int | None = Field(description="1 is the highest balance; null beyond 10,000.", examples=[3])
    last_proof: LastProofAnswer | None
    next_sequence: int = Field(description="The sequence number of its next operation.", examples=[0])
    total_proofs: int = Field(description="As `proofs`: STEP clients that were there before read this.", examples=[7])
    last_proof_at: TimestampText | None = Field(description="As `lastProof.timestamp`, for the same clients.")
    transactions: list[TransactionEntry] = Field(
        description="The last 20 of what it has done and been sent, newest first; all: `GET"
        " /account/{address}/transactions`."
    )


class TriangleAnswer(Answer):
    """A triangle that exists. An untouched one is active and has no clicks."""

    ok: Literal[True] = True
    triangle_id: TriangleText
    level: int = Field(description="1 to 21.", examples=[10])
    state: Literal["active", "subdivided", "exhausted"]
    clicks: int = Field(examples=[4])
    reward: StepText = Field(description="What a proof in it earns, in STEP.", examples=["0.001953"])
    parent_id: TriangleText | None = Field(description="The triangle around it; null at level 1.")


class LeaderboardEntry(Answer):
    """One place."""

    rank: int = Field(examples=[1])
    account: AddressText
    balance: StepText
    proofs: int = Field(examples=[7])


class LeaderboardAnswer(Answer):
    """The accounts with the highest balances."""

    ok: Literal[True] = True
    unit: Literal["STEP"] = "STEP"
    accounts: list[LeaderboardEntry]


class BatchHeaderAnswer(Answer):
    """What is hashed into the batch's identity (protocol.md §4)."""

    chain_id: str = Field(examples=["step-devnet"])
    protocol_version: int = Field(description="Of the rules that the batch is judged by.", examples=[1])
    height: int = Field(examples=[42])
    round: int = Field(description="The round that the batch was built for.", examples=[0])
    proposer: AddressText
    timestamp: TimestampText
    previous_batch_hash: HashText
    validator_set_hash: HashText
    state_root: HashText = Field(description="The root of the state before the batch.")
    proof_ids_root: HashText = Field(description="The Merkle root of the proofs' ids (RFC 6962).")
    proofs_root: HashText = Field(description="That of the proofs' wire bytes, signatures included.")
    receipts_root: HashText = Field(description="That of the receipts of its operations and proofs.")
    receipts_size: int = Field(description="How many receipts that root is over.")
    body_hash: HashText = Field(description="The hash of the rest of the body.")


class CommitSignatureAnswer(Answer):
    """One validator's pre-commit."""

    validator: AddressText
    signature: SignatureText


class CommitAnswer(Answer):
    """The pre-commits that finalised the batch."""

    round: int = Field(description="The round in which it was finalised.", examples=[0])
    signatures: list[CommitSignatureAnswer] = Field(description="Sorted by validator.")


class BatchOperation(Answer):
    """An operation of a batch; `GET /operation/{operationId}` says more."""

    operation_id: HashText
    type: OperationType
    owner: AddressText


class BatchEvidence(Answer):
    """What a batch shows somebody to have done; `GET /evidence` says what it cost."""

    kind: OffenceKind
    accused: AddressText = Field(description="Whose key did it.")
    offence_height: int = Field(examples=[41])


class BatchAnswer(Answer):
    """A finalised batch."""

    ok: Literal[True] = True
    height: int = Field(examples=[42])
    batch_hash: HashText
    header: BatchHeaderAnswer
    proof_ids: list[HashText] = Field(description="In their order in the batch.")
    operations: list[BatchOperation] = Field(description="In their order in the batch.")
    evidence: list[BatchEvidence] = Field(description="Those that it takes up, in their order.")
    commit: CommitAnswer


class BatchEntry(Answer):
    """A finalised batch in a few words."""

    height: int = Field(examples=[42])
    batch_hash: HashText
    round: int = Field(description="The round that the batch was built for.", examples=[0])
    proposer: AddressText
    timestamp: TimestampText
    proofs: int = Field(description="How many it holds.", examples=[12])
    operations: int = Field(examples=[0])
    evidence: int = Field(examples=[0])

    @classmethod
    def of(cls, summary: BatchSummary) -> BatchEntry:
        """The entry about a batch."""
        header = summary.header
        return cls(
            height=header.height,
            batch_hash=hex_text(summary.batch_hash),
            round=header.round,
            proposer=hex_text(header.proposer),
            timestamp=format_timestamp(header.timestamp_ms),
            proofs=summary.proofs,
            operations=summary.operations,
            evidence=summary.evidence,
        )


class BatchesAnswer(Answer):
    """A page of the chain's batches."""

    ok: Literal[True] = True
    batches: list[BatchEntry]
    next_cursor: NextCursor
    latest_cursor: LatestCursor


GeoJsonRings = list[list[tuple[float, float]]]
"""One closed ring of [longitude, latitude], counter-clockwise (RFC 7946 §3.1.6)."""


class GeoJsonPolygon(Answer):
    """A GeoJSON polygon (RFC 7946): one closed ring of [longitude, latitude], counter-clockwise."""

    type: Literal["Polygon"] = "Polygon"
    coordinates: GeoJsonRings


class GeoJsonMultiPolygon(Answer):
    """A GeoJSON multi-polygon (RFC 7946 §3.1.9): a shape that the antimeridian cuts in two."""

    type: Literal["MultiPolygon"] = "MultiPolygon"
    coordinates: list[GeoJsonRings]
