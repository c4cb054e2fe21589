"""Runs: the ledger's own code in the exact mode, the formulas, seeds, processes, and what people and places come to."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace

import pytest

from mesh.triangle_id import LEVEL_MASK
from step_node.economy.formulas import paid_bounds_ustep, paid_level_by_level_ustep
from step_node.ledger.apply import LedgerInput, apply_batch
from step_node.ledger.execution import ConservationBroken
from step_node.ledger.level_counts import CountsByLevel, add_counts, counts_of_triangles
from step_node.ledger.records import Triangle
from step_node.ledger.state import Changes
from step_node.parameters import USTEP_PER_STEP
from step_node.testing.economy import exact
from step_node.testing.economy.campaign import RunFailed, measured_run, run_all
from step_node.testing.economy.conduct import Conduct, NoQuorum
from step_node.testing.economy.exact import ExactLedger
from step_node.testing.economy.measuring import MEASURES
from step_node.testing.economy.processes import ProcessLost
from step_node.testing.economy.running import DayPassed, run
from step_node.testing.economy.scenario import AS_WRITTEN, Scenario, scenarios_in
from step_node.testing.economy.vectorised import VectorisedLedger
from step_node.testing.economy.work import DayWork, LedgerState, Start
from tests.testing.economy.same_runs import same


def small(**changes: object) -> Scenario:
    """Thirty walkers for ten days, and ten invented accounts."""
    content = {
        "title": "small",
        "days": 10,
        "batches_per_day": 4,
        "cities": [{"name": "town", "lat": 47.0, "lon": 19.0, "radius_km": 2.0}],
        "groups": [
            {"kind": "walkers", "name": "people", "city": "town", "accounts": 30, "proofs_per_day": 3.0},
            {"kind": "farmers", "name": "invented", "city": "town", "accounts": 10, "proofs_per_day": 4.0},
        ],
    }
    return scenarios_in(content | changes, name="small", source="test")[AS_WRITTEN]


def state_after(scenario: Scenario, seed: int, *, exactly: bool = False) -> tuple[LedgerState, int]:
    """The state in the end, and what proofs were paid."""
    paid: list[int] = []

    def add(passed: DayPassed) -> None:
        paid.append(int(passed.done.rewards_ustep.sum()))

    return run(Start(scenario), seed, exact=exactly, on_day=add).state(), sum(paid)


def test_a_seed_gives_the_same_run_with_any_number_of_processes_and_another_seed_another_one() -> None:
    scenario = small(days=3)
    alone = run_all(scenario, range(5, 11), exact=False, processes=1)
    shared = run_all(scenario, range(5, 11), exact=False, processes=2)
    assert [result.seed for result in shared] == list(range(5, 11))
    assert all(same(*pair) for pair in zip(alone, shared, strict=True))
    assert not same(alone[0], replace(alone[1], seed=alone[0].seed))


def test_a_process_that_is_killed_is_an_error_that_says_what_to_do() -> None:
    def kill(_done: int) -> None:
        for process in multiprocessing.active_children():
            process.kill()

    with pytest.raises(ProcessLost, match="fewer at once"):
        run_all(small(days=1), range(200), exact=False, processes=2, on_run=kill)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_that_cannot_go_on_is_named_by_its_variant_and_its_seed(processes: int) -> None:
    faults = [{"day": 1, "validator": number, "what": "offline", "days": 2} for number in (0, 1)]
    with pytest.raises(
        RunFailed, match=r"variant two-away, seed [3-9]: faults: on day 1 2 of the validators"
    ) as raised:
        run_all(small(faults=faults), range(3, 10), exact=False, processes=processes, variant="two-away")
    assert raised.value.seed in range(3, 10)


def test_a_bug_is_raised_as_it_is_and_says_in_which_run_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(_ledger: VectorisedLedger, _work: DayWork) -> None:
        raise ConservationBroken("lost")

    monkeypatch.setattr(VectorisedLedger, "apply_day", lose)
    with pytest.raises(ConservationBroken) as raised:
        run_all(small(days=1), range(4, 5), exact=False, processes=1, variant="plain")
    assert raised.value.__notes__ == ["in the simulated run of variant plain with seed 4"]


def test_both_modes_are_measured_alike() -> None:
    scenario = small()
    assert same(measured_run(scenario, 3, exact=True), measured_run(scenario, 3, exact=False))


def test_every_batch_of_the_exact_mode_is_one_that_a_validator_would_accept(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the proposer's trials come to is what the shipped `apply_batch` makes of those proofs: record by record."""
    applied = 0

    class Judged(exact._Batch):
        def close(self) -> Changes:
            nonlocal applied
            before = self._ledger.slice(self._timestamp_ms)
            frame = self._ledger._start.conduct.frame(before.head.validators, self._height, self._work.day)
            changes = super().close()
            batch = LedgerInput(
                timestamp_ms=self._timestamp_ms,
                proposer=frame.proposer,
                signers=frame.signers,
                proofs=tuple(self.taken),
                batch_hash=changes.head.chain.batch_hash,
            )
            assert apply_batch(before, batch).changes == changes
            applied += 1
            return changes

    monkeypatch.setattr(exact, "_Batch", Judged)
    state_after(small(days=3), 1, exactly=True)
    assert applied > 5


