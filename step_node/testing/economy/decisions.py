"""What people do with what they have: pay one another, stake, leave, give up. Decided each morning, from the ledger."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from step_node.ledger.records import ValidatorRecord, ValidatorState
from step_node.ledger.state import StateHead
from step_node.parameters import USTEP_PER_STEP
from step_node.testing.economy.identities import validator_address
from step_node.testing.economy.movement import Integers
from step_node.testing.economy.population import NOBODYS, Attempts, People
from step_node.testing.economy.scenario import Farmers, Scenario
from step_node.testing.economy.work import Action, DayDone, Leave, Payment, Stake, TakeBack

WEEK_DAYS = 7
GOES_ON_TRIES = 7
"""Whoever has tried less often in a week does not give up for what he was paid."""


class Decisions:
    """Of all people of a run. The same seed and the same ledgers give the same decisions."""

    def __init__(self, scenario: Scenario, people: People, random: np.random.Generator) -> None:
        self._scenario, self._people, self._random = scenario, people, random
        self._gone = people.last_day.copy()
        """The day on which one is gone: earlier than planned for those who give up."""
        self._tries = np.zeros(people.count, dtype=np.int64)
        self._paid_ustep = np.zeros(people.count, dtype=np.int64)
        of_group = [group.gives_up_below_ustep for group in scenario.groups]
        self._wanted_ustep = np.array([*of_group, 0])[people.group]
        self._pays = np.array([*(group.payments_per_week / WEEK_DAYS for group in scenario.groups), 0.0])[people.group]
        self._share = np.array([*(group.payment_share for group in scenario.groups), 0.0])[people.group]
        self._stakes = np.array([*(group.stakes for group in scenario.groups), False])[people.group]
        self._staked: dict[int, None] = {}
        """Accounts with a validator, in the order in which they registered."""

    def is_there(self, day: int) -> npt.NDArray[np.bool_]:
        """Which accounts make the proofs of that day."""
        there: npt.NDArray[np.bool_] = (self._people.first_day <= day) & (day < self._gone)
        return there

    def of_day(self, day: int, balances_ustep: Integers, head: StateHead) -> tuple[Action, ...]:
        """The day's actions, in order: stakes taken back and put up first, then payments."""
        there = self.is_there(day) & (self._people.group != NOBODYS)
        now_ms = head.chain.timestamp_ms
        actions = [
            *self._stakes_moved(day, head.validators, now_ms),
            *self._new_stakes(there, balances_ustep, head),
            *self._payments(there, balances_ustep),
            *self._collections(day, balances_ustep),
        ]
        return tuple(actions)

    def note(self, day: int, attempts: Attempts, done: DayDone) -> None:
        """What the day has brought."""
        for action in done.applied:
            if isinstance(action, Stake):
                self._staked[action.owner] = None
            elif isinstance(action, TakeBack):
                del self._staked[action.owner]
        np.add.at(self._tries, attempts.account, 1)
        np.add.at(self._paid_ustep, attempts.account, done.rewards_ustep)
        if day % WEEK_DAYS == WEEK_DAYS - 1:
            is_poor = self._paid_ustep < self._wanted_ustep * self._tries
            gives_up = is_poor & (self._tries >= GOES_ON_TRIES)
            self._gone[gives_up] = np.minimum(self._gone[gives_up], day + 1)
            self._tries[:], self._paid_ustep[:] = 0, 0

    def _stakes_moved(self, day: int, records: tuple[ValidatorRecord, ...], now_ms: int) -> Iterator[Action]:
        by_address = {record.address: record for record in records}
        for owner in self._staked:
            record = by_address.get(validator_address(owner))
            if record is None or (self._gone[owner] > day and record.state is not ValidatorState.JAILED):
                continue
            if record.state in (ValidatorState.ACTIVE, ValidatorState.WAITING):
                yield Leave(owner)
            elif record.locked_until_ms <= now_ms and record.state in (ValidatorState.UNBONDING, ValidatorState.JAILED):
                yield TakeBack(owner)

    def _new_stakes(self, there: npt.NDArray[np.bool_], balances_ustep: Integers, head: StateHead) -> Iterator[Action]:
        wants = there & self._stakes & (balances_ustep >= head.parameters.min_stake * USTEP_PER_STEP)
        for owner in np.flatnonzero(wants).tolist():
            if owner not in self._staked:
                yield Stake(owner, int(balances_ustep[owner]))

    def _payments(self, there: npt.NDArray[np.bool_], balances_ustep: Integers) -> Iterator[Action]:
        if not self._pays.any():
            return
        pays = there & (self._random.random(len(there)) < self._pays)
        payers, present = np.flatnonzero(pays), np.flatnonzero(there)
        to = present[self._random.integers(0, max(1, len(present)), len(payers))] if len(present) else payers
        amounts = np.floor(balances_ustep[payers] * self._share[payers]).astype(np.int64)
        for owner, other, amount in zip(payers.tolist(), to.tolist(), amounts.tolist(), strict=True):
            if amount > 0 and other != owner:
                yield Payment(owner, other, amount)

    def _collections(self, day: int, balances_ustep: Integers) -> Iterator[Action]:
        for number, group in enumerate(self._scenario.groups):
            if not isinstance(group, Farmers) or not group.collect_every_days or (day + 1) % group.collect_every_days:
                continue
            collector, *others = np.flatnonzero(self._people.group == number).tolist()
            for owner in others:
                if balances_ustep[owner] > 0:
                    yield Payment(owner, collector, int(balances_ustep[owner]))
