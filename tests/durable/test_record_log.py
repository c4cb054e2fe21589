import errno
import itertools
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from step_node.durable import record_log
from step_node.durable.record_log import DamagedLog, ForeignLog, LogFull, RecordLog

HEADER = b"test log"
RECORDS = [b"first", b"", b"third" * 20, bytes(40)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


def write_frames(path: Path, *frames: list[bytes]) -> list[int]:
    """A log with these frames; the size of the file after each."""
    log, _ = RecordLog.open(path, HEADER)
    sizes = [log.size_bytes]
    with log:
        for frame in frames:
            for record in frame:
                log.append(record)
            log.sync()
            sizes.append(log.size_bytes)
    assert path.stat().st_size == sizes[-1]
    return sizes


def read(path: Path) -> list[bytes]:
    log, records = RecordLog.open(path, HEADER)
    log.close()
    return records


def test_records_come_back_in_order(path: Path) -> None:
    write_frames(path, RECORDS, [b"last"])
    assert read(path) == [*RECORDS, b"last"]
    write_frames(path, [b"after reopening"])
    assert read(path) == [*RECORDS, b"last", b"after reopening"]


def test_what_was_not_synced_is_not_there(path: Path) -> None:
    log, _ = RecordLog.open(path, HEADER)
    log.append(b"promised to nobody")
    log.close()
    assert read(path) == []


def test_a_tail_torn_at_any_byte_is_cut_off_and_the_rest_kept(path: Path) -> None:
    *_, last_begins, size = write_frames(path, [b"one"], [b"two", b"three"], RECORDS)
    whole = path.read_bytes()
    for torn_size in range(last_begins, size):
        path.write_bytes(whole[:torn_size])
        log, records = RecordLog.open(path, HEADER)
        assert records == [b"one", b"two", b"three"]
        assert log.torn_bytes == torn_size - last_begins
        assert path.stat().st_size == last_begins
        log.append(b"new")
        log.sync()
        log.close()
        assert read(path) == [b"one", b"two", b"three", b"new"]


@pytest.mark.parametrize("tail", [bytes(1), bytes(15), bytes(16), bytes(4096), b"STPF", b"\xff" * 100])
def test_a_tail_that_is_no_frame_is_cut_off(path: Path, tail: bytes) -> None:
    write_frames(path, RECORDS)
    path.write_bytes(path.read_bytes() + tail)
    assert read(path) == RECORDS


def test_a_last_frame_with_any_byte_wrong_is_taken_for_torn(path: Path) -> None:
    *_, last_begins, size = write_frames(path, [b"one"], RECORDS)
    whole = path.read_bytes()
    for position in range(last_begins, size):
        path.write_bytes(whole[:position] + bytes((whole[position] ^ 0x10,)) + whole[position + 1 :])
        assert read(path) == [b"one"]


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_any_wrong_byte_before_the_last_frame_is_damage_and_changes_nothing(path: Path, mask: int) -> None:
    *_, last_begins, _ = write_frames(path, [b"one"], RECORDS, [b"last"])
    whole = path.read_bytes()
    for position in range(last_begins):
        damaged = whole[:position] + bytes((whole[position] ^ mask,)) + whole[position + 1 :]
        path.write_bytes(damaged)
        with pytest.raises(DamagedLog, match=r"log: damaged at byte \d+: .* Nothing was changed. Check the disk"):
            RecordLog.open(path, HEADER)
        assert path.read_bytes() == damaged


def test_a_hole_of_zeros_before_the_last_frame_is_damage(path: Path) -> None:
    one_begins, two_begins, *_ = write_frames(path, [b"one"], [b"two"])
    whole = path.read_bytes()
    path.write_bytes(whole[:one_begins] + bytes(two_begins - one_begins) + whole[two_begins:])
    with pytest.raises(DamagedLog):
        RecordLog.open(path, HEADER)


@pytest.mark.parametrize("content", [b"", b"STEP", b"no log at all", b"STEPLOG2" + bytes(100)])
def test_a_file_that_is_no_log_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(DamagedLog, match=r"must begin with|header is incomplete"):
        RecordLog.open(path, HEADER)


def test_a_log_of_another_owner_is_refused(path: Path) -> None:
    write_frames(path, RECORDS)
    with pytest.raises(ForeignLog, match=r"is of another chain.* begins with b'test log', not with b'other'"):
        RecordLog.open(path, b"other")


def test_a_record_that_is_too_long_is_refused_and_a_full_buffer_syncs(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_log, "RECORD_BYTES_MAX", 10)
    monkeypatch.setattr(record_log, "FRAME_BYTES_MAX", 30)
    log, _ = RecordLog.open(path, HEADER)
    with log:
        with pytest.raises(ValueError, match="record: must be at most 10 bytes, not 11"):
            log.append(bytes(11))
        with pytest.raises(ValueError, match="record: must be at most 10 bytes, not 11"):
            log.reset(HEADER, [bytes(11)])
        for index in range(5):
            log.append(bytes((index,)) * 10)
    assert read(path) == [bytes((index,)) * 10 for index in range(4)]


def test_a_full_log_says_so_and_can_be_compacted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_log, "LOG_BYTES_MAX", 100)
    log, _ = RecordLog.open(path, HEADER)
    with log:
        log.append(bytes(60))
        with pytest.raises(LogFull, match="must be at most 100 bytes"):
            log.sync()
        with pytest.raises(LogFull, match="must be at most 100 bytes"):
            log.reset(HEADER, [bytes(100)])
        log.reset(HEADER, [b"kept"])
        log.append(b"more")
        log.sync()
    assert read(path) == [b"kept", b"more"]
    path.write_bytes(bytes(101))
    with pytest.raises(DamagedLog, match="101 bytes, more than is ever written"):
        RecordLog.open(path, HEADER)


