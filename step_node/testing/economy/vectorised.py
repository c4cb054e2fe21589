"""The ledger's rules in arrays: what the shipped code gives proof by proof, a day at a time (ADR 67).

What is done for every proof is done for a day's proofs at once: the gates of time and movement, which triangle each
clicks, what it pays. What is done for every batch (rewards of validators, their absences, offences, operations) is
seldom or cheap, and is done by the ledger's own functions.

Whether a proof is taken depends on those before it alone: on its account's last one that was taken, and on the clicks
so far. So any answer that fits itself, in which each proof is judged by what is said of the earlier ones, is the
ledger's answer; and it is found by judging all of them again until nothing changes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from mesh import EARTH_RADIUS_M, LEVEL_MAX, unit_vector, within_distance
from step_node.ledger.execution import ConservationBroken, check_conservation
from step_node.ledger.offences import Slashing
from step_node.ledger.records import ChainRecord, LastProof
from step_node.ledger.rewards import validator_rewards_ustep
from step_node.ledger.rules import rules_of
from step_node.ledger.state import StateHead
from step_node.ledger.state_gates import METRES_A_DEGREE_MAX, clicks_max
from step_node.ledger.validators import ValidatorSheet
from step_node.operations.operation import OperationRefused
from step_node.parameters import Parameters
from step_node.testing.economy.conduct import Frame
from step_node.testing.economy.movement import Floats, Integers
from step_node.testing.economy.population import Attempts
from step_node.testing.economy.touched import Filled, TouchedTriangles
from step_node.testing.economy.work import (
    EXHAUSTED,
    Action,
    DayDone,
    DayWork,
    LedgerState,
    Payment,
    SimulatedLedger,
    Start,
)

NEVER_MS: Final = -1
"""The time of the last proof of an account that has none."""
CLEAR: Final = 1e-6
"""A distance that differs from the limit by more than this share of it is judged by NumPy's sines, which are exact to
some 1e-15; what is nearer is asked of the mesh."""

Flags = npt.NDArray[np.bool_]


class VectorisedLedger(SimulatedLedger):
    """See the module's docstring. `attempts` are all that the run can try."""

    def __init__(self, start: Start, attempts: Attempts) -> None:
        self._start = start
        self._head = replace(start.head, lanes=b"")
        count = len(start.addresses)
        self._balances = np.zeros(count, dtype=np.int64)
        self._proofs = np.zeros(count, dtype=np.int64)
        self._operations = np.zeros(count, dtype=np.int64)
        self._last_ms = np.full(count, NEVER_MS, dtype=np.int64)
        self._last_lat = np.zeros(count)
        self._last_lon = np.zeros(count)
        self._triangles = TouchedTriangles(attempts.triangle, start.parameters.seeded_level)
        pay = rules_of(start.head.protocol).proof_reward_ustep
        self._pays_ustep = np.zeros((LEVEL_MAX + 1, clicks_max(LEVEL_MAX) + 1), dtype=np.int64)
        for level in range(1, LEVEL_MAX + 1):
            for click in range(1, clicks_max(level) + 1):
                self._pays_ustep[level, click] = pay(level, click)

    @property
    def head(self) -> StateHead:
        return self._head

    def balances_ustep(self) -> Integers:
        return self._balances.copy()

    def apply_day(self, work: DayWork) -> DayDone:
        attempts, per_day = work.attempts, self._start.scenario.batches_per_day
        filled, moves = self._judge(attempts)
        self._triangles.take(filled)
        levels = filled.levels.copy()
        levels[moves & (levels == 0)] = EXHAUSTED
        is_taken = levels > 0
        rewards = self._pays_ustep[filled.levels, filled.clicks]
        batch = attempts.batch - work.day * per_day
        paid_ustep, taken = np.zeros(per_day, dtype=np.int64), np.bincount(batch[is_taken], minlength=per_day)
        np.add.at(paid_ustep, batch, rewards)
        applied: tuple[Action, ...] = ()
        slashings: list[Slashing] = []
        for number in range(per_day):
            sheet = _BatchSheet(self, self._start, work, number)
            if taken[number] or sheet.is_needed:
                self._head = sheet.close(int(paid_ustep[number]))
                applied += sheet.applied
                slashings += sheet.slashings
            else:
                sheet.undo()
            if number == 0:
                # After the operations of the day, which stand before the proofs of its first batch.
                self._credit(attempts, is_taken, rewards)
        self._check_sums()
        return DayDone(levels, rewards, applied, tuple(slashings))

    def state(self) -> LedgerState:
        accounts: dict[bytes, tuple[int, int, LastProof | None, int]] = {}
        for number, address in enumerate(self._start.addresses):
            balance, proofs = int(self._balances[number]), int(self._proofs[number])
            operations, last_ms = int(self._operations[number]), int(self._last_ms[number])
            if balance or proofs or operations:
                last = LastProof(last_ms, float(self._last_lat[number]), float(self._last_lon[number]))
                accounts[address] = (balance, proofs, None if last_ms == NEVER_MS else last, operations)
        chain = replace(self._head.chain, batch_hash=b"")
        return LedgerState(chain, self._head.validators, accounts, self._triangles.records())

    def mint(self, address: bytes, amount_ustep: int) -> None:
        """Credit an account; a negative amount takes that back."""
        self._balances[self._start.number_of[address]] += amount_ustep

    def act(self, action: Action, sheet: ValidatorSheet) -> int | None:
        """Apply it; by how much all balances have changed, or None if it is refused, and then nothing has changed."""
        owner = action.owner
        before_ustep = int(self._balances[owner])
        if isinstance(action, Payment):
            if before_ustep < action.amount_ustep:
                return None
            self._balances[owner] -= action.amount_ustep
            self._balances[action.to] += action.amount_ustep
            self._operations[owner] += 1
            return 0
        operation = self._start.validator_operation(action, int(self._operations[owner]))
        try:
            after_ustep = sheet.apply_operation(operation, before_ustep)
        except OperationRefused:
            return None
        self._balances[owner] = after_ustep
        self._operations[owner] += 1
        return after_ustep - before_ustep

    def _credit(self, attempts: Attempts, is_taken: Flags, rewards: Integers) -> None:
        account = attempts.account[is_taken]
        np.add.at(self._balances, attempts.account, rewards)
        np.add.at(self._proofs, account, 1)
        # Of several of one account the last one stays.
        self._last_ms[account] = attempts.timestamp_ms[is_taken]
        self._last_lat[account] = attempts.lat[is_taken]
        self._last_lon[account] = attempts.lon[is_taken]

    def _judge(self, attempts: Attempts) -> tuple[Filled, Flags]:
        """(what each clicks, whether the gates before and after the triangle's let it pass)."""
        places = attempts.number
        gates = _MovementGates(
            attempts, self._start.parameters, self._last_ms, self._last_lat, self._last_lon, self._timely(attempts)
        )
        finds_nothing = np.zeros(len(places), dtype=np.bool_)
        while True:
            moves = gates.passed(finds_nothing)
            candidates = np.flatnonzero(moves)
            filled = self._triangles.fill(places[candidates])
            levels, clicks = np.zeros(len(places), dtype=np.int8), np.zeros(len(places), dtype=np.int8)
            levels[candidates], clicks[candidates] = filled.levels, filled.clicks
            nothing = moves & (levels == 0)
            if np.array_equal(nothing, finds_nothing):
                return Filled(levels, clicks, filled.added), moves
            finds_nothing = nothing

    def _timely(self, attempts: Attempts) -> Flags:
        parameters = self._start.parameters
        ahead_ms = attempts.timestamp_ms - (
            self._start.batch_time_ms(0) + attempts.batch * self._start.scenario.batch_ms
        )
        timely: Flags = (-parameters.proof_max_age_ms <= ahead_ms) & (ahead_ms <= parameters.clock_drift_ms)
        return timely

    def _check_sums(self) -> None:
        chain = self._head.chain
        balances_ustep = int(self._balances.sum())
        stakes_ustep = sum(record.stake_ustep for record in self._head.validators)
        if (balances_ustep, stakes_ustep) != (chain.balances_ustep, chain.stakes_ustep):
            raise ConservationBroken(
                f"height {chain.height}: accounts hold {balances_ustep} µSTEP and validators {stakes_ustep}, but the"
                f" head says {chain.balances_ustep} and {chain.stakes_ustep}"
            )


