"""Whole messages out of pieces of bytes, and what stalls."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from p2p.errors import MessageTooLarge, PeerFault, PeerUnreachable
from p2p.framing import RECEIVE_TIMEOUT_SECONDS, SEND_TIMEOUT_SECONDS, FramedStream
from p2p.network import Fault, PeerId

PEER = PeerId("peer")


class Scripted:
    """A transport that reads out given pieces, then ends or hangs, and keeps what is written."""

    def __init__(self, pieces: list[bytes], *, hangs: bool = False) -> None:
        self.pieces = pieces
        self.hangs = hangs
        self.written = b""
        self.was_reset = False

    async def read(self, size_bytes_max: int) -> bytes:
        await trio.lowlevel.checkpoint()
        if not self.pieces:
            if self.hangs:
                await trio.sleep_forever()
            return b""
        piece = self.pieces.pop(0)
        if len(piece) > size_bytes_max:
            self.pieces.insert(0, piece[size_bytes_max:])
        return piece[:size_bytes_max]

    async def write(self, data: bytes) -> None:
        if self.hangs:
            await trio.sleep_forever()
        self.written += data

    async def close(self) -> None:
        await trio.lowlevel.checkpoint()

    async def reset(self) -> None:
        self.was_reset = True
        await trio.lowlevel.checkpoint()


def framed(transport: Scripted, limit: int = 100) -> FramedStream:
    return FramedStream(PEER, "/test/1", transport, message_bytes_max=limit)


@given(st.lists(st.binary(max_size=50), max_size=8), st.data())
def test_messages_survive_any_cutting(messages: list[bytes], data: st.DataObject) -> None:
    async def run() -> None:
        transport = Scripted([])
        for message in messages:
            await framed(transport).send_message(message)
        wire = transport.written
        pieces = []
        while wire:
            size = data.draw(st.integers(1, len(wire)))
            pieces.append(wire[:size])
            wire = wire[size:]
        stream = framed(Scripted(pieces))
        assert [await stream.receive_message() for _ in messages] == messages
        assert await stream.receive_message() is None

    trio.run(run)


@pytest.mark.parametrize("wire", [b"\x00", b"\x00\x00\x00", b"\x00\x00\x00\x05", b"\x00\x00\x00\x05four"])
async def test_an_end_inside_a_message_is_not_a_clean_end(wire: bytes) -> None:
    with pytest.raises(PeerUnreachable, match="ended inside a message"):
        await framed(Scripted([wire])).receive_message()


async def test_an_oversized_length_is_refused_and_the_stream_reset() -> None:
    transport = Scripted([b"\x00\x00\x00\x65", bytes(101)])
    with pytest.raises(PeerFault, match="a message of 101 bytes is over the limit of /test/1, 100 bytes") as caught:
        await framed(transport).receive_message()
    assert caught.value.fault is Fault.OVERSIZED
    assert transport.was_reset


async def test_an_oversized_message_is_not_sent() -> None:
    transport = Scripted([])
    with pytest.raises(MessageTooLarge):
        await framed(transport).send_message(bytes(101))
    assert transport.written == b""


async def test_a_silent_peer_is_at_fault_for_stalling(autojump_clock: Any) -> None:
    del autojump_clock
    transport = Scripted([b"\x00\x00"], hangs=True)
    start = trio.current_time()
    with pytest.raises(PeerFault) as caught:
        await framed(transport).receive_message()
    assert caught.value.fault is Fault.STALLED
    assert math.isclose(trio.current_time() - start, RECEIVE_TIMEOUT_SECONDS)
    assert transport.was_reset


async def test_a_peer_that_does_not_take_a_message_is_at_fault_for_stalling(autojump_clock: Any) -> None:
    del autojump_clock
    transport = Scripted([], hangs=True)
    start = trio.current_time()
    with pytest.raises(PeerFault) as caught:
        await framed(transport).send_message(b"x")
    assert caught.value.fault is Fault.STALLED
    assert math.isclose(trio.current_time() - start, SEND_TIMEOUT_SECONDS)
    assert transport.was_reset


async def test_leaving_normally_closes_and_leaving_with_an_error_resets(autojump_clock: Any) -> None:
    del autojump_clock
    polite, rude, hanging = Scripted([]), Scripted([]), Scripted([], hangs=True)
    async with framed(polite):
        pass
    assert not polite.was_reset
    with pytest.raises(KeyError):
        async with framed(rude):
            raise KeyError
    assert rude.was_reset
    async with framed(hanging):
        pass
    assert hanging.was_reset, "a peer that does not close its side does not keep the stream"
