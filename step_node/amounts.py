"""Amounts as clients see them: decimal strings of STEP, made from integers of micro-STEP without a float between."""

from __future__ import annotations

from step_node.parameters import USTEP_PER_STEP


def step_text(amount_ustep: int) -> str:
    """`amount_ustep` (micro-STEP, not negative) in STEP with exactly six places: 1953 is `0.001953`."""
    whole, fraction = divmod(amount_ustep, USTEP_PER_STEP)
    return f"{whole}.{fraction:06d}"


def ustep_in(amount_step: str) -> int:
    """The inverse of `step_text`: micro-STEP in a decimal string of STEP that has exactly six places."""
    whole, _, fraction = amount_step.partition(".")
    return int(whole) * USTEP_PER_STEP + int(fraction)
