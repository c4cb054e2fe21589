"""The side file: what is kept comes back as it was, and what cannot be used is set aside."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from step_node.economy import side_file
from step_node.economy.columns import COLUMNS, PERIOD_MS, WINDOW_MS, ProofColumns
from step_node.economy.rows import ROW_BYTES, DamagedRows, decode_rows, encode_rows
from step_node.economy.side_file import EconomyFile, EconomyFileError, EpochReport, Hashes
from step_node.economy.window import ProofWindow
from tests.economy.test_window import START_MS, filled, held, rows

GENESIS = bytes(range(32))
HASHES = Hashes(b"\x07" * 32, b"\x06" * 32)


def opened(path: Path | None, genesis_hash: bytes = GENESIS) -> EconomyFile:
    return EconomyFile.open(path, genesis_hash)


async def keep_all(file: EconomyFile, window: ProofWindow) -> None:
    await file.keep(window.standing, HASHES, [(window.first, window.parts(window.first, window.end))])


async def test_a_window_comes_back_as_it_was_kept_piece_by_piece_from_a_file_and_from_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_file, "PIECE_ROWS_MAX", 3)
    for path in (tmp_path / "economy.sqlite", None):
        file = opened(path)
        assert await file.load() is None
        window = filled([(START_MS, 4), (START_MS + PERIOD_MS, 5)])
        await keep_all(file, window)
        kept_until = window.end
        # The first batch leaves, and with it a piece, and the first row of the next one.
        later_ms = START_MS + WINDOW_MS + PERIOD_MS
        window.append(rows(1, height=3, batch_time_ms=later_ms), height=3, batch_time_ms=later_ms)
        assert (window.first, kept_until, window.end) == (4, 9, 10)
        await file.keep(window.standing, HASHES, [(kept_until, window.parts(kept_until, window.end))])
        if path is not None:
            file.close()
            file = opened(path)
        kept = await file.load()
        assert kept is not None
        assert (kept.standing, kept.hashes) == (window.standing, HASHES)
        assert held(ProofWindow.restored(kept.standing, kept.rows)) == held(window)
        await file.forget_window()
        assert await file.load() is None
        file.close()


async def test_the_pages_that_stay_in_memory_are_few(tmp_path: Path) -> None:
    """A minute's rows are some pages, and are never read again: with SQLite's own bound they pile up for hours."""
    with closing(side_file._connect(tmp_path / "economy.sqlite", GENESIS)) as connection:
        (cache_size,) = connection.execute("PRAGMA cache_size").fetchone()
    assert cache_size < 0, "it is set in pages, not in KiB"
    assert -cache_size <= 64


async def test_rows_that_came_from_before_the_first_ones_are_kept_in_their_place() -> None:
    file, batches = opened(None), [(START_MS, 2), (START_MS + 1, 1), (START_MS + 2, 3)]
    window = filled(batches, first=3)
    await keep_all(file, window)
    for height in (2, 1):
        time_ms, count = batches[height - 1]
        first = window.first
        window.take_earlier(rows(count, height=height, batch_time_ms=time_ms), height=height, batch_time_ms=time_ms)
        await file.keep(window.standing, HASHES, [(window.first, window.parts(window.first, first))])
    kept = await file.load()
    assert kept is not None
    assert held(ProofWindow.restored(kept.standing, kept.rows)) == held(filled(batches))
    file.close()


async def test_reports_of_epochs_are_kept_for_good_and_listed_newest_first(tmp_path: Path) -> None:
    path = tmp_path / "economy.sqlite"
    file = opened(path)
    for epoch in (1, 2, 3):
        await file.keep_report(epoch, b"report %d" % epoch)
    await file.keep_report(2, b"another")
    file.close()
    file = opened(path)
    assert await file.report(2) == b"report 2"
    assert await file.report(4) is None
    assert await file.reports(before=3, limit=5) == [EpochReport(2, b"report 2"), EpochReport(1, b"report 1")]
    assert await file.reports(before=9, limit=1) == [EpochReport(3, b"report 3")]
    file.close()


async def test_damaged_rows_are_forgotten_but_no_reports(tmp_path: Path) -> None:
    path = tmp_path / "economy.sqlite"
    for damage in ("UPDATE rows SET data = zeroblob(length(data))", "DELETE FROM rows", 'UPDATE rows SET "end" = 9'):
        file = opened(path)
        await keep_all(file, filled([(START_MS, 4)]))
        await file.keep_report(1, b"report")
        file.close()
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(damage)
        file = opened(path)
        assert await file.load() is None, damage
        assert await file.report(1) == b"report"
        file.close()


async def test_a_damaged_report_is_not_given(tmp_path: Path) -> None:
    path = tmp_path / "economy.sqlite"
    file = opened(path)
    await file.keep_report(1, b"report")
    file.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE reports SET body = X'00'")
    file = opened(path)
    assert await file.report(1) is None
    file.close()


async def test_a_file_that_is_another_chains_or_none_is_set_aside_and_a_new_one_begun(tmp_path: Path) -> None:
    path, aside = tmp_path / "economy.sqlite", tmp_path / "economy.sqlite.aside"
    file = opened(path, bytes(32))
    await file.keep_report(1, b"of another chain")
    file.close()
    file = opened(path)
    assert aside.exists()
    assert await file.report(1) is None
    await file.keep_report(1, b"report")
    file.close()
    path.write_bytes(b"no database at all" * 1_000)
    file = opened(path)
    assert aside.read_bytes().startswith(b"no database")
    assert await file.load() is None
    file.close()


async def test_where_no_file_can_be_made_all_is_in_memory(tmp_path: Path) -> None:
    file = opened(tmp_path / "missing" / "economy.sqlite")
    await file.keep_report(1, b"report")
    assert await file.report(1) == b"report"
    file.close()


async def test_a_file_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "economy.sqlite"
    file = opened(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(EconomyFileError, match=r"economy\.sqlite: database is locked"):
            await file.keep_report(1, b"report")
    await file.keep_report(1, b"report")
    file.close()


def test_rows_as_bytes_are_the_same_rows_and_no_changed_byte_passes() -> None:
    columns = rows(3, height=7, batch_time_ms=START_MS)
    data = encode_rows(columns)
    assert len(data) == 3 * ROW_BYTES + 16
    read = decode_rows(data)
    for column in COLUMNS:
        assert np.array_equal(getattr(read, column), getattr(columns, column))
        assert getattr(read, column).dtype == getattr(columns, column).dtype
    assert len(decode_rows(encode_rows(ProofColumns.empty()))) == 0
    for place in range(0, len(data), 7):
        with pytest.raises(DamagedRows):
            decode_rows(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    for torn in (b"", data[:-1], data[ROW_BYTES:]):
        with pytest.raises(DamagedRows):
            decode_rows(torn)
