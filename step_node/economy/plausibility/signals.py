"""The score of an account and of a region, with its reasons: never a rule, always shown. Pure, and integers alone.

Each signal says of an account how strong it is, 0 to 10,000, and has a weight: what it would be worth alone, at its
strongest. They are put together as independent reasons are: what is left of plausibility is multiplied, signal by
signal, in the order of `SIGNALS`, and rounded down each time. So no number of weak reasons makes a certainty, and
every node has the same number (ADR 64).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from mesh import TriangleId
from step_node.economy.columns import Integers, Keys, ProofColumns
from step_node.economy.plausibility import movement, newcomers, own
from step_node.economy.plausibility.grouping import BPS
from step_node.economy.plausibility.reading import Reading, Small
from step_node.economy.plausibility.rows import Rows

SIGNALS: Final[Mapping[str, int]] = {
    "identical_accuracies": 3_500,
    "machine_intervals": 4_500,
    "no_rest": 5_500,
    "impossible_travel": 8_000,
    "proves_once": 800,
    "newcomer_pace": 2_500,
    "newcomer_accuracies": 5_000,
    "newcomer_intervals": 4_500,
    "far_from_history": 3_000,
    "co_movement": 7_000,
}
"""By name, what a signal is worth at its strongest, in basis points."""

IMPLAUSIBLE_BPS: Final = 5_000
"""From this score on an account is shown as implausible. Nothing else follows from it."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One signal that is not silent: its strength, what it is worth at its strongest, and the figures behind it."""

    signal: str
    strength_bps: int
    weight_bps: int
    figures: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class AccountScore:
    """What is said of one account. Without proofs in the window there is nothing to say."""

    proofs: int
    implausibility_bps: int
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class RegionReason:
    """One signal in a region: of how many accounts it speaks, and its mean strength over all accounts there."""

    signal: str
    accounts: int
    strength_bps: int
    weight_bps: int


@dataclass(frozen=True, slots=True)
class RegionScore:
    """What is said of a triangle: of the proofs within it, whatever they claimed, and of the accounts that made them.

    `implausibility_bps` is the mean over these accounts, each counted once, rounded down.
    """

    proofs: int
    accounts: int
    implausible_accounts: int
    implausibility_bps: int
    reasons: tuple[RegionReason, ...]


@dataclass(frozen=True, eq=False)
class AccountSignals:
    """All signals of a window: by account, in the order of the keys, and where the rows were, in the places' order."""

    keys: Keys = field(repr=False)
    implausibility_bps: Integers
    proofs: Integers
    readings: Mapping[str, Reading]
    places: Integers
    account_at_place: Small

    def account(self, address: bytes) -> AccountScore:
        """What is said of an account of 20 bytes."""
        key = np.uint64(int.from_bytes(address[:8], "big"))
        index = int(np.searchsorted(self.keys, key))
        if index == len(self.keys) or self.keys[index] != key:
            return AccountScore(0, 0, ())
        reasons = []
        for name, reading in self.readings.items():
            at = int(np.searchsorted(reading.accounts, index))
            if at < len(reading.accounts) and reading.accounts[at] == index:
                figures = {figure: int(values[at]) for figure, values in reading.figures.items()}
                reasons.append(Reason(name, int(reading.strength_bps[at]), SIGNALS[name], figures))
        return AccountScore(int(self.proofs[index]), int(self.implausibility_bps[index]), tuple(reasons))

    def region(self, triangle: TriangleId) -> RegionScore:
        """What is said of a triangle. Up to a tenth of a second where all rows of a window are in it: on a thread."""
        begin = int(np.searchsorted(self.places, triangle.integer, side="left"))
        end = int(np.searchsorted(self.places, triangle.last_integer, side="right"))
        if begin == end:
            return RegionScore(0, 0, 0, 0, ())
        is_there = np.zeros(len(self.keys), dtype=np.bool_)
        is_there[self.account_at_place[begin:end]] = True
        scores = self.implausibility_bps[is_there]
        reasons = []
        for name, reading in self.readings.items():
            strength = reading.strength_bps[is_there[reading.accounts]].astype(np.int64)
            if len(strength):
                mean_bps = int(strength.sum()) // len(scores)
                reasons.append(RegionReason(name, len(strength), mean_bps, SIGNALS[name]))
        return RegionScore(
            proofs=end - begin,
            accounts=len(scores),
            implausible_accounts=int(np.count_nonzero(scores >= IMPLAUSIBLE_BPS)),
            implausibility_bps=int(scores.sum()) // len(scores),
            reasons=tuple(reasons),
        )


def account_signals(columns: ProofColumns) -> AccountSignals:
    """All signals over these rows. A million rows take about a second: on a thread.

    Nothing depends on the order of a batch's rows. Raises ValueError where there are more rows than a window holds.
    """
    rows = Rows.of(columns)
    new = newcomers.Newcomers.of(rows)
    readings = {
        "identical_accuracies": own.identical_accuracies(rows),
        "machine_intervals": own.machine_intervals(rows),
        "no_rest": own.no_rest(rows),
        "impossible_travel": own.impossible_travel(rows),
        "proves_once": own.proves_once(rows),
        "newcomer_pace": newcomers.newcomer_pace(new),
        "newcomer_accuracies": newcomers.newcomer_accuracies(new),
        "newcomer_intervals": newcomers.newcomer_intervals(new),
        "far_from_history": newcomers.far_from_history(new, rows),
        "co_movement": movement.co_movement(rows),
    }
    by_place = np.argsort(rows.place, kind="stable")
    return AccountSignals(
        keys=rows.keys,
        implausibility_bps=combined(readings, rows.accounts),
        proofs=rows.count,
        readings=readings,
        places=rows.place[by_place],
        account_at_place=rows.account[by_place].astype(np.int32),
    )


def combined(readings: Mapping[str, Reading], accounts: int) -> Integers:
    """The score of each account: 10,000 less what its reasons leave of 10,000."""
    left = np.full(accounts, BPS, dtype=np.int64)
    for name, weight in SIGNALS.items():
        reading = readings[name]
        of = reading.accounts
        left[of] = left[of] * (BPS - reading.strength_bps.astype(np.int64) * weight // BPS) // BPS
    return BPS - left
