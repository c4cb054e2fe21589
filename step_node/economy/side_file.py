"""`data/economy.sqlite`: what a restart would else have to compute again, for either engine.

It holds the rows of the window, with where the chain stood when they were written, and the reports of epochs. Rows are
written every few seconds, in one transaction, and not with each batch: what a crash loses of them is folded again from
the store. A side file never ends a node. One that is damaged, or of another chain, is set aside, and the rows are
computed anew; while it cannot be read or written, whoever asks is told so by `EconomyFileError`.

The reports of epochs are kept for good: what they were made from may be pruned. So a report is on the disk, and not
with the operating system alone, before anybody hears of it; and what can be read of them in a file of this chain that
is set aside is taken over into the new one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import structlog
import trio

from step_node.durable.sqlite_rescue import finish_setting_aside, opened_aside, readable_rows, set_aside
from step_node.economy.columns import ProofColumns
from step_node.economy.rows import DamagedRows, decode_rows, encode_rows
from step_node.economy.side_file_schema import (
    WrongFile,
    bring_up_to_date,
    digest_of,
    headline_of_body,
    is_of_chain,
    make,
    recognise,
)
from step_node.economy.window import Standing
from step_node.errors import StepNodeError
from step_node.offload import run_blocking

T = TypeVar("T")

Piece: TypeAlias = tuple[int, list[ProofColumns]]
"""Rows of a window that follow one another, in parts, and the place of the first."""

BUSY_TIMEOUT_S: Final = 0.5
"""How long another process's lock on the file, a backup's, is waited for."""

PAGES_CACHED_KIB: Final = 64
"""Pages that stay in memory. SQLite's own 2,000 KiB fill with what is written once a minute and never read again: for
hours, and a node grows with them."""

PIECE_ROWS_MAX: Final = 65_536
"""Rows that are written as one piece, some 5 MB; more are several."""

TAKEN_OVER_AT_ONCE: Final = 64
"""Reports of a file that was set aside which are written at once: each time the disk is waited for."""

_DAMAGED: Final = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)

log = structlog.get_logger("economy")


class EconomyFileError(StepNodeError):
    """The side file cannot be read or written just now; the message names it and the reason."""


@dataclass(frozen=True, slots=True)
class Hashes:
    """Of the batch at a standing's height, and of the one before the first that was looked at."""

    batch_hash: bytes
    earlier_hash: bytes


@dataclass(frozen=True, slots=True)
class KeptWindow:
    """The window as it was written."""

    standing: Standing
    hashes: Hashes
    rows: ProofColumns


@dataclass(frozen=True, slots=True)
class EpochReport:
    """The report of an epoch, as the bytes that were kept."""

    epoch: int
    body: bytes


