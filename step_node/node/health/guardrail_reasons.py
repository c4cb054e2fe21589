"""What health says of the guardrails, and of a share of the intake that is less than all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from step_node.api.status.health import HealthCode, HealthReason
from step_node.api.submissions.intake import IntakeState
from step_node.economy.guardrails.guardrail import OF_THE_LEDGER
from step_node.economy.guardrails.guardrails import Broken


def ledger_unsound(broken: Sequence[Broken]) -> Iterator[HealthReason]:
    """The reason, while a guardrail of the ledger is broken and nobody has acknowledged that."""
    of_ledger = [one for one in broken if one.breach.guardrail in OF_THE_LEDGER]
    if of_ledger:
        first = min(of_ledger, key=lambda one: one.breach.height)
        message = (
            f"the ledger did something else than its rules say: {_named(of_ledger)}. At height {first.breach.height}:"
            f" {first.breach.message}. All nodes that run this release are wrong alike: talk to the other operators."
            " `step-node admin guardrails` says more"
        )
        yield HealthReason(HealthCode.LEDGER_UNSOUND, message, {"height": first.breach.height})


def economy_drifts(broken: Sequence[Broken]) -> Iterator[HealthReason]:
    """The reason, while the economy as a whole is outside of what is usual."""
    drifts = [one for one in broken if one.breach.guardrail not in OF_THE_LEDGER]
    if drifts:
        said = "; ".join(one.breach.message for one in drifts)
        yield HealthReason(HealthCode.ECONOMY_DRIFTS, f"{said}. `step-node admin guardrails` says more")


def intake_limited(state: IntakeState) -> Iterator[HealthReason]:
    """The reason, while something is taken from a share of the accounts alone."""
    if state.percent < 100:
        message = (
            f"proofs and transfers are taken of {state.percent} % of all accounts: `step-node admin intake-share` says"
            " who has set that, when and why, and sets it"
        )
        yield HealthReason(HealthCode.INTAKE_LIMITED, message, {"percent": state.percent})


def _named(broken: Sequence[Broken]) -> str:
    return ", ".join(one.breach.guardrail.value for one in broken)
