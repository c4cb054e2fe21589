"""A validator whose MongoDB has three members goes on without an operator when the primary goes away."""

from __future__ import annotations

import pytest
import trio

from step_node.parameters import Parameters
from step_node.testing.failover import Blow, Failover, FailoverSettings, failover

LONGEST_SECONDS = 300.0
QUICK = Parameters(
    batch_interval_ms=300,
    timeout_propose_ms=1_500,
    timeout_pre_vote_ms=800,
    timeout_pre_commit_ms=500,
    timeout_delta_ms=200,
)


async def run(settings: FailoverSettings) -> Failover:
    with trio.fail_after(LONGEST_SECONDS):
        return await failover(settings)


def check(result: Failover) -> None:
    """Nothing that was told to be final is lost or there twice, and proofs of all three phases became final."""
    assert (result.missing, result.twice) == ([], [])
    assert all(result.finality_ms().values()), {name: len(found) for name, found in result.finality_ms().items()}


@pytest.mark.long
@pytest.mark.slow
async def test_a_killed_primary_costs_a_pause_and_nothing_else() -> None:
    settings = FailoverSettings(blow=Blow.KILL, answers_from="secondaries", parameters=QUICK)
    result = await run(settings)
    check(result)
    # Elections take ten seconds, and a store that is silent is told after five.
    assert {"STORE_READS_FAIL", "STORE_WRITES_FAIL"} & result.health.keys()
    # Meanwhile a secondary answers for history.
    during = [one for one in result.answers if result.struck_at < one.asked_at < result.recovered_at]
    assert {one.status for one in during if one.about == "history"} == {200}


@pytest.mark.long
@pytest.mark.parametrize("blow", [Blow.FREEZE, Blow.STEP_DOWN])
async def test_a_primary_that_is_frozen_or_steps_down_costs_a_pause_and_nothing_else(blow: Blow) -> None:
    check(await run(FailoverSettings(blow=blow, parameters=QUICK)))


@pytest.mark.long
async def test_four_validators_on_one_set_pause_together_and_agree_afterwards() -> None:
    check(await run(FailoverSettings(validators=4, parameters=QUICK)))
