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
from step_node.storage.interface import StorageMismatch, StorageUnavailable
from step_node.storage.sqlite_migration import migrate_file
from step_node.storage.sqlite_schema import APPLICATION_ID, PAGE_BYTES, make_tables, sign

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

CHECKPOINT_AT_PAGES = 128_000
"""Pages in the log, 64 MiB, at which a commit copies them into the file. With SQLite's own 1,000 each full batch did
that, and waited for the disk once more; until then most pages change again, and are copied once."""

CHECKED_AT_START_BYTES_MAX = 1_000_000_000
"""A larger file is not read through at each start, which takes seconds for each GB: `step-node store verify` does."""

FILE_SUFFIXES = ("", "-wal", "-shm", "-journal", "-migrating", "-migrating-journal", "-copying")
"""Of the files that are one store, the third last only while its tables are made, and those after it while a store of
an earlier schema, or of another engine, is migrated. In this order they can be taken away one by
one: SQLite discards a log that is there without its file, whereas a file without its log may be damaged."""

PROBLEMS_SHOWN_MAX = 5
"""Of what a check finds; there may be thousands."""


def open_writer(path: Path, *, alone: bool = False) -> sqlite3.Connection:
    """The connection that writes; makes the file and its tables where there are none.

    `alone`: the caller holds the lock of the home, so a store of an earlier schema is brought to the present one first.

    The pages of a file that is not too large are looked through: a damaged one must be found before the node answers
    for what is in it, not when a batch happens to touch the page.

    Raises `StorageMismatch` for a file that is not this program's, is damaged, or has another schema version;
    `StorageUnavailable` when it cannot be opened or is locked by another process.
    """
    with meaningful_errors(path):
        if alone and path.exists():
            migrate_file(path)
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
            require_ours(connection, path)
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
    # Debian's SQLite is built to overwrite what it deletes with zeros, which writes pages for nothing: all is public.
    connection.execute("PRAGMA secure_delete = OFF")
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    connection.execute(f"PRAGMA cache_size = -{pages_cached_kib}")
    return connection


def _recognise(connection: sqlite3.Connection, path: Path) -> None:
    with transaction(connection, "IMMEDIATE"):
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        (objects,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if application_id == 0 and objects == 0:
            make_tables(connection)
            sign(connection)
        else:
            require_ours(connection, path)


def require_ours(connection: sqlite3.Connection, path: Path) -> None:
    """Raise `StorageMismatch` unless it is a store of the present schema."""
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    if application_id != APPLICATION_ID:
        raise StorageMismatch(
            f"{path} is a SQLite database of another program (application_id 0x{application_id & 0xFFFFFFFF:08x}):"
            " name another file"
        )
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    require_same_schema(version, str(path), release=_release(connection))


def _release(connection: sqlite3.Connection) -> str | None:
    if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'release'").fetchone() is None:
        return None
    row = connection.execute("SELECT name FROM release").fetchone()
    return None if row is None else str(row[0])


def _require_sound(
    connection: sqlite3.Connection, path: Path, pragma: Literal["quick_check", "integrity_check"]
) -> None:
    """`quick_check` reads every page; `integrity_check` compares each index with its table as well."""
    problems = [str(row[0]) for row in connection.execute(f"PRAGMA {pragma}({PROBLEMS_SHOWN_MAX})")]
    if problems != ["ok"]:
        found = "; ".join(" ".join(problem.split()) for problem in problems)
        raise StorageMismatch(f"{path} is damaged: {found}; {_WHAT_TO_DO}")
