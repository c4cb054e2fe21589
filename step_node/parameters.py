"""The chain's parameters, fixed in genesis and part of the committed state (protocol.md §2 and §4)."""

from __future__ import annotations

from typing import Annotated, Final

import rfc8785
from pydantic import BaseModel, ConfigDict, Field, model_validator

Milliseconds = Annotated[int, Field(ge=1, le=10 * 365 * 86_400_000)]
BasisPoints = Annotated[int, Field(ge=0, le=10_000)]

CHAIN_ID_PATTERN: Final = "^[a-z0-9][a-z0-9-]{0,62}$"
ChainId = Annotated[str, Field(pattern=CHAIN_ID_PATTERN)]
"""The name of a chain. It stands in every line that is signed, between bars, so it must not make up fields (§4)."""

USTEP_PER_STEP = 1_000_000
"""Amounts are integers of micro-STEP: 6 decimals (protocol.md §3)."""

USTEP_MAX = 2**62
"""No balance, stake or supply may pass this: all amounts fit a signed 64-bit integer in every engine."""


class Parameters(BaseModel):
    """Every parameter has the protocol's default; an unknown key or an impossible value is an error naming it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    gps_max_accuracy_m: Annotated[int, Field(ge=1, le=100_000)] = 50
    clock_drift_ms: Milliseconds = 120_000
    proof_max_age_ms: Milliseconds = 300_000
    speed_limit_mps: Annotated[int, Field(ge=1, le=300_000_000)] = 15
    speed_horizon_ms: Milliseconds = 3_600_000
    """A last proof that is older is not compared for its speed."""
    moratorium_ms: Annotated[int, Field(ge=0, le=10 * 365 * 86_400_000)] = 10_000
    seeded_level: Annotated[int, Field(ge=1, le=21)] = 10

    batch_interval_ms: Annotated[int, Field(ge=1, le=600_000)] = 1_000
    batch_target_proofs: Annotated[int, Field(ge=1, le=1_000)] = 100
    batch_max_proofs: Annotated[int, Field(ge=1, le=1_000)] = 1_000
    batch_ahead_ms: Milliseconds = 5_000
    """How far a fresh batch's time may lie ahead of a voter's clock. Behind it, `clock_drift_ms` is allowed."""
    timeout_propose_ms: Annotated[int, Field(ge=1, le=600_000)] = 5_000
    timeout_pre_vote_ms: Annotated[int, Field(ge=1, le=600_000)] = 3_000
    timeout_pre_commit_ms: Annotated[int, Field(ge=1, le=600_000)] = 2_000
    timeout_delta_ms: Annotated[int, Field(ge=1, le=600_000)] = 500

    validator_reward_bps: BasisPoints = 500
    epoch_batches: Annotated[int, Field(ge=1, le=10**9)] = 1_000
    min_stake: Annotated[int, Field(ge=1, le=USTEP_MAX // USTEP_PER_STEP)] = 100_000
    """In whole STEP."""
    unbonding_ms: Milliseconds = 7 * 86_400_000
    slash_double_sign_bps: BasisPoints = 5_000
    slash_invalid_bps: BasisPoints = 3_000
    slash_offline_bps: BasisPoints = 1_000
    offline_ms: Milliseconds = 86_400_000
    jail_ms: Milliseconds = 30 * 86_400_000

    @model_validator(mode="after")
    def _target_within_max(self) -> Parameters:
        if self.batch_target_proofs > self.batch_max_proofs:
            raise ValueError(
                f"batch_target_proofs ({self.batch_target_proofs}) must not be above"
                f" batch_max_proofs ({self.batch_max_proofs})"
            )
        return self

    def canonical_json(self) -> bytes:
        """RFC 8785."""
        return rfc8785.dumps(self.model_dump(mode="json"))
