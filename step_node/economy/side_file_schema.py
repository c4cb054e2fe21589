"""The tables of the side file, by version, and how a file is known to be one of this chain's.

Version 2 has the headline of each epoch's report beside it, a twentieth of its size or less: whoever lists epochs reads
these alone. A file of version 1 gets them when a node opens it; who only reads takes either.
"""

from __future__ import annotations

import sqlite3
from typing import Final

import structlog
from blake3 import blake3

from step_node.economy.fairness.kept import InvalidKeptEpoch, headline_in
from step_node.economy.rows import DIGEST_BYTES

SCHEMA_VERSION: Final = 2
APPLICATION_ID: Final = 0x53544543  # "STEC"

_HEADLINES: Final = """
CREATE TABLE headlines (epoch INTEGER PRIMARY KEY, data BLOB NOT NULL, digest BLOB NOT NULL) STRICT;
"""
"""`data` is empty where an epoch has no report."""

_SCHEMA: Final = f"""
CREATE TABLE chain (one INTEGER PRIMARY KEY CHECK (one = 1), genesis_hash BLOB NOT NULL) STRICT;
CREATE TABLE standing (
    one INTEGER PRIMARY KEY CHECK (one = 1), batch_hash BLOB NOT NULL, earlier_hash BLOB NOT NULL,
    height INTEGER NOT NULL, batch_time_ms INTEGER NOT NULL, complete_from_height INTEGER NOT NULL,
    complete_from_ms INTEGER NOT NULL, is_complete INTEGER NOT NULL, first INTEGER NOT NULL, "end" INTEGER NOT NULL
) STRICT;
CREATE TABLE rows (first INTEGER PRIMARY KEY, "end" INTEGER NOT NULL, data BLOB NOT NULL) STRICT;
CREATE TABLE reports (epoch INTEGER PRIMARY KEY, body BLOB NOT NULL, digest BLOB NOT NULL) STRICT;
{_HEADLINES}
"""

log = structlog.get_logger("economy")


class WrongFile(Exception):
    """It is damaged, or not this chain's; the message says which."""


def digest_of(data: bytes) -> bytes:
    """What stands beside bytes of a file, so that what a disk has changed is noticed."""
    return blake3(data).digest(length=DIGEST_BYTES)


def recognise(connection: sqlite3.Connection, genesis_hash: bytes) -> int | None:
    """The version of this chain's side file; None where there is nothing yet. Raises `WrongFile`, sqlite3.Error."""
    connection.execute("PRAGMA trusted_schema = OFF")
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application_id == 0 and objects == 0:
        return None
    if application_id != APPLICATION_ID or not 1 <= version <= SCHEMA_VERSION:
        raise WrongFile(f"it is of another program, or of version {version} of this one, which knows {SCHEMA_VERSION}")
    if not is_of_chain(connection, genesis_hash):
        raise WrongFile("it is of another chain")
    (problem,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if problem != "ok":
        raise WrongFile(f"it is damaged: {' '.join(problem.split())}")
    return int(version)


def is_of_chain(connection: sqlite3.Connection, genesis_hash: bytes) -> bool:
    """Whether the file says that it is of the chain with this genesis. Raises sqlite3.Error."""
    row = connection.execute("SELECT genesis_hash FROM chain").fetchone()
    return row is not None and row[0] == genesis_hash


def make(connection: sqlite3.Connection, genesis_hash: bytes) -> None:
    """Make the tables in an empty file. Raises sqlite3.Error."""
    connection.executescript(
        f"BEGIN; {_SCHEMA} INSERT INTO chain VALUES (1, X'{genesis_hash.hex()}');"
        f" PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
    )


def bring_up_to_date(connection: sqlite3.Connection, version: int) -> None:
    """Make an earlier version's file one of this version, in one transaction. Raises sqlite3.Error."""
    if version == SCHEMA_VERSION:
        return
    with connection:
        connection.execute("BEGIN")
        connection.execute(_HEADLINES)
        for epoch, body, digest in connection.execute("SELECT epoch, body, digest FROM reports"):
            headline = headline_of_body(epoch, body, digest)
            if headline is not None:
                connection.execute("INSERT INTO headlines VALUES (?, ?, ?)", (epoch, headline, digest_of(headline)))
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    log.info("the side file of the economy is brought up to date", version=SCHEMA_VERSION)


def headline_of_body(epoch: int, body: bytes, digest: bytes) -> bytes | None:
    """The headline that is in what is kept of an epoch; None where that is damaged, which the log tells."""
    if digest_of(body) == digest:
        try:
            return headline_in(body)
        except InvalidKeptEpoch as error:
            log.warning("what is kept of an epoch's fairness cannot be used", epoch=epoch, reason=str(error))
            return None
    log.warning("the report of an epoch is damaged in the side file of the economy", epoch=epoch)
    return None