@pytest.mark.parametrize("version", [1, 2])
def test_what_proofs_are_paid_is_what_the_published_formulas_say(version: int) -> None:
    state, paid_ustep = state_after(small(protocol_version=version), 8)
    counts: CountsByLevel = {}
    add_counts(counts, counts_of_triangles(Triangle(key, *value) for key, value in state.triangles.items()))
    least, most = paid_bounds_ustep(version, counts)
    assert least <= paid_ustep <= most <= paid_level_by_level_ustep(version, sum(one.clicks for one in counts.values()))
    assert version == 2 or least == most
    assert {key & LEVEL_MASK for key, (clicks, _) in state.triangles.items() if clicks} > {1, 2, 3}


@pytest.mark.parametrize("ledger", [ExactLedger, VectorisedLedger])
def test_a_micro_step_from_nowhere_stops_the_run(
    ledger: type[ExactLedger | VectorisedLedger], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "_take" if ledger is ExactLedger else "_credit"
    shipped = getattr(ledger, name)

    def with_one_more(self: ExactLedger | VectorisedLedger, *arguments: object) -> None:
        if isinstance(self, VectorisedLedger):
            self._balances[0] += 1
            shipped(self, *arguments)
            return
        (changes,) = arguments
        assert isinstance(changes, Changes)
        rich, *rest = changes.accounts
        shipped(self, replace(changes, accounts=(replace(rich, balance_ustep=rich.balance_ustep + 1), *rest)))

    monkeypatch.setattr(ledger, name, with_one_more)
    with pytest.raises(ConservationBroken, match="but the head says"):
        state_after(small(days=1), 1, exactly=ledger is ExactLedger)


def test_who_leaves_out_the_pre_commits_of_others_is_paid_their_shares() -> None:
    scenario = small(validators={"count": 7, "colluding": 2})
    earned = measured_run(scenario, 2, exact=False).validator_balances
    assert earned[5:].mean() > 1.02 * earned[:5].mean()
    honest = measured_run(small(validators={"count": 7}), 2, exact=False).validator_balances
    assert honest[5:].mean() < 1.02 * honest[:5].mean()


def test_validators_of_one_person_count_as_one() -> None:
    groups = [{"kind": "farmers", "name": "f", "city": "town", "accounts": 30, "proofs_per_day": 6.0, "stakes": True}]
    scenario = small(groups=groups, parameters={"min_stake": 1, "epoch_batches": 4}, validators={"stake_step": 1})
    last = measured_run(scenario, 1, exact=False).days[-1]
    assert last[MEASURES.index("validators")] > 12
    assert last[MEASURES.index("nakamoto")] == 1


def test_what_is_paid_for_places_anywhere_in_the_world_is_no_citys() -> None:
    town, elsewhere = measured_run(small(days=2), 1, exact=False).emission_by_city
    assert elsewhere > town > 0
    groups = [{"kind": "farmers", "name": "f", "city": "town", "accounts": 5, "proofs_per_day": 6.0, "spread": "city"}]
    town, elsewhere = measured_run(small(days=2, groups=groups), 1, exact=False).emission_by_city
    assert town > elsewhere == 0


def test_newcomers_come_and_leavers_leave() -> None:
    people = {"kind": "walkers", "name": "people", "city": "town", "accounts": 400, "proofs_per_day": 5.0}
    coming = measured_run(small(groups=[people | {"join_within_days": 10}]), 1, exact=False).days
    accounts, proofs = MEASURES.index("accounts"), MEASURES.index("proofs_per_day")
    assert coming[0, accounts] < 100 < 300 < coming[-1, accounts]
    leaving = measured_run(small(groups=[people | {"stay_days": 2.0}]), 1, exact=False).days
    assert leaving[-1, proofs] < leaving[0, proofs] / 10


def test_who_is_paid_too_little_gives_up() -> None:
    people = {"kind": "walkers", "name": "people", "city": "town", "accounts": 40, "proofs_per_day": 5.0}
    proofs = MEASURES.index("proofs_per_day")
    greedy = small(groups=[people | {"gives_up_below_ustep": USTEP_PER_STEP}])
    days = measured_run(greedy, 1, exact=False).days
    assert days[6, proofs] > 100
    assert days[7, proofs] < 10


def test_a_place_that_is_used_up_pays_nothing() -> None:
    crowd = {
        "kind": "crowd",
        "name": "fans",
        "city": "town",
        "accounts": 300,
        "proofs_per_day": 20.0,
        "every_days": 1,
        "radius_m": 5.0,
        "attendance": 1.0,
    }
    result = measured_run(small(groups=[crowd]), 1, exact=False)
    assert 1 <= result.exhausted_day[0] <= 9
    assert result.days[-1, MEASURES.index("nothing_left_share")] > 0.5


def test_so_many_faults_that_no_batch_can_be_final_are_an_error() -> None:
    faults = [{"day": 1, "validator": number, "what": "offline", "days": 2} for number in (0, 1)]
    conduct = Conduct(small(faults=faults))
    records = Start(small()).head.validators
    assert conduct.frame(records, 1, 0).signers == ()
    with pytest.raises(NoQuorum, match="the chain would stand still"):
        conduct.frame(records, 5, 1)
