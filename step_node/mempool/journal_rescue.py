"""A damaged journal: set aside under another name, never deleted, and what can be read of it taken over.

The `-wal` goes first: SQLite would write one that is left behind into the new journal. A crash in between leaves a
file beside a `-wal` that has its new name already, which `finish_setting_aside` sees.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from contextlib import closing
from pathlib import Path

from step_node.durable.atomic_file import fsync_directory
from step_node.proofs.wire import MalformedProof, decode_bundle

ASIDE_MAX = 1_000
"""Damaged journals that are kept; with one more the journal fails until some are moved away."""
READS_MAX = 600
"""Attempts to read between damaged pages; what lies between more of them is not taken over."""
_ROWID_BITS = 40
"""Row ids begin at 1, and grow by one for each proof."""


def set_aside(path: Path) -> Path:
    """Give the database at `path` another name; returns that. Raises OSError."""
    aside = _free_name(path)
    _suffixed(path, "-shm").unlink(missing_ok=True)
    for suffix in ("-wal", ""):
        if _suffixed(path, suffix).exists():
            _suffixed(path, suffix).rename(_suffixed(aside, suffix))
    fsync_directory(path.parent)
    return aside


def finish_setting_aside(path: Path) -> None:
    """End what a crash has interrupted. Raises OSError."""
    if _suffixed(_free_name(path), "-wal").exists() and path.exists():
        set_aside(path)


def take_over(aside: Path, journal: sqlite3.Connection) -> int:
    """Copy what can be read of the database `aside` into `journal`; returns how many waiting proofs that are."""
    waiting: list[tuple[object, ...]] = []
    dropped: list[tuple[object, ...]] = []
    try:
        # Only for reading: what was set aside stays as it is.
        with closing(sqlite3.connect(f"{aside.absolute().as_uri()}?mode=ro", uri=True)) as damaged:
            # Each attempt would fail alike where there are no such tables.
            damaged.execute("SELECT count(*) FROM waiting, dropped WHERE 0")
            waiting = [row for row in _readable(damaged, "waiting", "proof_id, proof, accepted_at_ms") if _holds(row)]
            dropped = _readable(damaged, "dropped", "proof_id, code, message, details, dropped_at_ms")
    except sqlite3.Error:
        pass  # Nothing can be read.
    with journal:
        journal.executemany("INSERT OR IGNORE INTO waiting VALUES (?, ?, ?)", waiting)
        journal.executemany("INSERT OR IGNORE INTO dropped VALUES (?, ?, ?, ?, ?)", dropped)
    return len(waiting)


def _holds(row: tuple[object, ...]) -> bool:
    """Whether a waiting row holds the one proof that it names."""
    proof_id, data = row[0], row[1]
    if not isinstance(data, bytes):
        return False
    try:
        return [proof.proof_id for proof in decode_bundle(data)] == [proof_id]
    except MalformedProof:
        return False


def _readable(damaged: sqlite3.Connection, table: str, columns: str) -> list[tuple[object, ...]]:
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
    raise OSError(f"{path}: {ASIDE_MAX} damaged journals stand beside it already; check the disk, and move them away")


def _suffixed(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
