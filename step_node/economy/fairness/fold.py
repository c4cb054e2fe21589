"""An epoch's batches, taken one by one, and the report that comes of them.

`add` is quick, 0.2 µs a proof and 0.8 µs a validator, and can be called on the event loop; `summed` and `report` are
for a thread. Nothing but the batches and their receipts goes in.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from mesh import FACE_COUNT, LEVEL_MAX, TriangleId
from mesh.triangle_id import FACE_SHIFT, LEVEL_MASK
from step_node.amounts import step_text
from step_node.economy.fairness.income import ACCOUNTS_MAX, ROWS_MAX, AccountSums, Integers, Payments
from step_node.economy.fairness.kept import Lacking
from step_node.economy.fairness.measures import (
    TOP_ONE_IN,
    exact_sum,
    gini_ppm,
    nakamoto_coefficient,
    share_ppm,
    top_share_ppm,
)
from step_node.economy.fairness.point import BatchStep, ChainPoint
from step_node.economy.fairness.report import (
    AccountsPart,
    Concentration,
    FairnessReport,
    LevelPart,
    RegionPart,
    TierPart,
    ValidatorPart,
    ValidatorsPart,
)
from step_node.economy.fairness.tally import ValidatorTally
from step_node.ledger.records import ValidatorRecord
from step_node.parameters import USTEP_PER_STEP
from step_node.proofs.timestamps import format_timestamp

TIERS_FROM_USTEP: Final = (0, 1, *(USTEP_PER_STEP * 10**power // 10 for power in range(6)))
"""Where the tiers begin: nothing at all, anything, and then 0.1, 1, 10, 100, 1,000 and 10,000 STEP."""


PARTS_JOINED: Final = 64
"""Batches whose payments are made one part. Four arrays of its own for a batch of a few proofs take a KB, and an epoch
has a thousand batches: in one part a payment takes 44 bytes."""


_FAULTS: Final = (ValueError, IndexError, OverflowError)
"""What computing with amounts, triangles and addresses raises that no sound ledger gives."""


class NoReport(Exception):
    """No node makes a report of this epoch, since all have the same batches. The message says why, and so does
    `lacking`, in short."""

    def __init__(self, lacking: Lacking, message: str) -> None:
        super().__init__(message)
        self.lacking = lacking


def epoch_of(height: int, epoch_batches: int) -> int:
    """The epoch that the batch at `height` is in, from 1."""
    return (height - 1) // epoch_batches + 1


def heights_of(epoch: int, epoch_batches: int) -> tuple[int, int]:
    """The first and the last height of an epoch."""
    return (epoch - 1) * epoch_batches + 1, epoch * epoch_batches


@dataclass(frozen=True, eq=False)
class Sums:
    """What was paid to whom and where, of some payments. `by_level` and `by_face` have a row (proofs, µSTEP) each."""

    accounts: AccountSums
    by_level: Integers
    by_face: Integers

    @classmethod
    def of(cls, payments: Payments) -> Sums:
        """The sums of these payments."""
        return cls(
            AccountSums.of(payments),
            _sums_by(payments.triangle & LEVEL_MASK, LEVEL_MAX + 1, payments.reward_ustep),
            _sums_by(payments.triangle >> FACE_SHIFT, FACE_COUNT, payments.reward_ustep),
        )

    def then(self, later: Sums) -> Sums:
        """The sums of what was before and of what came later."""
        by_level, by_face = self.by_level + later.by_level, self.by_face + later.by_face
        return Sums(self.accounts.then(later.accounts), by_level, by_face)


class EpochFold:
    """The epoch that begins behind `before`, which is the last batch of the epoch before, or genesis."""

    def __init__(self, before: ChainPoint, *, chain_id: str, epoch_batches: int) -> None:
        if before.height % epoch_batches:
            raise ValueError(f"height {before.height}: no epoch ends there")
        self._chain_id = chain_id
        self.epoch = before.height // epoch_batches + 1
        self.first_height, self.last_height = heights_of(self.epoch, epoch_batches)
        self.point = before
        """Where the chain stood after the last batch that was added."""
        self._begins_ms = 0
        self._ends_ms = 0
        self._tally = ValidatorTally()
        self._parts: list[Payments] = []
        """The payments, but for the latest, in parts of many batches."""
        self._latest: list[Payments] = []
        """Those of each of the last few batches."""
        self._rows = 0

    @property
    def is_complete(self) -> bool:
        """Whether the epoch's last batch is in."""
        return self.point.height == self.last_height

    @property
    def is_heavy(self) -> bool:
        """Whether there are so many payments that they should be summed (`take_payments`)."""
        return self._rows >= ROWS_MAX

    @property
    def is_full(self) -> bool:
        """Whether they must be, before more are added."""
        return self._rows >= 2 * ROWS_MAX

    def add(self, step: BatchStep) -> None:
        """Take in the next batch. Raises `NoReport`: then nothing further is to be added."""
        if step.after.height != self.point.height + 1 or self.is_complete:
            raise ValueError(f"height {step.after.height}: does not follow {self.point.height} in epoch {self.epoch}")
        self._begins_ms = self._begins_ms or step.timestamp_ms
        self._ends_ms = step.timestamp_ms
        self._tally.add(self.point, step)
        self.point = step.after
        if step.receipts:
            try:
                self._latest.append(Payments.of(step.receipts))
            except _FAULTS as error:
                raise _unsound(self.epoch, error) from error
            self._rows += len(step.receipts)
            if len(self._latest) == PARTS_JOINED:
                self._parts.append(Payments.joined(self._latest))
                self._latest = []

    def take_payments(self) -> list[Payments]:
        """The payments that were added since the last call, which are held no longer."""
        taken = [*self._parts, *self._latest]
        self._parts, self._latest, self._rows = [], [], 0
        return taken

    def summed(self, payments: list[Payments], before: Sums | None = None) -> Sums:
        """The sums of `before` and of these payments, which came after. For a thread. Raises `NoReport`."""
        try:
            sums = Sums.of(Payments.joined(payments))
            if before is not None:
                sums = before.then(sums)
        except _FAULTS as error:
            raise _unsound(self.epoch, error) from error
        if len(sums.accounts) > ACCOUNTS_MAX:
            reason = f"epoch {self.epoch}: more than {ACCOUNTS_MAX} accounts were paid in it"
            raise NoReport(Lacking.TOO_MANY_ACCOUNTS, reason)
        return sums

    def report(self, sums: Sums) -> FairnessReport:
        """The report of the complete epoch, `sums` being those of all payments in it. Raises `NoReport`."""
        if not self.is_complete:
            raise ValueError(f"epoch {self.epoch}: its last batch is not in")
        try:
            return self._report(sums)
        except _FAULTS as error:
            raise _unsound(self.epoch, error) from error

    def _report(self, sums: Sums) -> FairnessReport:
        accounts = sums.accounts
        paid_ustep = exact_sum(accounts.paid_ustep)
        is_new = accounts.before_ustep == 0
        return FairnessReport(
            chain_id=self._chain_id,
            epoch=self.epoch,
            first_height=self.first_height,
            last_height=self.last_height,
            last_batch_hash=_hex(self.point.batch_hash),
            begins=format_timestamp(self._begins_ms),
            ends=format_timestamp(self._ends_ms),
            proofs=exact_sum(accounts.proofs),
            accounts=len(accounts),
            paid=step_text(paid_ustep),
            income=_concentration(accounts.paid_ustep),
            balances=_concentration(accounts.after_ustep),
            newcomers=_accounts_part(accounts, is_new, paid_ustep),
            others=_accounts_part(accounts, ~is_new, paid_ustep),
            tiers=_tiers(accounts, paid_ustep),
            levels=[
                LevelPart(level=level, proofs=proofs, paid=step_text(ustep), share_ppm=share_ppm(ustep, paid_ustep))
                for level, (proofs, ustep) in enumerate(sums.by_level.tolist())
                if proofs
            ],
            regions=[
                RegionPart(
                    triangle_id=TriangleId(face, 1, 0).text,
                    proofs=proofs,
                    paid=step_text(ustep),
                    share_ppm=share_ppm(ustep, paid_ustep),
                )
                for face, (proofs, ustep) in enumerate(sums.by_face.tolist())
                if proofs
            ],
            validators=_validators(self._tally, self.point.validators),
        )


