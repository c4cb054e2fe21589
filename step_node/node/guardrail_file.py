"""What a node keeps of its guardrails, over restarts: what is broken, and what was usual (`data/guardrails.json`)."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from step_node.durable.side_file import SideFile
from step_node.economy.guardrails.drifts import Minting
from step_node.economy.guardrails.guardrail import OF_THE_LEDGER, Breach, Guardrail
from step_node.economy.guardrails.guardrails import MESSAGE_CHARACTERS_MAX, Broken, Kept

Whole = Annotated[int, Field(ge=0)]


class KeptBreach(BaseModel):
    """A guardrail of the ledger is broken."""

    model_config = ConfigDict(extra="forbid", strict=True)

    height: Whole
    since_ms: Whole
    message: Annotated[str, Field(max_length=MESSAGE_CHARACTERS_MAX)]
    figure: int | None
    bound: int | None


class GuardrailsKept(BaseModel):
    """The content of the file. `genesis_hash` in hex: of another chain nothing is kept."""

    model_config = ConfigDict(extra="forbid")

    genesis_hash: Annotated[str, Field(max_length=64)]
    broken: dict[Guardrail, KeptBreach]
    hour: Whole
    minted_before_ustep: int
    baseline_ustep: int
    hours: Whole
    outside_ustep: tuple[Whole, Whole]

    @classmethod
    def of(cls, kept: Kept, genesis_hash: bytes) -> GuardrailsKept:
        """As it is written."""
        return cls(
            genesis_hash=genesis_hash.hex(),
            broken={
                guardrail: KeptBreach(
                    height=broken.breach.height,
                    since_ms=broken.since_ms,
                    message=broken.breach.message,
                    figure=broken.breach.figure,
                    bound=broken.breach.bound,
                )
                for guardrail, broken in kept.broken.items()
            },
            hour=kept.minting.hour,
            minted_before_ustep=kept.minting.minted_before_ustep,
            baseline_ustep=kept.minting.baseline_ustep,
            hours=kept.minting.hours,
            outside_ustep=kept.outside_ustep,
        )

    def kept(self) -> Kept:
        """As it was when it was written."""
        return Kept(
            {
                guardrail: Broken(Breach(guardrail, one.height, one.message, one.figure, one.bound), one.since_ms)
                for guardrail, one in self.broken.items()
                if guardrail in OF_THE_LEDGER
            },
            Minting(self.hour, self.minted_before_ustep, self.baseline_ustep, self.hours),
            self.outside_ustep,
        )


GuardrailFile: TypeAlias = SideFile[GuardrailsKept]
