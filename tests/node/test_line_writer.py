"""Lines that are written by a thread: who has a line neither waits nor fails, whatever becomes of it."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterable

import pytest

from step_node.node import line_writer
from step_node.node.line_writer import LINES_WAITING_MAX, LineLoss, LineWriter

SECONDS_MAX = 60.0


class Descriptor:
    """What stands in for a pipe or a disk: it can be full, and it can keep whoever writes waiting."""

    def __init__(self) -> None:
        self.text = b""
        self.room = 1_000_000
        self.failure = errno.ENOSPC
        self.is_read = threading.Event()
        self.is_read.set()
        self.has_writer = threading.Event()

    def write(self, descriptor: int, data: memoryview) -> int:
        assert descriptor == 7
        self.has_writer.set()
        assert self.is_read.wait(SECONDS_MAX)
        if not self.room:
            raise OSError(self.failure, os.strerror(self.failure))
        taken = min(self.room, len(data))
        self.text += bytes(data[:taken])
        self.room -= taken
        return taken


def writer_to(descriptor: Descriptor, *, due: Callable[[bool], Iterable[bytes]] = lambda _is_last: ()) -> LineWriter:
    return LineWriter(
        7, name="test", write=descriptor.write, due=due, tell_lost=lambda count: f"{count} lost\n".encode()
    )


def written(writer: LineWriter) -> None:
    """Wait until what waits is written or lost."""
    done = threading.Event()

    def when_reached() -> bytes:
        done.set()
        return b""

    writer.put(when_reached)
    assert done.wait(SECONDS_MAX)


def test_lines_are_written_in_their_order_and_the_last_ones_before_the_end() -> None:
    descriptor = Descriptor()
    with writer_to(descriptor) as writer:
        for number in range(200):
            writer.say(f"line {number}")
    assert descriptor.text.decode().splitlines() == [f"line {number}" for number in range(200)]
    assert set(writer.lost().values()) == {0}


def test_the_last_lines_are_written_when_an_error_ends_the_process() -> None:
    descriptor = Descriptor()

    def say_and_fail() -> None:
        with writer_to(descriptor) as writer:
            writer.say("the reason")
            raise KeyError

    with pytest.raises(KeyError):
        say_and_fail()
    assert descriptor.text == b"the reason\n"


def test_lines_that_nobody_reads_fill_a_bounded_queue_and_the_rest_is_counted_and_told() -> None:
    descriptor = Descriptor()
    descriptor.is_read.clear()
    with writer_to(descriptor) as writer:
        writer.say("first")
        assert descriptor.has_writer.wait(SECONDS_MAX)
        for number in range(LINES_WAITING_MAX + 34):
            writer.say(f"line {number}")  # would hang if it waited
        assert writer.lost()[LineLoss.QUEUE_FULL] == 34
        descriptor.is_read.set()
    lines = descriptor.text.decode().splitlines()
    assert lines[:3] == ["first", "34 lost", "line 0"]
    assert len(lines) == LINES_WAITING_MAX + 2


def test_lines_of_less_weight_leave_room_for_others() -> None:
    descriptor = Descriptor()
    descriptor.is_read.clear()
    with writer_to(descriptor) as writer:
        writer.say("first")
        assert descriptor.has_writer.wait(SECONDS_MAX)
        for _ in range(100):
            writer.put(lambda: b"a stranger's\n", waiting_max=5)
        writer.say("a double sign")
        descriptor.is_read.set()
    assert descriptor.text.count(b"stranger") == 5
    assert descriptor.text.endswith(b"a double sign\n")


@pytest.mark.parametrize("failure", [errno.ENOSPC, errno.EPIPE, errno.EIO, errno.EBADF])
def test_a_line_that_cannot_be_written_is_counted_and_the_next_is_tried(failure: int) -> None:
    descriptor = Descriptor()
    descriptor.room, descriptor.failure = 0, failure
    with writer_to(descriptor) as writer:
        writer.say("lost")
        writer.say("lost too")
        written(writer)
        assert writer.lost()[LineLoss.WRITE_FAILED] == 2
        descriptor.room = 1_000
        writer.say("there is room again")
    assert descriptor.text == b"there is room again\n2 lost\n"


def test_the_half_of_a_line_that_fitted_a_disk_is_not_the_beginning_of_the_next() -> None:
    descriptor = Descriptor()
    descriptor.room = 4
    with writer_to(descriptor) as writer:
        writer.say("cut off")
        writer.say("lost")
        written(writer)
        descriptor.room = 1_000
        writer.say("whole")
    assert descriptor.text.splitlines() == [b"cut ", b"whole", b"2 lost"]


def test_a_pipe_that_somebody_else_has_made_non_blocking_loses_nothing() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    expected = b"".join(b"%04d %s\n" % (number, b"x" * 1_000) for number in range(500))  # many times what it holds
    with os.fdopen(reading, "rb") as pipe, LineWriter(writing, name="test") as writer:
        for line in expected.decode().splitlines():
            writer.say(line)
        assert pipe.read(len(expected)) == expected
    os.close(writing)


def test_the_end_does_not_wait_for_good_for_a_reader_that_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_writer, "CLOSE_SECONDS_MAX", 0.01)
    descriptor = Descriptor()
    descriptor.is_read.clear()
    with writer_to(descriptor) as writer:
        writer.say("nobody reads this")
    descriptor.is_read.set()


def test_what_is_due_at_the_end_is_asked_for_and_written() -> None:
    descriptor = Descriptor()
    with writer_to(descriptor, due=lambda is_last: [b"the last count\n"] if is_last else []) as writer:
        writer.say("a line")
    assert descriptor.text == b"a line\nthe last count\n"
