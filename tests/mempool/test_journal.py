"""The journal of accepted proofs: what was promised is there again after the process is gone."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
import trio

from step_node.mempool import journal as journal_module
from step_node.mempool.journal import (
    DROPPED_KEPT_MS,
    FINALISED_LATER_MS,
    PAGE_BYTES,
    DroppedProof,
    JournalError,
    open_journal,
)
from step_node.proofs.proof import Refusal, RefusalCode
from tests.support.proofs import START_MS, signed_proof

PROOFS = [signed_proof(name) for name in ("alice", "bob", "carol")]
GENESIS_HASH = bytes(range(32))
TOO_FAST = Refusal(RefusalCode.TOO_FAST, "lat, lon: too far")


async def test_accepted_proofs_are_there_again_in_order_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    async with open_journal(path, GENESIS_HASH) as journal:
        await journal.accept(PROOFS[:2], now_ms=START_MS)
        await journal.accept(PROOFS, now_ms=START_MS + 1)
    async with open_journal(path, GENESIS_HASH) as journal:
        assert await journal.waiting() == PROOFS


async def test_a_second_connection_sees_a_promise_before_the_first_is_closed(tmp_path: Path) -> None:
    # As a process would after SIGKILL of the first: nothing waits in memory for a clean close.
    path = tmp_path / "journal"
    async with open_journal(path, GENESIS_HASH) as journal:
        await journal.accept(PROOFS, now_ms=START_MS)
        with sqlite3.connect(path) as other:
            assert other.execute("SELECT count(*) FROM waiting").fetchone() == (3,)
        other.close()


async def test_settled_proofs_wait_no_more_and_dropped_ones_keep_their_code(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    finalised, dropped, waiting = PROOFS
    async with open_journal(path, GENESIS_HASH) as journal:
        await journal.accept(PROOFS, now_ms=START_MS)
        await journal.settle(
            finalised=[finalised.proof_id], dropped=[DroppedProof(dropped.proof_id, TOO_FAST)], now_ms=START_MS
        )
    async with open_journal(path, GENESIS_HASH) as journal:
        assert await journal.waiting() == [waiting]
        assert await journal.dropped([proof.proof_id for proof in PROOFS]) == {dropped.proof_id: TOO_FAST}


def rows_waiting(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as other:
        count: int = other.execute("SELECT count(*) FROM waiting").fetchone()[0]
        return count


async def test_finalised_proofs_cost_no_transaction_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    first, second, third = (proof.proof_id for proof in PROOFS)
    async with open_journal(path, GENESIS_HASH) as journal:
        await journal.waiting()
        await journal.accept(PROOFS[:2], now_ms=START_MS)
        await journal.settle(finalised=[first], dropped=[], now_ms=START_MS)
        assert not journal.holds(first)
        assert rows_waiting(path) == 2
        assert await journal.waiting() == [PROOFS[1]]
        await journal.accept(PROOFS[2:], now_ms=START_MS)  # Tells the file of the first as well.
        assert rows_waiting(path) == 2
        await journal.settle(finalised=[second], dropped=[], now_ms=START_MS + 1)
        await journal.mend(START_MS + FINALISED_LATER_MS)
        assert rows_waiting(path) == 2
        await journal.mend(START_MS + 1 + FINALISED_LATER_MS)
        assert rows_waiting(path) == 1
        await journal.settle(finalised=[third], dropped=[], now_ms=START_MS + 2 + FINALISED_LATER_MS)
        assert rows_waiting(path) == 1
    assert rows_waiting(path) == 0  # It was closed as it should be.


async def test_many_finalised_proofs_are_told_before_the_oldest_would_be_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "OWED_MAX", 6)
    path = tmp_path / "journal"
    async with open_journal(path, GENESIS_HASH) as journal:
        await journal.accept(PROOFS[:1], now_ms=START_MS)
        await journal.settle(finalised=[PROOFS[0].proof_id], dropped=[], now_ms=START_MS)
        assert rows_waiting(path) == 1
        for index in range(6):  # Other nodes' clients'.
            await journal.settle(finalised=[bytes([index]) * 32], dropped=[], now_ms=START_MS)
        assert rows_waiting(path) == 0


async def test_only_what_was_promised_is_marked_as_dropped(tmp_path: Path) -> None:
    async with open_journal(tmp_path / "journal", GENESIS_HASH) as journal:
        await journal.settle(finalised=[], dropped=[DroppedProof(PROOFS[0].proof_id, TOO_FAST)], now_ms=START_MS)
        assert await journal.dropped([PROOFS[0].proof_id]) == {}


async def test_a_proof_finalised_after_all_is_not_told_to_be_dropped(tmp_path: Path) -> None:
    proof = PROOFS[0]
    async with open_journal(tmp_path / "journal", GENESIS_HASH) as journal:
        await journal.accept([proof], now_ms=START_MS)
        await journal.settle(finalised=[], dropped=[DroppedProof(proof.proof_id, TOO_FAST)], now_ms=START_MS)
        await journal.settle(finalised=[proof.proof_id], dropped=[], now_ms=START_MS)
        assert await journal.dropped([proof.proof_id]) == {}


async def test_dropped_marks_are_forgotten_after_their_time(tmp_path: Path) -> None:
    first, second, _ = PROOFS
    async with open_journal(tmp_path / "journal", GENESIS_HASH) as journal:
        await journal.accept(PROOFS, now_ms=START_MS)
        await journal.settle(finalised=[], dropped=[DroppedProof(first.proof_id, TOO_FAST)], now_ms=START_MS)
        for later_ms, is_kept in ((DROPPED_KEPT_MS, True), (DROPPED_KEPT_MS + 1, False)):
            await journal.settle(
                finalised=[], dropped=[DroppedProof(second.proof_id, TOO_FAST)], now_ms=START_MS + later_ms
            )
            assert (first.proof_id in await journal.dropped([first.proof_id])) is is_kept


def not_sqlite(path: Path) -> None:
    path.write_bytes(b"no database at all, but long enough to look at" * 30)


def another_programs(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE cookies (name TEXT)")
    connection.close()


def another_application_id(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA application_id = 7")
    connection.close()


def newer_schema(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA application_id = {0x53544A4C}")
        connection.execute("PRAGMA user_version = 3")
    connection.close()


@pytest.mark.parametrize("make", [not_sqlite, another_programs, another_application_id])
async def test_a_file_that_is_no_journal_is_set_aside_as_it_is_and_said(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    path, aside = tmp_path / "journal", tmp_path / "journal.damaged-1"
    make(path)
    before = path.read_bytes()
    with structlog.testing.capture_logs() as logged:
        async with open_journal(path, GENESIS_HASH) as journal:
            await journal.accept(PROOFS, now_ms=START_MS)
    assert aside.read_bytes() == before
    (entry,) = logged
    assert (entry["log_level"], entry["set_aside"], entry["proofs_taken_over"]) == ("error", str(aside), 0)


async def test_a_newer_journal_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    newer_schema(path)
    before = path.read_bytes()
    with pytest.raises(JournalError, match=r"journal: has schema version 3.*start the newer program, or move it away"):
        async with open_journal(path, GENESIS_HASH):
            pass
    assert path.read_bytes() == before


async def test_a_journal_that_cannot_be_opened_is_opened_as_soon_as_it_can_be(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    async with open_journal(path, GENESIS_HASH) as journal:
        await journal.accept(PROOFS[:1], now_ms=START_MS)
    path.rename(tmp_path / "away")
    path.mkdir()
    async with open_journal(path, GENESIS_HASH) as journal:
        assert "unable to open" in str(journal.trouble)
        assert journal.may_hold
        with pytest.raises(JournalError, match="unable to open"):
            await journal.accept(PROOFS[1:], now_ms=START_MS)
        await journal.settle(finalised=[PROOFS[0].proof_id], dropped=[], now_ms=START_MS)
        path.rmdir()
        (tmp_path / "away").rename(path)
        await journal.write_owed(START_MS)
        assert not journal.trouble
        assert await journal.waiting() == []


async def test_a_journal_locked_by_another_process_promises_nothing_and_settles_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "BUSY_TIMEOUT_S", 0.01)
    path = tmp_path / "journal"
    async with open_journal(path, GENESIS_HASH) as journal:
        await journal.waiting()
        await journal.accept(PROOFS[:2], now_ms=START_MS)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as backup:
            backup.execute("BEGIN EXCLUSIVE")
            await journal.settle(
                finalised=[PROOFS[0].proof_id], dropped=[DroppedProof(PROOFS[1].proof_id, TOO_FAST)], now_ms=START_MS
            )
            assert journal.trouble == f"{path}: database is locked"
            with pytest.raises(JournalError, match="locked"):
                await journal.accept(PROOFS[2:], now_ms=START_MS)
            assert await journal.dropped([PROOFS[1].proof_id]) == {PROOFS[1].proof_id: TOO_FAST}
            assert not journal.may_hold
            backup.execute("ROLLBACK")
        await journal.accept(PROOFS[2:], now_ms=START_MS)
        assert not journal.trouble
    async with open_journal(path, GENESIS_HASH) as journal:
        assert await journal.waiting() == PROOFS[2:]
        assert await journal.dropped([PROOFS[1].proof_id]) == {PROOFS[1].proof_id: TOO_FAST}


MANY = [signed_proof("many", nonce=f"nonce-{number}") for number in range(60)]


@pytest.fixture(scope="module")
def full_journal(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a journal of several pages."""
    path = tmp_path_factory.mktemp("full") / "journal"

    async def fill_it() -> None:
        async with open_journal(path, GENESIS_HASH) as journal:
            await journal.waiting()
            await journal.accept(MANY, now_ms=START_MS)

    trio.run(fill_it)
    return path.read_bytes()


