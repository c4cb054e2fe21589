"""The bodies of answers about proofs."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import ConfigDict, Field

from mesh import TriangleId
from step_node.amounts import step_text
from step_node.api.details import DetailsAnswer
from step_node.api.histories.pages import LatestCursor, NextCursor
from step_node.api.models.schema import AddressText, Answer, HashText, StepText, TimestampText, TriangleText, hex_text
from step_node.ledger.state import Receipt
from step_node.ledger.state_gates import clicks_max
from step_node.proofs.proof import Refusal, SignedProof
from step_node.proofs.timestamps import format_timestamp


class RewardedAnswer(Answer):
    """A finalised proof: in the ledger, for good."""

    ok: Literal[True] = True
    proof_id: HashText
    reward: StepText
    unit: Literal["STEP"] = "STEP"
    reward_formula: str = Field(
        description="How the reward comes about: the level's share of one STEP, rounded half up to six places.",
        examples=["1 STEP / 2^9"],
    )
    triangle_id: TriangleText
    level: int = Field(description="The triangle's level, 1 to 21.", examples=[10])
    clicks: int = Field(description="The triangle's clicks after this proof: which of them it was.", examples=[1])
    clicks_max: int = Field(description="The click that ends the triangle.", examples=[11])
    triangle_state: Literal["active", "subdivided", "exhausted"] = Field(
        description="Of the triangle after this proof; subdivided: its four children can be proven in from now on."
    )
    balance: StepText = Field(description="The account's balance after this proof, in STEP.", examples=["0.003906"])
    height: int = Field(description="The batch that holds the proof.", examples=[42])
    processed_at: TimestampText = Field(description="That batch's timestamp.")

    @classmethod
    def of(cls, receipt: Receipt) -> Self:
        """What the receipt says."""
        return cls.model_validate(_rewarded(receipt))


class PendingAnswer(Answer):
    """An accepted proof that is not decided yet: it is on the node's disk and will be."""

    ok: Literal[True] = True
    proof_id: HashText
    status: Literal["pending"] = "pending"


class FinalisedStatus(RewardedAnswer):
    """A finalised proof: in the ledger, for good."""

    status: Literal["finalised"] = "finalised"
    index: int = Field(description="The proof's place in its batch, from 0.", examples=[0])


class DroppedStatus(Answer):
    """A proof that was accepted and that the chain then moved past: it never will be in the ledger."""

    ok: Literal[True] = True
    proof_id: HashText
    status: Literal["dropped"] = "dropped"
    code: str = Field(description="The gate that it fails now.", examples=["TRIANGLE_EXHAUSTED"])
    message: str = Field(examples=["triangleId: is subdivided; choose an active triangle"])
    details: DetailsAnswer = Field(description="As of the moment in which it was dropped.")

    @classmethod
    def of(cls, proof_id: bytes, refusal: Refusal, *, now_ms: int) -> Self:
        """Why the proof was dropped; `now_ms` is the node's clock."""
        details = DetailsAnswer.of(refusal.code, refusal.message, refusal.details, now_ms=now_ms)
        return cls(proof_id=hex_text(proof_id), code=refusal.code, message=refusal.message, details=details)


class RefusedSubmission(Answer):
    """One of many submissions that was refused. What is retryable by its code may be submitted again as it is."""

    ok: Literal[False] = False
    status: Literal["refused"] = "refused"
    proof_id: HashText | None = Field(description="Null if the submission is not of its form.")
    code: str = Field(description="The gate that refused it.", examples=["LOW_GPS_ACCURACY"])
    message: str = Field(examples=["accuracy: must be at most 50 metres"])
    details: DetailsAnswer = Field(description="What exactly was refused, for programs.")

    @classmethod
    def of(cls, proof_id: bytes | None, refusal: Refusal, *, now_ms: int, retry_after_seconds: int) -> Self:
        """Why the submission was refused; `now_ms` is the node's clock."""
        details = DetailsAnswer.of(
            refusal.code, refusal.message, refusal.details, now_ms=now_ms, retry_after_seconds=retry_after_seconds
        )
        shown_id = None if proof_id is None else hex_text(proof_id)
        return cls(proof_id=shown_id, code=refusal.code, message=refusal.message, details=details)


class SubmissionOutcomes(Answer):
    """What became of each of many submissions."""

    ok: Literal[True] = True
    outcomes: list[FinalisedStatus | PendingAnswer | DroppedStatus | RefusedSubmission] = Field(
        description="In the order of the submissions."
    )


