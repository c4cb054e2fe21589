"""The side file: what is kept comes back as it was, and what cannot be used is set aside."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from step_node.economy import side_file
from step_node.economy.columns import COLUMNS, PERIOD_MS, WINDOW_MS, ProofColumns
from step_node.economy.fairness.drift import Headline
from step_node.economy.fairness.kept import KeptEpoch, Lacking
from step_node.economy.fairness.point import ChainPoint
from step_node.economy.rows import ROW_BYTES, DamagedRows, decode_rows, encode_rows
from step_node.economy.side_file import EconomyFile, EconomyFileError, EpochReport, Hashes
from step_node.economy.side_file_schema import SCHEMA_VERSION
from step_node.economy.window import ProofWindow
from tests.economy.test_window import START_MS, filled, held, rows

GENESIS = bytes(range(32))
HASHES = Hashes(b"\x07" * 32, b"\x06" * 32)


def opened(path: Path | None, genesis_hash: bytes = GENESIS) -> EconomyFile:
    return EconomyFile.open(path, genesis_hash)


def kept_epoch(epoch: int) -> KeptEpoch:
    """Some epoch with a report."""
    headline = Headline(
        epoch=epoch,
        first_height=4 * epoch - 3,
        last_height=4 * epoch,
        begins="2025-10-09T08:53:21.000Z",
        ends="2025-10-09T08:53:24.000Z",
        report_hash=f"0x{epoch:064x}",
        proofs=1,
        accounts=1,
        paid="0.001953",
        income_gini_ppm=0,
        income_top_share_ppm=1_000_000,
        balances_gini_ppm=None,
        newcomers_share_ppm=None,
        stake_nakamoto=2,
        votes_nakamoto=2,
        absences=0,
    )
    report = np.random.default_rng(epoch).bytes(1_000).hex().encode()
    return KeptEpoch(ChainPoint(4 * epoch, bytes(32), bytes(20), 0, ()), report, headline)


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


async def test_headlines_are_listed_without_the_reports_and_only_of_epochs_that_have_one(tmp_path: Path) -> None:
    path = tmp_path / "economy.sqlite"
    file = opened(path)
    assert await file.first_headline_epoch() is None
    for epoch in (1, 2, 3, 4):
        await file.keep_report(epoch, b"report", b"" if epoch in (1, 3) else b"headline %d" % epoch)
    assert await file.headlines(before=9, limit=9) == [b"headline 4", b"headline 2"]
    assert await file.headlines(before=9, limit=1) == [b"headline 4"]
    assert await file.headlines(before=4, limit=9) == [b"headline 2"]
    assert await file.first_headline_epoch() == 2
    file.close()


async def test_a_damaged_headline_is_read_in_the_report(tmp_path: Path) -> None:
    path, kept = tmp_path / "economy.sqlite", kept_epoch(7)
    file = opened(path)
    await file.keep_report(7, kept.encoded(), kept.encoded_headline)
    await file.keep_report(8, b"no such thing", b"headline")
    file.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE headlines SET data = X'00'")
    file = opened(path)
    assert await file.headlines(before=9, limit=9) == [kept.encoded_headline]
    file.close()


async def test_a_file_of_version_1_gets_headlines_and_loses_nothing(tmp_path: Path) -> None:
    path, kept = tmp_path / "economy.sqlite", kept_epoch(7)
    without = KeptEpoch(kept.point, lacking=Lacking.BEGUN_WITHIN)
    file = opened(path)
    window = filled([(START_MS, 4)])
    await keep_all(file, window)
    for epoch, body in ((6, without.encoded()), (7, kept.encoded()), (8, b"no such thing")):
        await file.keep_report(epoch, body)
    file.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE headlines")
        connection.execute("PRAGMA user_version = 1")
    # Who only reads takes it as it is.
    file = EconomyFile.reading(path, GENESIS)
    assert (await file.epochs(), await file.report(7)) == ([6, 7, 8], kept.encoded())
    file.close()
    for _ in range(2):
        file = opened(path)
        assert await file.headlines(before=9, limit=9) == [kept.encoded_headline]
        assert [await file.report(epoch) for epoch in (6, 7)] == [without.encoded(), kept.encoded()]
        window_kept = await file.load()
        assert window_kept is not None
        assert window_kept.standing == window.standing
        file.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["economy.sqlite"]


async def test_a_report_is_on_disk_before_anybody_hears_of_it_and_rows_need_not_be(tmp_path: Path) -> None:
    file = opened(tmp_path / "economy.sqlite")
    modes = []

    def look(statement: str) -> None:
        if statement.startswith(("INSERT", "COMMIT")):
            modes.append((statement.split(" VALUES")[0], file._connection.execute("PRAGMA synchronous").fetchone()[0]))

    file._connection.set_trace_callback(look)
    await file.keep_report(1, b"report", b"headline")
    await keep_all(file, filled([(START_MS, 1)]))
    file._connection.set_trace_callback(None)
    normal, full = 1, 2
    assert modes == [
        ("INSERT OR IGNORE INTO reports", full),
        ("INSERT OR IGNORE INTO headlines", full),
        ("COMMIT", full),
        ("INSERT OR REPLACE INTO rows", normal),
        ("INSERT OR REPLACE INTO standing", normal),
        ("COMMIT", normal),
    ]
    file.close()


async def test_each_file_that_cannot_be_used_is_set_aside_and_no_earlier_one_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "economy.sqlite"
    aside = [path.with_name(f"economy.sqlite.damaged-{number}") for number in (1, 2)]
    file = opened(path, bytes(32))
    await file.keep_report(1, kept_epoch(1).encoded())
    file.close()
    file = opened(path)
    assert aside[0].exists()
    assert await file.report(1) is None, "it is of another chain"
    await file.keep_report(1, b"report")
    file.close()
    first = aside[0].read_bytes()
    path.write_bytes(b"no database at all" * 1_000)
    file = opened(path)
    assert aside[1].read_bytes().startswith(b"no database")
    assert aside[0].read_bytes() == first
    assert await file.load() is None
    file.close()


async def test_reports_in_a_file_with_any_damaged_page_are_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_file, "TAKEN_OVER_AT_ONCE", 3)
    path, kept = tmp_path / "economy.sqlite", {epoch: kept_epoch(epoch) for epoch in range(1, 21)}
    file = opened(path)
    for epoch, one in kept.items():
        await file.keep_report(epoch, one.encoded(), one.encoded_headline)
    file.close()
    with closing(sqlite3.connect(path)) as connection:
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    sound, counts = path.read_bytes(), []
    for page in range(1, len(sound) // page_bytes):
        path.write_bytes(sound[: page * page_bytes] + b"\xff" * page_bytes + sound[(page + 1) * page_bytes :])
        file = opened(path)
        assert (tmp_path / "economy.sqlite.damaged-1").exists()
        epochs = await file.epochs()
        assert [await file.report(epoch) for epoch in epochs] == [kept[epoch].encoded() for epoch in epochs]
        told = await file.headlines(before=99, limit=99)
        assert told == [kept[epoch].encoded_headline for epoch in reversed(epochs)]
        counts.append(len(epochs))
        file.close()
        for left in tmp_path.iterdir():
            left.unlink()
    # A page may be the one that says of which chain they are, or the root of their table.
    assert len([count for count in counts if count >= 15]) >= len(counts) - 3, counts


async def test_a_crash_while_a_file_is_set_aside_loses_no_report(tmp_path: Path) -> None:
    path, kept = tmp_path / "economy.sqlite", kept_epoch(1)
    file = opened(path)
    await file.keep_report(1, kept.encoded(), kept.encoded_headline)
    for suffix in ("", "-wal"):
        (tmp_path / f"copied{suffix}").write_bytes(path.with_name(path.name + suffix).read_bytes())
    file.close()
    # Its `-wal`, which has the report, had its new name already.
    (tmp_path / "copied").rename(path)
    (tmp_path / "copied-wal").rename(tmp_path / "economy.sqlite.damaged-1-wal")
    file = opened(path)
    assert await file.report(1) == kept.encoded()
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
