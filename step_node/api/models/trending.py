"""The body of the answer to `/trending`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field

from step_node.api.models.schema import Answer, TimestampText, TriangleText
from step_node.economy.trending import TrendingRegion


class TrendingParts(Answer):
    """What a score is made of: `score` = `plausibleMilliclicks` · `breadthMilli` / 1000, rounded down."""

    clicks: int = Field(description="Proofs in it, and in all that lies below it, of the window.", examples=[12])
    decayed_milliclicks: int = Field(
        description="These, where each counts half after `halfLifeMs`; thousandths.", examples=[9_750]
    )
    implausibility_bps: int = Field(
        description="What is taken of that, since accounts behave as people do not; ten thousandths.", examples=[500]
    )
    plausible_milliclicks: int = Field(description="What is left; thousandths.", examples=[9_262])
    distinct_accounts: int = Field(description="Accounts that these proofs are of.", examples=[5])
    plausible_milliaccounts: int = Field(
        description="These, where each counts as much as it is plausible; thousandths.", examples=[4_500]
    )
    breadth_milli: int = Field(description="The square root of that; thousandths.", examples=[2_121])


class TrendingTriangle(Answer):
    """A triangle with all that lies below it."""

    triangle_id: TriangleText
    score: int = Field(description="Thousandths.", examples=[19_644])
    parts: TrendingParts

    @classmethod
    def of(cls, region: TrendingRegion) -> Self:
        """As it is answered."""
        return cls(
            triangle_id=region.triangle.text,
            score=region.score,
            parts=TrendingParts(
                clicks=region.clicks,
                decayed_milliclicks=region.decayed_milliclicks,
                implausibility_bps=region.implausibility_bps,
                plausible_milliclicks=region.plausible_milliclicks,
                distinct_accounts=region.accounts,
                plausible_milliaccounts=region.plausible_milliaccounts,
                breadth_milli=region.breadth_milli,
            ),
        )


class TrendingAnswer(Answer):
    """What trends as of a height: the same bytes from every node whose window is complete."""

    ok: Literal[True] = True
    height: int = Field(description="The last that is in it: the node's, or a little less.", examples=[42])
    timestamp: TimestampText | None = Field(description="That batch's; null at height 0.")
    level: int = Field(description="Of the triangles, 1 to 21.", examples=[8])
    half_life_ms: int = Field(description="After so long a proof counts half.", examples=[21_600_000])
    window_ms: int = Field(
        description="What is older, by more than ten minutes, does not count.", examples=[172_800_000]
    )
    is_complete: bool = Field(description="Whether this node knows all proofs of the window.")
    complete_from_height: int | None = Field(
        description="From which height on it does; null if it is complete.", examples=[None]
    )
    triangles: list[TrendingTriangle] = Field(description="By falling score; equal ones by rising id.")
