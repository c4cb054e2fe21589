"""A SQLite file that cannot be used: set aside under another name, never deleted, and what can be read of it.

The `-wal` goes first: SQLite would write one that is left behind into the new file. A crash in between leaves a file
beside a `-wal` that has its new name already, which `finish_setting_aside` sees.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from pathlib import Path

from step_node.durable.atomic_file import fsync_directory

ASIDE_MAX = 1_000
"""Files that are set aside of one; with one more it cannot be, until some are moved away."""
READS_MAX = 600
"""Attempts to read between damaged pages; what lies between more of them is not found."""
_ROWID_BITS = 40
"""Row ids begin at 1, and grow by one for each row."""


def set_aside(path: Path) -> Path:
    """Give the database at `path` another name; returns that. Raises OSError."""
    aside = _free_name(path)
    _suffixed(path, "-shm").unlink(missing_ok=True)
    for suffix in ("-wal", ""):
        if _suffixed(path, suffix).exists():
            _suffixed(path, suffix).rename(_suffixed(aside, suffix))
    fsync_directory(path.parent)
    return aside


def finish_setting_aside(path: Path) -> Path | None:
    """End what a crash has interrupted; returns the new name, None where nothing was. Raises OSError."""
    if _suffixed(_free_name(path), "-wal").exists() and path.exists():
        return set_aside(path)
    return None


def opened_aside(aside: Path) -> sqlite3.Connection:
    """What was set aside, only for reading: it stays as it is. Raises sqlite3.Error."""
    return sqlite3.connect(f"{aside.absolute().as_uri()}?mode=ro", uri=True)


def readable_rows(damaged: sqlite3.Connection, table: str, columns: str) -> list[tuple[object, ...]]:
    """The rows that can be read, in order: from below, from above, and between the pages that cannot be."""
    found: dict[int, tuple[object, ...]] = {}
    ranges = deque((1 << power, (2 << power) - 1) for power in range(_ROWID_BITS))
    for _ in range(READS_MAX):
        if not ranges:
            break
        low, high = ranges.popleft()
        from_below = _read(damaged, table, columns, low, high, found, "ASC")
        if from_below is None:
            continue
        from_above = _read(damaged, table, columns, from_below, high, found, "DESC")
        if from_above is not None and from_below < from_above:
            middle = (from_below + from_above) // 2
            ranges += [(from_below, middle), (middle + 1, from_above)]
    return [found[rowid] for rowid in sorted(found)]


def _read(
    damaged: sqlite3.Connection,
    table: str,
    columns: str,
    low: int,
    high: int,
    found: dict[int, tuple[object, ...]],
    order: str,
) -> int | None:
    """Read in this order up to the first damage; the row that is there, or None where there is none."""
    query = f"SELECT rowid, {columns} FROM {table} WHERE rowid BETWEEN ? AND ? ORDER BY rowid {order}"
    at, step = (low, 1) if order == "ASC" else (high, -1)
    try:
        for rowid, *row in damaged.execute(query, (low, high)):
            found[rowid] = tuple(row)
            at = rowid + step
    except sqlite3.DatabaseError:
        return at
    return None


def _free_name(path: Path) -> Path:
    for number in range(1, ASIDE_MAX + 1):
        aside = path.with_name(f"{path.name}.damaged-{number}")
        if not aside.exists():
            return aside
    raise OSError(f"{path}: {ASIDE_MAX} damaged files stand beside it already; check the disk, and move them away")


def _suffixed(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
