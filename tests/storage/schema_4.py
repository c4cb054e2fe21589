"""Stores of schema version 4, as release 0.1.0 laid them out: what migrating begins with."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from pymongo import ASCENDING

from step_node.storage.sqlite_schema import APPLICATION_ID

TABLES_4 = (
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

COPIED = (
    "chain",
    "validators",
    "accounts",
    "triangles",
    "levels",
    "nonces",
    "batches",
    "proofs",
    "operations",
    "slashings",
    "validator_changes",
)


def as_schema_4(path: Path) -> None:
    """Put a SQLite store of schema 4 with the same rows in the place of the one at `path`, which nobody has open."""
    old = path.with_name(f"{path.stem}-4.sqlite")
    with closing(sqlite3.connect(old, isolation_level=None)) as connection:
        connection.execute("PRAGMA page_size = 4096")
        connection.execute("ATTACH ? AS present", (str(path),))
        connection.execute("BEGIN")
        for statement in TABLES_4:
            connection.execute(statement)
        for table in COPIED:
            columns = ", ".join(row[1] for row in connection.execute(f"PRAGMA main.table_info({table})"))
            connection.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM present.{table}")
        connection.execute(f"PRAGMA main.application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA main.user_version = 4")
        connection.execute("COMMIT")
        connection.execute("DETACH present")
        connection.execute("PRAGMA journal_mode = WAL")
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    old.replace(path)


def database_as_schema_4(database: Any) -> None:
    """Make a MongoDB database look as schema 4 left it."""
    database.batches.create_index([("batch_hash", ASCENDING)], unique=True)
    for name in ("proofs", "operations"):
        database[name].drop_index("height_1_index_1")
    database.meta.delete_one({"_id": "kept"})
    database.meta.replace_one({"_id": "schema"}, {"version": 4})