class EconomyFile:
    """See the module's docstring. Without a path it is in memory. Each call is on a thread, one at a time."""

    def __init__(self, connection: sqlite3.Connection, path: Path | None) -> None:
        self._connection = connection
        self._name = "the side file in memory" if path is None else str(path)
        self._one_at_a_time = trio.CapacityLimiter(1)

    @classmethod
    def open(cls, path: Path | None, genesis_hash: bytes) -> EconomyFile:
        """The file of the chain with this genesis (32 bytes), made if it is not there. Blocks.

        One that cannot be used is set aside, and where none can be made, what would be in it is in memory.
        """
        if path is None:
            return cls(_connect(None, genesis_hash), None)
        try:
            aside, reason = finish_setting_aside(path), "a crash has interrupted its setting aside"
            if aside is None:
                try:
                    return cls(_connect(path, genesis_hash), path)
                except (sqlite3.DatabaseError, WrongFile) as error:
                    if not _is_wrong(error):
                        raise
                    aside, reason = set_aside(path), str(error)
            connection = _connect(path, genesis_hash)
            log.warning(
                "the side file of the economy is set aside; the reports that can be read in it are taken over, and the"
                " rest is computed anew as far as the store has what it takes. Check the disk",
                file=str(path),
                set_aside=str(aside),
                reason=reason,
                reports_taken_over=_take_over(aside, genesis_hash, connection),
            )
            return cls(connection, path)
        except (sqlite3.Error, OSError) as error:
            log.error(
                "the side file of the economy cannot be opened: until a restart nothing of it is kept",
                file=str(path),
                reason=str(error),
            )
            return cls(_connect(None, genesis_hash), None)

    @classmethod
    def reading(cls, path: Path, genesis_hash: bytes) -> EconomyFile:
        """The file as it is, which a node may write to meanwhile: nothing in it is changed. Blocks.

        Raises `EconomyFileError` for one that cannot be read, is damaged, or is another chain's.
        """
        try:
            connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S, check_same_thread=False
            )
            try:
                if recognise(connection, genesis_hash) is None:
                    raise WrongFile("it is empty, or of another program")
            except (sqlite3.Error, WrongFile):
                connection.close()
                raise
        except (sqlite3.Error, WrongFile) as error:
            raise EconomyFileError(f"{path}: {error}") from error
        return cls(connection, path)

    # --- the window ---------------------------------------------------------------------------------------------------

    async def load(self) -> KeptWindow | None:
        """The window as it was last kept; None if none was, or if what is there cannot be used, which the log tells.

        Raises `EconomyFileError`.
        """
        try:
            return await self._run(_load)
        except DamagedRows as error:
            log.warning("the rows in the side file of the economy are forgotten", file=self._name, reason=str(error))
            await self.forget_window()
            return None

    async def look(self) -> KeptWindow | None:
        """As `load`, and what cannot be used is left as it is. Raises `DamagedRows`, `EconomyFileError`."""
        return await self._run(_looked_at)

    async def keep(self, standing: Standing, hashes: Hashes, pieces: Sequence[Piece]) -> None:
        """Keep where the window stands now, and further rows of it. Rows that it has let go are forgotten.

        Raises `EconomyFileError`: then nothing is changed.
        """
        await self._run(partial(_keep, standing, hashes, pieces))

    async def forget_window(self) -> None:
        """Forget the rows, and where they stood. Raises `EconomyFileError`."""
        await self._run(_forget)

    # --- reports of epochs --------------------------------------------------------------------------------------------

    async def keep_report(self, epoch: int, body: bytes, headline: bytes = b"") -> None:
        """Keep the report of an epoch, for good: one that is there already stays. It is on disk when this returns.

        Raises `EconomyFileError`.
        """
        await self.keep_reports([(epoch, body, headline)])

    async def keep_reports(self, reports: Sequence[tuple[int, bytes, bytes]]) -> None:
        """As `keep_report`, of (epoch, report, headline) each, all or none."""
        await self._run(partial(_keep_reports, reports))

    async def report(self, epoch: int) -> bytes | None:
        """The report of an epoch; None if it is not here, or is damaged, which the log tells.

        Raises `EconomyFileError`.
        """
        found = await self._run(partial(_reports, "epoch = ?", (epoch, 1)))
        return found[0].body if found else None

    async def epochs(self) -> Sequence[int]:
        """Of which there is a report, damaged or not, rising. Raises `EconomyFileError`."""
        return await self._run(_epochs)

    async def reports(self, *, before: int, limit: int) -> Sequence[EpochReport]:
        """The last reports of epochs below `before`, newest first. Raises `EconomyFileError`."""
        return await self._run(partial(_reports, "epoch < ?", (before, limit)))

    async def headlines(self, *, before: int, limit: int) -> Sequence[bytes]:
        """The last headlines of epochs below `before` that have a report, newest first. Raises `EconomyFileError`."""
        return await self._run(partial(_headlines, before, limit))

    async def first_headline_epoch(self) -> int | None:
        """The first epoch that has a report here; None if none has. Raises `EconomyFileError`."""
        return await self._run(_first_headline_epoch)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await run_blocking(work, self._connection, limiter=self._one_at_a_time)
        except (sqlite3.Error, OSError) as error:
            raise EconomyFileError(f"{self._name}: {error}") from error


def _looked_at(connection: sqlite3.Connection) -> KeptWindow | None:
    """A node may write meanwhile: all of it is read as of one moment."""
    connection.execute("BEGIN")
    try:
        return _load(connection)
    finally:
        connection.execute("ROLLBACK")


def kept_reports(path: Path, *, before: int, limit: int) -> Sequence[EpochReport]:
    """The last reports of epochs below `before` in the file at `path`, newest first; its node may run. Blocks.

    Raises `EconomyFileError`.
    """
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)
        with closing(connection):
            return _reports("epoch < ?", (before, limit), connection)
    except sqlite3.Error as error:
        raise EconomyFileError(f"{path}: {error}") from error


def _load(connection: sqlite3.Connection) -> KeptWindow | None:
    row = connection.execute("SELECT * FROM standing").fetchone()
    if row is None:
        return None
    _, batch_hash, earlier_hash, height, batch_time_ms, from_height, from_ms, is_complete, first, end = row
    standing = Standing(height, batch_time_ms, from_height, from_ms, bool(is_complete), first, end)
    parts, place = list[ProofColumns](), first
    for start, stop, data in connection.execute('SELECT first, "end", data FROM rows ORDER BY first'):
        rows = decode_rows(data)
        if len(rows) != stop - start or start > place:
            raise DamagedRows(f"rows {place} to {start} are missing")
        # Of a piece, the first rows may have left the window.
        parts.append(rows.rows(slice(max(place - start, 0), None)))
        place = max(place, stop)
    if place != end:
        raise DamagedRows(f"rows {place} to {end} are missing")
    return KeptWindow(standing, Hashes(batch_hash, earlier_hash), ProofColumns.joined(parts))


