"""Groups within sorted arrays: where they begin, and how alike the values in each are. Integers alone, and pure."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from step_node.economy.columns import Integers

BPS: Final = 10_000
"""Shares and strengths are in basis points."""

VALUE_BITS: Final = 43
"""Of a number that stands behind its group's in one integer: 43 bits of milliseconds are 278 years, and the 20 above
them number all groups that a window can have. The sign is left alone."""

_NEARLY_THE_SAME: Final = 50
"""Values are nearly the same as another if they differ from it by one part in so many: by 2 %."""


class Evenness(NamedTuple):
    """Of each group: its middle value (the lower one of two), and the share of its values that are nearly the same."""

    median: Integers
    share_bps: Integers


def starts_of(*columns: npt.NDArray[Any]) -> Integers:
    """Where runs of equal rows begin, in `columns` of one length of which at least one row is there."""
    changes = np.zeros(len(columns[0]), dtype=np.bool_)
    changes[:1] = True
    for column in columns:
        changes[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(changes).astype(np.int64)


def lengths_of(starts: Integers, total: int) -> Integers:
    """How long the runs are that begin so and end with `total`."""
    return np.diff(starts, append=total).astype(np.int64)


def behind(group: Integers, value: Integers) -> Integers:
    """Group and value in one integer, which is quicker to sort than two. Values are 0 to 2**43 - 1."""
    return (group << VALUE_BITS) | value


def evenness(group: Integers, value: Integers, groups: int) -> Evenness:
    """How alike the values of each of `groups` groups are; both are 0 of a group without values.

    `group` is ascending, and `value` of the same length, each 0 to 2**43 - 1.
    """
    count = np.bincount(group, minlength=groups).astype(np.int64)
    median = np.zeros(groups, dtype=np.int64)
    if len(group):
        ordered = np.sort(behind(group, value)) & ((1 << VALUE_BITS) - 1)
        begins = np.cumsum(count) - count
        has = count > 0
        median[has] = ordered[begins[has] + (count[has] - 1) // 2]
    middle = median[group]
    near = np.abs(value - middle) * _NEARLY_THE_SAME <= middle
    share_bps = np.bincount(group[near], minlength=groups).astype(np.int64) * BPS // np.maximum(count, 1)
    return Evenness(median, share_bps)


def ramp(value: Integers, low: int, high: int) -> Integers:
    """0 up to `low`, 10,000 from `high` on, and a straight line between; falling where `high` is below `low`."""
    return np.clip((value - low) * BPS // (high - low), 0, BPS)


def mixed(value: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """64 bits that depend on all 64 of each value, one to one (the finaliser of SplitMix64)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def digest(value: npt.NDArray[np.uint64]) -> Integers:
    """`VALUE_BITS` bits of `mixed`: equal for equal values, and for hardly any others."""
    return (mixed(value) >> np.uint64(64 - VALUE_BITS)).astype(np.int64)
