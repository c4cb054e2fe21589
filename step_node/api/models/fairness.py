"""The bodies of answers about fairness: an epoch's drift, and the list of epochs. A report is its own body."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from step_node.api.histories.pages import NextCursor
from step_node.api.models.schema import Answer, TimestampText
from step_node.economy.fairness.drift import Drift, Headline


class FairnessDriftAnswer(Drift):
    """How far an epoch is from the ten before it."""

    ok: Literal[True] = True
    epoch: int

    @classmethod
    def of(cls, epoch: int, drift: Drift) -> FairnessDriftAnswer:
        """The answer about an epoch."""
        return cls(epoch=epoch, **drift.model_dump())


class FairnessEpoch(Headline):
    """The figures of one epoch that are compared with those of others."""

    drift: Drift | None = Field(
        description="As of `/fairness/{epoch}/drift`; null where this node lacks the report of one of the ten epochs"
        " before."
    )

    @classmethod
    def with_drift(cls, headline: Headline, drift: Drift | None) -> FairnessEpoch:
        """The entry of the list about an epoch."""
        return cls(**headline.model_dump(), drift=drift)


class FairnessListAnswer(Answer):
    """The epochs whose reports this node has, newest first."""

    ok: Literal[True] = True
    epochs: list[FairnessEpoch]
    next_cursor: NextCursor
    epoch_batches: int = Field(description="How many batches an epoch has.", examples=[1000])
    running_epoch: int = Field(description="The epoch that the next batch is in.", examples=[7])
    running_ends_at: int = Field(description="The height of its last batch.", examples=[7000])
    timestamp: TimestampText
