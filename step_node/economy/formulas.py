"""Where STEP comes from and where it goes, in closed form (docs/economy.md). Pure; exact integers and fractions.

With E = 10^6 µSTEP, D = 2^(L-1) for level L, N = 20 · 4^(L-1) triangles of it, and c clicks in each (11; 28 at the last
level), a triangle pays c · round(E/D) by version 1 of the rules and floor(c · E/D) by version 2; all else follows from
that. The rewards are derived here once more, from protocol.md §3 and §6 and not from `ledger.rewards`: what is checked
against these formulas must not share a mistake with them.

Of a level, the ones above it are the larger ones. Level by level, from the first on, is the dearest order in which
triangles can be used up, and one that the rules allow for every `seeded_level`: a triangle's ancestors are used up
before it. So it bounds from above what any number of proofs is paid, whoever makes them.

A part of the mesh is given by its share of the Earth. It has that share of a level's triangles, and one triangle
of a level whose triangles are larger than it; what its edge cuts is not counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Final

from step_node.ledger.level_counts import CountsByLevel, mesh_triangles
from step_node.ledger.state_gates import LEVEL_MAX, clicks_max
from step_node.parameters import USTEP_PER_STEP

BASIS_POINTS: Final = 10_000
LEVELS: Final = range(1, LEVEL_MAX + 1)
YEAR_DAYS: Final = 365
EARTH: Final = Fraction(1)
"""The whole of it, as a share."""

ROUNDED, EXACT = 1, 2
"""The versions of the rules, by what is done with the part of a µSTEP (protocol.md §6)."""


# --- sources: what proofs are paid ---------------------------------------------------------------------------------


def share(level: int) -> Fraction:
    """What the halving says that a proof is worth, in µSTEP, before any rounding: E/D."""
    return Fraction(USTEP_PER_STEP, 1 << (level - 1))


def proofs_pay_ustep(version: int, level: int, clicks: int) -> int:
    """What the first `clicks` proofs of one triangle are paid together."""
    if version == ROUNDED:
        return clicks * floor(share(level) + Fraction(1, 2))
    if version == EXACT:
        return floor(clicks * share(level))
    raise ValueError(f"version: must be {ROUNDED} or {EXACT}, of which the formulas are known; it is {version}")


def proof_pays_ustep(version: int, level: int, click: int) -> int:
    """What the `click`th proof of a triangle, from 1, is paid."""
    return proofs_pay_ustep(version, level, click) - proofs_pay_ustep(version, level, click - 1)


def triangle_pays_ustep(version: int, level: int) -> int:
    """What a triangle has paid when it is used up: subdivided, or exhausted at the last level."""
    return proofs_pay_ustep(version, level, clicks_max(level))


def triangles_in(part: Fraction, level: int) -> int:
    """How many triangles of a level a part of the Earth has."""
    return max(1, floor(part * mesh_triangles(level)))


def level_proofs(level: int, part: Fraction = EARTH) -> int:
    """How many proofs all triangles of a level take."""
    return triangles_in(part, level) * clicks_max(level)


def level_pays_ustep(version: int, level: int, part: Fraction = EARTH) -> int:
    """What all triangles of a level pay."""
    return triangles_in(part, level) * triangle_pays_ustep(version, level)


def levels_pay_ustep(version: int, levels: Iterable[int] = LEVELS, part: Fraction = EARTH) -> int:
    """What all triangles of these levels pay; of all levels, the most that proofs can ever mint."""
    return sum(level_pays_ustep(version, level, part) for level in levels)


def halving_pays_ustep(levels: Iterable[int] = LEVELS) -> int:
    """The same without any rounding, which is a whole number at every level: N · c · E/D = c · 20 · E · 2^(L-1).

    Of levels 1 to n below the last it is 220 · (2^n - 1) STEP, and of all 780 · 2^20 - 220 STEP.
    """
    return sum(int(level_proofs(level) * share(level)) for level in levels)


def spot_pays_ustep(version: int, levels: Iterable[int] = LEVELS) -> int:
    """What one spot pays in all: one triangle of each of these levels holds it."""
    return sum(triangle_pays_ustep(version, level) for level in levels)


def paid_bounds_ustep(version: int, counts: CountsByLevel) -> tuple[int, int]:
    """The least and the most that proofs have been paid, where so much has been clicked at each level.

    The same number twice by version 1, and by version 2 where levels 1 to 7 alone were clicked. A triangle of version 2
    lacks up to (D-1)/D of a µSTEP to its share, and one that was used up lacks what `triangle_pays_ustep` says.
    """
    least, most = 0, 0
    for level, of_level in counts.items():
        if version == ROUNDED:
            paid_ustep = proofs_pay_ustep(version, level, of_level.clicks)
            least, most = least + paid_ustep, most + paid_ustep
            continue
        used_up = of_level.subdivided + of_level.exhausted
        used_up_ustep = used_up * proofs_pay_ustep(version, level, clicks_max(level))
        rest = (of_level.clicks - used_up * clicks_max(level)) * share(level)
        lacking = (of_level.touched - used_up) * Fraction(share(level).denominator - 1, share(level).denominator)
        least += used_up_ustep + max(0, ceil(rest - lacking))
        most += used_up_ustep + floor(rest)
    return least, most


# --- sources: what validators are paid -----------------------------------------------------------------------------


def validators_pay_ustep(paid_ustep: int, reward_bps: int) -> int:
    """What is minted to the validators for one batch that has paid `paid_ustep` for its proofs.

    Rounded down, so batches that pay less than 10^4 / `reward_bps` µSTEP pay their validators nothing.
    """
    return paid_ustep * reward_bps // BASIS_POINTS


def validator_pays_ustep(paid_ustep: int, reward_bps: int, signers: int) -> int:
    """What each of the `signers` of the batch is paid; the rest of the division is its proposer's."""
    return validators_pay_ustep(paid_ustep, reward_bps) // signers


