"""Walking a planned track: each point proven when its time has come, and an account of all of it.

The walk goes one proof after another, since an account's proofs are judged in the order of their timestamps. It waits
until the plan says so and proves then: the timestamp is the plan's, by this machine's clock, and the client corrects it
by the node's. Where an answer took long, all that is left moves back, which only makes it slower.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from step_node.cli.walk_plan import Step, WalkPlan
from step_node.client import Finalised, Position, StepClient, StepClientError

LATE_MS_MAX = 5_000
"""A point that is further behind its time moves the rest of the walk back."""

WAIT_SLICE_SECONDS = 1.0
"""How often the wait for the next point is shown."""


@dataclass(frozen=True, slots=True)
class Proven:
    """What became of one point: final, or why not."""

    step: Step
    outcome: Finalised | StepClientError


@dataclass(slots=True)
class WalkAccount:
    """What has become of all of them until now."""

    outcomes: list[Proven] = field(default_factory=list)

    @property
    def final(self) -> list[Finalised]:
        """The proofs that are in the ledger."""
        return [one.outcome for one in self.outcomes if isinstance(one.outcome, Finalised)]

    @property
    def earned(self) -> Decimal:
        """STEP, of the whole walk."""
        return sum((one.reward for one in self.final), Decimal("0.000000"))

    @property
    def refused(self) -> dict[str, list[tuple[Step, StepClientError]]]:
        """Those that are not in the ledger, by code."""
        by_code: dict[str, list[tuple[Step, StepClientError]]] = {}
        for one in self.outcomes:
            if isinstance(one.outcome, StepClientError):
                by_code.setdefault(one.outcome.code, []).append((one.step, one.outcome))
        return by_code


def walk(
    client: StepClient,
    plan: WalkPlan,
    account: WalkAccount,
    *,
    accuracy_m: float,
    sleep: Callable[[float], None],
    report: Callable[[Proven], None] = lambda _one: None,
    waiting: Callable[[float], None] = lambda _seconds: None,
) -> None:
    """Prove each step of `plan` in its time, and write into `account` what became of it.

    `report` hears of each one as it is decided, `waiting` how many seconds are left until the next. What a node
    decides, and that none answers, is part of the account.
    """
    now_ms = client.session.now_ms
    begun_at_ms = now_ms()
    for step in plan.steps:
        due_ms = begun_at_ms + step.after_ms
        while (left_seconds := (due_ms - now_ms()) / 1000) > 0:
            waiting(left_seconds)
            sleep(min(left_seconds, WAIT_SLICE_SECONDS))
        late_ms = now_ms() - due_ms
        if late_ms > LATE_MS_MAX:
            begun_at_ms, due_ms = begun_at_ms + late_ms, due_ms + late_ms
        waiting(0.0)
        proven = Proven(step, _prove(client, step, due_ms, accuracy_m))
        account.outcomes.append(proven)
        report(proven)


def _prove(client: StepClient, step: Step, due_ms: int, accuracy_m: float) -> Finalised | StepClientError:
    try:
        return client.prove(Position(step.point.lat, step.point.lon, accuracy_m, taken_at_ms=due_ms))
    except StepClientError as error:
        return error
