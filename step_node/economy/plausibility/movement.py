"""Accounts that move together as one hand would move them. Pure.

A *stop* is a place and a time: a triangle of level 15, with sides of some 430 m, and five minutes. Of two accounts, the
share of stops that both have among all that either has (Jaccard) is near 1 if one hand proves with both, and small for
two who took the same train: each of them proves at moments of their own, and goes on elsewhere.

To compare all with all would cost a square. So each account keeps, for each of 18 fixed orders of all stops, its
first one (MinHash: Broder 1997); two have the same first with a probability that is that share. Three orders are a
band; who agrees on the whole of one of six bands is a companion. At a share of 0.9 that is every pair, at 0.6 77 %, at
0.25 9 %. What an account keeps depends on its own stops alone, so a crowd around a group does not hide it.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from step_node.economy.columns import Integers, Keys
from step_node.economy.plausibility.grouping import behind, digest, lengths_of, mixed, ramp, starts_of
from step_node.economy.plausibility.reading import Reading
from step_node.economy.plausibility.rows import Rows, region_of

LEVEL: Final = 15
SLOT_MS: Final = 300_000

STOPS_MIN: Final = 8
CELLS_MIN: Final = 4
"""Who was at fewer places did not move: those in a stadium are together, and nobody moves them."""

_COMPANIONS: Final = (3, 9)
"""So many that prove wherever one proves are a family; so many are a rack of phones."""

_BANDS: Final = 6
_BAND_ORDERS: Final = 3


def co_movement(rows: Rows) -> Reading:
    """An account's stops are those of others: how many others there are."""
    place = region_of(rows.place, LEVEL)
    stop = mixed(mixed(place.astype(np.uint64)) ^ (rows.time_ms // SLOT_MS).astype(np.uint64))
    _, first = np.unique(behind(rows.account, digest(stop)), return_index=True)
    account, stop = rows.account[first], stop[first]
    stops = np.bincount(account, minlength=rows.accounts)
    cells = np.bincount(_account_of_cells(rows, place), minlength=rows.accounts)
    moves = (stops >= STOPS_MIN) & (cells >= CELLS_MIN)
    companions = np.zeros(rows.accounts, dtype=np.int64)
    if moves.any():
        of_moving = moves[account]
        companions[moves] = _companions(account[of_moving], stop[of_moving])
    strength = ramp(companions, *_COMPANIONS)
    return Reading.where_any(
        strength, companions=companions, stops=stops.astype(np.int64), places=cells.astype(np.int64)
    )


def _account_of_cells(rows: Rows, place: Integers) -> Integers:
    """The account of each pair of an account and a place where it was, once."""
    ordered = np.sort(behind(rows.account, digest(place.astype(np.uint64))))
    return rows.account[starts_of(ordered)]


def _companions(account: Integers, stop: Keys) -> Integers:
    """Of each account that there is in `account`, which is ascending, how many others agree on a whole band."""
    begins = starts_of(account)
    companions = np.zeros(len(begins), dtype=np.int64)
    for band in range(_BANDS):
        signature = np.zeros(len(begins), dtype=np.uint64)
        for order in range(band * _BAND_ORDERS, (band + 1) * _BAND_ORDERS):
            # Stops are mixed already: an odd factor makes another order of them, and loses none.
            factor = mixed(np.array([order + 1], dtype=np.uint64)) | np.uint64(1)
            signature = mixed(signature ^ np.minimum.reduceat(stop * factor, begins))
        by_signature = np.argsort(signature, kind="stable")
        runs = starts_of(signature[by_signature])
        size = np.empty(len(begins), dtype=np.int64)
        size[by_signature] = np.repeat(lengths := lengths_of(runs, len(begins)), lengths)
        companions = np.maximum(companions, size - 1)
    return companions
