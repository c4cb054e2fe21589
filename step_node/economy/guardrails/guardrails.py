"""Where all guardrails stand: told of each final batch, and of what is looked up now and then.

A breach of the ledger's stays until somebody has said that he has seen it, over restarts too (`Kept`): what was minted
too much stays minted. A drift is over when its figure is within its bound again. A batch of rules that this release has
not written down, and one that does not follow what was seen last, is not checked; then `checked_height` stays behind,
and so a guardrail that has stopped looking is not taken for one that has nothing to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from step_node.amounts import bounded, told
from step_node.chain.judging import JudgedBatch
from step_node.economy.guardrails.band import Band, Origin, ProofsPaid, supply_band
from step_node.economy.guardrails.checking import check_batch
from step_node.economy.guardrails.drifts import (
    Minting,
    Orphaned,
    concentration_bps,
    held_ustep,
    orphaned_stake,
)
from step_node.economy.guardrails.guardrail import OF_THE_LEDGER, Breach, Guardrail
from step_node.economy.guardrails.schedule import EARNINGS, supply_ustep_max
from step_node.ledger.level_counts import CountsByLevel
from step_node.ledger.state import StateHead
from step_node.parameters import USTEP_PER_STEP

MESSAGE_CHARACTERS_MAX: Final = 500
"""Of what is wrong: a faulty ledger may have made up a number of any length. What is longer is cut off."""


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on a drift is a breach, and what the intake then takes."""

    minting_factor: int = 4
    minting_floor_ustep: int = 100 * USTEP_PER_STEP
    concentration_bps_max: int = 5_000
    concentration_accounts_min: int = 100
    """With fewer accounts nothing is said: of a chain that begins a few hold all."""
    orphaned_bps_max: int = 1_000


@dataclass(frozen=True, slots=True)
class Broken:
    """A guardrail is broken, since the batch of `breach`, of time `since_ms`."""

    breach: Breach
    since_ms: int


@dataclass(frozen=True, slots=True)
class Reading:
    """A guardrail, as it stands: `figure` is to be at most `bound`, or, of the ledger's, within its range or equal to
    it; None where there is none. `unit` is that of both."""

    guardrail: Guardrail
    figure: int | None
    bound: int | None
    unit: str
    broken: Broken | None


@dataclass(frozen=True, slots=True)
class Kept:
    """What a restart must not forget."""

    broken: Mapping[Guardrail, Broken]
    minting: Minting
    outside_ustep: tuple[int, int] = (0, 0)
    """By how much the supply was below, or above, its band when an operator had seen that, and is allowed to stay."""


