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

from step_node.ledger.records import Account, NonceRecord, Triangle
from step_node.ledger.state import Changes, Receipt, StateHead, StateKeys, StateSlice
from step_node.storage import sqlite_rows as rows
from step_node.storage.checks import (
    already_finalised,
    no_chain,
    require_consistent,
    require_initial_state,
    require_limit,
    require_same_genesis,
)
from step_node.storage.interface import FinalisedBatch, FinalisedProof, LedgerTotals, Storage, StoredBatch
from step_node.storage.sqlite_file import meaningful_errors, open_reader, open_writer, transaction

READERS_MAX = 4
"""Read connections, and reads at the same time; a further read waits for one to end."""

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
        require_initial_state(genesis_hash, head, accounts)

        def work(connection: sqlite3.Connection) -> None:
            row = connection.execute("SELECT genesis_hash FROM chain").fetchone()
            if row is not None:
                require_same_genesis(row[0], genesis_hash)
                return
            columns = f"id, genesis_hash, {rows.CHAIN_COLUMNS}"
            rows.write_rows(connection, "INSERT", "chain", columns, [(1, genesis_hash, *rows.chain_row(head))])
            _write_validators(connection, head)
            rows.write_rows(connection, "INSERT", "accounts", rows.ACCOUNT_COLUMNS, map(rows.account_row, accounts))

        await self._write(work)

    async def head(self) -> StateHead:
        return await self._read(_read_head)

    async def load(self, keys: StateKeys) -> StateSlice:
        return await self._read(lambda connection: _read_slice(connection, keys))

    async def finalise(self, finalised: FinalisedBatch) -> None:
        require_consistent(finalised)
        await self._write(lambda connection: _write_finalised(connection, finalised))

    async def batches(self, from_height: int, limit: int) -> Sequence[StoredBatch]:
        require_limit(limit)
        query = f"SELECT {rows.BATCH_COLUMNS} FROM batches WHERE height >= ? ORDER BY height LIMIT ?"

        def work(connection: sqlite3.Connection) -> Sequence[StoredBatch]:
            found = [StoredBatch(*row) for row in connection.execute(query, (from_height, limit))]
            # Consecutive from `from_height`: a caller below the first stored height gets none, not a gap.
            return tuple(batch for index, batch in enumerate(found) if batch.height == from_height + index)

        return await self._read_chain(work)

    async def receipts(self, proof_ids: Sequence[bytes]) -> Sequence[Receipt]:
        def work(connection: sqlite3.Connection) -> Sequence[Receipt]:
            keys = [(proof_id,) for proof_id in set(proof_ids)]
            cursors = rows.select_in(connection, "proofs", rows.RECEIPT_COLUMNS, "proof_id", keys)
            return tuple(rows.receipt_from(row) for cursor in cursors for row in cursor)

        return await self._read_chain(work)

    async def account(self, address: bytes) -> Account | None:
        query = f"SELECT {rows.ACCOUNT_COLUMNS} FROM accounts WHERE address = ?"

        def work(connection: sqlite3.Connection) -> Account | None:
            row = connection.execute(query, (address,)).fetchone()
            return None if row is None else rows.account_from(row)

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
        require_limit(limit)
        below = "" if before is None else "AND (height, position) < (?, ?)"
        query = (
            f"SELECT {rows.PROOF_COLUMNS} FROM proofs WHERE account = ? {below}"
            " ORDER BY height DESC, position DESC LIMIT ?"
        )

        def work(connection: sqlite3.Connection) -> Sequence[FinalisedProof]:
            found = connection.execute(query, (address, *(before or ()), limit))
            return tuple(rows.finalised_proof_from(row) for row in found)

        return await self._read_chain(work)

    async def triangle(self, triangle_id: int) -> Triangle | None:
        query = f"SELECT {rows.TRIANGLE_COLUMNS} FROM triangles WHERE id = ?"

        def work(connection: sqlite3.Connection) -> Triangle | None:
            row = connection.execute(query, (triangle_id,)).fetchone()
            return None if row is None else rows.triangle_from(row)

        return await self._read_chain(work)

    async def leaderboard(self, *, limit: int) -> Sequence[Account]:
        require_limit(limit)
        query = f"SELECT {rows.ACCOUNT_COLUMNS} FROM accounts ORDER BY balance_ustep DESC, address LIMIT ?"
        return await self._read_chain(
            lambda connection: tuple(map(rows.account_from, connection.execute(query, (limit,))))
        )

    async def totals(self) -> LedgerTotals:
        query = """
            SELECT (SELECT coalesce(sum(balance_ustep), 0) FROM accounts), (SELECT count(*) FROM accounts),
                   (SELECT count(*) FROM triangles), (SELECT count(*) FROM proofs)
            """
        return await self._read_chain(lambda connection: LedgerTotals(*connection.execute(query).fetchone()))

    async def close(self) -> None:
        """Let go of the file, once the calls under way have ended."""
        with trio.CancelScope(shield=True):
            async with self._write_turn:
                for _ in range(READERS_MAX):
                    await self._read_turns.acquire_on_behalf_of(object())
                for connection in (*self._idle_readers, self._writer):
                    connection.close()
                self._idle_readers.clear()

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
                raise no_chain()
            return work(connection)

        return await self._read(checked)


