"""The SQLite file: its tables, how a connection is opened, and what SQLite's errors mean to the node.

The file is recognised by its `application_id` and carries its schema's version in `user_version`. Both are written
in the transaction that makes the tables, so a crash leaves either an empty file or a whole schema. Durability rests
on `journal_mode=WAL` with `synchronous=FULL`: a COMMIT returns after the log has been fsynced.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from step_node.storage.checks import require_same_schema
from step_node.storage.interface import SCHEMA_VERSION, StorageMismatch, StorageUnavailable

APPLICATION_ID = 0x53544550
"""'STEP' in ASCII."""

BUSY_TIMEOUT_S = 5.0
"""How long a statement waits for another process's lock before it is `StorageUnavailable`."""

STATEMENTS_CACHED_MAX = 32
"""Prepared statements kept per connection; the least recently used one is dropped. There is one for each number of rows
that a statement has had, some kilobytes for a few rows: with 64, nine connections were still filling after an hour."""

PAGES_CACHED_KIB = 128
"""Pages that one connection that reads keeps in memory; what is not here is in the system's cache.

There are up to eight, each of which fills its own: with 512 KiB that took most of an hour, and with SQLite's own 2,000
KiB longer. It gains nothing, since whatever has been written in between makes them begin with none.
"""

PAGES_WRITTEN_CACHED_KIB = 16 * 1_024
"""Pages that one transaction may change before it writes them to the log, some 3,700.

A full batch changes 200 with 1,000 accounts, 2,700 with 100,000 (nearly each record is on a page of its own), and 5,200
with a million, of which some are then written twice. With 128 KiB all are, and read again in between: 150 µs a proof at
100,000, and 110 with this. It is given back after each transaction (`give_back_pages`), or it would fill for hours.
"""

CHECKPOINT_AT_PAGES = 8_000
"""Pages in the log, 32 MiB, at which a commit copies them into the file. With SQLite's own 1,000 each full batch did
that, and waited for the disk once more; in two or three batches many pages change again, and are copied once."""

CHECKED_AT_START_BYTES_MAX = 1_000_000_000
"""A larger file is not read through at each start, which takes seconds for each GB: `step-node store verify` does."""

FILE_SUFFIXES = ("", "-wal", "-shm", "-journal")
"""Of the files that are one store, the last only while its tables are made. In this order they can be taken away one by
one: SQLite discards a log that is there without its file, whereas a file without its log may be damaged."""

PROBLEMS_SHOWN_MAX = 5
"""Of what a check finds; there may be thousands."""

