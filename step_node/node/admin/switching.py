"""Commands about switches: pausing the intake, going on, throwing any of them, how all of them stand; and from how many
accounts the intake takes something."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from step_node.api.models.schema import Answer
from step_node.clock import Clock
from step_node.home.switches import MEANINGS, IntakePercent, ShareSet, Switch, Switches, Thrown
from step_node.node.admin.commands import Asked, CommandRefused, Commands, Nothing, Order
from step_node.offload import run_blocking
from step_node.proofs.timestamps import format_timestamp


class SwitchAsked(Asked):
    """Which switch, and which way; neither for how all of them stand."""

    name: Annotated[str | None, Field(max_length=40)] = None
    is_on: bool | None = None


class SwitchAnswer(Answer):
    """A switch, and the last time that it was thrown; null if nobody ever has."""

    name: str
    is_on: bool
    default: bool
    does: str
    who: str | None = None
    when: str | None = None
    why: str | None = None


class ShareAsked(Asked):
    """Of how many of a hundred accounts anything shall be taken; without it, how that stands."""

    percent: IntakePercent | None = None


class ShareAnswer(Answer):
    """Of how many of a hundred accounts anything is taken, and the last time that this was set; null if never."""

    percent: int
    who: str | None = None
    when: str | None = None
    why: str | None = None


class SwitchesAnswer(Answer):
    """All switches, and the intake's share."""

    switches: list[SwitchAnswer]
    intake_share: ShareAnswer


class Switching:
    """The commands over `switches`."""

    def __init__(self, switches: Switches, clock: Clock) -> None:
        self._switches = switches
        self._clock = clock

    def add_to(self, commands: Commands) -> None:
        """Register them."""
        commands.add("pause-intake", Nothing, self._pause)
        commands.add("resume", Nothing, self._resume)
        commands.add("switches", SwitchAsked, self._switch)
        commands.add("intake-share", ShareAsked, self._share)

    def all(self) -> SwitchesAnswer:
        """How all of them stand."""
        return self._answer(tuple(Switch))

    async def _pause(self, _: Nothing, order: Order) -> SwitchesAnswer:
        return await self._throw(Switch.INTAKE, False, order)

    async def _resume(self, _: Nothing, order: Order) -> SwitchesAnswer:
        return await self._throw(Switch.INTAKE, True, order)

    async def _switch(self, asked: SwitchAsked, order: Order) -> SwitchesAnswer:
        if asked.name is None:
            return self.all()
        if asked.name not in list(Switch):
            raise CommandRefused(f"{asked.name!r} is no switch; there are {', '.join(Switch)}")
        switch = Switch(asked.name)
        if asked.is_on is None:
            return self._answer((switch,))
        return await self._throw(switch, asked.is_on, order)

    async def _share(self, asked: ShareAsked, order: Order) -> ShareAnswer:
        if asked.percent is not None:
            share = ShareSet(
                percent=asked.percent, who=str(order.caller)[:100], when_ms=self._clock.now_ms(), why=order.why
            )
            try:
                await run_blocking(self._switches.set_share, share)
            except OSError as error:
                raise CommandRefused(f"the share stays as it was, since it cannot be kept: {error}") from error
        return self._share_answer()

    def _share_answer(self) -> ShareAnswer:
        share = self._switches.share_set
        if share is None:
            return ShareAnswer(percent=self._switches.intake_percent)
        return ShareAnswer(percent=share.percent, who=share.who, when=format_timestamp(share.when_ms), why=share.why)

    async def _throw(self, switch: Switch, is_on: bool, order: Order) -> SwitchesAnswer:
        thrown = Thrown(is_on=is_on, who=str(order.caller)[:100], when_ms=self._clock.now_ms(), why=order.why)
        try:
            await run_blocking(self._switches.throw, switch, thrown)
        except OSError as error:
            raise CommandRefused(f"the switch stays as it was, since it cannot be kept: {error}") from error
        return self._answer((switch,))

    def _answer(self, switches: tuple[Switch, ...]) -> SwitchesAnswer:
        return SwitchesAnswer(switches=[self._one(switch) for switch in switches], intake_share=self._share_answer())

    def _one(self, switch: Switch) -> SwitchAnswer:
        thrown = self._switches.thrown(switch)
        return SwitchAnswer(
            name=switch.value,
            is_on=self._switches.is_on(switch),
            default=MEANINGS[switch].is_on,
            does=MEANINGS[switch].sentence,
            who=None if thrown is None else thrown.who,
            when=None if thrown is None else format_timestamp(thrown.when_ms),
            why=None if thrown is None else thrown.why,
        )
