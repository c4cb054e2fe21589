"""Amounts as clients see them: decimal strings of STEP, made from integers of micro-STEP without a float between.

And what is told of an amount that cannot be, as a faulty ledger may make it up. Python makes no text of an integer of
more than 4,300 digits, and no float of one above 1e308: whoever tells of a fault must not fall over its size.
"""

from __future__ import annotations

from typing import Final

from step_node.parameters import USTEP_PER_STEP


def step_text(amount_ustep: int) -> str:
    """`amount_ustep` (micro-STEP, not negative) in STEP with exactly six places: 1953 is `0.001953`."""
    whole, fraction = divmod(amount_ustep, USTEP_PER_STEP)
    return f"{whole}.{fraction:06d}"


def ustep_in(amount_step: str) -> int:
    """The inverse of `step_text`: micro-STEP in a decimal string of STEP that has exactly six places."""
    whole, _, fraction = amount_step.partition(".")
    return int(whole) * USTEP_PER_STEP + int(fraction)


TOLD_MAX: Final = 10**30
"""What is told of an amount, or of any other number of the ledger's, at most: a quadrillion times the whole supply."""


def bounded(amount: int) -> int:
    """The number, or the one nearest to it that is still told."""
    return max(-TOLD_MAX, min(amount, TOLD_MAX))


def told(amount: int) -> str:
    """The number in words for people, of whatever size it is."""
    if -TOLD_MAX <= amount <= TOLD_MAX:
        return str(amount)
    return f"more than {TOLD_MAX}" if amount > 0 else f"less than {-TOLD_MAX}"
