"""What is watched of the economy as a whole: how quickly is minted, how few hold how much, whose stake answers for
nobody. Pure, integers alone; times are those of batches.

**Minting rate.** The supply is looked at when an hour of batch time ends. The *baseline* is a moving mean of what was
minted in an hour: with each hour that ends it moves by a `BASELINE_HOURS`th of the way to what that hour minted (an
hour without a batch has minted nothing). The present hour's figure is told as it grows, so that a surge is seen before
its hour is over. It is compared once `BASELINE_HOURS` hours have been seen, and never with less than a floor: a network
that has just begun grows by more than any factor.

**Concentration.** What an account holds is its balance and the stakes of the validators that it owns. What the
`LARGEST` largest hold is told as a share of all that was minted and not burnt. Whoever is among them is among the
largest balances, or owns a validator: so neither list has to be long.

**Orphaned stake** is staked, and answers for nothing any more:

- of a validator that has left, or was jailed, whose lock is over: no evidence can cost it anything that it would not
  rather withdraw, and its owner has not come for it;
- of one whose owner is the zero address, to which nobody has the key: it can never be withdrawn;
- where a record should have none: under a replaced key, whose stake went to the key that came after; or waiting for a
  height that is past. Neither can come about by the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from step_node.amounts import bounded
from step_node.ledger.records import ChainRecord, ValidatorRecord, ValidatorState

HOUR_MS: Final = 3_600_000
BASELINE_HOURS: Final = 24

HOURS_AWAY_MAX: Final = 24 * BASELINE_HOURS
"""After so many hours without a batch nothing is left of the baseline, and they need not be counted one by one."""

LARGEST: Final = 10

NOBODY: Final = bytes(20)
"""The zero address."""


@dataclass(frozen=True, slots=True)
class Minting:
    """Where the minting rate stands. `hour` counts hours of batch time since 1970; `hours` were seen whole."""

    hour: int
    minted_before_ustep: int
    """The supply when the hour began."""
    baseline_ustep: int = 0
    """An hour."""
    hours: int = 0

    @classmethod
    def begin(cls, chain: ChainRecord) -> Minting:
        """Nothing is known of the time before this head."""
        return cls(chain.timestamp_ms // HOUR_MS, chain.minted_ustep)

    def after(self, before: ChainRecord, after: ChainRecord) -> Minting:
        """Where it stands once a batch has led from one head to the next."""
        ended = after.timestamp_ms // HOUR_MS - self.hour
        if ended <= 0:
            return self
        moved = self._with(before.minted_ustep - self.minted_before_ustep)
        for _ in range(min(ended - 1, HOURS_AWAY_MAX)):
            moved = moved._with(0)
        return replace(moved, hour=self.hour + ended, minted_before_ustep=before.minted_ustep)

    def _with(self, hour_ustep: int) -> Minting:
        """Once an hour has ended that has minted so much. Of the first hours each counts alike: a baseline that grew
        out of nothing would be too low for days."""
        hours = min(self.hours + 1, BASELINE_HOURS)
        moved_ustep = self.baseline_ustep + (hour_ustep - self.baseline_ustep) // hours
        return replace(self, baseline_ustep=moved_ustep, hours=hours)

    def bounded(self) -> Minting:
        """As it is kept over a restart."""
        return replace(
            self,
            hour=bounded(self.hour),
            minted_before_ustep=bounded(self.minted_before_ustep),
            baseline_ustep=bounded(self.baseline_ustep),
        )

    def present_ustep(self, chain: ChainRecord) -> int:
        """What this hour has minted so far."""
        return chain.minted_ustep - self.minted_before_ustep

    def bound_ustep(self, factor: int, floor_ustep: int) -> int | None:
        """What an hour may mint at most; None while too little is known of what is usual."""
        if self.hours < BASELINE_HOURS:
            return None
        return factor * max(self.baseline_ustep, floor_ustep)


def held_ustep(balances_ustep: Mapping[bytes, int], validators: Iterable[ValidatorRecord]) -> dict[bytes, int]:
    """What accounts hold, by address: these balances, and what they have staked."""
    held = dict(balances_ustep)
    for record in validators:
        held[record.owner] = held.get(record.owner, 0) + record.stake_ustep
    return held


def concentration_bps(held: Mapping[bytes, int], chain: ChainRecord) -> int:
    """What the `LARGEST` largest holders have of all that there is, in basis points."""
    there_is_ustep = chain.minted_ustep - chain.burnt_ustep
    largest_ustep = sum(sorted(held.values(), reverse=True)[:LARGEST])
    return largest_ustep * 10_000 // there_is_ustep if there_is_ustep > 0 else 0


@dataclass(frozen=True, slots=True)
class Orphaned:
    """Stakes that answer for nothing. `is_impossible`: some are where the rules put none."""

    stake_ustep: int
    validators: tuple[bytes, ...]
    is_impossible: bool = False

    def share_bps(self, chain: ChainRecord) -> int:
        """Of all stakes, in basis points."""
        return self.stake_ustep * 10_000 // chain.stakes_ustep if chain.stakes_ustep > 0 else 0


def orphaned_stake(validators: Iterable[ValidatorRecord], chain: ChainRecord) -> Orphaned:
    """By the module's definition."""
    found: list[ValidatorRecord] = []
    is_impossible = False
    for record in validators:
        if record.stake_ustep <= 0:
            continue
        match record.state:
            case ValidatorState.UNBONDING | ValidatorState.JAILED:
                is_orphaned = record.locked_until_ms <= chain.timestamp_ms
            case ValidatorState.ROTATED:
                is_orphaned = is_impossible = True
            case ValidatorState.WAITING if record.active_from_height <= chain.height:
                is_orphaned = is_impossible = True
            case _:
                is_orphaned = False
        if is_orphaned or record.owner == NOBODY:
            found.append(record)
    return Orphaned(
        sum(record.stake_ustep for record in found), tuple(record.address for record in found), is_impossible
    )
