"""Figures for Prometheus of the last epoch that has a report of fairness, looked up whenever somebody asks."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from step_node.economy.fairness.measures import PPM
from step_node.economy.fairness.reporter import FairnessReporter


class FairnessGauges(Collector):
    """How evenly it paid, and how far that is from the epochs before. What has no measure is not there."""

    def __init__(self, reporter: FairnessReporter) -> None:
        self._reporter = reporter

    def collect(self) -> Iterator[Metric]:
        """All of them, as of now."""
        latest, drift = self._reporter.latest, self._reporter.drift
        if latest is None:
            return
        yield GaugeMetricFamily("step_fairness_epoch", "The last epoch that has a report of fairness.", latest.epoch)
        yield GaugeMetricFamily("step_fairness_accounts", "Accounts that it paid for proofs.", latest.accounts)
        shares = (
            ("step_fairness_income_gini", "The Gini coefficient of what it paid.", latest.income_gini_ppm),
            ("step_fairness_income_top_share", "What the top hundredth was paid of it.", latest.income_top_share_ppm),
            (
                "step_fairness_income_gini_drift",
                "By how much that coefficient is above the mean of the epochs before.",
                None if drift is None else drift.income_gini_ppm,
            ),
            (
                "step_fairness_income_top_share_drift",
                "By how much that share is above the mean of the epochs before.",
                None if drift is None else drift.income_top_share_ppm,
            ),
        )
        for name, meaning, ppm in shares:
            if ppm is not None:
                yield GaugeMetricFamily(name, meaning, ppm / PPM)
        for name, meaning, owners in (
            (
                "step_fairness_stake_nakamoto",
                "Owners that together have over a third of the stake.",
                latest.stake_nakamoto,
            ),
            (
                "step_fairness_votes_nakamoto",
                "Owners that together have over a third of the votes.",
                latest.votes_nakamoto,
            ),
        ):
            if owners is not None:
                yield GaugeMetricFamily(name, meaning, owners)
