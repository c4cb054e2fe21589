"""Reading the SQLite file: a few connections, each read a transaction of its own on a worker thread.

WAL gives a transaction one consistent snapshot, whatever is written meanwhile. There are two of these for one store:
one for the node itself, and one for strangers, who thus wait for one another and for nobody else.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import trio

from step_node.ledger.level_counts import CountsByLevel, LevelCounts
from step_node.ledger.offences import Slashing
from step_node.ledger.records import Account, NonceRecord, Triangle, nonce_age
from step_node.ledger.state import Receipt, StateHead, StateKeys, StateSlice, TriangleRanges
from step_node.ledger.validator_changes import ValidatorChange
from step_node.storage import checks
from step_node.storage import sqlite_accounts as accounts
from step_node.storage import sqlite_rows as rows
from step_node.storage.interface import (
    AccountPage,
    FinalisedOperation,
    FinalisedProof,
    Kept,
    Place,
    StorageReads,
    StoredBatch,
    Transaction,
)
from step_node.storage.sqlite_file import meaningful_errors, open_reader, transaction
from step_node.storage.sqlite_pages import SqlPage

ResultT = TypeVar("ResultT")
EntryT = TypeVar("EntryT")


class SqliteReads(StorageReads):
    """At most `reads_max` reads at the same time, and as many connections; a further read waits for one to end."""

    def __init__(self, path: Path, *, reads_max: int) -> None:
        self._path = path
        self._reads_max = reads_max
        self._idle: list[sqlite3.Connection] = []
        self._turns = trio.CapacityLimiter(reads_max)

    async def head(self) -> StateHead:
        return await self._read(read_head)

    async def load(self, keys: StateKeys) -> StateSlice:
        if keys.ranges is not None:
            checks.require_ranges(keys.ranges)
        return await self._read(lambda connection: _read_slice(connection, keys))

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
        return await self._read_chain(lambda connection: accounts.read_account(connection, address))

    async def account_rank(self, address: bytes) -> int | None:
        return await self._read_chain(lambda connection: accounts.read_rank(connection, address))

    async def account_page(self, address: bytes, *, limit: int) -> AccountPage:
        checks.require_limit(limit)
        return await self._read_chain(lambda connection: accounts.read_account_page(connection, address, limit=limit))

    async def transactions(
        self, address: bytes, *, limit: int, before: Place | None = None, after: Place | None = None
    ) -> Sequence[Transaction]:
        page = SqlPage(limit, before, after)
        return await self._read_chain(lambda connection: accounts.read_transactions(connection, address, page))

    async def operations(self, operation_ids: Sequence[bytes]) -> Sequence[FinalisedOperation]:
        return await self._read_chain(lambda connection: accounts.read_operations(connection, operation_ids))

    async def account_proofs(
        self, address: bytes, *, limit: int, before: Place | None = None, after: Place | None = None
    ) -> Sequence[FinalisedProof]:
        page = SqlPage(limit, before, after)
        return await self._read_page(rows.PROOFS, rows.finalised_proof_from, page, ("account", address))

    async def triangle_proofs(
        self, triangle_id: int, *, limit: int, before: Place | None = None, after: Place | None = None
    ) -> Sequence[FinalisedProof]:
        page = SqlPage(limit, before, after)
        return await self._read_page(rows.PROOFS, rows.finalised_proof_from, page, ("triangle", triangle_id))

    async def triangle(self, triangle_id: int) -> Triangle | None:
        def work(connection: sqlite3.Connection) -> Triangle | None:
            found = rows.read_rows(connection, rows.TRIANGLES, "WHERE id = ?", (triangle_id,))
            return rows.triangle_from(found[0]) if found else None

        return await self._read_chain(work)

    async def active_triangles(self, level: int, *, after: int, limit: int) -> Sequence[Triangle]:
        checks.require_limit(limit)
        where = "WHERE id & 31 = ? AND state = 0 AND id > ? ORDER BY id LIMIT ?"

        def work(connection: sqlite3.Connection) -> Sequence[Triangle]:
            found = rows.read_rows(connection, rows.TRIANGLES, where, (level, after, limit))
            return tuple(sorted(map(rows.triangle_from, found), key=lambda triangle: triangle.id))

        return await self._read_chain(work)

    async def level_counts(self) -> CountsByLevel:
        def work(connection: sqlite3.Connection) -> CountsByLevel:
            return {level: LevelCounts(*counts) for level, *counts in rows.read_rows(connection, rows.LEVELS)}

        return await self._read_chain(work)

    async def leaderboard(self, *, limit: int) -> Sequence[Account]:
        checks.require_limit(limit)

        def work(connection: sqlite3.Connection) -> Sequence[Account]:
            found = rows.read_rows(connection, rows.ACCOUNTS, "ORDER BY balance_ustep DESC, address LIMIT ?", (limit,))
            return tuple(sorted(map(rows.account_from, found), key=lambda one: (-one.balance_ustep, one.address)))

        return await self._read_chain(work)

    async def slashings(
        self, *, limit: int, before: Place | None = None, after: Place | None = None
    ) -> Sequence[Slashing]:
        return await self._read_page(rows.SLASHINGS, rows.slashing_from, SqlPage(limit, before, after))

    async def validator_changes(
        self, *, limit: int, before: Place | None = None, after: Place | None = None
    ) -> Sequence[ValidatorChange]:
        page = SqlPage(limit, before, after)
        return await self._read_page(rows.VALIDATOR_CHANGES, rows.validator_change_from, page)

    async def first_height(self) -> int | None:
        def work(connection: sqlite3.Connection) -> int | None:
            height: int | None = connection.execute("SELECT min(height) FROM batches").fetchone()[0]
            return height

        return await self._read_chain(work)

    async def kept(self) -> Kept:
        return await self._read_chain(read_kept)

    async def _read_page(
        self,
        table: rows.Table,
        entry_from: Callable[[Sequence[Any]], EntryT],
        page: SqlPage,
        of: tuple[str, rows.Value] | None = None,
    ) -> Sequence[EntryT]:
        """A page of a history: of all, or of those entries whose column `of[0]` is `of[1]`."""

        def work(connection: sqlite3.Connection) -> Sequence[EntryT]:
            found = rows.read_rows(connection, table, page.where(of), page.values(of))
            found.sort(key=page.place_in(table), reverse=not page.is_oldest_first)
            return tuple(map(entry_from, found))

        return await self._read_chain(work)

    async def _read(self, work: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        def in_thread() -> ResultT:
            # The limiter lets `reads_max` threads in, so no more connections than that are ever opened.
            connection = self._idle.pop() if self._idle else open_reader(self._path)
            try:
                with meaningful_errors(self._path), transaction(connection, "DEFERRED"):
                    return work(connection)
            finally:
                self._idle.append(connection)

        return await trio.to_thread.run_sync(in_thread, limiter=self._turns)

    async def _read_chain(self, work: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        """As `_read`, in a store that holds a chain."""

        def checked(connection: sqlite3.Connection) -> ResultT:
            if connection.execute("SELECT 1 FROM chain").fetchone() is None:
                raise checks.no_chain()
            return work(connection)

        return await self._read(checked)

    async def close_reads(self) -> None:
        """Let go of the file, once the reads under way have ended; none may follow."""
        with trio.CancelScope(shield=True):
            turns = [object() for _ in range(self._reads_max)]
            for turn in turns:
                await self._turns.acquire_on_behalf_of(turn)
            for connection in self._idle:
                connection.close()
            self._idle.clear()
            for turn in turns:
                self._turns.release_on_behalf_of(turn)


def read_head(connection: sqlite3.Connection) -> StateHead:
    found = rows.read_rows(connection, rows.CHAIN)
    if not found:
        raise checks.no_chain()
    return rows.head_from(found[0], rows.read_rows(connection, rows.VALIDATORS))


def read_kept(connection: sqlite3.Connection) -> Kept:
    return Kept(*connection.execute("SELECT batches_from, histories_from FROM kept").fetchone())


def _read_slice(connection: sqlite3.Connection, keys: StateKeys) -> StateSlice:
    head = read_head(connection)
    addresses = [(address,) for address in keys.accounts]
    accounts = map(rows.account_from, rows.read_rows_in(connection, rows.ACCOUNTS, "address", addresses))
    triangle_ids = [(triangle_id,) for triangle_id in keys.triangles]
    triangles = map(rows.triangle_from, rows.read_rows_in(connection, rows.TRIANGLES, "id", triangle_ids))
    nonces = map(rows.nonce_from, rows.read_rows_in(connection, rows.NONCES, "(account, nonce)", keys.nonces))
    expired: list[NonceRecord] = []
    if keys.expiry is not None:
        oldest = "WHERE timestamp_ms < ? ORDER BY timestamp_ms, account, nonce LIMIT ?"
        found = rows.read_rows(connection, rows.NONCES, oldest, (keys.expiry.before_ms, keys.expiry.nonces_max))
        expired = sorted(map(rows.nonce_from, found), key=nonce_age)
    return StateSlice(
        head=head,
        accounts=dict.fromkeys(keys.accounts) | {account.address: account for account in accounts},
        triangles=dict.fromkeys(keys.triangles) | {triangle.id: triangle for triangle in triangles},
        nonces=dict.fromkeys(keys.nonces) | {(nonce.account, nonce.nonce): nonce for nonce in nonces},
        expired_nonces=tuple(expired),
        in_ranges=() if keys.ranges is None else _read_ranges(connection, keys.ranges),
    )


def _read_ranges(connection: sqlite3.Connection, wanted: TriangleRanges) -> tuple[Triangle, ...]:
    found = rows.read_rows_between(connection, rows.TRIANGLES, "id", wanted.ranges, wanted.records_max)
    return tuple(map(rows.triangle_from, found))
