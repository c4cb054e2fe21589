"""How unevenly something is spread, in integers alone, so that every node says the same to the last digit.

Shares and Gini coefficients are parts per million, rounded down. Where there is nothing to divide there is no measure:
`None`, which is not the same as an even spread, 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Amounts: TypeAlias = npt.NDArray[np.int64]
"""Amounts of micro-STEP, none of them negative."""

PPM: Final = 1_000_000
"""All of it, in parts per million."""

TOP_ONE_IN: Final = 100
"""The top are one account in so many, the last of them counted whole: of 1 to 100 accounts one, of 101 two."""

_CHUNK_ROWS: Final = 1 << 20
_PIECE_BITS: Final = 21
"""Three such pieces hold an amount, and a chunk's sum of ranks times pieces is below 2^62: no integer overflows."""


def share_ppm(part: int, whole: int) -> int | None:
    """Which share of `whole` is `part`; None of nothing."""
    return None if whole == 0 else part * PPM // whole


def gini_ppm(amounts: Amounts) -> int | None:
    """0 where all have the same, towards 1,000,000 the more one alone has all of it.

    The Gini coefficient is half the mean difference of two amounts over the mean amount. Of n amounts in rising order,
    x_1 to x_n, with the sum S, that is (2 * sum(i * x_i) - (n + 1) * S) / (n * S).
    """
    count, total = len(amounts), exact_sum(amounts)
    if total == 0:
        return None
    weighted = _sum_by_rank(np.sort(amounts))
    return (2 * weighted - (count + 1) * total) * PPM // (count * total)


def top_share_ppm(amounts: Amounts) -> int | None:
    """The share of those that have the most, one account in `TOP_ONE_IN`."""
    count = len(amounts)
    top = -(-count // TOP_ONE_IN)
    return share_ppm(exact_sum(np.sort(amounts)[count - top :]), exact_sum(amounts))


def nakamoto_coefficient(holdings: Iterable[int]) -> int | None:
    """The fewest holders that together have more than a third: so many must act as one to stop what needs two thirds.

    None where nobody has anything.
    """
    falling = sorted(holdings, reverse=True)
    total, together = sum(falling), 0
    for count, holding in enumerate(falling, 1):
        together += holding
        if 3 * together > total:
            return count
    return None


def exact_sum(amounts: Amounts) -> int:
    """The sum, which may be above 2^63."""
    low = int(np.sum(amounts & 0xFFFF_FFFF, dtype=np.int64))
    high = int(np.sum(amounts >> 32, dtype=np.int64))
    return (high << 32) + low


def _sum_by_rank(rising: Amounts) -> int:
    """The sum of each amount times its rank, from 1."""
    total = 0
    for start in range(0, len(rising), _CHUNK_ROWS):
        chunk = rising[start : start + _CHUNK_ROWS]
        ranks = np.arange(1, len(chunk) + 1, dtype=np.int64)
        total += start * exact_sum(chunk)
        for shift in range(0, 63, _PIECE_BITS):
            pieces = chunk >> shift & (1 << _PIECE_BITS) - 1
            total += int(np.dot(ranks, pieces)) << shift
    return total
