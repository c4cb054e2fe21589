"""Two runs, compared to the last bit."""

from __future__ import annotations

import numpy as np

from step_node.testing.economy.measuring import RunResult


def same(one: RunResult, other: RunResult) -> bool:
    """Whether two results are the same to the last bit."""
    return all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True)
        for name in RunResult.__dataclass_fields__
    )
