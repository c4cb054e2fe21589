"""The tables of the SQLite file, and how they are made."""

from __future__ import annotations

import sqlite3

from step_node import __version__
from step_node.storage.interface import SCHEMA_VERSION

APPLICATION_ID = 0x53544550
"""'STEP' in ASCII."""

PAGE_BYTES = 512
"""Of a new file. A batch of few proofs changes some bytes on each of a hundred pages, and the log takes whole pages:
with SQLite's own 4,096 six times as much was written for the same batch (docs/adr/0047-retention.md)."""

TABLES = (
    """
    CREATE TABLE chain (
      id INTEGER PRIMARY KEY CHECK (id = 1),
      genesis_hash BLOB NOT NULL,
      height INTEGER NOT NULL, batch_hash BLOB NOT NULL, timestamp_ms INTEGER NOT NULL, proposer BLOB NOT NULL,
      paid_ustep INTEGER NOT NULL, minted_ustep INTEGER NOT NULL, balances_ustep INTEGER NOT NULL,
      stakes_ustep INTEGER NOT NULL, burnt_ustep INTEGER NOT NULL,
      evidence_floor_height INTEGER NOT NULL, evidence_mark_height INTEGER NOT NULL, evidence_mark_ms INTEGER NOT NULL,
      parameters BLOB NOT NULL,
      protocol BLOB NOT NULL DEFAULT x'',
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
      height INTEGER PRIMARY KEY, batch_hash BLOB NOT NULL, timestamp_ms INTEGER NOT NULL,
      batch BLOB NOT NULL, commit_bytes BLOB NOT NULL, operation_balances BLOB NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE proofs (
      proof_id BLOB PRIMARY KEY CHECK (length(proof_id) = 32),
      height INTEGER NOT NULL, position INTEGER NOT NULL,
      account BLOB NOT NULL, triangle INTEGER NOT NULL,
      reward_ustep INTEGER NOT NULL, clicks INTEGER NOT NULL, triangle_state INTEGER NOT NULL,
      balance_ustep INTEGER NOT NULL, processed_at_ms INTEGER NOT NULL,
      place BLOB NOT NULL, timestamp_ms INTEGER NOT NULL, nonce TEXT NOT NULL, signature BLOB NOT NULL
    ) STRICT
    """,
    # The release that made the file's schema, for the sentence of an older one that does not know it.
    "CREATE TABLE release (name TEXT NOT NULL) STRICT",
    "CREATE TABLE kept (id INTEGER PRIMARY KEY CHECK (id = 1), batches_from INTEGER, histories_from INTEGER) STRICT",
    "INSERT INTO kept VALUES (1, 1, 1)",
    "CREATE UNIQUE INDEX proofs_by_account ON proofs (account, height DESC, position DESC)",
    "CREATE UNIQUE INDEX proofs_by_triangle ON proofs (triangle, height DESC, position DESC)",
    """
    CREATE TABLE operations (
      operation_id BLOB PRIMARY KEY CHECK (length(operation_id) = 32),
      height INTEGER NOT NULL, position INTEGER NOT NULL,
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
      height INTEGER NOT NULL, position INTEGER NOT NULL, kind TEXT NOT NULL,
      accused BLOB NOT NULL, validator BLOB NOT NULL, offence_height INTEGER NOT NULL, amount_ustep INTEGER NOT NULL,
      timestamp_ms INTEGER NOT NULL, evidence BLOB NOT NULL, PRIMARY KEY (height, position)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE validator_changes (
      height INTEGER NOT NULL, position INTEGER NOT NULL, kind TEXT NOT NULL,
      validator BLOB NOT NULL, owner BLOB NOT NULL, stake_ustep INTEGER NOT NULL, successor BLOB NOT NULL,
      PRIMARY KEY (height, position)
    ) STRICT, WITHOUT ROWID
    """,
)


def make_tables(connection: sqlite3.Connection) -> None:
    """All tables, empty, within the caller's transaction; the file is not yet recognised by them."""
    for statement in TABLES:
        connection.execute(statement)
    connection.execute("INSERT INTO release VALUES (?)", (__version__,))


def sign(connection: sqlite3.Connection) -> None:
    """Say whose file it is and which schema it has, within the caller's transaction: from now on it is a store."""
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
