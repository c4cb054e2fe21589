"""Reading about one account from SQLite: its record, its rank, and what it has done."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace

from step_node.ledger.records import Account
from step_node.storage import sqlite_rows as rows
from step_node.storage.interface import RANK_MAX, AccountPage, FinalisedOperation, Transaction
from step_node.storage.sqlite_pages import SqlPage
from step_node.storage.transactions import edge_of_proofs, merged, place_of


def read_account(connection: sqlite3.Connection, address: bytes) -> Account | None:
    """Its record."""
    found = rows.read_rows(connection, rows.ACCOUNTS, "WHERE address = ?", (address,))
    return rows.account_from(found[0]) if found else None


def read_rank(connection: sqlite3.Connection, address: bytes) -> int | None:
    """Its rank; None beyond `RANK_MAX`, and for none."""
    # Each part is counted along the index by rank, and given up at the last place that is told.
    query = """
        SELECT 1 + (SELECT count(*) FROM (
                     SELECT 1 FROM accounts WHERE balance_ustep > own.balance_ustep LIMIT :places))
                 + (SELECT count(*) FROM (
                     SELECT 1 FROM accounts
                     WHERE balance_ustep = own.balance_ustep AND address < own.address LIMIT :places))
        FROM accounts AS own WHERE own.address = :address
        """
    row = connection.execute(query, {"address": address, "places": RANK_MAX}).fetchone()
    return None if row is None or row[0] > RANK_MAX else int(row[0])


def read_operations(connection: sqlite3.Connection, operation_ids: Sequence[bytes]) -> tuple[FinalisedOperation, ...]:
    """Those of these operations that are applied."""
    keys = [(operation_id,) for operation_id in set(operation_ids)]
    return tuple(map(rows.operation_from, rows.read_rows_in(connection, rows.OPERATIONS, "operation_id", keys)))


def read_transactions(connection: sqlite3.Connection, address: bytes, asked: SqlPage) -> tuple[Transaction, ...]:
    """What it has done and been sent: a look into an index for each of the three kinds."""

    def found(table: rows.Table, account: str, page: SqlPage) -> list[list[object]]:
        of = (account, address)
        return rows.read_rows(connection, table, page.where(of), page.values(of))

    of_proofs = replace(asked, before=edge_of_proofs(asked.before), after=edge_of_proofs(asked.after))
    proofs = map(rows.finalised_proof_from, found(rows.PROOFS, "account", of_proofs))
    signed, credited = (
        [rows.operation_from(row) for row in found(rows.OPERATIONS, account, asked)]
        for account in ("owner", "recipient")
    )
    histories = (
        sorted(history, key=place_of, reverse=not asked.is_oldest_first) for history in (proofs, signed, credited)
    )
    return merged(asked.limit, *histories, is_oldest_first=asked.is_oldest_first)


def read_account_page(connection: sqlite3.Connection, address: bytes, *, limit: int) -> AccountPage:
    """All of it, in one transaction of the caller's."""
    return AccountPage(
        read_account(connection, address),
        read_rank(connection, address),
        read_transactions(connection, address, SqlPage(limit)),
    )
