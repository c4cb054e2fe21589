"""Figures for Prometheus of the guardrails, looked up whenever somebody asks."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from step_node.home.switches import Switches
from step_node.node.guardrail_watch import GuardrailWatch


class GuardrailGauges(Collector):
    """How the guardrails stand, and from how many accounts the intake takes something."""

    def __init__(self, watch: GuardrailWatch, switches: Switches) -> None:
        self._watch = watch
        self._switches = switches

    def collect(self) -> Iterator[Metric]:
        """All of them, as of now."""
        broken = GaugeMetricFamily("step_guardrail_broken", "1 while a guardrail is broken.", None, ("guardrail",))
        figures = GaugeMetricFamily(
            "step_guardrail_figure",
            "What a guardrail watches: micro-STEP, micro-STEP an hour, or hundredths of a percent.",
            None,
            ("guardrail",),
        )
        bounds = GaugeMetricFamily(
            "step_guardrail_bound", "What that may be at most, in the same unit.", None, ("guardrail",)
        )
        for reading in self._watch.readings:
            label = (reading.guardrail.value,)
            broken.add_metric(label, int(reading.broken is not None))
            if reading.figure is not None:
                figures.add_metric(label, reading.figure)
            if reading.bound is not None:
                bounds.add_metric(label, reading.bound)
        yield broken
        yield figures
        yield bounds
        yield GaugeMetricFamily(
            "step_guardrails_on", "1 unless the operator has turned the guardrails off.", int(self._watch.is_on)
        )
        yield GaugeMetricFamily(
            "step_guardrails_checked_height",
            "The last height that the guardrails have gone over.",
            self._watch.checked_height,
        )
        yield GaugeMetricFamily(
            "step_intake_percent",
            "Of how many of a hundred accounts the intake takes anything.",
            self._switches.intake_percent,
        )
