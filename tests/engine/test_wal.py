"""The write-ahead log of consensus: what a crash leaves of it, and whose log it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from consensus.checkpoint import LogEntry, replay
from consensus.inputs import BatchBuilt, Input, LogWritten, MessageReceived, TimerFired, WorkAvailable
from consensus.machine import apply
from consensus.messages import PreVote
from consensus.state import ConsensusState
from consensus.values import TimeoutKind, Timeouts, Validator, ValidatorSet
from step_node.durable import record_log
from step_node.durable.record_log import DamagedLog, ForeignLog, RecordLog
from step_node.engine.wal import LogAhead, WriteAheadLog

CHAIN_ID = "step-test-1"
VOTE = PreVote(7, 0, bytes(32), bytes(20))
INPUTS: list[Input] = [
    WorkAvailable(),
    BatchBuilt(0, bytes(32), b"batch"),
    LogWritten(VOTE),
    MessageReceived(PreVote(7, 0, None, bytes(20), bytes(65))),
    TimerFired(TimeoutKind.PROPOSER, 0),
]


def write(path: Path, inputs: list[Input], *, height: int = 7, chain_id: str = CHAIN_ID) -> None:
    log, _ = WriteAheadLog.open(path, chain_id=chain_id, height=height)
    for event in inputs:
        log.append(event)
        log.sync()
    log.close()


def read(path: Path, *, height: int = 7) -> list[LogEntry]:
    log, inputs = WriteAheadLog.open(path, chain_id=CHAIN_ID, height=height)
    log.close()
    return inputs


def test_inputs_come_back_in_order(tmp_path: Path) -> None:
    write(tmp_path / "log", INPUTS)
    assert read(tmp_path / "log") == INPUTS
    assert read(tmp_path / "log") == INPUTS


def test_what_was_not_synced_is_lost_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path / "log", INPUTS[:2])
    log, _ = WriteAheadLog.open(tmp_path / "log", chain_id=CHAIN_ID, height=7)
    log.append(INPUTS[2])
    log.close()
    assert read(tmp_path / "log") == INPUTS[:2]


def test_a_log_cut_off_anywhere_holds_a_prefix_and_takes_more(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, [])
    empty_bytes = path.stat().st_size
    write(path, INPUTS)
    whole = path.read_bytes()
    for size_bytes in range(empty_bytes, len(whole)):
        path.write_bytes(whole[:size_bytes])
        kept = read(path)
        assert kept == INPUTS[: len(kept)]
        write(path, INPUTS[:1])
        assert read(path) == [*kept, INPUTS[0]]


def test_the_log_of_a_height_that_is_stored_by_now_is_discarded(tmp_path: Path) -> None:
    write(tmp_path / "log", INPUTS, height=7)
    assert read(tmp_path / "log", height=8) == []
    write(tmp_path / "log", INPUTS[:1], height=8)
    assert read(tmp_path / "log", height=8) == INPUTS[:1]


def test_a_new_height_begins_with_an_empty_log(tmp_path: Path) -> None:
    log, _ = WriteAheadLog.open(tmp_path / "log", chain_id=CHAIN_ID, height=7)
    log.append(INPUTS[0])
    log.sync()
    log.append(INPUTS[1])
    before_bytes = log.size_bytes
    log.begin(8)
    assert log.size_bytes < before_bytes
    log.append(INPUTS[4])
    log.sync()
    log.close()
    assert read(tmp_path / "log", height=8) == [INPUTS[4]]


def test_a_height_that_has_begun_and_has_nothing_on_disk_leaves_the_log_of_the_one_before(tmp_path: Path) -> None:
    write(tmp_path / "log", INPUTS, height=7)
    for stored in (7, 8):
        log, _ = WriteAheadLog.open(tmp_path / "log", chain_id=CHAIN_ID, height=7)
        log.begin(8)
        log.append(INPUTS[0])
        log.close()  # As in a crash: nothing was synced, so nothing was signed.
        if stored == 7:
            # The store has not got the batch of height 7 either: its inputs are still there.
            assert read(tmp_path / "log", height=7) == INPUTS
    assert read(tmp_path / "log", height=8) == []


def test_heights_by_the_hundred_leave_a_log_of_the_last_one_that_stays_small(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log, _ = WriteAheadLog.open(path, chain_id=CHAIN_ID, height=1)
    inodes = set()
    for height in range(2, 300):
        log.begin(height)
        log.append(BatchBuilt(0, bytes(32), bytes(10_000)))
        log.sync()
        inodes.add(path.stat().st_ino)
        assert log.size_bytes < 11_000
        assert path.stat().st_size < record_log.FORGOTTEN_BYTES_MAX + 22_000
    log.close()
    assert len(inodes) <= 4
    assert read(path, height=299) == [BatchBuilt(0, bytes(32), bytes(10_000))]


def test_a_log_ahead_of_the_store_stops_the_node_and_stays(tmp_path: Path) -> None:
    write(tmp_path / "log", INPUTS, height=9)
    before = (tmp_path / "log").read_bytes()
    with pytest.raises(LogAhead, match="height 9, but the store's head is 6") as caught:
        WriteAheadLog.open(tmp_path / "log", chain_id=CHAIN_ID, height=7)
    assert str(tmp_path / "log") in str(caught.value)
    assert (tmp_path / "log").read_bytes() == before


def test_another_chains_log_is_refused_and_stays(tmp_path: Path) -> None:
    write(tmp_path / "log", INPUTS, chain_id="step-other-1")
    before = (tmp_path / "log").read_bytes()
    for height in (6, 7, 8):
        with pytest.raises(ForeignLog):
            WriteAheadLog.open(tmp_path / "log", chain_id=CHAIN_ID, height=height)
    assert (tmp_path / "log").read_bytes() == before


@pytest.mark.parametrize("header", [b"", b"\xc1", b"signing history", b"\x93\xa1x\x01\x02", b"\xff" * 40])
def test_a_log_of_another_purpose_is_refused(tmp_path: Path, header: bytes) -> None:
    log, _ = RecordLog.open(tmp_path / "log", header)
    log.close()
    with pytest.raises(ForeignLog):
        WriteAheadLog.open(tmp_path / "log", chain_id=CHAIN_ID, height=7)


def test_an_entry_that_cannot_be_read_is_damage(tmp_path: Path) -> None:
    write(tmp_path / "log", INPUTS[:1])
    WriteAheadLog.open(tmp_path / "log", chain_id=CHAIN_ID, height=7)[0].close()
    log, _ = WriteAheadLog.open(tmp_path / "log", chain_id=CHAIN_ID, height=7)
    log._log.append(b"\x00no input")
    log.sync()
    log.close()
    with pytest.raises(DamagedLog, match="cannot be read"):
        WriteAheadLog.open(tmp_path / "log", chain_id=CHAIN_ID, height=7)


def test_damage_in_the_middle_is_never_skipped(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, INPUTS)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 0xFF
    path.write_bytes(whole)
    with pytest.raises(DamagedLog):
        WriteAheadLog.open(path, chain_id=CHAIN_ID, height=7)


def test_a_height_that_lasts_for_ever_does_not_fill_the_log_and_nothing_of_it_is_lost(tmp_path: Path) -> None:
    path, bound = tmp_path / "log", 20_000
    members = ValidatorSet(tuple(Validator(bytes([number]) * 20, bytes(33), 1) for number in range(1, 5)))
    begun = state = ConsensusState.begin(CHAIN_ID, 7, members, None, Timeouts())
    log, _ = WriteAheadLog.open(path, chain_id=CHAIN_ID, height=7, compacted_at_bytes=bound)
    sizes, compactions = [], 0
    for number in range(300):
        for member in members:
            item = MessageReceived(PreVote(7, number, None, member.address, bytes(65)))
            transition = apply(state, item)
            if transition.ignored is not None:
                continue
            if log.is_long:
                log.compact(state)
                compactions += 1
            log.append(item)
            log.sync()
            sizes.append(log.size_bytes)
            state = transition.state
        if number % 50 == 0:  # A crash.
            log.close()
            log, entries = WriteAheadLog.open(path, chain_id=CHAIN_ID, height=7, compacted_at_bytes=bound)
            again = begun
            for entry in entries:
                again = replay(again, entry).state
            assert again == state
    log.close()
    assert compactions > 3
    assert max(sizes) < 3 * bound
