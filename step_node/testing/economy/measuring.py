"""What is measured of a run, day by day and in the end.

How unevenly what people have is spread (balance and own stake) is measured among those who have come by then; the
owners of the validators of genesis are no people here, since what they begin with is the scenario's.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np

from mesh import LEVEL_MAX
from step_node.economy.fairness.measures import gini_ppm, nakamoto_coefficient, top_share_ppm
from step_node.ledger.records import ValidatorRecord, ValidatorState
from step_node.parameters import USTEP_PER_STEP
from step_node.testing.economy.identities import validator_address
from step_node.testing.economy.movement import Floats, Integers
from step_node.testing.economy.population import NOBODYS, People
from step_node.testing.economy.running import DayPassed
from step_node.testing.economy.scenario import Farmers, Scenario
from step_node.testing.economy.work import EXHAUSTED, Payment, Start

MEASURES: Final = (
    "supply_step",
    "minted_since_genesis_step",
    "burnt_step",
    "paid_step_per_day",
    "pay_ustep_per_proof",
    "people_pay_ustep_per_proof",
    "invented_share",
    "proofs_per_day",
    "refused_share",
    "nothing_left_share",
    "velocity_per_year",
    "gini",
    "top_1_percent_share",
    "accounts",
    "validators",
    "staked_step",
    "nakamoto",
)
"""Of each day that is kept, in this order. What is a share of nothing, or paid for no proof, is NaN."""

DAYS_KEPT_MAX: Final = 120
"""Of a longer run every second, third ... day is kept, and the last one."""
WEEK_DAYS: Final = 7
MILLION: Final = 1_000_000
HALF: Final = 0.5


@dataclass(frozen=True, slots=True)
class RunResult:
    """What one run came to. Amounts are micro-STEP unless their names say otherwise."""

    seed: int
    days: Floats
    """Rows of `days_kept`, columns of `MEASURES`."""
    emission_by_level: Integers
    """What proofs were paid, by level; place 0 is empty."""
    emission_by_city: Integers
    """The last of them is elsewhere."""
    pay_halved_day: Floats
    """By city: the first day of a week that pays less than half a proof of what the first week paid; NaN if none."""
    exhausted_day: Floats
    """By city: the first day on which half of those who tried, or more, found nothing left; NaN if there was none."""
    city_proofs: Integers
    stakes: Integers
    """Of the validators of the last day, the largest first."""
    earned: Integers
    """What each account's proofs were paid, by number."""
    stake_day: Integers
    """The first day at whose end an account's proofs had been paid a stake; -1 if there was none."""
    last_quarter: Integers
    """What each account's proofs were paid in the last quarter of the days."""
    validator_balances: Integers
    """Of the owners of the validators of genesis."""
    validator_stakes: Integers
    """What is left of their stakes."""