class Calls(list[str]):
    """The order in which the operating system was asked for what."""


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    seen = Calls()
    for name in ("write", "fsync", "replace", "ftruncate"):
        original = getattr(os, name)

        def spy(*arguments: object, name: str = name, original: object = original, **keywords: object) -> object:
            assert callable(original)
            seen.append(name)
            return original(*arguments, **keywords)

        monkeypatch.setattr(os, name, spy)
    return seen


def test_sync_returns_after_one_write_and_one_fsync(path: Path, calls: Calls) -> None:
    log, _ = RecordLog.open(path, HEADER)
    # The new file, its name, then the directory.
    assert calls == ["write", "fsync", "replace", "fsync"]
    calls.clear()
    for record in RECORDS:
        log.append(record)
    assert calls == []
    log.sync()
    assert calls == ["write", "fsync"]
    log.sync()
    assert calls == ["write", "fsync"]
    calls.clear()
    log.reset(HEADER, RECORDS)
    assert calls == ["write", "fsync", "replace", "fsync"]
    log.close()


def test_a_torn_tail_is_cut_off_durably(path: Path, calls: Calls) -> None:
    write_frames(path, RECORDS)
    path.write_bytes(path.read_bytes() + b"torn")
    calls.clear()
    read(path)
    assert calls == ["ftruncate", "fsync"]


def test_after_a_failed_fsync_the_log_refuses_use_until_it_is_opened_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, _ = RecordLog.open(path, HEADER)

    def fail(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    log.append(b"lost?")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="Input/output error"):
            log.sync()
    for use in (log.sync, lambda: log.reset(HEADER)):
        with pytest.raises(OSError, match="a write has failed"):
            use()
    log.close()
    assert read(path) == [b"lost?"]