class ProofConfig(Answer):
    """What a client must know to make proofs that are accepted. The names are constants, written so."""

    model_config = ConfigDict(frozen=True, alias_generator=str.upper, populate_by_name=True)

    ok: Literal[True] = Field(default=True, alias="ok")
    timestamp: TimestampText = Field(alias="timestamp", description="The node's clock, to set yours by.")
    chain_id: str = Field(examples=["step-devnet"])
    proof_version: str = Field(description="The `version` of a payload.", examples=["STEP-PROOF-v1"])
    gps_max_accuracy_m: int = Field(description="A larger `accuracy` is LOW_GPS_ACCURACY.", examples=[50])
    proof_speed_limit_mps: int = Field(description="Faster than this between two proofs is TOO_FAST.", examples=[15])
    proof_speed_horizon_ms: int = Field(
        description="A last proof that is older is not compared for TOO_FAST.", examples=[3_600_000]
    )
    proof_moratorium_ms: int = Field(description="Less than this between two proofs is MORATORIUM.", examples=[10_000])
    proof_clock_drift_ms: int = Field(description="A timestamp further ahead is CLOCK_DRIFT.", examples=[120_000])
    proof_max_age_ms: int = Field(description="A timestamp further behind is CLOCK_DRIFT.", examples=[300_000])
    account_waiting_proofs_max: int = Field(
        description="One more waiting proof of an account is RATE_LIMITED.", examples=[64]
    )
    seeded_level: int = Field(description="All triangles up to this level exist from the beginning.", examples=[10])
    level_max: int = Field(description="The last level.", examples=[21])
    subdivision_clicks: int = Field(description="This click subdivides a triangle.", examples=[11])
    exhaustion_clicks: int = Field(description="This click exhausts a triangle of the last level.", examples=[28])
    batch_interval_ms: int = Field(description="How long a proof waits for others at most.", examples=[1_000])
    wait_ms_default: int = Field(description="What `wait_ms` is if you do not say.", examples=[5_000])
    wait_ms_max: int = Field(description="The largest `wait_ms`.", examples=[30_000])
    body_bytes_max: int = Field(description="The longest body.", examples=[16_384])
    batch_body_bytes_max: int = Field(description="That of `/proof/submit-batch`.", examples=[1_048_576])
    batch_submissions_max: int = Field(description="Submissions in one such body.", examples=[1_000])
    submissions_per_minute: int | None = Field(
        description="One more submission of an address is RATE_LIMITED; null: no such quota here.", examples=[100]
    )
    account_submissions_per_minute: int | None = Field(
        description="One more proof of an account is RATE_LIMITED; null: no such quota here.", examples=[60]
    )


class HistoryEntry(Answer):
    """One finalised proof of an account: what it said, and what it earned."""

    proof_id: HashText
    height: int
    index: int
    triangle_id: TriangleText
    level: int
    lat: float
    lon: float
    accuracy: float
    timestamp: TimestampText = Field(description="When the client says it was there.")
    nonce: str
    reward: StepText
    unit: Literal["STEP"] = "STEP"
    clicks: int
    balance: StepText
    processed_at: TimestampText

    @classmethod
    def of(cls, proof: SignedProof, receipt: Receipt) -> HistoryEntry:
        """The proof with its receipt."""
        said = {
            "lat": proof.lat,
            "lon": proof.lon,
            "accuracy": proof.accuracy_m,
            "timestamp": format_timestamp(proof.timestamp_ms),
            "nonce": proof.nonce,
        }
        return cls.model_validate(_rewarded(receipt) | said)


class AccountProofs(Answer):
    """A page of an account's finalised proofs."""

    ok: Literal[True] = True
    account: AddressText
    proofs: list[HistoryEntry]
    next_cursor: NextCursor
    latest_cursor: LatestCursor


class TriangleProofEntry(HistoryEntry):
    """One finalised proof in a triangle."""

    account: AddressText

    @classmethod
    def of(cls, proof: SignedProof, receipt: Receipt) -> TriangleProofEntry:
        """The proof with its receipt."""
        return cls(**HistoryEntry.of(proof, receipt).model_dump(), account=hex_text(proof.account))


class TriangleProofs(Answer):
    """A page of the finalised proofs in a triangle."""

    ok: Literal[True] = True
    triangle_id: TriangleText
    proofs: list[TriangleProofEntry]
    next_cursor: NextCursor
    latest_cursor: LatestCursor


def _rewarded(receipt: Receipt) -> dict[str, object]:
    triangle = TriangleId.from_int(receipt.triangle)
    return {
        "proof_id": hex_text(receipt.proof_id),
        "reward": step_text(receipt.reward_ustep),
        "triangle_id": triangle.text,
        "level": triangle.level,
        "clicks": receipt.clicks,
        "reward_formula": f"1 STEP / 2^{triangle.level - 1}",
        "clicks_max": clicks_max(triangle.level),
        "triangle_state": receipt.triangle_state.name.lower(),
        "balance": step_text(receipt.balance_ustep),
        "height": receipt.height,
        "index": receipt.index,
        "processed_at": format_timestamp(receipt.processed_at_ms),
    }