class _MovementGates:
    """Which of a day's attempts pass TOO_FAST and MORATORIUM, each judged by its account's last one that was taken."""

    def __init__(
        self,
        attempts: Attempts,
        parameters: Parameters,
        last_ms: Integers,
        last_lat: Floats,
        last_lon: Floats,
        is_timely: Flags,
    ) -> None:
        self._parameters = parameters
        # By account, and those of one account in their order.
        self._order = np.argsort(attempts.account, kind="stable")
        account = attempts.account[self._order]
        self._ms = attempts.timestamp_ms[self._order]
        self._lat, self._lon = attempts.lat[self._order], attempts.lon[self._order]
        is_first = np.ones(len(account), dtype=np.bool_)
        is_first[1:] = account[1:] != account[:-1]
        starts = np.flatnonzero(is_first)
        self._start = np.repeat(starts, np.diff(starts, append=len(account)))
        self._held_ms, self._held_lat, self._held_lon = last_ms[account], last_lat[account], last_lon[account]
        self._is_timely = is_timely[self._order]
        self._passed = self._is_timely

    def passed(self, finds_nothing: Flags) -> Flags:
        """Those that pass, where those that find nothing left are not taken."""
        barred = finds_nothing[self._order]
        passed = self._passed
        while True:
            again = self._is_timely & self._moves_well(passed & ~barred)
            if np.array_equal(again, passed):
                break
            passed = again
        self._passed = passed
        back = np.empty_like(passed)
        back[self._order] = passed
        return back

    def _moves_well(self, is_taken: Flags) -> Flags:
        index = np.arange(len(is_taken))
        last = np.maximum.accumulate(np.where(is_taken, index, -1))
        before = np.empty_like(last)
        before[:1], before[1:] = -1, last[:-1]
        is_today = before >= self._start
        elapsed_ms = self._ms - np.where(is_today, self._ms[before], self._held_ms)
        lat = np.where(is_today, self._lat[before], self._held_lat)
        lon = np.where(is_today, self._lon[before], self._held_lon)
        passes: Flags = elapsed_ms >= max(1, self._parameters.moratorium_ms)
        compared = np.flatnonzero(
            passes & (elapsed_ms <= self._parameters.speed_horizon_ms) & (is_today | (self._held_ms != NEVER_MS))
        )
        passes[compared] = self._are_near(compared, lat[compared], lon[compared], elapsed_ms[compared])
        passes |= ~is_today & (self._held_ms == NEVER_MS)
        return passes

    def _are_near(self, which: Integers, lat: Floats, lon: Floats, elapsed_ms: Integers) -> Flags:
        """Whether each of `which` is no farther from its last place than the time allows: the gate's own verdict."""
        # In integers the product of a limit and a time that genesis allows may pass 64 bits. Beyond 53 it is rounded
        # here, and is more than the Earth is round.
        metres_max = (self._parameters.speed_limit_mps * elapsed_ms.astype(np.float64)) / 1000
        degrees = np.abs(self._lat[which] - lat) + np.abs(self._lon[which] - lon)
        near: Flags = degrees * METRES_A_DEGREE_MAX <= metres_max
        farther = np.flatnonzero(~near)
        if not len(farther):
            return near
        limit = metres_max[farther]
        metres = _great_circle_m(self._lat[which[farther]], self._lon[which[farther]], lat[farther], lon[farther])
        near[farther] = metres <= limit
        for place in farther[np.abs(metres - limit) <= CLEAR * limit]:
            here = unit_vector(float(self._lat[which[place]]), float(self._lon[which[place]]))
            there = unit_vector(float(lat[place]), float(lon[place]))
            near[place] = within_distance(there, here, float(metres_max[place]))
        return near


