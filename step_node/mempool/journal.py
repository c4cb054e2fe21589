"""The journal of accepted proofs: what this node has promised to its clients, kept until the chain has decided.

A proof is written here, and is on disk, before its client is told that it was accepted. It leaves when it is
finalised (the store then knows it), or is marked as dropped with the code of the gate that finally refused it; such
marks are kept for `DROPPED_KEPT_MS`, so that a client can still ask. After a restart the waiting ones go back into the
mempool. The file stands beside the store whichever engine that is, and belongs to one node on one chain: it carries
the genesis hash, and is refused on another chain.

Many proofs are accepted in one transaction ("group commit"): one fsync serves them all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import structlog
import trio

from step_node.errors import StepNodeError
from step_node.offload import run_blocking
from step_node.proofs.proof import Refusal, RefusalCode, SignedProof
from step_node.proofs.wire import MalformedProof, decode_bundle, encode_bundle

T = TypeVar("T")

log = structlog.get_logger("journal")

SCHEMA_VERSION = 1
APPLICATION_ID = 0x53544A4C  # "STJL"
_DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
DROPPED_KEPT_MS = 7 * 86_400_000
"""How long a client can ask why its proof was dropped."""

_MOVE_AWAY = (
    "move it away, with its -wal and -shm if they are there, to start without the proofs that were waiting in it; their"
    " clients can submit them again"
)

_SCHEMA = """
CREATE TABLE chain (one INTEGER PRIMARY KEY CHECK (one = 1), genesis_hash BLOB NOT NULL) STRICT;
CREATE TABLE waiting (proof_id BLOB PRIMARY KEY, proof BLOB NOT NULL, accepted_at_ms INTEGER NOT NULL) STRICT;
CREATE TABLE dropped (
    proof_id BLOB PRIMARY KEY, code TEXT NOT NULL, message TEXT NOT NULL, dropped_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX dropped_by_time ON dropped (dropped_at_ms);
"""


class JournalError(StepNodeError):
    """The journal cannot be read or written; the message names the file and the reason."""


@dataclass(frozen=True, slots=True)
class DroppedProof:
    """An accepted proof that the chain has moved past."""

    proof_id: bytes
    refusal: Refusal


class Journal:
    """See the module's docstring. Every method is one transaction, on a thread of its own."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._one_at_a_time = trio.CapacityLimiter(1)
        self.trouble: str | None = None
        """Why the journal failed, until something can be written again; None while it works. Told in /health."""

    async def accept(self, proofs: Sequence[SignedProof], *, now_ms: int) -> None:
        """Write these proofs; they are on disk when this returns. Those already there stay as they are."""
        rows = [(proof.proof_id, encode_bundle([proof]), now_ms) for proof in proofs]

        def write() -> None:
            with self._connection:
                self._connection.executemany("INSERT OR IGNORE INTO waiting VALUES (?, ?, ?)", rows)

        await self._write(write)

    async def waiting(self) -> list[SignedProof]:
        """All accepted proofs that are neither finalised nor dropped, in order of acceptance."""

        def read() -> list[bytes]:
            rows = self._connection.execute("SELECT proof FROM waiting ORDER BY rowid")
            return [row[0] for row in rows]

        encoded = await self._run(read)
        try:
            return [proof for data in encoded for proof in decode_bundle(data)]
        except MalformedProof as error:
            raise JournalError(
                f"{self._path}: holds a proof that cannot be read ({error}); restore the file from a copy,"
                f" or {_MOVE_AWAY}"
            ) from error

    async def holds(self, proof_id: bytes) -> bool:
        """Whether this proof is accepted and not settled yet."""

        def read() -> bool:
            row = self._connection.execute("SELECT 1 FROM waiting WHERE proof_id = ?", (proof_id,)).fetchone()
            return row is not None

        return await self._run(read)

    async def settle(self, *, finalised: Sequence[bytes], dropped: Sequence[DroppedProof], now_ms: int) -> None:
        """Forget the waiting proofs that are finalised, and mark those of them that are dropped."""
        finalised_rows = [(proof_id,) for proof_id in finalised]
        dropped_rows = [(item.refusal.code.value, item.refusal.message, now_ms, item.proof_id) for item in dropped]

        def write() -> None:
            with self._connection:
                self._connection.executemany("DELETE FROM waiting WHERE proof_id = ?", finalised_rows)
                self._connection.executemany("DELETE FROM dropped WHERE proof_id = ?", finalised_rows)
                # Only what this node had accepted is marked: it answers for its own promises.
                self._connection.executemany(
                    "INSERT OR REPLACE INTO dropped SELECT proof_id, ?, ?, ? FROM waiting WHERE proof_id = ?",
                    dropped_rows,
                )
                self._connection.executemany(
                    "DELETE FROM waiting WHERE proof_id = ?", [(item.proof_id,) for item in dropped]
                )
                self._connection.execute("DELETE FROM dropped WHERE dropped_at_ms < ?", (now_ms - DROPPED_KEPT_MS,))

        if finalised_rows or dropped_rows:
            await self._write(write)

    async def dropped(self, proof_ids: Sequence[bytes]) -> dict[bytes, Refusal]:
        """Why those of these accepted proofs that were dropped were."""

        def read() -> dict[bytes, Refusal]:
            found = {}
            for proof_id in proof_ids:
                row = self._connection.execute(
                    "SELECT code, message FROM dropped WHERE proof_id = ?", (proof_id,)
                ).fetchone()
                if row is not None:
                    found[proof_id] = Refusal(RefusalCode(row[0]), row[1])
            return found

        return await self._run(read) if proof_ids else {}

    async def try_again(self) -> None:
        """If the last write failed, see whether writing is possible again; `trouble` then says so."""

        def write() -> None:
            with self._connection:
                self._connection.execute("UPDATE chain SET genesis_hash = genesis_hash")

        if self.trouble is not None:
            try:
                await self._write(write)
            except JournalError:
                return

    async def _write(self, work: Callable[[], None]) -> None:
        await self._run(work)
        # Reading is no sign that writing is possible: a full disk can be read.
        if self.trouble is not None:
            self.trouble = None
            log.info("the journal can be written again", file=str(self._path))

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await run_blocking(work, limiter=self._one_at_a_time)
        except sqlite3.Error as error:
            reason = f"{self._path}: {error}"
            if reason != self.trouble:  # A full disk fails every submission alike.
                self.trouble = reason
                log.error("the journal fails", reason=reason)
            raise JournalError(reason) from error


@asynccontextmanager
async def open_journal(path: Path, genesis_hash: bytes) -> AsyncIterator[Journal]:
    """Open the journal at `path` of the chain with this genesis (32 bytes), making it if it is not there.

    Raises `JournalError` for a file that is no journal, another chain's, or one of a newer version of the program.
    """
    connection = await trio.to_thread.run_sync(_connect, path, genesis_hash)
    try:
        yield Journal(path, connection)
    finally:
        connection.close()


def _connect(path: Path, genesis_hash: bytes) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, check_same_thread=False)
    except sqlite3.Error as error:
        raise JournalError(
            f"{path}: cannot be opened: {error}; it must be a file that this program may write"
        ) from error
    try:
        _prepare(path, connection, genesis_hash)
    except sqlite3.Error as error:
        connection.close()
        if error.sqlite_errorcode & 0xFF in _DAMAGED:
            raise JournalError(
                f"{path}: is no journal of this program, or is damaged ({error}); restore it from a copy,"
                f" or {_MOVE_AWAY}"
            ) from error
        raise JournalError(f"{path}: {error}") from error
    except JournalError:
        connection.close()
        raise
    return connection


def _prepare(path: Path, connection: sqlite3.Connection, genesis_hash: bytes) -> None:
    """Make the tables in an empty file; see that any other is this chain's journal, before anything writes to it."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    is_empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    if is_empty and version == 0 and application_id == 0:
        with connection:
            connection.executescript(
                f"BEGIN; {_SCHEMA} INSERT INTO chain VALUES (1, x'{genesis_hash.hex()}');"
                f" PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
            )
    elif application_id != APPLICATION_ID:
        raise JournalError(
            f"{path}: is not a STEP journal (application id {application_id:#x}); restore the journal from a copy, or"
            f" {_MOVE_AWAY}"
        )
    elif version != SCHEMA_VERSION:
        raise JournalError(
            f"{path}: has schema version {version}, this program reads {SCHEMA_VERSION}: start the newer program"
        )
    else:
        found: bytes = connection.execute("SELECT genesis_hash FROM chain").fetchone()[0]
        if found != genesis_hash:
            raise JournalError(
                f"{path}: is of the chain with genesis 0x{found.hex()}, but genesis.json has 0x{genesis_hash.hex()}."
                f" Put back the journal or the genesis.json that belongs to this home; or {_MOVE_AWAY}"
            )
    # Only now, since these write to the file.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