def test_a_disk_that_fills_up_in_the_middle_of_a_frame_loses_that_frame_only(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_frames(path, [b"one"])
    log, _ = RecordLog.open(path, HEADER)
    original = os.write
    room = 20

    def write_while_there_is_room(descriptor: int, data: bytes) -> int:
        nonlocal room
        if room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = original(descriptor, data[:room])
        room -= written
        return written

    log.append(b"two" * 20)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write_while_there_is_room)
        with pytest.raises(OSError, match="No space left"):
            log.sync()
    log.close()
    assert read(path) == [b"one"]


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_reset_that_fails_at_any_step_leaves_the_old_log(
    path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_frames(path, RECORDS)
    log, _ = RecordLog.open(path, HEADER)

    def fail(*_arguments: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail)
        with pytest.raises(OSError, match="Input/output error"):
            log.reset(HEADER, [b"new"])
    log.close()
    assert read(path) == RECORDS
    assert os.listdir(path.parent) == ["log"]  # noqa: PTH208 - the names alone


SECOND = b"second header"


def write_anew(path: Path) -> tuple[int, int]:
    """A log of `RECORDS` that begins anew with two records; the sizes before and after the frame that does so."""
    before = write_frames(path, RECORDS)[-1]
    log, _ = RecordLog.open(path, HEADER)
    with log:
        log.append(b"never synced")
        log.begin(SECOND)
        log.append(b"new")
        log.append(b"newer")
        log.sync()
        assert (log.header, log.forgotten_bytes, log.size_bytes) == (SECOND, before, path.stat().st_size)
    return before, path.stat().st_size


def read_second(path: Path) -> list[bytes]:
    log, records = RecordLog.open(path, SECOND)
    log.close()
    return records


def test_a_log_that_begins_anew_has_forgotten_what_was_before(path: Path) -> None:
    before, _ = write_anew(path)
    log, records = RecordLog.open(path, SECOND)
    with log:
        assert records == [b"new", b"newer"]
        assert log.forgotten_bytes == before
        log.append(b"newest")
        log.sync()
    assert RecordLog.read(path, SECOND) == [b"new", b"newer", b"newest"]
    with pytest.raises(ForeignLog, match=r"begins with b'second header', not with b'test log'"):
        RecordLog.open(path, HEADER)


def test_beginning_anew_writes_nothing_until_sync_and_a_crash_leaves_the_old_log(path: Path, calls: Calls) -> None:
    write_frames(path, RECORDS)
    log, _ = RecordLog.open(path, HEADER)
    calls.clear()
    with log:
        log.begin(SECOND)
        log.append(b"new")
        assert calls == []
        assert read(path) == RECORDS
        log.sync()
        assert calls == ["write", "fsync"]
    assert read_second(path) == [b"new"]


def test_a_beginning_torn_at_any_byte_leaves_the_old_log_whole(path: Path) -> None:
    before, size = write_anew(path)
    whole = path.read_bytes()
    for torn_size in range(before, size):
        path.write_bytes(whole[:torn_size])
        assert read(path) == RECORDS


def test_any_wrong_byte_of_a_beginning_that_something_follows_is_damage(path: Path) -> None:
    _, size = write_anew(path)
    log, _ = RecordLog.open(path, SECOND)
    with log:
        log.append(b"last")
        log.sync()
    whole = path.read_bytes()
    for position in range(size):
        path.write_bytes(whole[:position] + bytes((whole[position] ^ 0x80,)) + whole[position + 1 :])
        with pytest.raises(DamagedLog):
            RecordLog.open(path, SECOND)


def test_a_file_in_which_much_is_forgotten_is_replaced(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_log, "FORGOTTEN_BYTES_MAX", 1_000)
    log, _ = RecordLog.open(path, HEADER)
    sizes = []
    with log:
        for number in range(40):
            log.begin(b"%d" % number)
            log.append(bytes(100))
            log.sync()
            sizes.append(path.stat().st_size)
            assert RecordLog.read(path, b"%d" % number) == [bytes(100)]
    assert 1_000 < max(sizes) < 1_200
    assert sum(after < before for before, after in itertools.pairwise(sizes)) >= 3


def test_a_beginning_without_a_header_is_damage(path: Path) -> None:
    write_frames(path, RECORDS)
    path.write_bytes(path.read_bytes() + record_log._frame(b"", record_log._BEGIN_MAGIC))
    with pytest.raises(DamagedLog, match="begins anew has no header"):
        RecordLog.open(path, HEADER)


def test_a_closed_log_is_an_error_to_use(path: Path) -> None:
    log, _ = RecordLog.open(path, HEADER)
    log.close()
    log.close()
    with pytest.raises(ValueError, match="the log is closed"):
        log.sync()


FRAMES = st.lists(st.lists(st.binary(max_size=60), min_size=1, max_size=3), min_size=1, max_size=6)


@given(frames=FRAMES, data=st.data())
def test_a_crash_at_any_moment_leaves_all_that_was_synced(
    frames: list[list[bytes]], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("crash") / "log"
    sizes = write_frames(path, *frames)
    crash_at = data.draw(st.integers(sizes[0], sizes[-1]))
    path.write_bytes(path.read_bytes()[:crash_at])
    synced = [frame for frame, size in zip(frames, sizes[1:], strict=True) if size <= crash_at]
    assert read(path) == [record for frame in synced for record in frame]
