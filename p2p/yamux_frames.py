"""The frames that one side of a Yamux connection sends, counted by their headers as the bytes pass by.

Theory of operation. Frames without data (pings, window updates, ends of streams) and frames that open streams cost the
receiver about as much as others, and nothing that Yamux counts bounds them. Most of an honest peer's are answers to
data that it was sent: py-libp2p says of each few bytes that were read that there is room for as many again. So each
frame of data that is sent allows for some of them; what comes beyond that has a rate of its own. Beyond the
rate no honest peer comes; there the connection ends.

The format is that of https://github.com/hashicorp/yamux/blob/master/spec.md: version, type, flags, stream id, length.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from p2p.limits import Rate, Share
from p2p.loop_time import EMPTY_FRAME_MS, FRAME_MS, MS_PER_MIB, STREAM_MS

HEADER: Final = struct.Struct("!BBHII")
TYPE_DATA: Final = 0
TYPE_PING: Final = 2
FLAG_SYN: Final = 1
MIB: Final = 1024 * 1024

ANSWERS_PER_FRAME: Final = 8
"""Frames without data that the other side may send for each frame of data that it is sent."""
ANSWERS_MAX: Final = 65_536
"""What may add up of that."""
EMPTY_RATE: Final = Rate(messages_per_second=50, messages_burst=500, bytes_per_second=1, bytes_burst=1)
"""Frames without data that answer nothing: pings (one in 30 s), and the ends of streams."""
STREAMS_RATE: Final = Rate(messages_per_second=20, messages_burst=200, bytes_per_second=1, bytes_burst=1)
"""Streams that are opened. A node that catches up opens some five a second with each peer."""


class TooManyFrames(Exception):
    """The other side sends more of one kind of frames than any honest one."""


class FrameWatch:
    """Watches one connection. `clock` is in seconds and never goes back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._header = bytearray()
        self._body_left = 0
        self._answers = 0
        self._empty = Share(EMPTY_RATE, clock)
        self._streams = Share(STREAMS_RATE, clock)

    @property
    def is_between_frames(self) -> bool:
        """Whether the next byte begins a frame."""
        return not self._header and not self._body_left

    def wrote(self, data: bytes) -> None:
        """These frames, whole ones, are sent to the other side."""
        if len(data) > HEADER.size:
            self._answers = min(ANSWERS_MAX, self._answers + ANSWERS_PER_FRAME)

    def read(self, data: bytes) -> float:
        """Bytes have come; what dealing with them costs, in milliseconds. Raises `TooManyFrames`."""
        cost_ms = len(data) * MS_PER_MIB / MIB
        position = 0
        while position < len(data):
            if self._body_left:
                taken = min(self._body_left, len(data) - position)
                self._body_left -= taken
                position += taken
                continue
            taken = min(HEADER.size - len(self._header), len(data) - position)
            self._header += data[position : position + taken]
            position += taken
            if len(self._header) == HEADER.size:
                cost_ms += self._frame()
                self._header.clear()
        return cost_ms

    def _frame(self) -> float:
        _version, kind, flags, _stream_id, length = HEADER.unpack(self._header)
        if kind == TYPE_DATA:
            self._body_left = length
        if flags & FLAG_SYN and kind != TYPE_PING:
            if not self._streams.take(0):
                raise TooManyFrames(f"it opens more than {STREAMS_RATE.messages_per_second:g} streams a second")
            return STREAM_MS
        if kind == TYPE_DATA and length:
            return FRAME_MS
        if self._answers:
            self._answers -= 1
            return 0.0  # It costs as little as what it answers, which nobody had to send.
        if not self._empty.take(0):
            raise TooManyFrames(f"it sends more than {EMPTY_RATE.messages_per_second:g} empty frames a second")
        return EMPTY_FRAME_MS
