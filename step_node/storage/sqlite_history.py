"""The whole past in the SQLite file, oldest first: read for another store, and taken from one.

Rows of proofs and operations stand in the order in which they came.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from step_node.storage import checks
from step_node.storage import sqlite_rows as rows
from step_node.storage.interface import FinalisedOperation, FinalisedProof, History, HistoryEnds
from step_node.storage.sqlite_reads import read_head


def read_all_proofs(connection: sqlite3.Connection, limit: int, after: bytes | None) -> Sequence[FinalisedProof]:
    """Proofs from behind the one with the id `after`."""
    found = map(rows.finalised_proof_from, _rows_behind(connection, rows.PROOFS, "proof_id", limit, after))
    return tuple(sorted(found, key=lambda one: (one.receipt.height, one.receipt.index)))


def read_all_operations(
    connection: sqlite3.Connection, limit: int, after: bytes | None
) -> Sequence[FinalisedOperation]:
    """Operations from behind the one with the id `after`."""
    found = map(rows.operation_from, _rows_behind(connection, rows.OPERATIONS, "operation_id", limit, after))
    return tuple(sorted(found, key=lambda one: (one.height, one.index)))


def read_history_ends(connection: sqlite3.Connection) -> HistoryEnds:
    """How far the past reaches."""

    def last(columns: str, table: str, order: str) -> Any:
        query = f"SELECT {columns} FROM {table} ORDER BY {order} LIMIT 1"
        return connection.execute(query).fetchone()

    batch = last("height", "batches", "height DESC")
    proof = last("proof_id", "proofs", "rowid DESC")
    operation = last("operation_id", "operations", "rowid DESC")
    return HistoryEnds(
        batch=None if batch is None else batch[0],
        proof_id=None if proof is None else proof[0],
        operation_id=None if operation is None else operation[0],
        slashing=last("height, position", "slashings", "height DESC, position DESC"),
        validator_change=last("height, position", "validator_changes", "height DESC, position DESC"),
    )


def write_history(connection: sqlite3.Connection, history: History) -> None:
    """Add a part of the past. Raises `ValueError` at any height but 0."""
    checks.require_beginning(read_head(connection).chain)
    rows.write_rows(connection, "INSERT", rows.BATCHES, map(rows.batch_row, history.batches))
    proofs = (rows.proof_row(entry.proof, entry.receipt) for entry in history.proofs)
    rows.write_rows(connection, "INSERT", rows.PROOFS, proofs)
    rows.write_rows(connection, "INSERT", rows.OPERATIONS, map(rows.operation_row, history.operations))
    rows.write_rows(connection, "INSERT", rows.SLASHINGS, map(rows.slashing_row, history.slashings))
    lives = map(rows.validator_change_row, history.validator_changes)
    rows.write_rows(connection, "INSERT", rows.VALIDATOR_CHANGES, lives)


def _rows_behind(
    connection: sqlite3.Connection, table: rows.Table, key: str, limit: int, after: bytes | None
) -> list[list[Any]]:
    if after is None:
        return rows.read_rows(connection, table, "ORDER BY rowid LIMIT ?", (limit,))
    where = f"WHERE rowid > (SELECT rowid FROM {table.name} WHERE {key} = ?) ORDER BY rowid LIMIT ?"
    return rows.read_rows(connection, table, where, (after, limit))