def _great_circle_m(lat: Floats, lon: Floats, other_lat: Floats, other_lon: Floats) -> Floats:
    """By the haversine, which is sound for what is near."""
    up, along = np.radians(other_lat - lat) / 2, np.radians(other_lon - lon) / 2
    share = np.sin(up) ** 2 + np.cos(np.radians(lat)) * np.cos(np.radians(other_lat)) * np.sin(along) ** 2
    metres: Floats = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(share, 1.0)))
    return metres


class _BatchSheet:
    """One batch in the making, but for its proofs: what `LedgerExecution` does around them."""

    def __init__(self, ledger: VectorisedLedger, start: Start, work: DayWork, number: int) -> None:
        self._ledger, self._start = ledger, start
        self._head = head = ledger.head
        self._height = head.chain.height + 1
        self._timestamp_ms = start.batch_time_ms(work.day * start.scenario.batches_per_day + number)
        self._frame = frame = start.conduct.frame(head.validators, self._height, work.day)
        self._rewards = validator_rewards_ustep(
            head.chain.paid_ustep, head.parameters.validator_reward_bps, frame.signers, head.chain.proposer
        )
        owners = {record.address: record.owner for record in head.validators}
        self._minted = [(owners.get(address, address), amount) for address, amount in self._rewards.items()]
        for owner, amount_ustep in self._minted:
            ledger.mint(owner, amount_ustep)
        offences = start.offences(work.day, head) if number == 0 else ()
        actions = work.actions if number == 0 else ()
        self._sheet: ValidatorSheet | None = None
        self.applied: tuple[Action, ...] = ()
        self._moved_ustep = 0
        self._proven = 0
        if offences or actions or self._is_eventful(frame):
            self._sheet = sheet = ValidatorSheet(head, timestamp_ms=self._timestamp_ms)
            sheet.note_signers(frame.signers)
            self._proven = sum(isinstance(sheet.try_offence(one), Slashing) for one in offences)
            self.applied = tuple(action for action in actions if self._act(action, sheet))

    @property
    def is_needed(self) -> bool:
        """Whether the batch is made even without a proof."""
        return bool(self._proven or self.applied)

    @property
    def slashings(self) -> list[Slashing]:
        """Who was slashed in it."""
        return [] if self._sheet is None else self._sheet.slashings

    def _is_eventful(self, frame: Frame) -> bool:
        """Whether the batch can change a validator: else the sheet would do nothing."""
        return (
            not frame.is_complete
            or self._height % self._head.parameters.epoch_batches == 0
            or any(record.absent_batches for record in self._head.validators)
        )

    def _act(self, action: Action, sheet: ValidatorSheet) -> bool:
        moved_ustep = self._ledger.act(action, sheet)
        self._moved_ustep += moved_ustep or 0
        return moved_ustep is not None

    def undo(self) -> None:
        """The batch is not made."""
        for owner, amount_ustep in self._minted:
            self._ledger.mint(owner, -amount_ustep)

    def close(self, paid_ustep: int) -> StateHead:
        """The head after it; `paid_ustep` is what its proofs pay."""
        before, validators, burnt_ustep = self._head.chain, self._head.validators, 0
        if self._sheet is not None:
            self._sheet.end_batch()
            validators, burnt_ustep = self._sheet.records(), self._sheet.burnt_ustep
        minted_ustep = paid_ustep + sum(self._rewards.values())
        chain = ChainRecord(
            height=self._height,
            batch_hash=b"",
            timestamp_ms=self._timestamp_ms,
            proposer=self._frame.proposer,
            paid_ustep=paid_ustep,
            minted_ustep=before.minted_ustep + minted_ustep,
            balances_ustep=before.balances_ustep + minted_ustep + self._moved_ustep,
            stakes_ustep=sum(record.stake_ustep for record in validators),
            burnt_ustep=before.burnt_ustep + burnt_ustep,
            evidence_floor_height=before.evidence_floor_height,
            evidence_mark_height=before.evidence_mark_height,
            evidence_mark_ms=before.evidence_mark_ms,
        )
        if self._timestamp_ms - before.evidence_mark_ms >= self._head.parameters.unbonding_ms:
            chain = replace(
                chain,
                evidence_floor_height=before.evidence_mark_height,
                evidence_mark_height=self._height,
                evidence_mark_ms=self._timestamp_ms,
            )
        check_conservation(chain)
        return replace(self._head, chain=chain, validators=validators)
