"""Between which amounts the supply must be, by the clicks alone: whatever single batches are said to have paid.

By version 1 a level's clicks are paid `clicks` times one reward. By version 2 a triangle that was clicked c times has
paid floor(c · share), so a level less than `touched` below clicks · share. Where both have been in force, each click
was paid the share, rounded down or up. Of the validators' share each batch rounds away less than 1 µSTEP.

It is asked after every batch, and a batch touches few levels: what the others can have paid is kept. Pure; a click of a
level that there is not, which a faulty ledger may have counted, pays nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import floor
from typing import Final, Protocol

from step_node.economy.guardrails.schedule import LEVEL_BITS, LEVELS, reward_ustep, share_ustep
from step_node.ledger.state import Receipt

_PARTS: Final = 2**20
"""Of a µSTEP: in those all shares are whole numbers."""

_EXACT: Final = {level: floor(share_ustep(level) * _PARTS) for level in LEVELS}
_ROUNDED: Final = {level: reward_ustep(1, level, 1) * _PARTS for level in LEVELS}


class Clicks(Protocol):
    """Of one level: how many triangles have been clicked, and all their clicks."""

    @property
    def touched(self) -> int: ...

    @property
    def clicks(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Band:
    """What an amount is at least and at most, µSTEP."""

    least_ustep: int
    most_ustep: int


class ProofsPaid:
    """What all proofs so far can have been paid. `first_version` is that of the rules that the chain began with."""

    def __init__(self, counts: Mapping[int, Clicks], *, first_version: int) -> None:
        self._first_version = first_version
        self._version = first_version
        self._touched = [0] * (LEVEL_BITS + 1)
        self._clicks = [0] * (LEVEL_BITS + 1)
        for level in LEVELS:
            if level in counts:
                self._touched[level], self._clicks[level] = counts[level].touched, counts[level].clicks
        self._parts = dict.fromkeys(LEVELS, (0, 0))
        """Of each level, the least and the most, in parts of a µSTEP; of those in `_changed`, as they were."""
        self._least = self._most = 0
        self._changed = set(LEVELS)

    def count(self, receipts: Iterable[Receipt]) -> None:
        """Take in the clicks of a batch."""
        touched, clicks, changed = self._touched, self._clicks, self._changed
        for receipt in receipts:
            level = receipt.triangle & LEVEL_BITS
            clicks[level] += 1
            if receipt.clicks == 1:
                touched[level] += 1
            changed.add(level)

    def band(self, version: int) -> Band:
        """What they were paid, where `version` of the rules is the last that has been in force."""
        if version != self._version:
            self._version = version
            self._changed.update(LEVELS)
        for level in self._changed & self._parts.keys():
            least, most = self._parts[level]
            self._parts[level] = now_least, now_most = self._parts_of(level)
            self._least += now_least - least
            self._most += now_most - most
        self._changed.clear()
        return Band(-(-self._least // _PARTS), self._most // _PARTS)

    def _parts_of(self, level: int) -> tuple[int, int]:
        touched, clicks = self._touched[level], self._clicks[level]
        if self._version == 1:
            return clicks * _ROUNDED[level], clicks * _ROUNDED[level]
        exact = _EXACT[level]
        if self._first_version == self._version == 2:
            return max(0, clicks * exact - touched * _PARTS), clicks * exact
        return clicks * (exact // _PARTS * _PARTS), clicks * (-(-exact // _PARTS) * _PARTS)


@dataclass(frozen=True, slots=True)
class Origin:
    """What the chain began with: what genesis has, and the version of the rules. `counts_all`: the clicks are those of
    this chain alone. They are not where it began with the state of another one, of which genesis tells the balances,
    and not what was clicked for them."""

    supply_ustep: int
    protocol_version: int
    counts_all: bool


def supply_band(origin: Origin, proofs: Band, *, batches: int, last_paid_ustep: int, reward_bps: int) -> Band:
    """Where `proofs` is what they were paid, in so many batches; the validators of the last, which has paid
    `last_paid_ustep`, are not rewarded yet."""
    pools_least = max(0, (proofs.least_ustep - last_paid_ustep) * reward_bps // 10_000 - batches)
    pools_most = max(0, (proofs.most_ustep - last_paid_ustep) * reward_bps // 10_000)
    least_ustep = proofs.least_ustep + pools_least if origin.counts_all else 0
    return Band(origin.supply_ustep + least_ustep, origin.supply_ustep + proofs.most_ustep + pools_most)