def _unsound(epoch: int, error: Exception) -> NoReport:
    return NoReport(Lacking.UNSOUND, f"epoch {epoch}: its receipts cannot be: {error}")


def _sums_by(place: Integers, places: int, reward_ustep: Integers) -> Integers:
    sums = np.zeros((places, 2), np.int64)
    np.add.at(sums[:, 0], place, 1)
    np.add.at(sums[:, 1], place, reward_ustep)
    return sums


def _concentration(amounts: Integers) -> Concentration:
    return Concentration(
        gini_ppm=gini_ppm(amounts),
        top_accounts=-(-len(amounts) // TOP_ONE_IN),
        top_share_ppm=top_share_ppm(amounts),
    )


def _part_of(accounts: AccountSums, chosen: np.ndarray, all_paid_ustep: int) -> dict[str, int | str | None]:
    paid_ustep = exact_sum(accounts.paid_ustep[chosen])
    return {
        "accounts": int(np.count_nonzero(chosen)),
        "proofs": exact_sum(accounts.proofs[chosen]),
        "paid": step_text(paid_ustep),
        "share_ppm": share_ppm(paid_ustep, all_paid_ustep),
    }


def _accounts_part(accounts: AccountSums, chosen: np.ndarray, all_paid_ustep: int) -> AccountsPart:
    return AccountsPart.model_validate(_part_of(accounts, chosen, all_paid_ustep))


def _tiers(accounts: AccountSums, all_paid_ustep: int) -> list[TierPart]:
    tier_of = np.searchsorted(np.array(TIERS_FROM_USTEP), accounts.before_ustep, side="right") - 1
    ends: Iterable[int | None] = (*TIERS_FROM_USTEP[1:], None)
    return [
        TierPart.model_validate(
            {
                "from_balance": step_text(first_ustep),
                "below_balance": None if below_ustep is None else step_text(below_ustep),
                **_part_of(accounts, tier_of == tier, all_paid_ustep),
            }
        )
        for tier, (first_ustep, below_ustep) in enumerate(zip(TIERS_FROM_USTEP, ends, strict=True))
    ]


def _validators(tally: ValidatorTally, records: tuple[ValidatorRecord, ...]) -> ValidatorsPart:
    members = {record.address: record for record in records if record.is_in_set}
    counts = tally.counts(records)
    stake_ustep = sum(record.stake_ustep for record in members.values())
    rewards_ustep = sum(count.rewards_ustep for count in counts.values())
    stakes: dict[bytes, int] = {}
    votes: dict[bytes, int] = {}
    for record in members.values():
        stakes[record.owner] = stakes.get(record.owner, 0) + record.stake_ustep
        votes[record.owner] = votes.get(record.owner, 0) + 1
    parts = []
    for address, count in counts.items():
        member = members.get(address)
        own_ustep = 0 if member is None else member.stake_ustep
        parts.append(
            ValidatorPart(
                validator=_hex(address),
                owner=_hex(count.owner),
                is_in_set=member is not None,
                stake=step_text(own_ustep),
                stake_share_ppm=share_ppm(own_ustep, stake_ustep),
                batches=count.batches,
                absences=count.absences,
                rewards=step_text(count.rewards_ustep),
                rewards_share_ppm=share_ppm(count.rewards_ustep, rewards_ustep),
            )
        )
    return ValidatorsPart(
        rewards=step_text(rewards_ustep),
        stake=step_text(stake_ustep),
        stake_gini_ppm=gini_ppm(np.array(list(stakes.values()), np.int64)),
        stake_nakamoto=nakamoto_coefficient(stakes.values()),
        votes_nakamoto=nakamoto_coefficient(votes.values()),
        members=parts,
    )


def _hex(data: bytes) -> str:
    return f"0x{data.hex()}"
