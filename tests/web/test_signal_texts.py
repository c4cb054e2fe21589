"""The app has a sentence for each signal of plausibility, with all of its figures, in both languages."""

from __future__ import annotations

import re

from pydantic.alias_generators import to_camel

from step_node.economy.columns import ProofColumns
from step_node.economy.plausibility.signals import SIGNALS, account_signals
from tests.web.typescript import evaluate, needs_web_packages


@needs_web_packages
def test_each_signal_is_told_with_figures_that_it_has() -> None:
    texts = evaluate("texts/plausibility.ts", "web.signals")
    assert texts.keys() == SIGNALS.keys()
    readings = account_signals(ProofColumns.empty()).readings
    for name, text in texts.items():
        figures = {re.sub("(Ms|Bps)$", "", to_camel(figure)) for figure in readings[name].figures}
        english, german = (set(re.findall(r"\{(\w+)\}", text["ofAccount"][language])) for language in ("en", "de"))
        assert english == german, name
        assert english <= figures, name
        assert english, name