def _read_head(connection: sqlite3.Connection) -> StateHead:
    row = connection.execute(f"SELECT {rows.CHAIN_COLUMNS} FROM chain").fetchone()
    if row is None:
        raise no_chain()
    validators = connection.execute(f"SELECT {rows.VALIDATOR_COLUMNS} FROM validators ORDER BY address")
    return rows.head_from(row, validators)


def _read_slice(connection: sqlite3.Connection, keys: StateKeys) -> StateSlice:
    head = _read_head(connection)
    accounts: dict[bytes, Account | None] = dict.fromkeys(keys.accounts)
    addresses = [(address,) for address in keys.accounts]
    for cursor in rows.select_in(connection, "accounts", rows.ACCOUNT_COLUMNS, "address", addresses):
        accounts.update((account.address, account) for account in map(rows.account_from, cursor))
    triangles: dict[int, Triangle | None] = dict.fromkeys(keys.triangles)
    triangle_ids = [(triangle_id,) for triangle_id in keys.triangles]
    for cursor in rows.select_in(connection, "triangles", rows.TRIANGLE_COLUMNS, "id", triangle_ids):
        triangles.update((triangle.id, triangle) for triangle in map(rows.triangle_from, cursor))
    nonces: dict[tuple[bytes, str], NonceRecord | None] = dict.fromkeys(keys.nonces)
    for cursor in rows.select_in(connection, "nonces", rows.NONCE_COLUMNS, "(account, nonce)", keys.nonces):
        nonces.update(((row[0], row[1]), NonceRecord(*row)) for row in cursor)
    expired: list[NonceRecord] = []
    if keys.nonces_before_ms is not None:
        query = f"SELECT {rows.NONCE_COLUMNS} FROM nonces WHERE timestamp_ms < ? ORDER BY timestamp_ms, account, nonce"
        expired = [NonceRecord(*row) for row in connection.execute(query, (keys.nonces_before_ms,))]
    return StateSlice(head, accounts, triangles, nonces, tuple(expired))


def _write_finalised(connection: sqlite3.Connection, finalised: FinalisedBatch) -> None:
    stored = finalised.stored
    head = _read_head(connection)
    row = connection.execute("SELECT batch_hash FROM batches WHERE height = ?", (stored.height,)).fetchone()
    if already_finalised(head.chain, None if row is None else row[0], stored):
        return
    batch_row = (stored.height, stored.batch_hash, stored.timestamp_ms, stored.batch, stored.commit)
    rows.write_rows(connection, "INSERT", "batches", rows.BATCH_COLUMNS, [batch_row])
    proof_rows = map(rows.proof_row, finalised.proofs, finalised.receipts)
    rows.write_rows(connection, "INSERT", "proofs", rows.PROOF_COLUMNS, proof_rows)
    _write_changes(connection, finalised.changes)


def _write_changes(connection: sqlite3.Connection, changes: Changes) -> None:
    # Removed before added: a nonce that has just left the window may be used again in the same batch.
    _delete_nonces(connection, changes.nonces_removed)
    rows.write_rows(connection, "INSERT", "nonces", rows.NONCE_COLUMNS, map(rows.nonce_row, changes.nonces_added))
    rows.write_rows(connection, "REPLACE", "accounts", rows.ACCOUNT_COLUMNS, map(rows.account_row, changes.accounts))
    triangle_rows = map(rows.triangle_row, changes.triangles)
    rows.write_rows(connection, "REPLACE", "triangles", rows.TRIANGLE_COLUMNS, triangle_rows)
    chain_row = rows.chain_row(changes.head)
    places = ", ".join("?" * len(chain_row))
    connection.execute(f"UPDATE chain SET ({rows.CHAIN_COLUMNS}) = ({places})", chain_row)
    connection.execute("DELETE FROM validators")
    _write_validators(connection, changes.head)


def _write_validators(connection: sqlite3.Connection, head: StateHead) -> None:
    validator_rows = map(rows.validator_row, head.validators)
    rows.write_rows(connection, "INSERT", "validators", rows.VALIDATOR_COLUMNS, validator_rows)


def _delete_nonces(connection: sqlite3.Connection, removed: Sequence[NonceRecord]) -> None:
    deleted = rows.delete_in(connection, "nonces", "(account, nonce)", [(one.account, one.nonce) for one in removed])
    if deleted != len(removed):
        raise ValueError(f"{len(removed) - deleted} of the nonces to remove are not stored")
