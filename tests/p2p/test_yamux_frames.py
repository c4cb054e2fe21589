"""Frames that one side of a Yamux connection sends: what they cost, and how many of them are too many."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2p.loop_time import EMPTY_FRAME_MS, FRAME_MS, STREAM_MS
from p2p.yamux_frames import (
    ANSWERS_MAX,
    ANSWERS_PER_FRAME,
    EMPTY_RATE,
    HEADER,
    STREAMS_RATE,
    FrameWatch,
    TooManyFrames,
)
from tests.p2p.worlds import Clock

DATA, UPDATE, PING = 0, 1, 2
SYN, ACK, FIN, RST = 1, 2, 4, 8


def frame(kind: int, flags: int = 0, *, stream_id: int = 1, length: int = 0) -> bytes:
    return HEADER.pack(0, kind, flags, stream_id, length)


def data(size_bytes: int) -> bytes:
    return frame(DATA, length=size_bytes) + bytes(size_bytes)


@pytest.mark.parametrize(
    ("flood", "allowed"),
    [
        (frame(UPDATE, SYN | RST), STREAMS_RATE.messages_burst),
        (frame(UPDATE, SYN), STREAMS_RATE.messages_burst),
        (frame(DATA, SYN), STREAMS_RATE.messages_burst),
        (frame(UPDATE, length=1), EMPTY_RATE.messages_burst),
        (frame(UPDATE, RST), EMPTY_RATE.messages_burst),
        (frame(PING, SYN), EMPTY_RATE.messages_burst),
        (frame(DATA), EMPTY_RATE.messages_burst),
        (frame(7), EMPTY_RATE.messages_burst),
    ],
)
def test_a_loop_of_frames_without_data_has_a_rate(flood: bytes, allowed: float) -> None:
    clock = Clock()
    watch = FrameWatch(clock)
    for _ in range(int(allowed)):
        assert watch.read(flood) > 0
    with pytest.raises(TooManyFrames, match="a second"):
        watch.read(flood)
    clock.now += 1
    watch.read(flood)


def test_window_updates_that_answer_data_are_never_too_many() -> None:
    """As of a py-libp2p that reads messages byte by byte, and answers only after all of them have been sent."""
    watch = FrameWatch(Clock())
    messages = ANSWERS_MAX // ANSWERS_PER_FRAME
    for _ in range(messages):
        watch.wrote(data(100))
    for _ in range(messages * 6):
        assert watch.read(frame(UPDATE, length=1)) == pytest.approx(0, abs=0.001)


def test_pings_that_this_node_answers_allow_for_no_more_of_them() -> None:
    watch = FrameWatch(Clock())
    for _ in range(int(EMPTY_RATE.messages_burst)):
        watch.read(frame(PING, SYN))
        watch.wrote(frame(PING, ACK))
    with pytest.raises(TooManyFrames):
        watch.read(frame(PING, SYN))


def test_data_is_no_flood_and_costs_by_frames_and_bytes() -> None:
    watch = FrameWatch(Clock())
    small = sum(watch.read(data(1)) for _ in range(10_000))
    assert small >= 10_000 * FRAME_MS
    assert watch.read(data(60_000)) > FRAME_MS
    assert watch.read(frame(UPDATE, SYN)) >= STREAM_MS
    assert watch.read(frame(PING, SYN)) >= EMPTY_FRAME_MS


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60))
def test_it_makes_no_difference_in_which_pieces_the_bytes_come(cuts: list[int]) -> None:
    stream = frame(UPDATE, SYN) + data(30) + frame(PING, SYN) + data(1) + frame(UPDATE, FIN)
    whole = FrameWatch(Clock())
    expected = whole.read(stream)
    watch, cost_ms, position = FrameWatch(Clock()), 0.0, 0
    for size in (*cuts, len(stream)):
        cost_ms += watch.read(stream[position : position + size])
        position += size
    assert cost_ms == pytest.approx(expected)
    assert watch.is_between_frames
    assert whole.is_between_frames


def test_a_frame_of_which_a_byte_is_missing_is_not_over() -> None:
    watch = FrameWatch(Clock())
    between = []
    for piece in (data(5)[:-1], b"x", b"\0", frame(UPDATE)[1:]):
        watch.read(piece)
        between.append(watch.is_between_frames)
    assert between == [False, True, False, True]
