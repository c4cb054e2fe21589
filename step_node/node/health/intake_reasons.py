"""What health says of the intake: that the operator has paused it, that its circuit breaker sheds."""

from __future__ import annotations

from collections.abc import Iterator

from step_node.api.status.health import HealthCode, HealthReason
from step_node.api.submissions.intake import IntakeState


def intake_paused(state: IntakeState) -> Iterator[HealthReason]:
    """The reason, while it is paused. Who has done it, and why, is told on the admin socket: this answer is public."""
    if state.is_paused:
        message = (
            "the intake is paused: no proofs and no transfers are taken from clients. `step-node admin switches` says"
            " who has done it and why, `step-node admin resume` ends it"
        )
        yield HealthReason(HealthCode.INTAKE_PAUSED, message)


def intake_shed(state: IntakeState) -> Iterator[HealthReason]:
    """The reason, while the breaker is open or half open."""
    if state.is_shedding:
        figures = state.figures
        message = (
            f"proofs are shed: {figures.rate_per_second:.0f} a second are submitted, and more than"
            f" {figures.limit_per_second:.0f} are too many beside the {figures.baseline_per_second:.0f} that are usual."
            " It ends by itself. If the growth is welcome, raise intake.shed_factor or intake.shed_floor_per_second"
        )
        yield HealthReason(
            HealthCode.INTAKE_SHED,
            message,
            {
                "rate_per_second": round(figures.rate_per_second),
                "limit_per_second": round(figures.limit_per_second),
                "baseline_per_second": round(figures.baseline_per_second),
            },
        )
