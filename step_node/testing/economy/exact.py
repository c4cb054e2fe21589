"""The shipped ledger over a state in memory: every batch as a proposer builds it, every sum checked after it.

Only signatures are not made, since the ledger does not look at them, and proofs are tried as a wallet does: in the
largest triangle that is not used up, and where somebody was quicker, in the next smaller one.
"""

from __future__ import annotations

import hashlib
import heapq
from dataclasses import replace
from typing import Generic, TypeVar

import numpy as np

from mesh import LEVEL_MAX, TriangleId
from mesh.triangle_id import FACE_SHIFT, LEVEL_BITS, PATH_MASK
from step_node.ledger.apply import begin_execution, nonce_expiry
from step_node.ledger.execution import ConservationBroken, LedgerExecution, check_conservation
from step_node.ledger.offences import Slashing
from step_node.ledger.records import Account, LastProof, NonceRecord, Triangle, TriangleState, nonce_age
from step_node.ledger.state import Changes, Receipt, StateHead, StateSlice
from step_node.ledger.state_gates import check_movement
from step_node.proofs.proof import RefusalCode, SignedProof
from step_node.testing.economy.movement import Integers
from step_node.testing.economy.work import (
    EXHAUSTED,
    NOT_SIGNED,
    REFUSED,
    Action,
    DayDone,
    DayWork,
    LedgerState,
    SimulatedLedger,
    Start,
)

ACCURACY_M = 5.0

KeyT = TypeVar("KeyT")
RecordT = TypeVar("RecordT")


class _Records(dict[KeyT, RecordT | None], Generic[KeyT, RecordT]):
    """All records of a kind. What is not there is known not to be there: all of the state is loaded."""

    def __missing__(self, key: KeyT) -> RecordT | None:
        return None


