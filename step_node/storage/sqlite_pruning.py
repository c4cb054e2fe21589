"""Deleting the oldest of the past from the SQLite file: one step, within the transaction of the caller.

Rows of proofs and operations stand in the order in which they came, so the oldest are found without an index by height.
What is deleted leaves pages that the file uses again: it stays as large as it is, and does not grow.
"""

from __future__ import annotations

import sqlite3

from step_node.storage import checks
from step_node.storage.interface import PRUNED_BATCHES_MAX, PRUNED_ENTRIES_MAX, Kept
from step_node.storage.sqlite_reads import read_kept

_TIMES = {"proofs": "processed_at_ms", "operations": "timestamp_ms"}
"""The tables of histories, and what each calls the time of the batch."""


def write_kept(connection: sqlite3.Connection, kept: Kept) -> None:
    """Say from where on the past is here."""
    connection.execute(
        "UPDATE kept SET (batches_from, histories_from) = (?, ?)", (kept.batches_from, kept.histories_from)
    )


def prune_batches(connection: sqlite3.Connection, end: int, before_ms: int | None) -> bool:
    """Delete the oldest batches below the height `end`; whether there is more."""
    kept = read_kept(connection)
    step_end = min(end, kept.batches_from + PRUNED_BATCHES_MAX)
    if before_ms is not None:
        query = "SELECT height FROM batches WHERE height < ? AND timestamp_ms >= ? ORDER BY height LIMIT 1"
        young = connection.execute(query, (step_end, before_ms)).fetchone()
        if young is not None:
            step_end = end = young[0]
    connection.execute("DELETE FROM batches WHERE height < ?", (step_end,))
    write_kept(connection, Kept(step_end, kept.histories_from))
    return step_end < end


def prune_histories(connection: sqlite3.Connection, end: int, before_ms: int | None) -> bool:
    """Delete the oldest proofs and operations below the height `end`; whether there is more."""
    kept = read_kept(connection)
    heights: list[int] = []
    for table, time in _TIMES.items():
        query = f"SELECT height, {time} FROM {table} ORDER BY rowid LIMIT ?"
        for height, time_ms in connection.execute(query, (PRUNED_ENTRIES_MAX + 1,)):
            if not checks.is_older(time_ms, before_ms):
                end = min(end, height)
                break
            heights.append(height)
    step_end = max(kept.histories_from, checks.step_end(sorted(heights), end))
    for table in _TIMES:
        kept_row = f"SELECT rowid FROM {table} WHERE height >= ? ORDER BY rowid LIMIT 1"
        connection.execute(
            f"DELETE FROM {table} WHERE rowid < coalesce(({kept_row}), 9223372036854775807)", (step_end,)
        )
    write_kept(connection, Kept(kept.batches_from, step_end))
    return step_end < end
