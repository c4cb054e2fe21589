"""The journal of accepted proofs: what this node has promised to its clients, kept until the chain has decided.

A proof is written here, and is on disk, before its client is told that it was accepted. It leaves when it is
finalised (the store then knows it), or is marked as dropped with the code of the gate that finally refused it; such
marks are kept for `DROPPED_KEPT_MS`, so that a client can still ask. After a restart the waiting ones go back into the
mempool. The file stands beside the store whichever engine that is, and belongs to one node on one chain: it carries
the genesis hash, and is refused on another chain.

Many proofs are accepted in one transaction ("group commit"): one fsync serves them all. That a proof is finalised is no
promise of the journal's, since the store says so too; it is written with the next acceptance, or after
`FINALISED_LATER_MS`, and what a crash loses of it is found again by the store at the next start.

Nothing of it is needed for consensus, so a journal that fails (locked, full, unreadable, damaged) never ends the node,
and holds a batch up once, for `BUSY_TIMEOUT_S` at most. Until it works again nothing new is promised; what was promised
waits in memory as before, what the chain decides meanwhile is kept in memory, and written as soon as that is possible.
A damaged file is set aside, and `journal_rescue` takes over what can be read of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog
import trio

from step_node.durable.sqlite_rescue import finish_setting_aside, set_aside
from step_node.errors import StepNodeError
from step_node.explanations.details import NO_DETAILS, details_json, details_of_json
from step_node.mempool.journal_rescue import take_over
from step_node.offload import run_blocking
from step_node.proofs.proof import Refusal, RefusalCode, SignedProof
from step_node.proofs.wire import MalformedProof, decode_bundle, encode_bundle

T = TypeVar("T")

log = structlog.get_logger("journal")

SCHEMA_VERSION = 2
APPLICATION_ID = 0x53544A4C  # "STJL"
DROPPED_KEPT_MS = 7 * 86_400_000
"""How long a client can ask why its proof was dropped."""
PAGE_BYTES = 1_024
"""Of a new file: a proof changes some bytes on a few pages, and the log takes whole pages. On smaller ones a proof has
no room, and what overflows is on pages whose damage SQLite does not notice."""
BUSY_TIMEOUT_S = 0.5
"""How long another process's lock on the file, a backup's, is waited for before the journal counts as failing."""
FINALISED_LATER_MS = 60_000
"""How long the file is not told that proofs are finalised, unless it is written to anyway, or they are many."""
OWED_MAX = 100_000
"""Decisions of the chain that the journal still has to be told; the oldest goes first. What is forgotten so is
found again at the next start, by the store or by the gates."""

_DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)

_MOVE_AWAY = (
    "move it away, with its -wal and -shm if they are there, to start without the proofs that were waiting in it; their"
    " clients can submit them again"
)

_SCHEMA = """
CREATE TABLE chain (one INTEGER PRIMARY KEY CHECK (one = 1), genesis_hash BLOB NOT NULL) STRICT;
CREATE TABLE waiting (proof_id BLOB PRIMARY KEY, proof BLOB NOT NULL, accepted_at_ms INTEGER NOT NULL) STRICT;
CREATE TABLE dropped (
    proof_id BLOB PRIMARY KEY, code TEXT NOT NULL, message TEXT NOT NULL, details TEXT NOT NULL,
    dropped_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX dropped_by_time ON dropped (dropped_at_ms);
"""


class JournalError(StepNodeError):
    """The journal cannot be read or written; the message names the file and the reason."""


class DamagedJournal(JournalError):
    """What stands in the file is no journal any more."""


@dataclass(frozen=True, slots=True)
class DroppedProof:
    """An accepted proof that the chain has moved past."""

    proof_id: bytes
    refusal: Refusal


class Journal:
    """See the module's docstring. What reaches the file is one transaction, on a thread of its own.

    `connection` is None where the file could not be opened, for the reason `trouble`; `connect` opens it then, and
    after it was set aside. Without `connect`, as in the simulator, damage is a failure like any other.
    """

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection | None,
        connect: Callable[[], sqlite3.Connection] | None = None,
        trouble: str | None = None,
    ) -> None:
        self._path = path
        self._connection = connection
        self._connect = connect
        self._one_at_a_time = trio.CapacityLimiter(1)
        self._held: dict[bytes, SignedProof] = {}
        """What is promised and not settled: what the file has under `waiting`, once that has been read."""
        self._owed: dict[bytes, tuple[Refusal, int] | None] = {}
        """What the file has still to be told: None for a finalised proof, else why it was dropped, and when."""
        self._owed_since_ms: int | None = None
        """When the first of `_owed` came; None if there are none."""
        self.trouble = trouble
        """Why the journal failed, until something can be written again; None while it works. Told in /health."""
        self.is_read = False
        """Whether the waiting proofs have been read since the start."""

    async def accept(self, proofs: Sequence[SignedProof], *, now_ms: int) -> None:
        """Write these proofs; they are on disk when this returns. Those already there stay as they are.

        Raises `JournalError`: then nothing may be promised.
        """
        rows = [(proof.proof_id, encode_bundle([proof]), now_ms) for proof in proofs]

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR IGNORE INTO waiting VALUES (?, ?, ?)", rows)

        await self._write(write, now_ms)
        self._held.update((proof.proof_id, proof) for proof in proofs)

    async def waiting(self) -> list[SignedProof]:
        """All accepted proofs that are neither finalised nor dropped, in order of acceptance.

        Raises `JournalError` while the file cannot be read; `is_read` is false until it could be once.
        """
        proofs = await self._run(self._read_waiting)
        self._held.update((proof.proof_id, proof) for proof in proofs if proof.proof_id not in self._owed)
        self.is_read = True
        return [proof for proof in proofs if proof.proof_id in self._held]

    @property
    def may_hold(self) -> bool:
        """Whether any proof is accepted and not settled yet; also while the file could not be read."""
        return bool(self._held) or not self.is_read

    def holds(self, proof_id: bytes) -> bool:
        """Whether this proof is accepted and not settled yet."""
        return proof_id in self._held

    async def settle(self, *, finalised: Sequence[bytes], dropped: Sequence[DroppedProof], now_ms: int) -> None:
        """Forget the waiting proofs that are finalised, and mark those of them that are dropped.

        What is dropped is on disk when this returns, what is finalised later. Consensus calls this, so it never raises:
        a journal that fails is told later.
        """
        for proof_id in finalised:
            self._owed[proof_id] = None
        for item in dropped:
            # Only what this node had accepted is marked: it answers for its own promises.
            if item.proof_id in self._held or not self.is_read:
                self._owed[item.proof_id] = (item.refusal, now_ms)
        for proof_id in (*finalised, *(item.proof_id for item in dropped)):
            self._held.pop(proof_id, None)
        while len(self._owed) > OWED_MAX:
            del self._owed[next(iter(self._owed))]
        if self._owed and self._owed_since_ms is None:
            self._owed_since_ms = now_ms
        is_due = self._is_late(now_ms) or len(self._owed) >= OWED_MAX // 2
        if self.trouble is None and (dropped or is_due):
            await self.write_owed(now_ms)

    async def dropped(self, proof_ids: Sequence[bytes]) -> dict[bytes, Refusal]:
        """Why those of these accepted proofs that were dropped were. Raises `JournalError`."""
        found = {proof_id: owed[0] for proof_id in proof_ids if (owed := self._owed.get(proof_id)) is not None}
        unknown = [proof_id for proof_id in proof_ids if proof_id not in self._owed and proof_id not in self._held]

        def read(connection: sqlite3.Connection) -> None:
            for proof_id in unknown:
                row = connection.execute(
                    "SELECT code, message, details FROM dropped WHERE proof_id = ?", (proof_id,)
                ).fetchone()
                if row is not None and row[0] in set(RefusalCode):  # Another is one that the disk has changed.
                    found[proof_id] = Refusal(RefusalCode(row[0]), row[1], details_of_json(row[2]) or NO_DETAILS)

        if unknown:
            await self._run(read)
        return found

    async def mend(self, now_ms: int) -> None:
        """See whether a journal that has failed works again, and tell it what it is owed for long. Never raises."""
        if self.trouble is not None or self._is_late(now_ms):
            await self.write_owed(now_ms)

    def _is_late(self, now_ms: int) -> bool:
        return self._owed_since_ms is not None and now_ms - self._owed_since_ms >= FINALISED_LATER_MS

    async def write_owed(self, now_ms: int) -> None:
        """Tell the file what it has not been told; while that fails, `trouble` says why. Never raises."""
        try:
            await self._write(_touch, now_ms)
        except JournalError:
            return

    async def close(self) -> None:
        """Let go of the file, once it is told what it is owed."""
        if self._owed_since_ms is not None and self.trouble is None:
            await self.write_owed(self._owed_since_ms)
        if self._connection is not None:
            await trio.to_thread.run_sync(self._connection.close)

    async def _write(self, work: Callable[[sqlite3.Connection], None], now_ms: int) -> None:
        owed = dict(self._owed)

        def write(connection: sqlite3.Connection) -> None:
            with connection:
                _settle(connection, owed, now_ms)
                work(connection)

        await self._run(write)
        for proof_id, decision in owed.items():
            # Two writes may overlap, and a later decision may have come meanwhile.
            if proof_id in self._owed and self._owed[proof_id] is decision:
                del self._owed[proof_id]
        self._owed_since_ms = now_ms if self._owed else None
        # Reading is no sign that writing is possible: a full disk can be read.
        if self.trouble is not None:
            self.trouble = None
            log.info("the journal can be written again", file=str(self._path))

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await run_blocking(partial(self._attempt, work), limiter=self._one_at_a_time)
        except (sqlite3.Error, OSError, JournalError) as error:
            reason = str(error) if isinstance(error, JournalError) else f"{self._path}: {error}"
            if reason != self.trouble:  # A full disk fails every submission alike.
                self.trouble = reason
                log.error(
                    "the journal fails: no proofs are accepted from clients until it can be written again; the node"
                    " goes on without it",
                    reason=reason,
                )
            raise JournalError(reason) from error

    def _attempt(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """On a thread. Opens the file where it is not open, and begins a new one where it is damaged."""
        if self._connection is None:
            self._connection = self._open_again()
        try:
            return work(self._connection)
        except (sqlite3.DatabaseError, DamagedJournal) as error:
            if self._connect is None or not _is_damage(error):
                raise
            self._connection.close()
            self._connection = None
            self._connection = _begin_anew(self._path, self._connect, str(error), tuple(self._held.values()))
        return work(self._connection)

    def _open_again(self) -> sqlite3.Connection:
        if self._connect is None:
            raise JournalError(f"{self._path}: is closed")
        return self._connect()

    def _read_waiting(self, connection: sqlite3.Connection) -> list[SignedProof]:
        try:
            rows = connection.execute("SELECT proof FROM waiting ORDER BY rowid").fetchall()
            return [proof for (data,) in rows for proof in decode_bundle(data)]
        except MalformedProof as error:
            raise DamagedJournal(f"{self._path}: holds a proof that cannot be read ({error})") from error


def _touch(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE chain SET genesis_hash = genesis_hash")


def _settle(connection: sqlite3.Connection, owed: dict[bytes, tuple[Refusal, int] | None], now_ms: int) -> None:
    finalised = [(proof_id,) for proof_id, decision in owed.items() if decision is None]
    dropped = [
        (decision[0].code.value, decision[0].message, details_json(decision[0].details), decision[1], proof_id)
        for proof_id, decision in owed.items()
        if decision is not None
    ]
    connection.executemany("DELETE FROM dropped WHERE proof_id = ?", finalised)
    connection.executemany(
        "INSERT OR REPLACE INTO dropped SELECT proof_id, ?, ?, ?, ? FROM waiting WHERE proof_id = ?", dropped
    )
    connection.executemany("DELETE FROM waiting WHERE proof_id = ?", [(proof_id,) for proof_id in owed])
    if owed:
        connection.execute("DELETE FROM dropped WHERE dropped_at_ms < ?", (now_ms - DROPPED_KEPT_MS,))


@asynccontextmanager
async def open_journal(path: Path, genesis_hash: bytes) -> AsyncIterator[Journal]:
    """Open the journal at `path` of the chain with this genesis (32 bytes), making it if it is not there.

    A damaged one is set aside; one that cannot be opened just now is in `trouble`, and opened as soon as it can be.
    Raises `JournalError` for another chain's, or one of a newer version of the program: the wrong file is here.
    """
    connect = partial(_connect, path, genesis_hash)
    connection, trouble = await trio.to_thread.run_sync(_open, path, connect)
    if trouble is not None:
        log.error("the journal cannot be opened; the node goes on without it, and tries again", reason=trouble)
    journal = Journal(path, connection, connect, trouble)
    try:
        yield journal
    finally:
        with trio.CancelScope(shield=True):
            await journal.close()


def _open(path: Path, connect: Callable[[], sqlite3.Connection]) -> tuple[sqlite3.Connection | None, str | None]:
    """The connection, or why there is none for now."""
    try:
        finish_setting_aside(path)
        try:
            connection = connect()
            try:
                _require_sound(path, connection)
            except (sqlite3.Error, DamagedJournal):
                connection.close()
                raise
        except (sqlite3.DatabaseError, DamagedJournal) as error:
            if not _is_damage(error):
                raise
            connection = _begin_anew(path, connect, str(error), ())
    except (sqlite3.Error, OSError) as error:
        return None, f"{path}: {error}"
    return connection, None


def _require_sound(path: Path, connection: sqlite3.Connection) -> None:
    problems = [str(row[0]) for row in connection.execute("PRAGMA quick_check(1)")]
    if problems != ["ok"]:
        raise DamagedJournal(f"{path}: {' '.join(problems[0].split())}")


def _begin_anew(
    path: Path, connect: Callable[[], sqlite3.Connection], reason: str, held: Sequence[SignedProof]
) -> sqlite3.Connection:
    """A new journal in the place of a damaged one, with what can be read of that, and with `held`."""
    aside = set_aside(path)
    connection = connect()
    taken = take_over(aside, connection)
    with connection:
        connection.executemany(
            "INSERT OR IGNORE INTO waiting VALUES (?, ?, 0)",
            [(proof.proof_id, encode_bundle([proof])) for proof in held],
        )
    log.error(
        "the journal is damaged: it is set aside, and a new one is begun with what can be read of it; clients whose"
        " accepted proofs are lost can submit them again. Check the disk",
        reason=reason,
        set_aside=str(aside),
        proofs_taken_over=taken,
    )
    return connection


def _is_damage(error: BaseException) -> bool:
    if isinstance(error, DamagedJournal):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    # Text that is no UTF-8 has no code: the disk has changed it.
    return (code is not None and code & 0xFF in _DAMAGED) or (code is None and "decode" in str(error))


def _connect(path: Path, genesis_hash: bytes) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False, timeout=BUSY_TIMEOUT_S)
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        _prepare(path, connection, genesis_hash)
    except (sqlite3.Error, JournalError):
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
        raise DamagedJournal(f"{path}: is not a STEP journal (application id {application_id:#x})")
    elif version != SCHEMA_VERSION:
        raise JournalError(
            f"{path}: has schema version {version}, this program reads {SCHEMA_VERSION}: start the newer program, or"
            f" {_MOVE_AWAY}"
        )
    else:
        row = connection.execute("SELECT genesis_hash FROM chain").fetchone()
        if row is None:
            raise DamagedJournal(f"{path}: names no chain")
        found: bytes = row[0]
        if found != genesis_hash:
            raise JournalError(
                f"{path}: is of the chain with genesis 0x{found.hex()}, but genesis.json has 0x{genesis_hash.hex()}."
                f" Put back the journal or the genesis.json that belongs to this home; or {_MOVE_AWAY}"
            )
    # Only now, since these write to the file.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    # Debian's SQLite is built to overwrite what it deletes with zeros: pages written for nothing, since all is public.
    connection.execute("PRAGMA secure_delete = OFF")
