"""Yamux with limits on what one connection can hold and ask for, which py-libp2p 0.8.1 does not enforce.

Theory of operation. Yamux lets a receiver say how much each stream may send ahead of its reader (the window).
py-libp2p says it and then takes in whatever comes, and any number of streams, so that a peer which ignores its windows
fills the memory of whoever does not read. Here, all that waits unread on a connection is bounded before the next frame
is read, a peer that goes beyond has its connection closed, and streams over the limit are reset. Both are the peer's
own doing and provable, so both are reported to `on_fault`.

What a connection holds says nothing of what it costs: a stream that is opened and reset in one frame is never open. So
the headers of all frames are watched as they are read (`p2p.yamux_frames`), and each is put down to the account of
who sent it (`p2p.loop_time`); who is in debt is not read from.

And who has waited on a stream for its end leaves an event behind in py-libp2p, in the place of one that has just gone
with the stream: one for each question and answer, for as long as the connection lasts. Here it is not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any, Final, cast

import libp2p.stream_muxer.yamux.yamux as yamux_module
import trio
from libp2p.abc import IMuxedConn, IMuxedStream, ISecureConn
from libp2p.custom_types import TMuxerClass, TProtocol
from libp2p.io.utils import read_exactly
from libp2p.peer.id import ID
from libp2p.stream_muxer.muxer_multistream import MuxerMultistream
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID, Yamux, YamuxStream

from p2p.addresses import address_group
from p2p.libp2p_ids import text_of
from p2p.libp2p_turns import Turn, as_lock
from p2p.loop_time import Account, LoopTime
from p2p.network import Fault
from p2p.yamux_frames import FrameWatch, TooManyFrames

STREAM_WINDOW_BYTES_MAX: Final = 1024 * 1024
"""How far one stream's window grows. 16 MiB in py-libp2p; 1 MiB carries 10 MB/s over 100 ms."""
WINDOW_PARTS: Final = 4
"""A peer is told of room in a window when one of so many parts of it has been read: three are left to it meanwhile."""
UNREAD_BYTES_MAX: Final = 8 * STREAM_WINDOW_BYTES_MAX
"""What may wait unread on one connection: eight streams whose windows have grown all the way and whose readers all
stand still, or 32 fresh ones. No honest peer opens so many."""
STREAMS_MAX: Final = 64
"""Streams a peer may have open at once on one connection; beyond it a new one is reset. The protocols here add up to
some 20."""
BODY_SECONDS_MAX: Final = 60.0
"""How long what a header has announced may take; then the connection ends."""
FRAMES_AT_ONCE: Final = 16
"""Frames that are read from what is here already before other tasks have their turn."""
STREAMS_CHARGED_EVERY: Final = 64
"""A peer is charged for the first stream over the limit, and for each so-many-th after it."""

FaultReport = Callable[[ID, Fault], None]


class UnreadLimit(trio.TooSlowError):
    """The peer has sent more than it was allowed to.

    Of trio's kind because that is the one error for which py-libp2p's reading task ends the connection wherever it
    comes from.
    """


class WatchedConn:
    """What py-libp2p reads the frames of one connection from: the same bytes, watched and paced."""

    def __init__(self, secured: ISecureConn, account: Callable[[], Account], on_flood: Callable[[], None]) -> None:
        self._secured = secured
        self._watch = FrameWatch(trio.current_time)
        self._account = account
        self._on_flood = on_flood
        self._frames = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._secured, name)

    async def read(self, n: int | None = None) -> bytes:
        """See `Reader.read`. Raises `UnreadLimit` where the peer sends more frames than any honest one."""
        account = self._account()
        if self._watch.is_between_frames:
            self._frames += 1
            debt_seconds = account.debt_seconds()
            if debt_seconds > 0 or self._frames % FRAMES_AT_ONCE == 0:
                await trio.sleep(debt_seconds)
        data: bytes = await self._secured.read(n)
        try:
            account.spend(self._watch.read(data))
        except TooManyFrames as error:
            self._on_flood()
            raise UnreadLimit(str(error)) from error
        return data

    async def write(self, data: bytes) -> None:
        """See `Writer.write`."""
        self._watch.wrote(data)
        await self._secured.write(data)


class BoundedStream(YamuxStream):
    """A stream of a `BoundedYamux`, with light locks, that tells of room in its window when that is due."""

    def __init__(self, stream_id: int, conn: Yamux, is_initiator: bool) -> None:
        super().__init__(stream_id, conn, is_initiator)
        self.window_lock = as_lock(Turn())
        self.close_lock = as_lock(Turn())
        self.rw_lock._readers_lock = as_lock(Turn())
        self.rw_lock._writer_lock = cast(trio.Semaphore, Turn())

    async def _auto_tune_and_send_window_update(self, *, bytes_read: int = 0) -> None:
        """Say that there is room again once a part of the window worth a frame has been read.

        py-libp2p says so after each reading, and allows twice what was read: a frame for each message, which costs both
        ends as much as the message. `bytes_read` is its way of counting; what is missing in the window says the same.
        """
        del bytes_read
        async with self.window_lock:
            buffered_bytes = len(self.conn.stream_buffers.get(self.stream_id, b""))
            missing_bytes = self.target_recv_window - (self.recv_window + buffered_bytes)
            if missing_bytes < self.target_recv_window // WINDOW_PARTS:
                return
            increment = self._grow_to_delta(buffered_bytes) + self._apply_autotune_epoch(buffered_bytes)
        await self.send_window_update(increment, skip_lock=True)


