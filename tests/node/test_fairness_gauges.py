"""What Prometheus is shown of the last epoch's fairness."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from step_node.economy.fairness.drift import drift_of
from step_node.economy.fairness.reporter import FairnessReporter
from step_node.economy.side_file import EconomyFile
from step_node.node.fairness_gauges import FairnessGauges
from tests.economy.fairness.test_drift import headline
from tests.support.chains import open_chain


async def test_the_figures_of_the_last_epoch_are_shown_as_shares_and_what_has_no_measure_is_not() -> None:
    chain = await open_chain()
    reporter = FairnessReporter(chain, EconomyFile.open(None, chain.genesis.hash))
    registry = CollectorRegistry()
    registry.register(FairnessGauges(reporter))

    def shown(name: str) -> float | None:
        return registry.get_sample_value(f"step_fairness_{name}")

    assert shown("epoch") is None
    reporter.latest = headline(3, 460_000, 20_000)
    assert (shown("epoch"), shown("accounts"), shown("stake_nakamoto"), shown("votes_nakamoto")) == (3, 1, 2, 2)
    assert (shown("income_gini"), shown("income_top_share"), shown("income_gini_drift")) == (0.46, 0.02, None)
    reporter.drift = drift_of(reporter.latest, {1: headline(1, 500_000, 0), 2: headline(2, 500_000, 0)})
    assert (shown("income_gini_drift"), shown("income_top_share_drift")) == (-0.04, 0.02)
    reporter.latest = headline(4, None)
    assert (shown("epoch"), shown("income_gini")) == (4, None)
