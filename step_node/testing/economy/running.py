"""One run: a scenario and a seed, day by day over a ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from step_node.testing.economy.decisions import Decisions
from step_node.testing.economy.exact import ExactLedger
from step_node.testing.economy.population import Attempts, People, populate
from step_node.testing.economy.vectorised import VectorisedLedger
from step_node.testing.economy.work import DayDone, DayWork, SimulatedLedger, Start


@dataclass(frozen=True, slots=True)
class DayPassed:
    """What a day was, and where the ledger stands after it."""

    work: DayWork
    done: DayDone
    ledger: SimulatedLedger
    people: People


def run(start: Start, seed: int, *, exact: bool, on_day: Callable[[DayPassed], None]) -> SimulatedLedger:
    """Simulate all days of a scenario; `on_day` is told of each as it is over. The ledger as it stands in the end."""
    scenario = start.scenario
    # Two streams, so that who is where does not depend on what anybody does with his money.
    places, choices = np.random.SeedSequence(seed).spawn(2)
    people, attempts = populate(scenario, np.random.default_rng(places))
    ledger: SimulatedLedger = ExactLedger(start) if exact else VectorisedLedger(start, attempts)
    decisions = Decisions(scenario, people, np.random.default_rng(choices))
    ends = np.searchsorted(attempts.batch, np.arange(scenario.days + 1) * scenario.batches_per_day)
    for day in range(scenario.days):
        tried = _tried(attempts, decisions, day, int(ends[day]), int(ends[day + 1]))
        work = DayWork(day, tried, decisions.of_day(day, ledger.balances_ustep(), ledger.head))
        done = ledger.apply_day(work)
        decisions.note(day, tried, done)
        on_day(DayPassed(work, done, ledger, people))
    return ledger


def _tried(attempts: Attempts, decisions: Decisions, day: int, start: int, stop: int) -> Attempts:
    of_day = attempts.between(start, stop)
    there = decisions.is_there(day)[of_day.account]
    return of_day if there.all() else of_day.where(there)
