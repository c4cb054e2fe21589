"""What can be read of a damaged journal, taken over into a new one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from step_node.durable.sqlite_rescue import opened_aside, readable_rows
from step_node.proofs.wire import MalformedProof, decode_bundle


def take_over(aside: Path, journal: sqlite3.Connection) -> int:
    """Copy what can be read of the database `aside` into `journal`; returns how many waiting proofs that are."""
    waiting: list[tuple[object, ...]] = []
    dropped: list[tuple[object, ...]] = []
    try:
        with closing(opened_aside(aside)) as damaged:
            # Each attempt would fail alike where there are no such tables.
            damaged.execute("SELECT count(*) FROM waiting, dropped WHERE 0")
            waiting = [
                row for row in readable_rows(damaged, "waiting", "proof_id, proof, accepted_at_ms") if _holds(row)
            ]
            dropped = readable_rows(damaged, "dropped", "proof_id, code, message, details, dropped_at_ms")
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
