"""Figures for Prometheus of what is taken from clients: switches, and the circuit breaker."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from step_node.api.submissions.intake import IntakeState
from step_node.home.switches import Switches


class IntakeGauges(Collector):
    """What the intake and the switches say of themselves, looked up whenever somebody asks."""

    def __init__(self, intake: Callable[[], IntakeState], switches: Switches) -> None:
        self._intake = intake
        self._switches = switches

    def collect(self) -> Iterator[Metric]:
        """All of them, as of now."""
        state = self._intake()
        yield GaugeMetricFamily(
            "step_intake_paused", "1 while the operator has paused the intake from clients.", int(state.is_paused)
        )
        yield GaugeMetricFamily(
            "step_intake_shed",
            "1 while proofs are shed, since far more are submitted than usual.",
            int(state.is_shedding),
        )
        yield GaugeMetricFamily(
            "step_intake_offered_per_second",
            "Proofs that clients submitted in the last ten seconds, a second.",
            state.figures.rate_per_second,
        )
        yield GaugeMetricFamily(
            "step_intake_limit_per_second",
            "Proofs a second above which they are shed.",
            state.figures.limit_per_second,
        )
        switches = GaugeMetricFamily("step_switch", "1 while a switch of the operator is on.", None, ("switch",))
        for name, is_on in self._switches.states().items():
            switches.add_metric((name,), int(is_on))
        yield switches
