"""Whether final proofs are plausible: signals from the window's rows alone, and a score with its reasons (ADR 64)."""

from step_node.economy.plausibility.signals import (
    IMPLAUSIBLE_BPS,
    SIGNALS,
    AccountScore,
    AccountSignals,
    Reason,
    RegionReason,
    RegionScore,
    account_signals,
)

__all__ = [
    "IMPLAUSIBLE_BPS",
    "SIGNALS",
    "AccountScore",
    "AccountSignals",
    "Reason",
    "RegionReason",
    "RegionScore",
    "account_signals",
]