class StreamEvents(dict[int, trio.Event]):
    """By stream, what wakes its reader. What is put in for a stream that is gone is left out.

    py-libp2p's reader puts in another event once it has been woken, whatever woke it; and the frame that ends a stream
    lets go of the stream with its event before the reader has its turn.
    """

    def __init__(self, streams: Container[int]) -> None:
        super().__init__()
        self._streams = streams

    def __setitem__(self, stream_id: int, event: trio.Event) -> None:
        if stream_id in self._streams:
            super().__setitem__(stream_id, event)


class BoundedYamux(Yamux):
    """A Yamux connection within limits."""

    def __init__(self, secured: ISecureConn, peer_id: ID, *, on_fault: FaultReport, loop_time: LoopTime) -> None:
        super().__init__(secured, peer_id, is_initiator=secured.is_initiator)
        self._on_fault = on_fault
        self._streams_refused = 0
        self._loop_time = loop_time
        remote = secured.get_remote_address()
        self._group = address_group(remote[0]) if remote is not None else ""
        self._peer = text_of(peer_id)
        self.session = secured
        """The secured connection itself, which says who is at the other end."""
        watched = WatchedConn(secured, self.account, lambda: on_fault(peer_id, Fault.FLOOD))
        self.secured_conn = cast(ISecureConn, watched)
        self.stream_events = StreamEvents(self.streams)
        self.streams_lock = as_lock(Turn())
        self._write_lock = as_lock(Turn())

    def account(self) -> Account:
        """Whose time is taken by what comes on this connection."""
        return self._loop_time.of_peer(self._peer, self._group)

    async def _read_data_body(self, length: int) -> bytes:
        unread_bytes = sum(map(len, self.stream_buffers.values()))
        if unread_bytes + length > UNREAD_BYTES_MAX:
            self._on_fault(self.peer_id, Fault.FLOOD)
            raise UnreadLimit(f"{unread_bytes} bytes wait unread, and {length} more were sent")
        with trio.fail_after(BODY_SECONDS_MAX):
            return await read_exactly(self.secured_conn, length)

    async def _write_frame(self, data: bytes) -> None:
        # py-libp2p's own also takes each frame apart to describe it, and gives others a turn that writing has given.
        async with self._write_lock:
            await self.secured_conn.write(data)

    async def accept_stream(self) -> IMuxedStream:
        """See `IMuxedConn.accept_stream`; streams over the limit never come so far."""
        while True:
            stream = await super().accept_stream()
            if sum(self._is_peers(number) for number in self.streams) <= STREAMS_MAX:
                return stream
            if self._streams_refused % STREAMS_CHARGED_EVERY == 0:
                self._on_fault(self.peer_id, Fault.FLOOD)
            self._streams_refused += 1
            if isinstance(stream, YamuxStream):
                await stream.reset()

    def _is_peers(self, stream_id: int) -> bool:
        return (stream_id % 2 == 0) == self.is_initiator_value


class BoundedMuxer(MuxerMultistream):
    """Negotiates Yamux, and makes it a `BoundedYamux`."""

    def __init__(
        self,
        transports: Mapping[TProtocol, TMuxerClass],
        *,
        negotiate_timeout: int,
        on_fault: FaultReport,
        loop_time: LoopTime,
    ) -> None:
        super().__init__(transports, negotiate_timeout)
        self._on_fault = on_fault
        self._loop_time = loop_time

    async def new_conn(self, conn: ISecureConn, peer_id: ID) -> IMuxedConn:
        """Agree on a muxer with the other end, which must be Yamux: no other is offered."""
        protocol, _ = await self._selector.select(conn, conn.is_initiator, self.negotiate_timeout)
        if protocol != PROTOCOL_ID:
            raise ValueError(f"the muxer {protocol} was not offered")
        muxed = BoundedYamux(conn, peer_id, on_fault=self._on_fault, loop_time=self._loop_time)
        return self._annotate_connection(muxed, conn, protocol)


def bound_windows() -> None:
    """Keep every stream's window to `STREAM_WINDOW_BYTES_MAX`, and make it a `BoundedStream`; py-libp2p has both, the
    limit and the class, in a module."""
    yamux_module.MAX_WINDOW_SIZE = STREAM_WINDOW_BYTES_MAX
    yamux_module.YamuxStream = BoundedStream  # type: ignore[misc]
