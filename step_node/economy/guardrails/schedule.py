"""What the protocol's page says is paid, written down a second time.

Nothing of `step_node.ledger` that decides what is paid is used here, and a reward's arithmetic is another: fractions,
where the ledger shifts and divides integers. So a fault there, in a reward or in how it is rounded, is not in what it
is compared with. Fractions are slow, and there are few amounts that a proof can be paid: all are reckoned beforehand.
Every function names the sentence of docs/protocol.md that it is written from. Pure; amounts are integers
of micro-STEP.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import floor
from typing import Final, TypeAlias

LEVELS: Final = range(1, 22)
"""§1: "Levels run from 1 … to 21"."""

LAST_LEVEL: Final = LEVELS[-1]

VERSIONS: Final = (1, 2)
"""§6: of the rules. What another one pays this page does not say."""

LEVEL_BITS: Final = 0b11111
"""§1: of a triangle's integer form, the level."""

ACTIVE, SUBDIVIDED, EXHAUSTED = 0, 1, 2
"""§3: a triangle's state, as a receipt has it."""

Earnings: TypeAlias = Mapping[tuple[int, int], tuple[int, int]]
"""By level and click: what that proof is paid, and the triangle's state after it."""


def share_ustep(level: int) -> Fraction:
    """§3: what a proof in a triangle of this level is worth before anything is rounded, `10^6 / 2^(L-1)` µSTEP."""
    return Fraction(10**6, 2 ** (level - 1))


def clicks_of(level: int) -> int:
    """§3: how many clicks a triangle takes. "At the 11th click a triangle of level < 21 becomes subdivided … One of
    level 21 stays active to its 28th click"."""
    return 28 if level == LAST_LEVEL else 11


def reward_ustep(version: int, level: int, click: int) -> int:
    """§3, by version 1: `round-half-up(10^6 / 2^(L-1))`. §6, by version 2: "the c-th proof … pays
    floor(c · 10^6 / 2^(L-1)) - floor((c-1) · 10^6 / 2^(L-1))"."""
    share = share_ustep(level)
    if version == 1:
        return floor(share + Fraction(1, 2))
    return floor(share * click) - floor(share * (click - 1))


def earnings_of(version: int) -> Earnings:
    """All that a proof can be paid by this version of the rules: 248 pairs of a level and a click."""
    return {
        (level, click): (reward_ustep(version, level, click), _state(level, click))
        for level in LEVELS
        for click in range(1, clicks_of(level) + 1)
    }


def _state(level: int, click: int) -> int:
    if click < clicks_of(level):
        return ACTIVE
    return EXHAUSTED if level == LAST_LEVEL else SUBDIVIDED


EARNINGS: Final[Mapping[int, Earnings]] = {version: earnings_of(version) for version in VERSIONS}


def validators_shares_ustep(
    paid_ustep: int, reward_bps: int, signers: Sequence[bytes], proposer: bytes
) -> dict[bytes, int]:
    """§3: "Validators whose pre-commits are in the next batch's last_commit share validator_reward_bps of what the
    batch paid (integer division; the remainder goes to its proposer)". By validator; who gets nothing is not there."""
    pool_ustep = paid_ustep * reward_bps // 10_000
    if not signers:
        return {}
    each_ustep = pool_ustep // len(signers)
    shares = dict.fromkeys(signers, each_ustep)
    shares[proposer] = shares.get(proposer, 0) + pool_ustep - each_ustep * len(signers)
    return {validator: share for validator, share in shares.items() if share}


def triangles_of(level: int) -> int:
    """§1: "Level L has 20·4^(L-1) triangles"."""
    return 20 * int(4 ** (level - 1))


def triangle_ustep_max(level: int) -> int:
    """What all proofs of one triangle are paid at most, by whichever version."""
    clicks = range(1, clicks_of(level) + 1)
    return max(sum(reward_ustep(version, level, click) for click in clicks) for version in VERSIONS)


def proofs_ustep_max() -> int:
    """What all proofs on Earth are paid together at most, each triangle by the version that pays it more: some 856.26
    million STEP (by version 1 everywhere it is 856,083,750.29)."""
    return sum(triangles_of(level) * triangle_ustep_max(level) for level in LEVELS)


def supply_ustep_max(begun_with_ustep: int, reward_bps: int) -> int:
    """What can ever be minted: what genesis has, all proofs, and the validators' share of these."""
    return begun_with_ustep + floor(proofs_ustep_max() * Fraction(10_000 + reward_bps, 10_000))
