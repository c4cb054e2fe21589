"""The bodies of answers about how plausible final proofs are (docs/plausibility.md)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from step_node.api.models.schema import AddressText, Answer, TimestampText, TriangleText
from step_node.economy.plausibility import IMPLAUSIBLE_BPS, SIGNALS

BasisPoints = Annotated[int, Field(ge=0, le=10_000, examples=[4_500])]
SignalName = Annotated[
    str, Field(examples=["machine_intervals"], json_schema_extra={"enum": list(SIGNALS)}, description="Which signal.")
]


class PlausibilityReason(Answer):
    """A signal that is not silent about the account."""

    signal: SignalName
    strength_bps: BasisPoints = Field(description="How much it says, of 10,000.")
    weight_bps: BasisPoints = Field(description="What it would take of an account's plausibility at its strongest.")
    figures: dict[str, int] = Field(
        description="What it comes from, each with its unit in the name; docs/plausibility.md tells what they are.",
        examples=[{"intervalMs": 10_001, "sameIntervalBps": 9_800}],
    )


class _OfAPeriod(Answer):
    """Of which proofs an answer speaks."""

    period_begins_at: TimestampText = Field(
        description="It is of the proofs that were held as this period of ten minutes began: those of 48 hours."
    )
    is_complete: bool = Field(
        description="Whether this node had all of them. One that has joined of late may lack the earlier ones."
    )
    complete_from_height: int | None = Field(
        description="From which height on it had all; null if none were missing.", examples=[17]
    )
    implausible_from_bps: BasisPoints = Field(
        IMPLAUSIBLE_BPS, description="From this score on an account is shown as implausible. Nothing else follows."
    )


class AccountPlausibilityAnswer(_OfAPeriod):
    """What the signals say of an account. It decides nothing: see docs/plausibility.md for whom they wrong."""

    ok: Literal[True] = True
    account: AddressText
    proofs: int = Field(description="How many of the proofs are the account's.", examples=[40])
    implausibility_bps: BasisPoints = Field(description="The score: what its reasons take of 10,000.")
    is_implausible: bool
    reasons: list[PlausibilityReason]


class RegionReasonEntry(Answer):
    """A signal that is not silent about accounts with a proof in the triangle."""

    signal: SignalName
    accounts: int = Field(description="About how many.", examples=[12])
    strength_bps: BasisPoints = Field(
        description="Its mean over all accounts there, those that it is silent about too."
    )
    weight_bps: BasisPoints = Field(description="What it would take of an account's plausibility at its strongest.")


class TrianglePlausibilityAnswer(_OfAPeriod):
    """What the signals say of the proofs in a triangle, whichever triangle they were made for."""

    ok: Literal[True] = True
    triangle_id: TriangleText
    proofs: int = Field(description="How many of the proofs lie in it.", examples=[345])
    accounts: int = Field(description="How many accounts made them.", examples=[67])
    implausible_accounts: int = Field(description="How many of these are implausible.", examples=[8])
    implausibility_bps: BasisPoints = Field(description="The score: the mean over these accounts.")
    reasons: list[RegionReasonEntry]