def _keep(
    standing: Standing,
    hashes: Hashes,
    pieces: Sequence[Piece],
    connection: sqlite3.Connection,
) -> None:
    encoded = []
    for first, parts in pieces:
        rows = ProofColumns.joined(parts)
        for start in range(0, len(rows), PIECE_ROWS_MAX):
            piece = rows.rows(slice(start, start + PIECE_ROWS_MAX))
            encoded.append((first + start, first + start + len(piece), encode_rows(piece)))
    with connection:
        connection.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?)", encoded)
        connection.execute('DELETE FROM rows WHERE "end" <= ?', (standing.first,))
        values = (1, *astuple(hashes), *astuple(standing))
        connection.execute(f"INSERT OR REPLACE INTO standing VALUES ({', '.join('?' * len(values))})", values)


def _forget(connection: sqlite3.Connection) -> None:
    with connection:
        connection.execute("DELETE FROM rows")
        connection.execute("DELETE FROM standing")


def _keep_reports(reports: Sequence[tuple[int, bytes, bytes]], connection: sqlite3.Connection) -> None:
    """Keep (epoch, body, headline) of each. In `FULL` mode SQLite waits for the disk before it returns."""
    connection.execute("PRAGMA synchronous = FULL")
    try:
        with connection:
            for epoch, body, headline in reports:
                connection.execute("INSERT OR IGNORE INTO reports VALUES (?, ?, ?)", (epoch, body, digest_of(body)))
                row = (epoch, headline, digest_of(headline))
                connection.execute("INSERT OR IGNORE INTO headlines VALUES (?, ?, ?)", row)
    finally:
        connection.execute("PRAGMA synchronous = NORMAL")


def _reports(where: str, values: tuple[int, int], connection: sqlite3.Connection) -> list[EpochReport]:
    rows = connection.execute(f"SELECT * FROM reports WHERE {where} ORDER BY epoch DESC LIMIT ?", values).fetchall()
    found = []
    for epoch, body, digest in rows:
        if digest_of(body) == digest:
            found.append(EpochReport(epoch, body))
        else:
            log.warning("the report of an epoch is damaged in the side file of the economy", epoch=epoch)
    return found


def _headlines(before: int, limit: int, connection: sqlite3.Connection) -> list[bytes]:
    """A damaged one is read in what is kept of its epoch."""
    query = "SELECT * FROM headlines WHERE epoch < ? AND length(data) > 0 ORDER BY epoch DESC LIMIT ?"
    found = []
    for epoch, data, digest in connection.execute(query, (before, limit)).fetchall():
        headline: bytes | None = data
        if digest_of(data) != digest:
            row = connection.execute("SELECT body, digest FROM reports WHERE epoch = ?", (epoch,)).fetchone()
            headline = None if row is None else headline_of_body(epoch, *row)
        if headline:
            found.append(headline)
    return found


def _first_headline_epoch(connection: sqlite3.Connection) -> int | None:
    (epoch,) = connection.execute("SELECT min(epoch) FROM headlines WHERE length(data) > 0").fetchone()
    return None if epoch is None else int(epoch)


def _epochs(connection: sqlite3.Connection) -> list[int]:
    return [epoch for (epoch,) in connection.execute("SELECT epoch FROM reports ORDER BY epoch")]


def _connect(path: Path | None, genesis_hash: bytes) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:" if path is None else path, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
    try:
        version = recognise(connection, genesis_hash)
        if version is None:
            make(connection, genesis_hash)
        else:
            bring_up_to_date(connection, version)
        connection.execute(f"PRAGMA cache_size = -{PAGES_CACHED_KIB}")
        # What a crash of the machine loses in `NORMAL` mode are rows, which come from the store again.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
    except (sqlite3.Error, WrongFile):
        connection.close()
        raise
    return connection


def _is_wrong(error: Exception) -> bool:
    return isinstance(error, WrongFile) or getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED


def _take_over(aside: Path, genesis_hash: bytes, connection: sqlite3.Connection) -> int:
    """Keep the reports that can be read in a file of this chain that was set aside; how many they are."""
    count, found = 0, list[tuple[int, bytes, bytes]]()
    try:
        with closing(opened_aside(aside)) as damaged:
            if not is_of_chain(damaged, genesis_hash):
                return 0
            for (epoch,) in readable_rows(damaged, "reports", "epoch"):
                found += _report_of(epoch, damaged)
                if len(found) == TAKEN_OVER_AT_ONCE:
                    _keep_reports(found, connection)
                    count, found = count + len(found), []
    except sqlite3.DatabaseError:
        pass  # Nothing further can be read.
    _keep_reports(found, connection)
    return count + len(found)


def _report_of(epoch: object, damaged: sqlite3.Connection) -> Sequence[tuple[int, bytes, bytes]]:
    try:
        row = damaged.execute("SELECT body, digest FROM reports WHERE epoch = ?", (epoch,)).fetchone()
    except sqlite3.DatabaseError:
        return ()
    if row is None or not isinstance(epoch, int) or not isinstance(row[0], bytes):
        return ()
    headline = headline_of_body(epoch, row[0], row[1])
    return () if headline is None else ((epoch, row[0], headline),)
