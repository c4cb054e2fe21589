"""The embedded engine: one SQLite file, and nothing else to install or to run.

One connection writes, in a worker thread, one transaction at a time; others read meanwhile (`sqlite_reads`). A call
that is cancelled still waits for its thread, so its outcome is never in doubt. Two openers of one file are safe: the
second to finalise a height finds it there (`BEGIN IMMEDIATE`, then a look at the head).
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio

from step_node.ledger.level_counts import CountsByLevel, counts_of_receipts, counts_of_triangles
from step_node.ledger.records import Account, NonceRecord, Triangle
from step_node.ledger.state import Changes, StateHead
from step_node.storage import checks
from step_node.storage import sqlite_rows as rows
from step_node.storage.interface import (
    STRANGERS_READS_MAX,
    FinalisedBatch,
    FinalisedOperation,
    FinalisedProof,
    History,
    HistoryEnds,
    InitialPages,
    LedgerTotals,
    Prunable,
    RecordSink,
    RestoredState,
    Storage,
    StorageReads,
    StoredBatch,
    StoredRecord,
    no_initial_pages,
)
from step_node.storage.pace import Pace
from step_node.storage.sqlite_file import give_back_pages, meaningful_errors, open_writer, transaction
from step_node.storage.sqlite_history import (
    read_all_operations,
    read_all_proofs,
    read_history_ends,
    write_history,
)
from step_node.storage.sqlite_pruning import prune_batches, prune_histories, write_kept
from step_node.storage.sqlite_reads import SqliteReads, read_head, read_kept

OWN_READS_MAX = 4
"""Reads of the node itself at the same time, and connections for them; a further read waits for one to end."""

EXPORT_PAGE_RECORDS = 1_000
"""Records read at once while exporting: some 100 kB, a few milliseconds, and one hold of the GIL."""

ResultT = TypeVar("ResultT")


class SqliteStorage(SqliteReads, Storage):
    """One chain's store in a file. Made by `SqliteStorage.open`; after `close` it cannot be used."""

    def __init__(self, path: Path, writer: sqlite3.Connection) -> None:
        super().__init__(path, reads_max=OWN_READS_MAX)
        self._writer = writer
        self._write_turn = trio.CapacityLimiter(1)
        self._strangers = SqliteReads(path, reads_max=STRANGERS_READS_MAX)

    def for_strangers(self) -> StorageReads:
        """As the interface says: with connections and turns of their own."""
        return self._strangers

    @classmethod
    async def open(cls, path: Path, *, alone: bool = False) -> SqliteStorage:
        """Open the file, making it where there is none.

        Raises `StorageMismatch` for a file that is not this program's, is damaged, or has another schema version (of
        earlier ones see `open_storage`); `StorageUnavailable` when it cannot be opened.
        """
        return cls(path, await trio.to_thread.run_sync(partial(open_writer, path, alone=alone)))

    async def initialise(
        self,
        genesis_hash: bytes,
        head: StateHead,
        accounts: Sequence[Account],
        initial_pages: InitialPages = no_initial_pages,
    ) -> None:
        checks.require_initial_state(genesis_hash, head, accounts)

        def work(connection: sqlite3.Connection) -> None:
            row = connection.execute("SELECT genesis_hash FROM chain").fetchone()
            if row is not None:
                checks.require_same_genesis(row[0], genesis_hash)
                return
            chain_row = (1, genesis_hash, *rows.chain_row(head))
            places = ", ".join("?" * len(chain_row))
            connection.execute(
                f"INSERT INTO chain (id, genesis_hash, {rows.CHAIN.column_list}) VALUES ({places})", chain_row
            )
            rows.write_rows(connection, "INSERT", rows.VALIDATORS, map(rows.validator_row, head.validators))
            rows.write_rows(connection, "INSERT", rows.ACCOUNTS, map(rows.account_row, accounts))
            _write_records(connection, initial_pages())

        await self._write(work)

    async def finalise(self, finalised: FinalisedBatch) -> None:
        checks.require_consistent(finalised)
        await self._write(lambda connection: _write_finalised(connection, finalised))

    async def prune(self, what: Prunable, *, below: int, before_ms: int | None = None) -> bool:
        step = prune_batches if what is Prunable.BATCHES else prune_histories

        def work(connection: sqlite3.Connection) -> bool:
            end = checks.prune_end(read_head(connection).chain, read_kept(connection), what, below)
            return step(connection, end, before_ms)

        return await self._write(work)

    async def totals(self) -> LedgerTotals:
        query = """
            SELECT (SELECT coalesce(sum(balance_ustep), 0) FROM accounts), (SELECT count(*) FROM accounts),
                   (SELECT count(*) FROM triangles), (SELECT count(*) FROM proofs)
            """
        return await self._read_chain(lambda connection: LedgerTotals(*connection.execute(query).fetchone()))

    async def export(self, sink: RecordSink, *, share: float = 1.0) -> None:
        await self._read(lambda connection: _export(connection, sink, share))

    async def restore(self, restored: RestoredState) -> None:
        """As the interface says: one transaction, so a crash leaves nothing of it."""
        checks.require_restorable(restored.head, restored.base)
        await self._write(lambda connection: _restore(connection, restored))

    async def all_proofs(self, *, limit: int, after: bytes | None) -> Sequence[FinalisedProof]:
        checks.require_limit(limit)
        return await self._read_chain(lambda connection: read_all_proofs(connection, limit, after))

    async def all_operations(self, *, limit: int, after: bytes | None) -> Sequence[FinalisedOperation]:
        checks.require_limit(limit)
        return await self._read_chain(lambda connection: read_all_operations(connection, limit, after))

    async def history_ends(self) -> HistoryEnds:
        return await self._read_chain(read_history_ends)

    async def take_history(self, history: History) -> None:
        """As the interface says: all of it in one transaction."""
        await self._write(lambda connection: write_history(connection, history))

    async def close(self) -> None:
        """Let go of the file, once the calls under way have ended."""
        with trio.CancelScope(shield=True):
            async with self._write_turn:
                await self._strangers.close_reads()
                await self.close_reads()
                self._writer.close()

    async def _write(self, work: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        def in_thread() -> ResultT:
            with meaningful_errors(self._path):
                with transaction(self._writer, "IMMEDIATE"):
                    result = work(self._writer)
                give_back_pages(self._writer)
                return result

        return await trio.to_thread.run_sync(in_thread, limiter=self._write_turn)


def _write_finalised(connection: sqlite3.Connection, finalised: FinalisedBatch) -> None:
    stored = finalised.stored
    head = read_head(connection)
    row = connection.execute("SELECT batch_hash FROM batches WHERE height = ?", (stored.height,)).fetchone()
    if checks.already_finalised(head.chain, None if row is None else row[0], stored):
        return
    rows.write_rows(connection, "INSERT", rows.BATCHES, [rows.batch_row(stored)])
    rows.write_rows(connection, "INSERT", rows.PROOFS, map(rows.proof_row, finalised.proofs, finalised.receipts))
    rows.write_rows(connection, "INSERT", rows.OPERATIONS, map(rows.operation_row, finalised.operations))
    rows.write_rows(connection, "INSERT", rows.SLASHINGS, map(rows.slashing_row, finalised.slashings))
    lives = map(rows.validator_change_row, finalised.validator_changes)
    rows.write_rows(connection, "INSERT", rows.VALIDATOR_CHANGES, lives)
    _write_changes(connection, finalised.changes)
    _add_level_counts(connection, counts_of_receipts(finalised.receipts))


def _write_changes(connection: sqlite3.Connection, changes: Changes) -> None:
    # Removed before added: a nonce that has just left the window may be used again in the same batch.
    removed = [(nonce.account, nonce.nonce) for nonce in changes.nonces_removed]
    if rows.delete_rows_in(connection, rows.NONCES, "(account, nonce)", removed) != len(removed):
        raise ValueError("one of the nonces to remove is not stored")
    rows.write_rows(connection, "INSERT", rows.NONCES, map(rows.nonce_row, changes.nonces_added))
    rows.write_rows(connection, "REPLACE", rows.ACCOUNTS, map(rows.account_row, changes.accounts))
    rows.write_triangles(connection, map(rows.triangle_row, changes.triangles))
    _write_head(connection, changes.head)


def _add_level_counts(connection: sqlite3.Connection, counts: CountsByLevel) -> None:
    names = rows.LEVELS.columns
    cells = ", ".join(f"value ->> {place}" for place in range(len(names)))
    grown = ", ".join(f"{name} = {name} + excluded.{name}" for name in names[1:])
    # In one step of one statement, as all rows are written (sqlite_rows.py).
    connection.execute(
        f"INSERT INTO levels ({rows.LEVELS.column_list}) SELECT {cells} FROM json_each(?) WHERE true"
        f" ON CONFLICT (level) DO UPDATE SET {grown}",
        (json.dumps([rows.level_row(level, of_level) for level, of_level in counts.items()]),),
    )


def _write_head(connection: sqlite3.Connection, head: StateHead) -> None:
    chain_row = rows.chain_row(head)
    connection.execute(f"UPDATE chain SET ({rows.CHAIN.column_list}) = ({', '.join('?' * len(chain_row))})", chain_row)
    # Left alone where they are the same, as in nearly every batch: each row written is a page in the log.
    stored = {tuple(row) for row in rows.read_rows(connection, rows.VALIDATORS)}
    wanted = [rows.validator_row(validator) for validator in head.validators]
    if stored != set(wanted):
        connection.execute("DELETE FROM validators")
        rows.write_rows(connection, "INSERT", rows.VALIDATORS, wanted)


def _export(connection: sqlite3.Connection, sink: RecordSink, share: float) -> None:
    head = read_head(connection)
    query = f"SELECT {rows.BATCHES.column_list} FROM batches WHERE height = ?"
    row = connection.execute(query, (head.chain.height,)).fetchone()
    sink.begin(head, None if row is None else StoredBatch(*row))
    pace = Pace(share)
    for page in _record_pages(connection):
        sink.add(page)
        time.sleep(pace.pause_seconds())


def _record_pages(connection: sqlite3.Connection) -> Iterator[list[StoredRecord]]:
    """In the order that `RecordSink` asks for."""
    for page in rows.pages_by_key(connection, rows.ACCOUNTS, ("address",), EXPORT_PAGE_RECORDS):
        yield [rows.account_from(row) for row in page]
    for page in rows.pages_by_key(connection, rows.TRIANGLES, ("id",), EXPORT_PAGE_RECORDS):
        yield [rows.triangle_from(row) for row in page]
    for page in rows.pages_by_key(connection, rows.NONCES, ("account", "nonce"), EXPORT_PAGE_RECORDS):
        yield [rows.nonce_from(row) for row in page]


def _restore(connection: sqlite3.Connection, restored: RestoredState) -> None:
    if checks.already_restored(read_head(connection).chain, restored.head):
        return
    # Genesis is all that a store at height 0 holds: its allocations, and its initial state.
    for table in (rows.ACCOUNTS, rows.TRIANGLES, rows.NONCES, rows.LEVELS):
        connection.execute(f"DELETE FROM {table.name}")
    _write_records(connection, restored.pages())
    rows.write_rows(connection, "INSERT", rows.BATCHES, [rows.batch_row(restored.base)])
    write_kept(connection, checks.kept_after_restore(restored.base, restored.kept))
    _write_head(connection, restored.head)


def _write_records(connection: sqlite3.Connection, pages: Iterable[Sequence[StoredRecord]]) -> None:
    """Write records that are not there yet, and count what has happened at their levels."""
    for page in pages:
        accounts = (rows.account_row(one) for one in page if isinstance(one, Account))
        triangles = (rows.triangle_row(one) for one in page if isinstance(one, Triangle))
        nonces = (rows.nonce_row(one) for one in page if isinstance(one, NonceRecord))
        rows.write_rows(connection, "INSERT", rows.ACCOUNTS, accounts)
        rows.write_rows(connection, "INSERT", rows.TRIANGLES, triangles)
        rows.write_rows(connection, "INSERT", rows.NONCES, nonces)
        _add_level_counts(connection, counts_of_triangles(one for one in page if isinstance(one, Triangle)))
