"""What of a report stands in the list of them, and how far an epoch's figures are from those of the epochs before.

A drift is a difference of two shares, so it has their unit: where the Gini coefficient was 0.40 on the mean of the
epochs before and is 0.46 now, the drift is 60,000 parts per million, 6 %. It is not in the report, which is made from
one epoch alone. It is told only where the reports of all epochs that it is compared with are at hand, so that whoever
tells it tells the same. The first epoch is compared with none: its drift has no figures, on every node.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from step_node.economy.fairness.report import FairnessReport, report_hash

COMPARED_EPOCHS: Final = 10
"""How many epochs before it an epoch is compared with: with the mean of those that paid something. The first epochs of
a chain are compared with those that there are."""


class _Figures(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Headline(_Figures):
    """The figures of an epoch that are compared with those of others. Shares are parts per million."""

    epoch: int
    first_height: int
    last_height: int
    begins: str
    ends: str
    report_hash: str = Field(
        pattern="^0x[0-9a-f]{64}$", description="SHA-256 of the report's canonical JSON: equal on every node."
    )
    proofs: int
    accounts: int
    paid: str
    income_gini_ppm: int | None
    income_top_share_ppm: int | None
    balances_gini_ppm: int | None
    newcomers_share_ppm: int | None
    stake_nakamoto: int | None
    votes_nakamoto: int | None
    absences: int = Field(description="How many pre-commits were missing, of all validators.")

    @classmethod
    def of(cls, report: FairnessReport, canonical_json: bytes) -> Headline:
        """The headline of a report with these bytes."""
        return cls(
            epoch=report.epoch,
            first_height=report.first_height,
            last_height=report.last_height,
            begins=report.begins,
            ends=report.ends,
            report_hash=f"0x{report_hash(canonical_json).hex()}",
            proofs=report.proofs,
            accounts=report.accounts,
            paid=report.paid,
            income_gini_ppm=report.income.gini_ppm,
            income_top_share_ppm=report.income.top_share_ppm,
            balances_gini_ppm=report.balances.gini_ppm,
            newcomers_share_ppm=report.newcomers.share_ppm,
            stake_nakamoto=report.validators.stake_nakamoto,
            votes_nakamoto=report.validators.votes_nakamoto,
            absences=sum(member.absences for member in report.validators.members),
        )


class Drift(_Figures):
    """By how much an epoch's figures are above the mean of the epochs before; below, they are negative."""

    compared_epochs: int = Field(
        description="With how many epochs: those of the ten before that paid something. With none there are no figures."
    )
    income_gini_ppm: int | None
    income_top_share_ppm: int | None


def compared_with(epoch: int) -> range:
    """The epochs that this one is compared with."""
    return range(max(1, epoch - COMPARED_EPOCHS), epoch)


def drift_of(headline: Headline, others: Mapping[int, Headline]) -> Drift | None:
    """How far this epoch is from those before it; None where one of those is not among `others`."""
    epochs = compared_with(headline.epoch)
    if any(epoch not in others for epoch in epochs):
        return None
    paid = [others[epoch] for epoch in epochs if others[epoch].income_gini_ppm is not None]
    return Drift(
        compared_epochs=len(paid),
        income_gini_ppm=_above_mean(headline.income_gini_ppm, (one.income_gini_ppm for one in paid)),
        income_top_share_ppm=_above_mean(headline.income_top_share_ppm, (one.income_top_share_ppm for one in paid)),
    )


def _above_mean(figure: int | None, before: Iterable[int | None]) -> int | None:
    known = [one for one in before if one is not None]
    return None if figure is None or not known else figure - sum(known) // len(known)
