"""The proxy between nodes: what it passes on, when, and what it does to a connection that is cut."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from step_node.testing.chaos.proxy import CHUNK_BYTES, Cut, Link, Weather

A_WHILE_SECONDS = 0.1
"""How long a test looks whether nothing comes."""
LONGEST_SECONDS = 20.0


async def read_all(stream: trio.SocketStream) -> bytes:
    received = bytearray()
    async for chunk in stream:
        received += chunk
    return bytes(received)


async def read_exactly(stream: trio.SocketStream, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        chunk = await stream.receive_some(count - len(received))
        assert chunk, f"the connection ended after {len(received)} of {count} bytes"
        received += chunk
    return bytes(received)


async def is_over(stream: trio.SocketStream) -> bool:
    """Whether the connection has ended, in order or not."""
    try:
        return not await stream.receive_some(1)
    except trio.BrokenResourceError:
        return True


class Pair:
    """A server that everything reaches through a link."""

    def __init__(self, link: Link, port: int, accepted: trio.MemoryReceiveChannel[trio.SocketStream]) -> None:
        self.link = link
        self.accepted = accepted
        self._port = port
        self._dialled: list[trio.SocketStream] = []

    async def dial(self) -> trio.SocketStream:
        stream = await trio.open_tcp_stream("127.0.0.1", self._port)
        self._dialled.append(stream)
        return stream

    async def close(self) -> None:
        for stream in self._dialled:
            await trio.aclose_forcefully(stream)

    async def connect(self) -> tuple[trio.SocketStream, trio.SocketStream]:
        """Both ends of a new connection through the link."""
        dialler = await self.dial()
        return dialler, await self.accepted.receive()


@asynccontextmanager
async def linked() -> AsyncIterator[Pair]:
    arrived, accepted = trio.open_memory_channel[trio.SocketStream](10)

    async def take(stream: trio.SocketStream) -> None:
        await arrived.send(stream)
        await trio.sleep_forever()

    with trio.fail_after(LONGEST_SECONDS):
        async with trio.open_nursery() as nursery:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, take, [listener])
            link = Link(0, 1, listener.socket.getsockname()[1])
            port = await link.bind()
            nursery.start_soon(link.run)
            pair = Pair(link, port, accepted)
            try:
                yield pair
            finally:
                await pair.close()
            nursery.cancel_scope.cancel()


async def test_bytes_pass_unchanged_both_ways_and_ends_are_passed_on_behind_them() -> None:
    message = bytes(range(256)) * (3 * CHUNK_BYTES // 256)
    async with linked() as pair:
        dialler, answerer = await pair.connect()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(dialler.send_all, message)
            assert await read_exactly(answerer, len(message)) == message
        await answerer.send_all(message[:100])
        await answerer.send_eof()
        assert await read_all(dialler) == message[:100]
        await dialler.send_all(b"after the other's end")
        await dialler.send_eof()
        assert await read_all(answerer) == b"after the other's end"


async def test_nothing_arrives_before_its_latency_and_jitter_keeps_the_order() -> None:
    async with linked() as pair:
        pair.link.weather = Weather(latency_ms=60, jitter_ms=50)
        dialler, answerer = await pair.connect()
        sent_at = trio.current_time()
        for number in range(50):
            await dialler.send_all(bytes([number]))
            await trio.sleep(0)
        assert await read_exactly(answerer, 50) == bytes(range(50))
        assert trio.current_time() - sent_at >= 0.010


async def test_a_stall_holds_up_what_comes_after_it() -> None:
    async with linked() as pair:
        pair.link.weather = Weather(stall_every_seconds=1e-6, stall_ms=150)
        dialler, answerer = await pair.connect()
        await dialler.send_all(b"a")  # The first chunk sets when the first stall comes.
        await read_exactly(answerer, 1)
        sent_at = trio.current_time()
        await dialler.send_all(b"b")
        await read_exactly(answerer, 1)
        assert trio.current_time() - sent_at >= 0.150


async def test_a_silent_link_loses_nothing_and_ends_nothing() -> None:
    async with linked() as pair:
        dialler, answerer = await pair.connect()
        pair.link.cut(Cut.SILENCE)
        await dialler.send_all(b"held")
        with trio.move_on_after(A_WHILE_SECONDS) as waiting:
            await answerer.receive_some(1)
        assert waiting.cancelled_caught
        assert pair.link.connections == 1
        pair.link.heal()
        assert await read_exactly(answerer, 4) == b"held"


async def test_a_connection_made_during_silence_comes_through_when_it_ends() -> None:
    async with linked() as pair:
        pair.link.cut(Cut.SILENCE)
        dialler = await pair.dial()
        await dialler.send_all(b"hello")
        pair.link.heal()
        answerer = await pair.accepted.receive()
        assert await read_exactly(answerer, 5) == b"hello"


async def test_a_reset_link_ends_its_connections_and_refuses_new_ones_until_it_is_healed() -> None:
    async with linked() as pair:
        dialler, answerer = await pair.connect()
        pair.link.cut(Cut.RESET)
        assert await is_over(dialler)
        assert await is_over(answerer)
        assert await is_over(await pair.dial())
        pair.link.heal()
        dialler, answerer = await pair.connect()
        await dialler.send_all(b"again")
        assert await read_exactly(answerer, 5) == b"again"


async def test_dropped_connections_may_be_made_again_at_once() -> None:
    async with linked() as pair:
        dialler, answerer = await pair.connect()
        pair.link.drop_connections()
        assert await is_over(dialler)
        assert await is_over(answerer)
        dialler, answerer = await pair.connect()
        await answerer.send_all(b"x")
        assert await read_exactly(dialler, 1) == b"x"


async def test_a_dialler_learns_that_the_target_is_not_there() -> None:
    async with trio.open_nursery() as nursery:
        unused = Link(0, 1, 1)  # Nothing listens on port 1.
        port = await unused.bind()
        nursery.start_soon(unused.run)
        with trio.fail_after(LONGEST_SECONDS):
            async with await trio.open_tcp_stream("127.0.0.1", port) as dialler:
                assert await is_over(dialler)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"jitter_ms": 1.0}, "jitter_ms"),
        ({"latency_ms": 10.0, "jitter_ms": 11.0}, "jitter_ms"),
        ({"stall_ms": -1.0}, "stall"),
    ],
)
def test_impossible_weather_is_an_error_that_names_the_field(values: dict[str, float], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Weather(**values)
