"""Bringing a SQLite store of an earlier schema to the present one.

The rows are copied into a new file beside the store, some thousands in each transaction, and the new file takes the
store's place in one step once all are there. So a crash, at any moment, leaves the old store whole, and the next
attempt goes on where the last one ended. It needs as much room again as the store has.

Version 5 has smaller pages, which only a new file can have (docs/adr/0047-retention.md), no index of batches by their
hashes, which nothing read, and says from where on the past is there.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from step_node.durable.atomic_file import fsync_directory
from step_node.storage.interface import MIGRATED_FROM, SCHEMA_VERSION, StorageMismatch, StorageUnavailable
from step_node.storage.sqlite_schema import APPLICATION_ID, PAGE_BYTES, make_tables, sign

ROWS_AT_ONCE: Final = 5_000
"""Copied in one transaction: a second or so, and what a crash costs."""

_KEYS: Final = {
    # The head first: by it a later attempt knows whether the store has gone on meanwhile.
    "chain": "id",
    "validators": "address",
    "levels": "level",
    "triangles": "id",
    "accounts": "address",
    "nonces": "account, nonce",
    "batches": "height",
    # Those below have their rows in the order in which they came, and keep it.
    "proofs": "rowid",
    "operations": "rowid",
    "slashings": "height, position",
    "validator_changes": "height, position",
}
"""The tables that are copied, in this order, and the key of each."""

log = structlog.get_logger("storage")


@dataclass(frozen=True, slots=True)
class SchemaStep:
    """What bringing a store to the present schema means: from which version, and how many bytes are to be copied."""

    found: int
    size_bytes: int


def schema_step(path: Path) -> SchemaStep | None:
    """What `migrate_file` would do; None for nothing. Raises `sqlite3.Error`."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as connection:
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application_id != APPLICATION_ID or not MIGRATED_FROM <= version < SCHEMA_VERSION:
        return None
    return SchemaStep(version, path.stat().st_size)


def migrate_file(path: Path) -> None:
    """Bring the store at `path` to the present schema, if it has an earlier one that this program knows.

    Nobody else may have it open. Raises `StorageMismatch` if what was copied is not what was there,
    `StorageUnavailable` if somebody has it open, `sqlite3.Error`, OSError; the store is then as before.
    """
    step = schema_step(path)
    if step is None:
        return
    log.info("the store is brought to the present schema", file=str(path), version=step.found, bytes=step.size_bytes)
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as old:
        # Its log into the file, and the log away: it must not be taken for the new file's.
        if old.execute("PRAGMA journal_mode = DELETE").fetchone() != ("delete",):
            raise StorageUnavailable(f"the SQLite store {path} is in use: stop who reads it, and start again")
    new = path.with_name(f"{path.name}-migrating")
    with closing(_new_file(new, path)) as connection:
        for table, key in _KEYS.items():
            _copy(connection, table, key)
        _finish(connection, path)
    new.replace(path)
    fsync_directory(path.parent)
    log.info("the store has the present schema", file=str(path), version=SCHEMA_VERSION, bytes=path.stat().st_size)


def _new_file(new: Path, old: Path) -> sqlite3.Connection:
    """The file that is filled, with `old` beside it; begun anew if `old` has gone on since."""
    connection = _attached(new, old)
    if connection.execute("SELECT 1 FROM main.sqlite_schema LIMIT 1").fetchone() is not None:
        head = "SELECT height, batch_hash FROM {}.chain"
        if connection.execute(head.format("main")).fetchone() in (
            None,
            connection.execute(head.format("old")).fetchone(),
        ):
            return connection
        connection.close()
        new.unlink()
        connection = _attached(new, old)
    connection.execute("BEGIN")
    make_tables(connection)
    connection.execute("COMMIT")
    return connection


def _attached(new: Path, old: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{new.absolute().as_uri()}?mode=rwc", uri=True, isolation_level=None)
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = OFF")
    connection.execute("ATTACH ? AS old", (f"{old.absolute().as_uri()}?mode=ro",))
    return connection


def _copy(connection: sqlite3.Connection, table: str, key: str) -> None:
    names = [row[1] for row in connection.execute(f"PRAGMA old.table_info({table})")]
    columns = ", ".join(["rowid", *names] if key == "rowid" else names)
    descending = ", ".join(f"{column} DESC" for column in key.split(", "))
    places = ", ".join("?" * len(key.split(", ")))
    while True:
        last = connection.execute(f"SELECT {key} FROM main.{table} ORDER BY {descending} LIMIT 1").fetchone()
        above = f"WHERE ({key}) > ({places})" if last else ""
        copied = connection.execute(
            f"INSERT INTO main.{table} ({columns})"
            f" SELECT {columns} FROM old.{table} {above} ORDER BY {key} LIMIT {ROWS_AT_ONCE}",
            last or (),
        )
        if copied.rowcount < ROWS_AT_ONCE:
            return


def _finish(connection: sqlite3.Connection, path: Path) -> None:
    for table in _KEYS:
        old, new = connection.execute(
            f"SELECT (SELECT count(*) FROM old.{table}), (SELECT count(*) FROM main.{table})"
        ).fetchone()
        if old != new:
            raise StorageMismatch(
                f"{path} could not be brought to schema version {SCHEMA_VERSION}: of {old} rows of {table} {new} were"
                " copied. The store is as before: check the disk, and start again"
            )
    connection.execute("BEGIN")
    # A store that does not begin with height 1 has joined from the snapshot of the height that it begins with.
    connection.execute(
        "UPDATE kept SET (batches_from, histories_from) = (SELECT min(height), min(height) + 1 FROM main.batches)"
        " WHERE (SELECT min(height) FROM main.batches) > 1"
    )
    sign(connection)
    connection.execute("COMMIT")
