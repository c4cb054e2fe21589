"""Amounts as clients see them: decimal strings of STEP, made from integers of micro-STEP without a float between."""

from __future__ import annotations

from step_node.parameters import USTEP_PER_STEP


def step_text(amount_ustep: int) -> str:
    """`amount_ustep` (micro-STEP, not negative) in STEP with exactly six places: 1953 is `0.001953`."""
    whole, fraction = divmod(amount_ustep, USTEP_PER_STEP)
    return f"{whole}.{fraction:06d}"
