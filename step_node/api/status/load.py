"""What a running node remembers of its load: plain values, one sample for each stretch of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SAMPLE_SECONDS: Final = 30
"""How long the stretch of one sample is."""

SAMPLES_MAX: Final = 120
"""Samples that are kept, an hour of them, some 30 KB; the oldest goes first."""


@dataclass(frozen=True, slots=True)
class LoadSample:
    """One stretch, of `SAMPLE_SECONDS`, that ended at `at_ms`; counts are of what happened in it.

    Quantiles are None where nothing was measured, `resident_bytes` where the system does not say.
    """

    at_ms: int
    proofs_accepted: int
    """They came to wait here, of clients and of peers."""
    proofs_finalised: int
    proofs_refused: int
    finality_p50_ms: int | None
    """From acceptance here to finality here, of those that became final."""
    finality_p95_ms: int | None
    loop_lag_p95_ms: int | None
    """By how much a task that had slept was woken too late."""
    height: int
    """At the end, as what follows."""
    mempool_proofs: int
    peers: int
    resident_bytes: int | None
