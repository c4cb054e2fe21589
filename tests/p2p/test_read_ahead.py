"""Reading ahead: the same bytes in the same order, in as many pieces as one likes, for few questions."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from libp2p.stream_muxer.yamux.yamux import YamuxStream

from p2p.network import GossipMessage, Network, PeerId
from p2p.read_ahead import READ_AHEAD_BYTES, READ_FIRST_BYTES, ReadAhead
from tests.p2p.worlds import TOPIC, Libp2pWorld, cluster, receive


class Source:
    """Gives these pieces one by one, then nothing, and remembers for how much it is asked."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = list(pieces)
        self.asked_bytes: list[int] = []

    @property
    def asked(self) -> int:
        return len(self.asked_bytes)

    async def read(self, size_bytes_max: int) -> bytes:
        self.asked_bytes.append(size_bytes_max)
        return self.pieces.pop(0) if self.pieces else b""


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=8), st.lists(st.none() | st.integers(0, 60), max_size=40))
def test_what_is_read_is_what_was_sent(pieces: list[bytes], sizes: list[int | None]) -> None:
    source = Source(pieces)
    ahead = ReadAhead(source.read)
    sent, received = b"".join(pieces), bytearray()

    async def read_all() -> None:
        for size in [*sizes, *[None] * (len(pieces) + 1)]:
            data = await ahead.read(size)
            assert size is None or len(data) <= size
            # Nothing is given only where nothing is asked for, or at the end.
            assert data or size == 0 or received == sent
            received.extend(data)

    trio.run(read_all)
    assert received == sent


async def test_it_asks_again_only_when_nothing_is_left() -> None:
    source = Source([b"abcdef", b"g"])
    ahead = ReadAhead(source.read)
    assert [await ahead.read(2) for _ in range(3)] == [b"ab", b"cd", b"ef"]
    assert source.asked == 1
    assert await ahead.read(2) == b"g"
    assert source.asked == 2
    assert await ahead.read(0) == b""
    assert source.asked == 2
    assert await ahead.read(2) == b""


async def test_much_is_asked_for_only_after_much_was_given() -> None:
    """The socket takes a buffer for all of it; what is kept at the beginning of each breaks the heap into pieces."""
    little, much = b"a" * (READ_FIRST_BYTES - 1), b"b" * READ_FIRST_BYTES
    source = Source([little, little, much, much, little, little])
    ahead = ReadAhead(source.read)
    while await ahead.read():
        pass
    assert READ_FIRST_BYTES <= READ_AHEAD_BYTES // 16
    of_each = [READ_FIRST_BYTES] * 3 + [READ_AHEAD_BYTES] * 2 + [READ_FIRST_BYTES] * 2
    assert source.asked_bytes == of_each


async def test_what_was_given_is_copied_out_of_its_buffer() -> None:
    given = b"what a socket puts at the beginning of a larger buffer"
    data = await ReadAhead(Source([given]).read).read()
    assert data == given
    assert data is not given


async def test_what_the_source_raises_comes_out_after_what_it_gave() -> None:
    class Breaking(Source):
        async def read(self, size_bytes_max: int) -> bytes:
            if not self.pieces:
                raise trio.BrokenResourceError
            return await super().read(size_bytes_max)

    ahead = ReadAhead(Breaking([b"ab"]).read)
    assert await ahead.read(1) == b"a"
    assert await ahead.read(5) == b"b"
    with pytest.raises(trio.BrokenResourceError):
        await ahead.read(1)


async def test_messages_of_gossip_are_not_each_answered_with_a_frame_that_says_there_is_room_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was one for each byte of a length, and one for the rest; each is a packet, with a tag, of its own. It is one
    for each quarter of a window, which here is never read."""
    updates = 0
    send = YamuxStream.send_window_update

    async def counting(self: YamuxStream, increment: int, skip_lock: bool = False) -> None:
        nonlocal updates
        updates += 1
        await send(self, increment, skip_lock)

    monkeypatch.setattr(YamuxStream, "send_window_update", counting)
    channels: dict[PeerId, trio.MemoryReceiveChannel[GossipMessage]] = {}

    def subscribe(network: Network) -> None:
        channels[network.peer_id] = network.subscribe(TOPIC, message_bytes_max=1_000, buffer_messages=100)

    async with cluster(Libp2pWorld(), 2, subscribe) as (one, other):
        await one.publish(TOPIC, b"first")
        await receive(channels[other.peer_id], 1)
        before = updates
        for number in range(50):
            await one.publish(TOPIC, bytes(600) + bytes([number]))
            await receive(channels[other.peer_id], 1)
        assert updates == before
