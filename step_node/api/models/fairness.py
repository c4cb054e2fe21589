"""The bodies of answers about fairness: the report of an epoch, and the list of those that there are."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from step_node.api.histories.pages import NextCursor
from step_node.api.models.schema import Answer, HashText, TimestampText
from step_node.economy.fairness.drift import Drift, Headline
from step_node.economy.fairness.report import FairnessReport


class FairnessAnswer(Answer):
    """Who got how much in one epoch."""

    ok: Literal[True] = True
    report: FairnessReport
    report_hash: HashText = Field(
        description="SHA-256 of the report's canonical JSON (RFC 8785): equal on every node that has the report."
    )
    drift: Drift | None = Field(
        description="How far the epoch is from the ten before it; null where there is none before it, or where this"
        " node lacks the report of one of them."
    )


class FairnessEpoch(Headline):
    """The figures of one epoch that are compared with those of others."""

    drift: Drift | None = Field(description="As of `/fairness/{epoch}`.")

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
