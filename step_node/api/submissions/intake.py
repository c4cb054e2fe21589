"""Whether anything is taken from clients at all just now: the operator's switches, and the circuit breaker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import trio

from step_node.api.errors import ApiError, RequestCode
from step_node.api.submissions.breaker import BreakerFigures, BreakerSettings, BreakerState, IntakeBreaker
from step_node.api.submissions.share import is_admitted
from step_node.explanations.details import Details
from step_node.home.switches import MEANINGS, Switch, Switches
from step_node.proofs.proof import Refusal, RefusalCode

PAUSED_RETRY_SECONDS: Final = 60
"""When to come again to what an operator has turned off: nobody knows when it is on again."""


SHARE_GATE: Final = "intake_share"
"""What refuses an account that is not among those from which something is taken."""


@dataclass(frozen=True, slots=True)
class IntakeState:
    """What the intake does just now, for health and metrics. `why` is the operator's word, where it is paused."""

    is_paused: bool
    is_shedding: bool
    figures: BreakerFigures
    who: str = ""
    why: str = ""
    percent: int = 100
    """Of how many of a hundred accounts anything is taken."""


class Intake:
    """The gate in front of everything that clients hand in. `now` gives seconds that never go back."""

    def __init__(
        self,
        switches: Switches,
        settings: BreakerSettings,
        *,
        now: Callable[[], float] = trio.current_time,
    ) -> None:
        self._switches = switches
        self._settings = settings
        self._now = now
        self._breaker_if_used: IntakeBreaker | None = None

    @property
    def _breaker(self) -> IntakeBreaker:
        # Made with the first look: a node's parts may be put together before the event loop runs.
        if self._breaker_if_used is None:
            self._breaker_if_used = IntakeBreaker(self._settings, self._now())
        return self._breaker_if_used

    def set(self, settings: BreakerSettings) -> None:
        """Go on with other settings of the breaker."""
        self._settings = settings
        self._breaker.set(settings)

    def refuse_if_closed(self) -> None:
        """Raise `ApiError`, before a submission is looked at, where none is taken now."""
        self._refuse_if_paused()
        if self._breaker.figures(self._now()).state is BreakerState.OPEN:
            raise self._shed()

    def count(self, submissions: int) -> None:
        """Count so many proofs that come together. Raises `ApiError` if they are shed: none of them, none is shed."""
        if submissions and not self._breaker.offer(submissions, self._now()):
            raise self._shed()

    def refuse_transfer_if_closed(self) -> None:
        """Raise `ApiError` where no transfer is taken now."""
        self._refuse_if_paused()
        refuse_if_off(self._switches, Switch.TRANSFERS)

    def account_left_out(self, account: bytes) -> Refusal | None:
        """Why nothing is taken from this account now; None where it is among those that something is taken from."""
        percent = self._switches.intake_percent
        if percent == 100 or is_admitted(account, percent):
            return None
        return Refusal(
            RefusalCode.INTAKE_PAUSED,
            f"this node takes proofs and transfers of {percent} % of all accounts for now, and this one is not among"
            " them; another node may take them",
            Details(gate=SHARE_GATE, value=percent, unit="% of accounts"),
        )

    def refuse_account_if_left_out(self, account: bytes) -> None:
        """Raise `ApiError` where nothing is taken from this account now."""
        refusal = self.account_left_out(account)
        if refusal is not None:
            raise ApiError.of(refusal, retry_after_seconds=PAUSED_RETRY_SECONDS)

    def state(self) -> IntakeState:
        """What it does now."""
        paused, figures = not self._switches.is_on(Switch.INTAKE), self._breaker.figures(self._now())
        thrown = self._switches.thrown(Switch.INTAKE) if paused else None
        return IntakeState(
            is_paused=paused,
            is_shedding=figures.state is not BreakerState.CLOSED,
            figures=figures,
            who="" if thrown is None else thrown.who,
            why="" if thrown is None else thrown.why,
            percent=self._switches.intake_percent,
        )

    def _refuse_if_paused(self) -> None:
        if not self._switches.is_on(Switch.INTAKE):
            raise ApiError(
                RefusalCode.INTAKE_PAUSED,
                "the operator of this node has paused the intake: nothing is taken from clients; submit to another"
                " node",
                retry_after_seconds=PAUSED_RETRY_SECONDS,
            )

    def _shed(self) -> ApiError:
        now = self._now()
        figures, seconds = self._breaker.figures(now), max(1, self._breaker.retry_seconds(now))
        return ApiError(
            RequestCode.INTAKE_SHED,
            f"far more is submitted than this node is used to, and it takes no more for now; try again in {seconds} s,"
            " or at another node",
            details=Details(
                value=round(figures.rate_per_second, 1), limit=round(figures.limit_per_second, 1), unit="submissions/s"
            ),
            retry_after_seconds=seconds,
        )


def refuse_if_off(switches: Switches, switch: Switch) -> None:
    """Raise `ApiError` where the operator has turned off what this switch is for."""
    if not switches.is_on(switch):
        raise ApiError(
            RequestCode.SWITCHED_OFF,
            f"the operator of this node has turned this off ({switch.value}: {MEANINGS[switch].sentence}); ask another"
            " node",
            details=Details(value=switch.value),
            retry_after_seconds=PAUSED_RETRY_SECONDS,
        )