def days_kept(scenario: Scenario) -> tuple[int, ...]:
    """Which days' rows are kept, from 1."""
    step = -(-scenario.days // DAYS_KEPT_MAX)
    return tuple(sorted({*range(step, scenario.days + 1, step), scenario.days}))


class Measuring:
    """Collects what a run is measured by; `note` is told of each day."""

    def __init__(self, start: Start, seed: int) -> None:
        scenario = start.scenario
        self._start, self._seed = start, seed
        self._kept = frozenset(days_kept(scenario))
        self._rows: list[list[float]] = []
        accounts, cities = len(start.addresses), len(scenario.cities) + 1
        self._levels = np.zeros(LEVEL_MAX + 1, dtype=np.int64)
        self._by_city = np.zeros((scenario.days, cities, 4), dtype=np.int64)
        """By day and city, and elsewhere: paid, taken, found nothing left, tried."""
        self._sent_ustep = np.zeros(scenario.days, dtype=np.int64)
        self._earned = np.zeros(accounts, dtype=np.int64)
        self._late = np.zeros(accounts, dtype=np.int64)
        self._stake_day = np.full(accounts, -1, dtype=np.int64)
        self._stake_ustep = start.parameters.min_stake * USTEP_PER_STEP
        self._last: DayPassed | None = None
        self._is_farmer = np.array([*(isinstance(group, Farmers) for group in scenario.groups), False])
        """By group; the last is of those who are in none."""

    def note(self, passed: DayPassed) -> None:
        """Take the day's figures."""
        work, done, day = passed.work, passed.done, passed.work.day
        attempts, rewards, is_taken = work.attempts, done.rewards_ustep, done.levels > 0
        np.add.at(self._levels, np.maximum(done.levels, 0), rewards)
        of_day = self._by_city[day]
        for column, amounts in enumerate((rewards, is_taken, done.levels == EXHAUSTED)):
            np.add.at(of_day[:, column], attempts.city, amounts)
        of_day[:, 3] = np.bincount(attempts.city, minlength=len(of_day))
        np.add.at(self._earned, attempts.account, rewards)
        if day >= self._start.scenario.days * 3 // 4:
            np.add.at(self._late, attempts.account, rewards)
        self._stake_day[(self._stake_day < 0) & (self._earned >= self._stake_ustep)] = day + 1
        self._sent_ustep[day] = sum(one.amount_ustep for one in done.applied if isinstance(one, Payment))
        if day + 1 in self._kept:
            self._rows.append(self._row(passed))
        self._last = passed

    def _row(self, passed: DayPassed) -> list[float]:
        day, head, people = passed.work.day, passed.ledger.head, passed.people
        chain = head.chain
        balances = passed.ledger.balances_ustep()
        held = balances + self._own_stakes(passed)
        of_people = held[(people.group != NOBODYS) & (people.first_day <= day)]
        paid, taken, nothing, tried = (int(column) for column in self._by_city[day].sum(axis=0))
        week = self._sent_ustep[max(0, day + 1 - WEEK_DAYS) : day + 1]
        circulating = max(1, chain.balances_ustep)
        members = [record for record in head.validators if record.is_in_set]
        by_whom = Counter(self._who_controls(record, people) for record in members)
        is_invented = self._is_farmer[people.group[passed.work.attempts.account]]
        invented_paid = int(passed.done.rewards_ustep[is_invented].sum())
        invented_taken = int(np.count_nonzero(passed.done.levels[is_invented] > 0))
        return [
            (chain.minted_ustep - chain.burnt_ustep) / USTEP_PER_STEP,
            (chain.minted_ustep - self._start.head.chain.minted_ustep) / USTEP_PER_STEP,
            chain.burnt_ustep / USTEP_PER_STEP,
            paid / USTEP_PER_STEP,
            _ratio(paid, taken),
            _ratio(paid - invented_paid, taken - invented_taken),
            _ratio(invented_paid, paid),
            taken,
            _ratio(tried - taken - nothing, tried),
            _ratio(nothing, tried),
            float(week.mean()) * 365 / circulating,
            (gini_ppm(of_people) or 0) / MILLION,
            (top_share_ppm(of_people) or 0) / MILLION,
            int(np.count_nonzero(balances)),
            len(members),
            chain.stakes_ustep / USTEP_PER_STEP,
            nakamoto_coefficient(by_whom.values()) or 0,
        ]

    def _who_controls(self, record: ValidatorRecord, people: People) -> bytes:
        """The same for validators that are one's: those that collude, those of accounts that one has invented."""
        if record.address in self._start.conduct.colluding:
            return b"colluding"
        group = int(people.group[self._start.number_of[record.owner]])
        return b"farmers %d" % group if self._is_farmer[group] else record.owner

    def _own_stakes(self, passed: DayPassed) -> Integers:
        stakes = np.zeros(passed.people.count, dtype=np.int64)
        for record in passed.ledger.head.validators:
            stakes[self._start.number_of[record.owner]] += record.stake_ustep
        return stakes

    def result(self) -> RunResult:
        """Of all days, which must have passed."""
        if self._last is None:
            raise ValueError("no day has passed")
        genesis = self._start.scenario.validators.count
        records = self._last.ledger.head.validators
        left = {record.address: record.stake_ustep for record in records}
        in_set = [one.stake_ustep for one in records if one.is_in_set or one.state is ValidatorState.WAITING]
        return RunResult(
            seed=self._seed,
            days=np.array(self._rows),
            emission_by_level=self._levels,
            emission_by_city=self._by_city[:, :, 0].sum(axis=0),
            pay_halved_day=np.array([self._pay_halved(city) for city in range(self._by_city.shape[1])]),
            exhausted_day=np.array([self._exhausted(city) for city in range(self._by_city.shape[1])]),
            city_proofs=self._by_city[:, :, 1].sum(axis=0),
            stakes=np.sort(np.array(in_set, dtype=np.int64))[::-1],
            earned=self._earned,
            stake_day=self._stake_day,
            last_quarter=self._late,
            validator_balances=self._last.ledger.balances_ustep()[:genesis],
            validator_stakes=np.array([left.get(validator_address(one), 0) for one in range(genesis)]),
        )

    def _pay_halved(self, city: int) -> float:
        weeks = len(self._by_city) // WEEK_DAYS
        sums = self._by_city[: weeks * WEEK_DAYS, city, :2].reshape(weeks, WEEK_DAYS, 2).sum(axis=1)
        pays = sums[:, 0] / np.maximum(1, sums[:, 1])
        falls = np.flatnonzero((sums[:, 1] > 0) & (pays < HALF * pays[:1].max(initial=0.0)))
        return float(falls[0] * WEEK_DAYS + 1) if len(falls) else float("nan")

    def _exhausted(self, city: int) -> float:
        nothing, tried = self._by_city[:, city, 2], self._by_city[:, city, 3]
        days = np.flatnonzero((tried > 0) & (nothing >= HALF * tried))
        return float(days[0] + 1) if len(days) else float("nan")


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
