"""Whatever number a faulty ledger makes up, of whatever size: who tells of it does not fall over it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from step_node.amounts import TOLD_MAX, bounded, told
from step_node.api.models.guardrails import GuardrailEntry
from step_node.economy.guardrails.band import Origin
from step_node.economy.guardrails.drifts import HOUR_MS
from step_node.economy.guardrails.guardrail import Guardrail
from step_node.economy.guardrails.guardrails import MESSAGE_CHARACTERS_MAX, Guardrails, Limits
from step_node.home.switches import Switches
from step_node.ledger.records import ValidatorState
from step_node.metrics import NodeMetrics
from step_node.node.guardrail_file import GuardrailsKept
from step_node.node.guardrail_gauges import GuardrailGauges
from tests.economy.guardrails.test_any_change_is_found import CHANGES, a_batch

NO_FLOAT = 10**309
NO_TEXT = 10**5_000
"""More digits than Python makes a text of."""

NUMBERS = pytest.mark.parametrize(
    "number",
    [NO_FLOAT, -NO_FLOAT, NO_TEXT, -NO_TEXT],
    ids=["no float", "no float, negative", "no text", "no text, negative"],
)


def shown(guardrails: Guardrails) -> str:
    """All that is told of them: to Prometheus, over HTTP, and in the file that a restart reads."""
    kept = GuardrailsKept.of(guardrails.kept, bytes(32))
    assert GuardrailsKept.model_validate_json(kept.model_dump_json()).kept() == guardrails.kept
    registry = CollectorRegistry()
    watch: Any = SimpleNamespace(readings=guardrails.readings(), is_on=True, checked_height=guardrails.checked_height)
    registry.register(GuardrailGauges(watch, Switches()))
    answers = [GuardrailEntry.of(reading).model_dump_json() for reading in guardrails.readings()]
    return "\n".join((generate_latest(registry).decode(), *answers))


@NUMBERS
@pytest.mark.parametrize("name", CHANGES)
def test_a_made_up_number_is_found_told_and_kept(name: str, number: int) -> None:
    before, batch = a_batch()
    changed = CHANGES[name](batch.transition, 1, number)
    # Where an hour ends, the supply becomes what was usual; the stakes of who has left are looked at as well.
    head = changed.changes.head
    validators = tuple(replace(one, state=ValidatorState.ROTATED) for one in head.validators)
    hours_on = replace(head.chain, timestamp_ms=head.chain.timestamp_ms + 30 * HOUR_MS)
    head = replace(head, chain=hours_on, validators=validators)
    batch = replace(batch, transition=replace(changed, changes=replace(changed.changes, head=head)))
    guardrails = Guardrails(Origin(0, 1, counts_all=True), before, {}, limits=Limits(concentration_accounts_min=1))
    found = guardrails.after_batch(batch)
    found += guardrails.look({bytes(20): number, b"\x01" * 20: 1})
    assert found
    for breach in found:
        assert len(breach.message) <= MESSAGE_CHARACTERS_MAX
        assert abs(breach.figure or 0) <= TOLD_MAX
        assert abs(breach.bound or 0) <= TOLD_MAX
    assert shown(guardrails)
    for guardrail in Guardrail:
        guardrails.acknowledge(guardrail)
    assert shown(guardrails)
    begun_again = Guardrails(Origin(0, 1, counts_all=True), head, {}, kept=guardrails.kept)
    begun_again.look({bytes(20): number})
    assert shown(begun_again)


def test_a_number_beyond_what_is_told_is_said_to_be_that() -> None:
    assert [told(one) for one in (0, TOLD_MAX, -TOLD_MAX)] == ["0", str(TOLD_MAX), str(-TOLD_MAX)]
    assert told(TOLD_MAX + 1) == f"more than {TOLD_MAX}"
    assert told(-NO_TEXT) == f"less than {-TOLD_MAX}"
    assert [bounded(one) for one in (-NO_TEXT, -1, NO_TEXT)] == [-TOLD_MAX, -1, TOLD_MAX]


@NUMBERS
def test_counters_take_what_they_can_of_a_made_up_amount(number: int) -> None:
    registry = CollectorRegistry()
    metrics = NodeMetrics(registry)
    metrics.own_validator_earned(number)
    metrics.validator_slashed("DOUBLE_SIGN", number)
    assert generate_latest(registry)
    expected = float(TOLD_MAX) if number > 0 else 0.0
    assert registry.get_sample_value("step_own_rewards_ustep_total") == expected
    assert registry.get_sample_value("step_stake_burnt_ustep_total") == expected
