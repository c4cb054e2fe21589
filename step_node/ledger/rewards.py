"""What a finalised proof, and a validator's pre-commit, earn (protocol.md §3). Integers of micro-STEP throughout."""

from __future__ import annotations

from collections.abc import Sequence

from step_node.parameters import USTEP_PER_STEP

BASIS_POINTS = 10_000


def rounded_reward_ustep(level: int, _click: int) -> int:
    """`round-half-up(10^6 / 2^(level-1))`: 1 STEP at level 1, 1,953 µSTEP at level 10, 1 µSTEP at level 21.

    Version 1. From level 18 on that is 4.9 % more than the halving says: 8, 4, 2 and 1 for 7.63, 3.81, 1.91 and 0.95.
    """
    # floor(x/d + 1/2) = floor((2x + d) / 2d), with d = 2^(level-1).
    divisor = 1 << (level - 1)
    return (2 * USTEP_PER_STEP + divisor) // (2 * divisor)


def exact_reward_ustep(level: int, click: int) -> int:
    """What lacks to `floor(click * 10^6 / 2^(level-1))`, all that the first `click` proofs of a triangle are paid.

    Version 2: a triangle never pays more than the halving says, and never a whole µSTEP less.
    """
    divisor = 1 << (level - 1)
    return click * USTEP_PER_STEP // divisor - (click - 1) * USTEP_PER_STEP // divisor


def validator_rewards_ustep(
    paid_ustep: int, reward_bps: int, signers: Sequence[bytes], proposer: bytes
) -> dict[bytes, int]:
    """What each validator earns from a batch that paid `paid_ustep`, by address; nobody earns zero entries.

    `signers` are the validators whose pre-commits are in the next batch's `last_commit`; they share alike, and what
    the integer division leaves over goes to the batch's `proposer`, whether it signed or not.
    """
    pool_ustep = paid_ustep * reward_bps // BASIS_POINTS
    if not signers or pool_ustep == 0:
        return {}
    share_ustep, remainder_ustep = divmod(pool_ustep, len(signers))
    rewards = dict.fromkeys(signers, share_ustep)
    rewards[proposer] = rewards.get(proposer, 0) + remainder_ustep
    return {address: reward for address, reward in rewards.items() if reward}
