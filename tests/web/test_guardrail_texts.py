"""The app tells each guardrail in plain words, and puts it where it belongs: a fault of the rules, or a drift."""

from __future__ import annotations

from step_node.economy.guardrails.guardrail import OF_THE_LEDGER, Guardrail
from tests.web.typescript import evaluate, needs_web_packages


@needs_web_packages
def test_each_guardrail_is_told_among_its_kind() -> None:
    ledgers, drifts = evaluate("texts/guardrails.ts", "[web.ledgers, web.drifts].map(Object.keys)")
    assert ledgers == [one.value for one in Guardrail if one in OF_THE_LEDGER]
    assert drifts == [one.value for one in Guardrail if one not in OF_THE_LEDGER]