def supply_max_ustep(version: int, reward_bps: int, genesis_ustep: int = 0) -> int:
    """What can ever be minted, in all: genesis, proofs, and the validators' part of these.

    Their part in as few batches as there could be; more batches are rounded down more often.
    """
    paid_ustep = levels_pay_ustep(version)
    return genesis_ustep + paid_ustep + validators_pay_ustep(paid_ustep, reward_bps)


# --- the dearest order -----------------------------------------------------------------------------------------------


def paid_level_by_level_ustep(version: int, proofs: int, part: Fraction = EARTH) -> int:
    """What so many proofs are paid that use up triangle after triangle and level after level, the largest first.

    By version 1 nobody can be paid more for as many. By version 2 one could, by less than 1 µSTEP a triangle.
    """
    paid_ustep = 0
    for level in LEVELS:
        if proofs < level_proofs(level, part):
            triangles, clicks = divmod(proofs, clicks_max(level))
            return (
                paid_ustep + triangles * triangle_pays_ustep(version, level) + proofs_pay_ustep(version, level, clicks)
            )
        paid_ustep += level_pays_ustep(version, level, part)
        proofs -= level_proofs(level, part)
    return paid_ustep


def proofs_level_by_level(version: int, amount_ustep: int) -> int:
    """The inverse: how many proofs it takes, in that order, until `amount_ustep` is paid.

    About (amount in STEP)^2 / 660, as long as the last level is not reached. Raises `ValueError` for more than there
    is.
    """
    if amount_ustep > levels_pay_ustep(version):
        raise ValueError(f"amount_ustep: {amount_ustep} is more than all proofs are ever paid")
    low, high = 0, sum(map(level_proofs, LEVELS))
    while low < high:
        middle = (low + high) // 2
        if paid_level_by_level_ustep(version, middle) < amount_ustep:
            low = middle + 1
        else:
            high = middle
    return low


# --- people ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Habit:
    """A kind of user: so many `accounts`, each of which proves `proofs_a_day` times, which may be less than once."""

    name: str
    accounts: int
    proofs_a_day: Fraction | int

    @property
    def proofs_a_year(self) -> int:
        """Of all of them together."""
        return floor(self.accounts * self.proofs_a_day * YEAR_DAYS)


def proofs_a_day_max(moratorium_ms: int) -> Fraction:
    """How many proofs an account can have in a day, if it never pauses; without a moratorium one a millisecond."""
    return Fraction(86_400_000, max(1, moratorium_ms))


def days_at_level(version: int, amount_ustep: int, level: int, proofs_a_day: Fraction) -> Fraction:
    """How long an account proves until it has `amount_ustep`, all in fresh triangles of one level."""
    return Fraction(amount_ustep) / (Fraction(triangle_pays_ustep(version, level), clicks_max(level)) * proofs_a_day)


def days_to_each(version: int, amount_ustep: int, habit: Habit) -> Fraction:
    """How long until each of the habit's accounts could have `amount_ustep`, if they are alone, share alike, and use
    up the mesh in the dearest order: nobody of them has it sooner on the average.

    `accounts` times as many of them take `accounts` times as long, and twice the amount takes four times as long.
    """
    proofs = proofs_level_by_level(version, habit.accounts * amount_ustep)
    return Fraction(proofs, habit.accounts * habit.proofs_a_day)


# --- sinks -----------------------------------------------------------------------------------------------------------


def slash_ustep(stake_ustep: int, share_bps: int) -> int:
    """What an offence burns of a stake: the only way in which STEP ends. There are no fees."""
    return stake_ustep * share_bps // BASIS_POINTS


def paid_to_earn_ustep(amount_ustep: int, reward_bps: int, validators: int) -> Fraction:
    """What proofs must be paid until each of so many validators, which never are absent, has earned `amount_ustep`."""
    return Fraction(amount_ustep * validators * BASIS_POINTS, reward_bps)
