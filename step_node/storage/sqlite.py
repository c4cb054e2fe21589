"""The embedded engine: one SQLite file, and nothing else to install or to run.

One connection writes, in a worker thread, one transaction at a time; a few read, each read in a transaction of its
own, so that WAL gives it one consistent snapshot whatever is written meanwhile. A call that is cancelled still waits
for its thread, so its outcome is never in doubt. Two openers of one file are safe: the second to finalise a height
finds it there (`BEGIN IMMEDIATE`, then a look at the head).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import trio

from step_node.ledger.offences import Slashing
from step_node.ledger.records import Account, NonceRecord, Triangle
from step_node.ledger.state import Changes, Receipt, StateHead, StateKeys, StateSlice
from step_node.storage import checks
from step_node.storage import sqlite_rows as rows
from step_node.storage.interface import (
    FinalisedBatch,
    FinalisedProof,
    LedgerTotals,
    RecordSink,
    RestoredState,
    Storage,
    StoredBatch,
)
from step_node.storage.sqlite_file import meaningful_errors, open_reader, open_writer, transaction

READERS_MAX = 4
"""Read connections, and reads at the same time; a further read waits for one to end."""

EXPORT_PAGE_RECORDS = 5_000
"""Records read at once while exporting: some 100 kB, and one hold of the GIL."""

ResultT = TypeVar("ResultT")


class SqliteStorage(Storage):
    """One chain's store in a file. Made by `SqliteStorage.open`; after `close` it cannot be used."""

    def __init__(self, path: Path, writer: sqlite3.Connection) -> None:
        self._path = path
        self._writer = writer
        self._idle_readers: list[sqlite3.Connection] = []
        self._write_turn = trio.CapacityLimiter(1)
        self._read_turns = trio.CapacityLimiter(READERS_MAX)

    @classmethod
    async def open(cls, path: Path) -> SqliteStorage:
        """Open the file, making it where there is none.

        Raises `StorageMismatch` for a file that is not this program's, is damaged, or has another schema version;
        `StorageUnavailable` when it cannot be opened.
        """
        return cls(path, await trio.to_thread.run_sync(open_writer, path))

    async def initialise(self, genesis_hash: bytes, head: StateHead, accounts: Sequence[Account]) -> None:
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

        await self._write(work)

    async def head(self) -> StateHead:
        return await self._read(_read_head)

    async def load(self, keys: StateKeys) -> StateSlice:
        return await self._read(lambda connection: _read_slice(connection, keys))

    async def finalise(self, finalised: FinalisedBatch) -> None:
        checks.require_consistent(finalised)
        await self._write(lambda connection: _write_finalised(connection, finalised))

    async def batches(self, from_height: int, limit: int) -> Sequence[StoredBatch]:
        checks.require_limit(limit)
        query = f"SELECT {rows.BATCHES.column_list} FROM batches WHERE height >= ? ORDER BY height LIMIT ?"

        def work(connection: sqlite3.Connection) -> Sequence[StoredBatch]:
            found = [StoredBatch(*row) for row in connection.execute(query, (from_height, limit))]
            # Consecutive from `from_height`: a caller below the first stored height gets none, not a gap.
            return tuple(batch for index, batch in enumerate(found) if batch.height == from_height + index)

        return await self._read_chain(work)

    async def receipts(self, proof_ids: Sequence[bytes]) -> Sequence[Receipt]:
        keys = [(proof_id,) for proof_id in set(proof_ids)]

        def work(connection: sqlite3.Connection) -> Sequence[Receipt]:
            return tuple(map(rows.receipt_from, rows.read_rows_in(connection, rows.RECEIPTS, "proof_id", keys)))

        return await self._read_chain(work)

    async def account(self, address: bytes) -> Account | None:
        def work(connection: sqlite3.Connection) -> Account | None:
            found = rows.read_rows(connection, rows.ACCOUNTS, "WHERE address = ?", (address,))
            return rows.account_from(found[0]) if found else None

        return await self._read_chain(work)

    async def account_rank(self, address: bytes) -> int | None:
        query = """
            SELECT 1 + (SELECT count(*) FROM accounts WHERE balance_ustep > own.balance_ustep)
                     + (SELECT count(*) FROM accounts WHERE balance_ustep = own.balance_ustep AND address < own.address)
            FROM accounts AS own WHERE own.address = ?
            """

        def work(connection: sqlite3.Connection) -> int | None:
            row = connection.execute(query, (address,)).fetchone()
            return None if row is None else int(row[0])

        return await self._read_chain(work)

    async def account_proofs(
        self, address: bytes, *, before: tuple[int, int] | None, limit: int
    ) -> Sequence[FinalisedProof]:
        checks.require_limit(limit)
        below = "" if before is None else "AND (height, position) < (?, ?)"
        where = f"WHERE account = ? {below} ORDER BY height DESC, position DESC LIMIT ?"

        def work(connection: sqlite3.Connection) -> Sequence[FinalisedProof]:
            found = rows.read_rows(connection, rows.PROOFS, where, (address, *(before or ()), limit))
            proofs = map(rows.finalised_proof_from, found)
            return tuple(sorted(proofs, key=lambda one: (-one.receipt.height, -one.receipt.index)))

        return await self._read_chain(work)

    async def triangle(self, triangle_id: int) -> Triangle | None:
        def work(connection: sqlite3.Connection) -> Triangle | None:
            found = rows.read_rows(connection, rows.TRIANGLES, "WHERE id = ?", (triangle_id,))
            return rows.triangle_from(found[0]) if found else None

        return await self._read_chain(work)

    async def leaderboard(self, *, limit: int) -> Sequence[Account]:
        checks.require_limit(limit)

        def work(connection: sqlite3.Connection) -> Sequence[Account]:
            found = rows.read_rows(connection, rows.ACCOUNTS, "ORDER BY balance_ustep DESC, address LIMIT ?", (limit,))
            return tuple(sorted(map(rows.account_from, found), key=lambda one: (-one.balance_ustep, one.address)))

        return await self._read_chain(work)

    async def slashings(self, *, limit: int, before: tuple[int, int] | None = None) -> Sequence[Slashing]:
        checks.require_limit(limit)
        below = "" if before is None else "WHERE (height, position) < (?, ?)"
        order = f"{below} ORDER BY height DESC, position DESC LIMIT ?"

        def work(connection: sqlite3.Connection) -> Sequence[Slashing]:
            found = rows.read_rows(connection, rows.SLASHINGS, order, (*(before or ()), limit))
            return tuple(sorted(map(rows.slashing_from, found), key=lambda one: (-one.height, -one.index)))

        return await self._read_chain(work)

    async def totals(self) -> LedgerTotals:
        query = """
            SELECT (SELECT coalesce(sum(balance_ustep), 0) FROM accounts), (SELECT count(*) FROM accounts),
                   (SELECT count(*) FROM triangles), (SELECT count(*) FROM proofs)
            """
        return await self._read_chain(lambda connection: LedgerTotals(*connection.execute(query).fetchone()))

    async def first_height(self) -> int | None:
        def work(connection: sqlite3.Connection) -> int | None:
            height: int | None = connection.execute("SELECT min(height) FROM batches").fetchone()[0]
            return height

        return await self._read_chain(work)

    async def export(self, sink: RecordSink) -> None:
        await self._read(lambda connection: _export(connection, sink))

    async def restore(self, restored: RestoredState) -> None:
        """As the interface says: one transaction, so a crash leaves nothing of it."""
        checks.require_restorable(restored.head, restored.base)
        await self._write(lambda connection: _restore(connection, restored))

    async def close(self) -> None:
        """Let go of the file, once the calls under way have ended."""
        with trio.CancelScope(shield=True):
            async with self._write_turn:
                turns = [object() for _ in range(READERS_MAX)]
                for turn in turns:
                    await self._read_turns.acquire_on_behalf_of(turn)
                for connection in (*self._idle_readers, self._writer):
                    connection.close()
                self._idle_readers.clear()
                for turn in turns:
                    self._read_turns.release_on_behalf_of(turn)

    async def _write(self, work: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        def in_thread() -> ResultT:
            with meaningful_errors(self._path), transaction(self._writer, "IMMEDIATE"):
                return work(self._writer)

        return await trio.to_thread.run_sync(in_thread, limiter=self._write_turn)

    async def _read(self, work: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        def in_thread() -> ResultT:
            # The limiter lets READERS_MAX threads in, so no more connections than that are ever opened.
            connection = self._idle_readers.pop() if self._idle_readers else open_reader(self._path)
            try:
                with meaningful_errors(self._path), transaction(connection, "DEFERRED"):
                    return work(connection)
            finally:
                self._idle_readers.append(connection)

        return await trio.to_thread.run_sync(in_thread, limiter=self._read_turns)

    async def _read_chain(self, work: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        """As `_read`, in a store that holds a chain."""

        def checked(connection: sqlite3.Connection) -> ResultT:
            if connection.execute("SELECT 1 FROM chain").fetchone() is None:
                raise checks.no_chain()
            return work(connection)

        return await self._read(checked)


def _read_head(connection: sqlite3.Connection) -> StateHead:
    found = rows.read_rows(connection, rows.CHAIN)
    if not found:
        raise checks.no_chain()
    return rows.head_from(found[0], rows.read_rows(connection, rows.VALIDATORS))


def _read_slice(connection: sqlite3.Connection, keys: StateKeys) -> StateSlice:
    head = _read_head(connection)
    addresses = [(address,) for address in keys.accounts]
    accounts = map(rows.account_from, rows.read_rows_in(connection, rows.ACCOUNTS, "address", addresses))
    triangle_ids = [(triangle_id,) for triangle_id in keys.triangles]
    triangles = map(rows.triangle_from, rows.read_rows_in(connection, rows.TRIANGLES, "id", triangle_ids))
    nonces = map(rows.nonce_from, rows.read_rows_in(connection, rows.NONCES, "(account, nonce)", keys.nonces))
    expired: list[NonceRecord] = []
    if keys.nonces_before_ms is not None:
        found = rows.read_rows(connection, rows.NONCES, "WHERE timestamp_ms < ?", (keys.nonces_before_ms,))
        expired = sorted(map(rows.nonce_from, found), key=lambda one: (one.timestamp_ms, one.account, one.nonce))
    return StateSlice(
        head=head,
        accounts=dict.fromkeys(keys.accounts) | {account.address: account for account in accounts},
        triangles=dict.fromkeys(keys.triangles) | {triangle.id: triangle for triangle in triangles},
        nonces=dict.fromkeys(keys.nonces) | {(nonce.account, nonce.nonce): nonce for nonce in nonces},
        expired_nonces=tuple(expired),
    )


def _write_finalised(connection: sqlite3.Connection, finalised: FinalisedBatch) -> None:
    stored = finalised.stored
    head = _read_head(connection)
    row = connection.execute("SELECT batch_hash FROM batches WHERE height = ?", (stored.height,)).fetchone()
    if checks.already_finalised(head.chain, None if row is None else row[0], stored):
        return
    rows.write_rows(connection, "INSERT", rows.BATCHES, [rows.batch_row(stored)])
    rows.write_rows(connection, "INSERT", rows.PROOFS, map(rows.proof_row, finalised.proofs, finalised.receipts))
    rows.write_rows(connection, "INSERT", rows.SLASHINGS, map(rows.slashing_row, finalised.slashings))
    _write_changes(connection, finalised.changes)


def _write_changes(connection: sqlite3.Connection, changes: Changes) -> None:
    # Removed before added: a nonce that has just left the window may be used again in the same batch.
    removed = [(nonce.account, nonce.nonce) for nonce in changes.nonces_removed]
    if rows.delete_rows_in(connection, rows.NONCES, "(account, nonce)", removed) != len(removed):
        raise ValueError("one of the nonces to remove is not stored")
    rows.write_rows(connection, "INSERT", rows.NONCES, map(rows.nonce_row, changes.nonces_added))
    rows.write_rows(connection, "REPLACE", rows.ACCOUNTS, map(rows.account_row, changes.accounts))
    rows.write_rows(connection, "REPLACE", rows.TRIANGLES, map(rows.triangle_row, changes.triangles))
    _write_head(connection, changes.head)


def _write_head(connection: sqlite3.Connection, head: StateHead) -> None:
    chain_row = rows.chain_row(head)
    connection.execute(f"UPDATE chain SET ({rows.CHAIN.column_list}) = ({', '.join('?' * len(chain_row))})", chain_row)
    connection.execute("DELETE FROM validators")
    rows.write_rows(connection, "INSERT", rows.VALIDATORS, map(rows.validator_row, head.validators))


def _export(connection: sqlite3.Connection, sink: RecordSink) -> None:
    head = _read_head(connection)
    if head.chain.height == 0:
        raise checks.no_snapshot_of_genesis()
    query = f"SELECT {rows.BATCHES.column_list} FROM batches WHERE height = ?"
    sink.begin(head, StoredBatch(*connection.execute(query, (head.chain.height,)).fetchone()))
    for page in rows.pages_by_key(connection, rows.ACCOUNTS, ("address",), EXPORT_PAGE_RECORDS):
        sink.add([rows.account_from(row) for row in page])
    for page in rows.pages_by_key(connection, rows.TRIANGLES, ("id",), EXPORT_PAGE_RECORDS):
        sink.add([rows.triangle_from(row) for row in page])
    for page in rows.pages_by_key(connection, rows.NONCES, ("account", "nonce"), EXPORT_PAGE_RECORDS):
        sink.add([rows.nonce_from(row) for row in page])


def _restore(connection: sqlite3.Connection, restored: RestoredState) -> None:
    if checks.already_restored(_read_head(connection).chain, restored.head):
        return
    # Genesis is all that a store at height 0 holds: its allocations.
    connection.execute("DELETE FROM accounts")
    for page in restored.pages():
        accounts = (rows.account_row(one) for one in page if isinstance(one, Account))
        triangles = (rows.triangle_row(one) for one in page if isinstance(one, Triangle))
        nonces = (rows.nonce_row(one) for one in page if isinstance(one, NonceRecord))
        rows.write_rows(connection, "INSERT", rows.ACCOUNTS, accounts)
        rows.write_rows(connection, "INSERT", rows.TRIANGLES, triangles)
        rows.write_rows(connection, "INSERT", rows.NONCES, nonces)
    rows.write_rows(connection, "INSERT", rows.BATCHES, [rows.batch_row(restored.base)])
    _write_head(connection, restored.head)