class ExactLedger(SimulatedLedger):
    """See the module's docstring."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._head = start.head
        self._accounts: _Records[bytes, Account] = _Records()
        self._triangles: _Records[int, Triangle] = _Records()
        self._nonces: _Records[tuple[bytes, str], NonceRecord] = _Records()
        self._proofs = 0

    @property
    def head(self) -> StateHead:
        return self._head

    def balances_ustep(self) -> Integers:
        records = (self._accounts[address] for address in self._start.addresses)
        return np.array([0 if one is None else one.balance_ustep for one in records], dtype=np.int64)

    def apply_day(self, work: DayWork) -> DayDone:
        attempts, per_day = work.attempts, self._start.scenario.batches_per_day
        levels = np.full(len(attempts.account), REFUSED, dtype=np.int8)
        rewards = np.zeros(len(attempts.account), dtype=np.int64)
        applied: tuple[Action, ...] = ()
        slashings: list[Slashing] = []
        first = work.day * per_day
        bounds = np.searchsorted(attempts.batch, np.arange(first, first + per_day + 1))
        for number in range(per_day):
            batch = _Batch(self, work, first + number, actions=work.actions if number == 0 else ())
            batch.try_all(range(int(bounds[number]), int(bounds[number + 1])))
            for index, level, reward_ustep in batch.outcomes:
                levels[index], rewards[index] = level, reward_ustep
            if batch.is_empty:
                continue
            self._take(batch.close())
            applied += batch.applied
            slashings += batch.slashings
        return DayDone(levels, rewards, applied, tuple(slashings))

    def state(self) -> LedgerState:
        return LedgerState(
            replace(self._head.chain, batch_hash=b""),
            self._head.validators,
            {
                key: (one.balance_ustep, one.proofs, one.last_proof, one.operations)
                for key, one in self._accounts.items()
                if one is not None
            },
            {key: (one.clicks, one.state) for key, one in self._triangles.items() if one is not None},
        )

    def slice(self, timestamp_ms: int) -> StateSlice:
        """All of the state, and the nonces that leave it."""
        expiry = nonce_expiry(timestamp_ms, self._head.parameters)
        older = (one for one in self._nonces.values() if one is not None and one.timestamp_ms < expiry.before_ms)
        leaving = tuple(heapq.nsmallest(expiry.nonces_max, older, key=nonce_age))
        return StateSlice(self._head, self._accounts, self._triangles, self._nonces, leaving)

    def proof(self, work: DayWork, index: int, level: int) -> SignedProof:
        """Attempt `index` as a proof in the triangle of that level."""
        attempts = work.attempts
        lowest = int(attempts.triangle[index])
        path = (lowest >> LEVEL_BITS & PATH_MASK) >> 2 * (LEVEL_MAX - level)
        self._proofs += 1
        return SignedProof(
            account=self._start.addresses[attempts.account[index]],
            triangle=TriangleId(lowest >> FACE_SHIFT, level, path),
            lat=float(attempts.lat[index]),
            lon=float(attempts.lon[index]),
            accuracy_m=ACCURACY_M,
            timestamp_ms=int(attempts.timestamp_ms[index]),
            nonce=str(self._proofs),
            signature=NOT_SIGNED,
            proof_id=self._proofs.to_bytes(32, "big"),
        )

    def first_level(self, work: DayWork, index: int) -> int:
        """The largest triangle there that was not used up when the batch began."""
        lowest = int(work.attempts.triangle[index])
        for level in range(1, LEVEL_MAX):
            below = LEVEL_BITS + 2 * (LEVEL_MAX - level)
            record = self._triangles[lowest >> below << below | level]
            if record is None or record.state is TriangleState.ACTIVE:
                return level
        return LEVEL_MAX

    def account(self, address: bytes) -> Account | None:
        """As it was before the batch."""
        return self._accounts[address]

    def _take(self, changes: Changes) -> None:
        for nonce in changes.nonces_removed:
            del self._nonces[nonce.account, nonce.nonce]
        self._nonces.update(((one.account, one.nonce), one) for one in changes.nonces_added)
        self._accounts.update((one.address, one) for one in changes.accounts)
        self._triangles.update((one.id, one) for one in changes.triangles)
        self._head = changes.head
        self._check_sums()

    def _check_sums(self) -> None:
        """The ledger has checked that its sums agree; here they are added up from the records."""
        chain = self._head.chain
        check_conservation(chain)
        balances_ustep = sum(one.balance_ustep for one in self._accounts.values() if one is not None)
        stakes_ustep = sum(one.stake_ustep for one in self._head.validators)
        if (balances_ustep, stakes_ustep) != (chain.balances_ustep, chain.stakes_ustep):
            raise ConservationBroken(
                f"height {chain.height}: accounts hold {balances_ustep} µSTEP and validators {stakes_ustep}, but the"
                f" head says {chain.balances_ustep} and {chain.stakes_ustep}"
            )


class _Batch:
    """One batch in the making."""

    def __init__(self, ledger: ExactLedger, work: DayWork, number: int, *, actions: tuple[Action, ...]) -> None:
        start, head = ledger._start, ledger.head  # the ledger's own half
        self._ledger, self._work = ledger, work
        self._height = head.chain.height + 1
        timestamp_ms = start.batch_time_ms(number)
        frame = start.conduct.frame(head.validators, self._height, work.day)
        self._timestamp_ms, self._proposer = timestamp_ms, frame.proposer
        self._execution = begin_execution(ledger.slice(timestamp_ms), timestamp_ms=timestamp_ms, signers=frame.signers)
        self._moved: dict[bytes, Account] = {}
        self._done: dict[int, int] = {}
        self.outcomes: list[tuple[int, int, int]] = []
        """(index of the attempt, level or why not, reward)."""
        self.taken: list[SignedProof] = []
        is_first = number % start.scenario.batches_per_day == 0
        offences = start.offences(work.day, head) if is_first else ()
        self._proven = sum(isinstance(self._execution.try_offence(one), Slashing) for one in offences)
        self.applied = tuple(action for action in actions if self._act(start, action))

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing for which a batch would be made."""
        return not (self.taken or self._proven or self.applied)

    @property
    def slashings(self) -> tuple[Slashing, ...]:
        """Who was slashed in it."""
        return self._execution.slashings

    def _act(self, start: Start, action: Action) -> bool:
        account = self._ledger.account(start.addresses[action.owner])
        done = self._done.get(action.owner, 0)
        sequence = (0 if account is None else account.operations) + done
        if self._execution.try_operation(start.operation(action, sequence)) is not None:
            return False
        self._done[action.owner] = done + 1
        return True

    def try_all(self, indices: range) -> None:
        """Have these attempts, one after the other."""
        for index in indices:
            self._try(index)

    def _try(self, index: int) -> None:
        for level in range(self._ledger.first_level(self._work, index), LEVEL_MAX + 1):
            proof = self._ledger.proof(self._work, index, level)
            outcome = self._execution.try_proof(proof, len(self.taken))
            if isinstance(outcome, Receipt):
                self.taken.append(proof)
                place = LastProof(proof.timestamp_ms, proof.lat, proof.lon)
                self._moved[proof.account] = Account(proof.account, last_proof=place)
                self.outcomes.append((index, level, outcome.reward_ustep))
                return
            if outcome.code is not RefusalCode.TRIANGLE_EXHAUSTED:
                self.outcomes.append((index, REFUSED, 0))
                return
        # Nothing is left there; whether it would have been refused anyway is asked of the gate behind that one.
        before = self._moved.get(proof.account) or self._ledger.account(proof.account)
        moved_wrongly = check_movement(proof, before, self._ledger.head.parameters) is not None
        self.outcomes.append((index, REFUSED if moved_wrongly else EXHAUSTED, 0))

    def close(self) -> Changes:
        """The changes that the batch makes."""
        execution: LedgerExecution = self._execution
        return execution.close(batch_hash=hashlib.sha256(b"%d" % self._height).digest(), proposer=self._proposer)
