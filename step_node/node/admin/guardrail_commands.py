"""Commands about the guardrails: how they stand, and that an operator has seen a breach."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from step_node.api.models.guardrails import GuardrailEntry
from step_node.api.models.schema import Answer
from step_node.economy.guardrails.guardrail import Guardrail
from step_node.node.admin.commands import NAME_CHARACTERS_MAX, Asked, CommandRefused, Commands, Order
from step_node.node.guardrail_watch import GuardrailWatch


class GuardrailAsked(Asked):
    """Whose breach has been seen; none, for how all of them stand."""

    acknowledge: Annotated[str | None, Field(max_length=NAME_CHARACTERS_MAX)] = None


class GuardrailStanding(Answer):
    """How they stand, and the last height that they have gone over."""

    is_on: bool
    checked_height: int
    guardrails: list[GuardrailEntry]


class GuardrailCommands:
    """The command over `watch`."""

    def __init__(self, watch: GuardrailWatch) -> None:
        self._watch = watch

    def add_to(self, commands: Commands) -> None:
        """Register it."""
        commands.add("guardrails", GuardrailAsked, self._guardrails)

    def standing(self) -> GuardrailStanding:
        """How they stand."""
        return GuardrailStanding(
            is_on=self._watch.is_on,
            checked_height=self._watch.checked_height,
            guardrails=[GuardrailEntry.of(reading) for reading in self._watch.readings],
        )

    async def _guardrails(self, asked: GuardrailAsked, order: Order) -> GuardrailStanding:
        if asked.acknowledge is not None:
            if asked.acknowledge not in list(Guardrail):
                raise CommandRefused(f"{asked.acknowledge!r} is no guardrail; there are {', '.join(Guardrail)}")
            if not order.why:
                raise CommandRefused("say with --why what has been found: whoever looks next will ask")
            if self._watch.acknowledge(Guardrail(asked.acknowledge)) is None:
                raise CommandRefused(f"the guardrail {asked.acknowledge} is not broken")
        return self.standing()