class Guardrails:
    """See the module's docstring. Nothing here waits, reads a file or asks the clock."""

    def __init__(
        self,
        origin: Origin,
        head: StateHead,
        counts: CountsByLevel,
        *,
        limits: Limits | None = None,
        kept: Kept | None = None,
    ) -> None:
        """`head` and `counts` are the store's, at one height."""
        self._origin = origin
        self.limits = limits or Limits()
        self._broken = dict(kept.broken) if kept is not None else {}
        self._outside_ustep = kept.outside_ustep if kept is not None else (0, 0)
        self._minting = kept.minting if kept is not None else Minting.begin(head.chain)
        self._concentration_bps: int | None = None
        self._accounts = 0
        self.begin_at(head, counts)

    def begin_at(self, head: StateHead, counts: CountsByLevel) -> None:
        """Go on from another head, without the batches before it; `counts` are the store's, at that height. What is
        broken stays so, and what was usual too."""
        self._head = head
        self._proofs = ProofsPaid(counts, first_version=self._origin.protocol_version)
        self._last_paid_ustep: int | None = None
        if self._minting.minted_before_ustep > head.chain.minted_ustep:
            self._minting = Minting.begin(head.chain)  # What was kept is of another history.
        self._orphaned = orphaned_stake(head.validators, head.chain)
        self.height = self.checked_height = head.chain.height
        """That of the last batch that it was told of; and of the last that was checked, or that was there before."""
        self._batch_time_ms = head.chain.timestamp_ms
        self._supply_max = supply_ustep_max(self._origin.supply_ustep, head.parameters.validator_reward_bps)

    @property
    def head(self) -> StateHead:
        """As of the last batch that it was told of."""
        return self._head

    @property
    def kept(self) -> Kept:
        """What to keep over a restart."""
        ledgers = {guardrail: broken for guardrail, broken in self._broken.items() if guardrail in OF_THE_LEDGER}
        below, above = self._outside_ustep
        return Kept(ledgers, self._minting.bounded(), (bounded(below), bounded(above)))

    @property
    def hour(self) -> int:
        """The hour of batch time that it is in: with each, there is more of what was usual to keep."""
        return self._minting.hour

    @property
    def broken(self) -> Mapping[Guardrail, Broken]:
        """What is wrong now."""
        return self._broken

    @property
    def supply_band(self) -> Band:
        """Between which amounts the supply must be, by the clicks that there are, and what was allowed beyond."""
        band, (below, above) = self._band(), self._outside_ustep
        return Band(band.least_ustep - below, band.most_ustep + above)

    def _band(self) -> Band:
        head = self._head
        return supply_band(
            self._origin,
            self._proofs.band(head.protocol.version),
            batches=self.height,
            last_paid_ustep=head.chain.paid_ustep if self._last_paid_ustep is None else self._last_paid_ustep,
            reward_bps=head.parameters.validator_reward_bps,
        )

    def after_batch(self, judged: JudgedBatch) -> tuple[Breach, ...]:
        """Go over a batch that is final; what is newly broken."""
        before, after = self._head, judged.transition.changes.head
        self._head = after
        header = judged.batch.header
        follows = header.height == self.height + 1
        # The header's: the ledger may have made up its own.
        self.height, self._batch_time_ms = header.height, header.timestamp_ms
        if not follows or header.protocol_version not in EARNINGS:
            self._last_paid_ustep = None
            return ()
        checked = check_batch(before, judged, last_paid_ustep=self._last_paid_ustep)
        self._last_paid_ustep = checked.paid_ustep
        self._proofs.count(judged.transition.receipts)
        self.checked_height = header.height
        found = dict(checked.breaches)
        outside = self._outside_band()
        if outside is not None:
            found.setdefault(Guardrail.SUPPLY, outside)
        self._minting = self._minting.after(before.chain, after.chain)
        new = [self._note(breach) for breach in found.values()]
        new.append(self._drifts(Guardrail.MINTING_RATE, self._minting_breach()))
        return tuple(breach for breach in new if breach is not None)

    def look(self, balances_ustep: Mapping[bytes, int]) -> tuple[Breach, ...]:
        """Take in what was looked up: the largest balances, `limits.concentration_accounts_min` of them, `LARGEST` at
        least, or all if there are fewer; and those of all who own validators. What is newly broken."""
        chain, validators = self._head.chain, self._head.validators
        self._concentration_bps = concentration_bps(held_ustep(balances_ustep, validators), chain)
        self._accounts = len(balances_ustep)
        self._orphaned = orphaned_stake(validators, chain)
        new = (
            self._drifts(Guardrail.CONCENTRATION, self._concentration_breach()),
            self._drifts(Guardrail.ORPHANED_STAKE, self._orphaned_breach(self._orphaned)),
        )
        return tuple(breach for breach in new if breach is not None)

    def acknowledge(self, guardrail: Guardrail) -> Broken | None:
        """An operator has seen the breach; what it was. It comes back with the next batch that breaks it.

        What is in the supply that should not be stays in it: by so much it may be outside its band from here on.
        """
        if guardrail is Guardrail.SUPPLY:
            minted, band, (below, above) = self._head.chain.minted_ustep, self._band(), self._outside_ustep
            self._outside_ustep = max(below, band.least_ustep - minted), max(above, minted - band.most_ustep)
        return self._broken.pop(guardrail, None)

    def readings(self) -> tuple[Reading, ...]:
        """All guardrails, as they stand."""
        chain, limits = self._head.chain, self.limits
        figures: dict[Guardrail, tuple[int | None, int | None, str]] = {
            Guardrail.SUPPLY: (chain.minted_ustep, min(self._supply_max, self.supply_band.most_ustep), "µSTEP"),
            Guardrail.CONSERVATION: (
                chain.balances_ustep + chain.stakes_ustep + chain.burnt_ustep,
                chain.minted_ustep,
                "µSTEP",
            ),
            Guardrail.MINTING_RATE: (
                self._minting.present_ustep(chain),
                self._minting.bound_ustep(limits.minting_factor, limits.minting_floor_ustep),
                "µSTEP/h",
            ),
            Guardrail.CONCENTRATION: (
                self._concentration_bps,
                limits.concentration_bps_max if self._accounts >= limits.concentration_accounts_min else None,
                "bps",
            ),
            Guardrail.ORPHANED_STAKE: (self._orphaned.share_bps(chain), limits.orphaned_bps_max, "bps"),
        }
        readings = []
        for guardrail in Guardrail:
            broken = self._broken.get(guardrail)
            of_breach = (
                (None, None, "µSTEP") if broken is None else (broken.breach.figure, broken.breach.bound, "µSTEP")
            )
            figure, bound, unit = figures.get(guardrail, of_breach)
            readings.append(Reading(guardrail, _bounded(figure), _bounded(bound), unit, broken))
        return tuple(readings)

    def _note(self, breach: Breach) -> Breach | None:
        """Keep the breach; give it if its guardrail was whole."""
        if breach.guardrail in self._broken:
            return None
        told_of = replace(
            breach,
            message=breach.message[:MESSAGE_CHARACTERS_MAX],
            figure=_bounded(breach.figure),
            bound=_bounded(breach.bound),
        )
        self._broken[breach.guardrail] = Broken(told_of, self._batch_time_ms)
        return told_of

    def _drifts(self, guardrail: Guardrail, breach: Breach | None) -> Breach | None:
        if breach is None:
            self._broken.pop(guardrail, None)
            return None
        return self._note(breach)

    def _outside_band(self) -> Breach | None:
        chain, band = self._head.chain, self.supply_band
        if chain.minted_ustep > self._supply_max:
            message = f"the supply, {told(chain.minted_ustep)} µSTEP, is more than all proofs on Earth can come to"
            return Breach(Guardrail.SUPPLY, self.height, message, chain.minted_ustep, self._supply_max)
        if band.least_ustep <= chain.minted_ustep <= band.most_ustep:
            return None
        message = (
            f"the supply is {told(chain.minted_ustep)} µSTEP; by the clicks that there are it is"
            f" {told(band.least_ustep)} to {told(band.most_ustep)}"
        )
        bound = band.most_ustep if chain.minted_ustep > band.most_ustep else band.least_ustep
        return Breach(Guardrail.SUPPLY, self.height, message, chain.minted_ustep, bound)

    def _minting_breach(self) -> Breach | None:
        chain, limits = self._head.chain, self.limits
        bound = self._minting.bound_ustep(limits.minting_factor, limits.minting_floor_ustep)
        present = self._minting.present_ustep(chain)
        if bound is None or present <= bound:
            return None
        message = (
            f"this hour has minted {told(present)} µSTEP so far; usual are {told(self._minting.baseline_ustep)} in an"
            f" hour, and {told(bound)} are too many"
        )
        return Breach(Guardrail.MINTING_RATE, self.height, message, present, bound)

    def _concentration_breach(self) -> Breach | None:
        share, limits = self._concentration_bps, self.limits
        if share is None or self._accounts < limits.concentration_accounts_min or share <= limits.concentration_bps_max:
            return None
        message = f"the ten largest holders have {bounded(share) / 100:.2f} % of all that there is"
        return Breach(Guardrail.CONCENTRATION, self.height, message, share, limits.concentration_bps_max)

    def _orphaned_breach(self, orphaned: Orphaned) -> Breach | None:
        share = orphaned.share_bps(self._head.chain)
        if not orphaned.is_impossible and share <= self.limits.orphaned_bps_max:
            return None
        message = (
            f"{told(orphaned.stake_ustep)} µSTEP of {len(orphaned.validators)} validators, {bounded(share) / 100:.2f} %"
            " of all stakes, answer for nothing any more"
        )
        if orphaned.is_impossible:
            message += "; some are where the rules put none"
        return Breach(Guardrail.ORPHANED_STAKE, self.height, message, share, self.limits.orphaned_bps_max)


def _bounded(number: int | None) -> int | None:
    return None if number is None else bounded(number)
