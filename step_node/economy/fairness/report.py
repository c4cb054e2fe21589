"""The report of one epoch: its form, and the one encoding by which two nodes' reports are compared.

An epoch of the chain is `epoch_batches` batches; the first one ends at height `epoch_batches`. A report says only what
the epoch's own batches say, so a node that has joined the chain later makes the same of every epoch that it has.
Amounts are texts of STEP with six places; shares and coefficients are integers of parts per million, rounded down.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

import rfc8785
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

_Ppm = Annotated[int, Field(ge=0, le=1_000_000)]
_Count = Annotated[int, Field(ge=0)]
_Step = Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]{6}$", examples=["12.500000"])]
_Address = Annotated[str, Field(pattern="^0x[0-9a-f]{40}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, alias_generator=to_camel, populate_by_name=True)


class PaidPart(_Part):
    """A part of what was paid for proofs."""

    proofs: _Count
    paid: _Step = Field(description="What was paid for them, in STEP.")
    share_ppm: _Ppm | None = Field(description="Of all that the epoch paid for proofs; null where it paid nothing.")


class AccountsPart(PaidPart):
    """Some of the accounts, and what they were paid."""

    accounts: _Count


class TierPart(AccountsPart):
    """The accounts that had so much before their first proof of the epoch."""

    from_balance: _Step = Field(description="So much at least, in STEP.")
    below_balance: _Step | None = Field(description="Less than that; null for the last tier, which has no end.")


class LevelPart(PaidPart):
    """The proofs in triangles of one level."""

    level: int = Field(ge=1, le=21)


class RegionPart(PaidPart):
    """The proofs in one of the twenty triangles of level 1, and in all below it."""

    triangle_id: str


class Concentration(_Part):
    """How unevenly amounts are spread over the accounts of the epoch; null where there is nothing to spread."""

    gini_ppm: _Ppm | None = Field(description="0: all have the same; towards 1,000,000: one has all.")
    top_accounts: _Count = Field(description="How many are one in a hundred of the accounts, rounded up.")
    top_share_ppm: _Ppm | None = Field(description="What those have that have the most.")


class ValidatorPart(_Part):
    """What a validator did and earned."""

    validator: _Address = Field(description="The address of its key at the epoch's end.")
    owner: _Address
    is_in_set: bool = Field(description="Whether it is a member of the set of the next height.")
    stake: _Step = Field(description="At the epoch's end; 0 where it is no member of the set then.")
    stake_share_ppm: _Ppm | None
    batches: _Count = Field(description="For how many batches its pre-commit was due, by this epoch's batches.")
    absences: _Count = Field(description="How many of them went on without it.")
    rewards: _Step = Field(description="What its owner was paid for it.")
    rewards_share_ppm: _Ppm | None


class ValidatorsPart(_Part):
    """The validators, by their addresses, and how much it takes to stop them.

    Validators of one owner count as one. A third of the votes stops the chain, a third of the stake an upgrade.
    """

    rewards: _Step
    stake: _Step
    stake_gini_ppm: _Ppm | None = Field(description="Of the stakes by owner.")
    stake_nakamoto: int | None = Field(description="The fewest owners that have more than a third of the stake.")
    votes_nakamoto: int | None = Field(description="The fewest owners that have more than a third of the votes.")
    members: list[ValidatorPart]


class FairnessReport(_Part):
    """Who got how much in one epoch, from its batches and their receipts alone."""

    version: Literal[1] = 1
    chain_id: str
    epoch: int = Field(ge=1)
    first_height: int
    last_height: int
    last_batch_hash: str = Field(pattern="^0x[0-9a-f]{64}$")
    begins: str = Field(description="The time of the epoch's first batch.")
    ends: str = Field(description="The time of its last one.")
    proofs: _Count
    accounts: _Count = Field(description="How many were paid for proofs.")
    paid: _Step = Field(description="For proofs, in STEP.")
    income: Concentration = Field(description="Of what the accounts were paid for proofs in this epoch.")
    balances: Concentration = Field(description="Of what these accounts had after their last proof of this epoch.")
    newcomers: AccountsPart = Field(description="Accounts that had nothing before their first proof of this epoch.")
    others: AccountsPart = Field(description="All other accounts.")
    tiers: list[TierPart]
    levels: list[LevelPart] = Field(description="Levels with a proof.")
    regions: list[RegionPart] = Field(description="Triangles of level 1 with a proof.")
    validators: ValidatorsPart

    def canonical_json(self) -> bytes:
        """RFC 8785: the same bytes wherever the report is made."""
        return rfc8785.dumps(self.model_dump(mode="json", by_alias=True))

    @classmethod
    def parse(cls, data: bytes) -> FairnessReport:
        """The report in `data`. Raises pydantic's `ValidationError`, a `ValueError`."""
        return cls.model_validate_json(data)


def report_hash(canonical_json: bytes) -> bytes:
    """SHA-256 of a report's bytes: two nodes that have the same have made the same report."""
    return hashlib.sha256(canonical_json).digest()
