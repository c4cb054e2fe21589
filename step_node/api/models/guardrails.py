"""The body of the answer about the guardrails."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from step_node.api.models.schema import Answer, TimestampText
from step_node.economy.guardrails.guardrail import SENTENCES
from step_node.economy.guardrails.guardrails import Reading
from step_node.parameters import USTEP_PER_STEP
from step_node.proofs.timestamps import format_timestamp


class GuardrailEntry(Answer):
    """A guardrail: what holds while it is whole, and how it stands."""

    name: str = Field(examples=["supply"])
    holds: str = Field(description="What is so while it is whole.")
    is_broken: bool
    figure: str | None = Field(
        description="What was found; null of one that only says yes or no while it is whole, and of clicks.",
        examples=["400000.123456"],
    )
    bound: str | None = Field(
        description="What it may be at most, or, of a guardrail of the ledger, must be; null while nothing is said.",
        examples=["400000.123456"],
    )
    unit: str = Field(description="Of both: `STEP`, `STEP per hour` or `%`.", examples=["STEP"])
    broken_at_height: int | None = Field(description="The batch that broke it; null while it is whole.")
    broken_since: TimestampText | None = Field(description="That batch's time.")
    message: str | None = Field(description="What is wrong, for people.")

    @classmethod
    def of(cls, reading: Reading) -> GuardrailEntry:
        """The answer about `reading`."""
        broken = reading.broken
        return cls(
            name=reading.guardrail.value,
            holds=SENTENCES[reading.guardrail],
            is_broken=broken is not None,
            figure=_text(reading.figure, reading.unit),
            bound=_text(reading.bound, reading.unit),
            unit=_UNITS[reading.unit],
            broken_at_height=None if broken is None else broken.breach.height,
            broken_since=None if broken is None else format_timestamp(broken.since_ms),
            message=None if broken is None else broken.breach.message,
        )


class GuardrailsAnswer(Answer):
    """How all guardrails stand, as of the last batch."""

    ok: Literal[True] = True
    height: int = Field(description="The last finalised.", examples=[42])
    guardrails: list[GuardrailEntry]
    intake_percent: int = Field(
        description="Of how many of a hundred accounts this node takes anything.", examples=[100]
    )
    timestamp: TimestampText


_UNITS = {"µSTEP": "STEP", "µSTEP/h": "STEP per hour", "bps": "%"}


def _text(amount: int | None, unit: str) -> str | None:
    """A decimal number in the unit that people read; a faulty ledger may have made it less than nothing."""
    if amount is None:
        return None
    places, part = (2, 100) if unit == "bps" else (6, USTEP_PER_STEP)
    whole, fraction = divmod(abs(amount), part)
    return f"{'-' if amount < 0 else ''}{whole}.{fraction:0{places}d}"