_SCHEMA = (
    """
    CREATE TABLE chain (
      id INTEGER PRIMARY KEY CHECK (id = 1),
      genesis_hash BLOB NOT NULL,
      height INTEGER NOT NULL, batch_hash BLOB NOT NULL, timestamp_ms INTEGER NOT NULL, proposer BLOB NOT NULL,
      paid_ustep INTEGER NOT NULL, minted_ustep INTEGER NOT NULL, balances_ustep INTEGER NOT NULL,
      stakes_ustep INTEGER NOT NULL, burnt_ustep INTEGER NOT NULL,
      evidence_floor_height INTEGER NOT NULL, evidence_mark_height INTEGER NOT NULL, evidence_mark_ms INTEGER NOT NULL,
      parameters BLOB NOT NULL,
      lanes BLOB NOT NULL CHECK (length(lanes) = 2048)
    ) STRICT
    """,
    """
    CREATE TABLE validators (
      address BLOB PRIMARY KEY, public_key BLOB NOT NULL, stake_ustep INTEGER NOT NULL, p2p_address TEXT NOT NULL,
      owner BLOB NOT NULL, state INTEGER NOT NULL,
      active_from_height INTEGER NOT NULL, active_until_height INTEGER NOT NULL, slashed_at_height INTEGER NOT NULL,
      slashed_ustep INTEGER NOT NULL,
      locked_until_ms INTEGER NOT NULL, absent_since_ms INTEGER NOT NULL, absent_batches INTEGER NOT NULL,
      next_public_key BLOB NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE accounts (
      address BLOB PRIMARY KEY CHECK (length(address) = 20),
      balance_ustep INTEGER NOT NULL, proofs INTEGER NOT NULL,
      last_timestamp_ms INTEGER, last_place BLOB, operations INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX accounts_by_rank ON accounts (balance_ustep DESC, address)",
    "CREATE TABLE triangles (id INTEGER PRIMARY KEY, clicks INTEGER NOT NULL, state INTEGER NOT NULL) STRICT",
    # The last five bits of an id are its level; an index ends with the row's id by itself.
    "CREATE INDEX triangles_active ON triangles (id & 31) WHERE state = 0",
    """
    CREATE TABLE levels (
      level INTEGER PRIMARY KEY, touched INTEGER NOT NULL, subdivided INTEGER NOT NULL, exhausted INTEGER NOT NULL,
      clicks INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE nonces (
      account BLOB NOT NULL, nonce TEXT NOT NULL, timestamp_ms INTEGER NOT NULL, PRIMARY KEY (account, nonce)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX nonces_by_age ON nonces (timestamp_ms, account, nonce)",
    """
    CREATE TABLE batches (
      height INTEGER PRIMARY KEY, batch_hash BLOB NOT NULL UNIQUE, timestamp_ms INTEGER NOT NULL,
      batch BLOB NOT NULL, commit_bytes BLOB NOT NULL, operation_balances BLOB NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE proofs (
      proof_id BLOB PRIMARY KEY CHECK (length(proof_id) = 32),
      height INTEGER NOT NULL REFERENCES batches (height), position INTEGER NOT NULL,
      account BLOB NOT NULL, triangle INTEGER NOT NULL,
      reward_ustep INTEGER NOT NULL, clicks INTEGER NOT NULL, triangle_state INTEGER NOT NULL,
      balance_ustep INTEGER NOT NULL, processed_at_ms INTEGER NOT NULL,
      place BLOB NOT NULL, timestamp_ms INTEGER NOT NULL, nonce TEXT NOT NULL, signature BLOB NOT NULL
    ) STRICT
    """,
    "CREATE UNIQUE INDEX proofs_by_account ON proofs (account, height DESC, position DESC)",
    "CREATE UNIQUE INDEX proofs_by_triangle ON proofs (triangle, height DESC, position DESC)",
    """
    CREATE TABLE operations (
      operation_id BLOB PRIMARY KEY CHECK (length(operation_id) = 32),
      height INTEGER NOT NULL REFERENCES batches (height), position INTEGER NOT NULL,
      owner BLOB NOT NULL, recipient BLOB, timestamp_ms INTEGER NOT NULL, operation BLOB NOT NULL
    ) STRICT
    """,
    "CREATE UNIQUE INDEX operations_by_owner ON operations (owner, height DESC, position DESC)",
    """
    CREATE UNIQUE INDEX operations_by_recipient ON operations (recipient, height DESC, position DESC)
      WHERE recipient IS NOT NULL
    """,
    """
    CREATE TABLE slashings (
      height INTEGER NOT NULL REFERENCES batches (height), position INTEGER NOT NULL, kind TEXT NOT NULL,
      accused BLOB NOT NULL, validator BLOB NOT NULL, offence_height INTEGER NOT NULL, amount_ustep INTEGER NOT NULL,
      timestamp_ms INTEGER NOT NULL, evidence BLOB NOT NULL, PRIMARY KEY (height, position)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE validator_changes (
      height INTEGER NOT NULL REFERENCES batches (height), position INTEGER NOT NULL, kind TEXT NOT NULL,
      validator BLOB NOT NULL, owner BLOB NOT NULL, stake_ustep INTEGER NOT NULL, successor BLOB NOT NULL,
      PRIMARY KEY (height, position)
    ) STRICT, WITHOUT ROWID
    """,
)


def open_writer(path: Path) -> sqlite3.Connection:
    """The connection that writes; makes the file and its tables where there are none.

    The pages of a file that is not too large are looked through: a damaged one must be found before the node answers
    for what is in it, not when a batch happens to touch the page.

    Raises `StorageMismatch` for a file that is not this program's, is damaged, or has another schema version;
    `StorageUnavailable` when it cannot be opened or is locked by another process.
    """
    with meaningful_errors(path):
        connection = _connect(path, "rwc", pages_cached_kib=PAGES_WRITTEN_CACHED_KIB)
        opened = False
        try:
            _recognise(connection, path)
            if path.stat().st_size <= CHECKED_AT_START_BYTES_MAX:
                _require_sound(connection, path, "quick_check")
            # Only now: changing the journal mode writes into the file, which must be known to be ours.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_AT_PAGES}")
            connection.execute("PRAGMA foreign_keys = ON")
            opened = True
        finally:
            if not opened:
                connection.close()
    return connection


def give_back_pages(connection: sqlite3.Connection) -> None:
    """Let go of the pages that a transaction has left in memory: the next one's are others."""
    connection.execute("PRAGMA shrink_memory")


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that can only read. The file must have been opened by a writer before."""
    with meaningful_errors(path):
        connection = _connect(path, "rw")
        connection.execute("PRAGMA query_only = ON")
    return connection


def check_file(path: Path) -> None:
    """Look through the whole file, indexes and all, however large; a running node may go on with it meanwhile.

    Raises `StorageMismatch` if it is damaged or is not this program's; `StorageUnavailable` if it cannot be opened.
    """
    with meaningful_errors(path):
        connection = _connect(path, "rw")
        try:
            connection.execute("PRAGMA query_only = ON")
            _require_ours(connection, path)
            _require_sound(connection, path, "integrity_check")
        finally:
            connection.close()


@contextmanager
def transaction(connection: sqlite3.Connection, mode: str) -> Iterator[None]:
    """BEGIN `mode` … COMMIT, or ROLLBACK when anything at all goes wrong in between."""
    connection.execute(f"BEGIN {mode}")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        # SQLite has ended the transaction by itself after some I/O errors, and stays in it after a refused COMMIT.
        if connection.in_transaction:
            connection.execute("ROLLBACK")


_WHAT_TO_DO = "move it away and let the node catch up from its peers: `step-node store rebuild`"

_THE_ENVIRONMENT = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
    }
)


@contextmanager
def meaningful_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into the interface's; one that means a bug in this package stays as it is."""
    try:
        yield
    except sqlite3.Error as error:
        # Absent where the sqlite3 module itself complains, of misuse: a bug, and left as it is.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE) & 0xFF
        if code in _THE_ENVIRONMENT:
            raise StorageUnavailable(
                f"the SQLite store {path} does not answer: {error}; nothing was written"
            ) from error
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise StorageMismatch(f"{path} is not a usable SQLite database: {error}; {_WHAT_TO_DO}") from error
        if code == sqlite3.SQLITE_CONSTRAINT:
            raise ValueError(f"conflicts with what is stored: {error}") from error
        raise


def _connect(path: Path, mode: str, *, pages_cached_kib: int = PAGES_CACHED_KIB) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,  # transactions are begun and ended by `transaction` alone
        check_same_thread=False,  # worker threads take turns with it
        cached_statements=STATEMENTS_CACHED_MAX,
    )
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute(f"PRAGMA cache_size = -{pages_cached_kib}")
    return connection


def _recognise(connection: sqlite3.Connection, path: Path) -> None:
    with transaction(connection, "IMMEDIATE"):
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        (objects,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if application_id == 0 and objects == 0:
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        else:
            _require_ours(connection, path)


def _require_ours(connection: sqlite3.Connection, path: Path) -> None:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    if application_id != APPLICATION_ID:
        raise StorageMismatch(
            f"{path} is a SQLite database of another program (application_id 0x{application_id & 0xFFFFFFFF:08x}):"
            " name another file"
        )
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    require_same_schema(version, str(path))


def _require_sound(
    connection: sqlite3.Connection, path: Path, pragma: Literal["quick_check", "integrity_check"]
) -> None:
    """`quick_check` reads every page; `integrity_check` compares each index with its table as well."""
    problems = [str(row[0]) for row in connection.execute(f"PRAGMA {pragma}({PROBLEMS_SHOWN_MAX})")]
    if problems != ["ok"]:
        found = "; ".join(" ".join(problem.split()) for problem in problems)
        raise StorageMismatch(f"{path} is damaged: {found}; {_WHAT_TO_DO}")
