"""What a signal says of the accounts that it speaks of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from step_node.economy.columns import Integers

Small: TypeAlias = npt.NDArray[np.int32]

_FIGURE_MAX = 2**31 - 1
"""A figure beyond is shown as this one: a column of a million accounts takes half the memory."""


@dataclass(frozen=True, eq=False)
class Reading:
    """A signal's strength, 1 to 10,000, and the figures that it comes from, of the accounts where it is not 0.

    `accounts` are indices into the sorted keys, ascending. Most signals are silent about most accounts.
    """

    accounts: Small
    strength_bps: Small
    figures: Mapping[str, Small]

    @classmethod
    def where_any(cls, strength_bps: Integers, **figures: Integers) -> Reading:
        """From a strength and figures of each account."""
        accounts = np.flatnonzero(strength_bps)
        return cls(
            accounts.astype(np.int32),
            strength_bps[accounts].astype(np.int32),
            {name: np.minimum(of_all[accounts], _FIGURE_MAX).astype(np.int32) for name, of_all in figures.items()},
        )
