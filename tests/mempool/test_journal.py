"""The journal of accepted proofs: what was promised is there again after the process is gone."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest
import structlog

from step_node.mempool.journal import DROPPED_KEPT_MS, DroppedProof, JournalError, open_journal
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
        connection.execute("PRAGMA user_version = 2")
    connection.close()


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (not_sqlite, "not a database.*move it away"),
        (another_programs, "is not a STEP journal.*move it away"),
        (another_application_id, "is not a STEP journal.*move it away"),
        (newer_schema, "schema version 2"),
        (Path.mkdir, "unable to open"),
    ],
)
async def test_a_file_that_is_no_journal_is_named_and_left_alone(tmp_path: Path, make, rule: str) -> None:  # type: ignore[no-untyped-def]  # a function of the path
    path = tmp_path / "journal"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(JournalError, match=rule) as caught:
        async with open_journal(path, GENESIS_HASH):
            pass
    assert str(path) in str(caught.value)
    assert before is None or path.read_bytes() == before


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
                await journal.try_again()
                assert journal.trouble == f"{path}: the disk is full"
            make_room(disk)
            await journal.try_again()
            assert journal.trouble is None
        assert [(entry["log_level"], entry["event"]) for entry in logged] == [
            ("error", "the journal fails"),
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


async def test_a_damaged_proof_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    async with open_journal(path, GENESIS_HASH) as journal:
        await journal.accept(PROOFS[:1], now_ms=START_MS)
        with sqlite3.connect(path) as other:
            other.execute("UPDATE waiting SET proof = x'00'")
        other.close()
        with pytest.raises(JournalError, match="cannot be read"):
            await journal.waiting()


async def test_an_accepted_proof_is_held_until_it_is_settled(tmp_path: Path) -> None:
    proof = signed_proof("holder")
    async with open_journal(tmp_path / "journal.sqlite", GENESIS_HASH) as journal:
        assert not await journal.holds(proof.proof_id)
        await journal.accept([proof], now_ms=1)
        assert await journal.holds(proof.proof_id)
        await journal.settle(finalised=[proof.proof_id], dropped=[], now_ms=2)
        assert not await journal.holds(proof.proof_id)