async def test_a_journal_with_any_damaged_page_is_set_aside_and_the_rest_taken_over(
    tmp_path: Path, full_journal: bytes
) -> None:
    pages = len(full_journal) // PAGE_BYTES
    assert pages > 8
    taken_over = []
    for page in range(pages):
        path = tmp_path / f"{page}" / "journal"
        path.parent.mkdir()
        damaged = bytearray(full_journal)
        damaged[page * PAGE_BYTES : page * PAGE_BYTES + 200] = b"\xa5" * 200
        path.write_bytes(damaged)
        async with open_journal(path, GENESIS_HASH) as journal:
            waiting = await journal.waiting()
            assert [proof for proof in MANY if proof in waiting] == waiting
            await journal.accept(PROOFS, now_ms=START_MS)
        aside = path.with_name("journal.damaged-1")
        assert aside.read_bytes() == damaged
        taken_over.append(len(waiting))
        async with open_journal(path, GENESIS_HASH) as journal:
            assert await journal.waiting() == [*waiting, *PROOFS]
    # Only the pages that lead to all others cost everything; a leaf costs the proofs on it, an index nothing.
    assert sum(count >= len(MANY) - 20 for count in taken_over) >= pages - 3
    assert max(taken_over) == len(MANY)


async def test_a_page_damaged_under_a_running_node_costs_no_promise(tmp_path: Path, full_journal: bytes) -> None:
    found_while_running = 0
    for page in range(len(full_journal) // PAGE_BYTES):
        path = tmp_path / f"{page}" / "journal"
        path.parent.mkdir()
        path.write_bytes(full_journal)
        async with open_journal(path, GENESIS_HASH) as journal:
            assert await journal.waiting() == MANY
            # Somebody else's write has the running journal read its pages again, from the file.
            with contextlib.closing(sqlite3.connect(path)) as other:
                with other:
                    other.execute("UPDATE chain SET genesis_hash = genesis_hash")
                other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            with path.open("r+b") as file:
                file.seek(page * PAGE_BYTES)
                file.write(b"\xa5" * 200)
            with contextlib.suppress(JournalError):
                await journal.accept(PROOFS, now_ms=START_MS)
            await journal.settle(finalised=[MANY[0].proof_id], dropped=[], now_ms=START_MS)
            await journal.write_owed(START_MS)
            await journal.accept(PROOFS, now_ms=START_MS)
            assert not journal.trouble
        found_while_running += path.with_name("journal.damaged-1").exists()
        async with open_journal(path, GENESIS_HASH) as journal:
            found = await journal.waiting()
            assert set(PROOFS) <= set(found)
            assert MANY[0] not in found
            if path.with_name("journal.damaged-1").exists() and not path.with_name("journal.damaged-2").exists():
                assert len(found) >= len(MANY) - 1 - 20
    assert found_while_running >= 3


async def test_a_crash_while_a_journal_is_set_aside_is_made_up_for(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    not_sqlite(path)
    path.with_name("journal.damaged-1-wal").write_bytes(b"the log that had its new name already")
    async with open_journal(path, GENESIS_HASH) as journal:
        await journal.accept(PROOFS, now_ms=START_MS)
    assert path.with_name("journal.damaged-1").exists()
    async with open_journal(path, GENESIS_HASH) as journal:
        assert await journal.waiting() == PROOFS


async def test_another_chains_journal_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    async with open_journal(path, GENESIS_HASH) as journal:
        await journal.accept(PROOFS, now_ms=START_MS)
    before = path.read_bytes()
    other = bytes(reversed(GENESIS_HASH))
    with pytest.raises(JournalError, match=r"of the chain with genesis 0x000102.*move it away") as caught:
        async with open_journal(path, other):
            pass
    assert str(path) in str(caught.value)
    assert other.hex() in str(caught.value)
    assert path.read_bytes() == before
    async with open_journal(path, GENESIS_HASH) as journal:
        assert await journal.waiting() == PROOFS


async def test_a_journal_that_cannot_be_written_is_in_trouble_until_it_can_be(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    async with open_journal(path, GENESIS_HASH) as journal:
        with contextlib.closing(sqlite3.connect(path)) as disk, structlog.testing.capture_logs() as logged:
            fill(disk)
            for _ in range(3):
                with pytest.raises(JournalError, match="the disk is full"):
                    await journal.accept(PROOFS, now_ms=START_MS)
                assert await journal.waiting() == []  # It can still be read, which is no sign of its health.
                await journal.write_owed(START_MS)
                assert journal.trouble == f"{path}: the disk is full"
            make_room(disk)
            await journal.write_owed(START_MS)
            assert not journal.trouble
        assert [(entry["log_level"], entry["event"]) for entry in logged] == [
            (
                "error",
                "the journal fails: no proofs are accepted from clients until it can be written again; the node goes on"
                " without it",
            ),
            ("info", "the journal can be written again"),
        ]
        await journal.accept(PROOFS, now_ms=START_MS)
        assert await journal.waiting() == PROOFS


def fill(disk: sqlite3.Connection) -> None:
    """Make every write fail, and no read, as a full disk does."""
    with disk:
        disk.execute("CREATE TRIGGER one BEFORE INSERT ON waiting BEGIN SELECT RAISE(ABORT, 'the disk is full'); END")
        disk.execute("CREATE TRIGGER two BEFORE UPDATE ON chain BEGIN SELECT RAISE(ABORT, 'the disk is full'); END")


def make_room(disk: sqlite3.Connection) -> None:
    with disk:
        disk.execute("DROP TRIGGER one")
        disk.execute("DROP TRIGGER two")


async def test_a_damaged_proof_costs_itself_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    async with open_journal(path, GENESIS_HASH) as journal:
        await journal.accept(PROOFS, now_ms=START_MS)
    with contextlib.closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE waiting SET proof = x'00' WHERE proof_id = ?", (PROOFS[1].proof_id,))
    async with open_journal(path, GENESIS_HASH) as journal:
        assert await journal.waiting() == [PROOFS[0], PROOFS[2]]
    assert path.with_name("journal.damaged-1").exists()


async def test_an_accepted_proof_is_held_until_it_is_settled(tmp_path: Path) -> None:
    proof = signed_proof("holder")
    async with open_journal(tmp_path / "journal.sqlite", GENESIS_HASH) as journal:
        assert not journal.holds(proof.proof_id)
        await journal.accept([proof], now_ms=1)
        assert journal.holds(proof.proof_id)
        await journal.settle(finalised=[proof.proof_id], dropped=[], now_ms=2)
        assert not journal.holds(proof.proof_id)
