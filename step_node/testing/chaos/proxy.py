"""A TCP proxy for one direction of dialling between two nodes, which can be slow, stall, fall silent, or refuse.

Theory of operation. Node i dials node j through a proxy of the ordered pair (i, j); connections that j dialled to i go
through (j, i)'s. Each connection has two carriers, one each way. A carrier reads a chunk, stamps it with the moment at
which it may arrive, and puts it in a short queue; the other half takes chunks in order and writes each when its moment
has come. Moments never go backwards, so bytes stay in order however the latency varies. A link that is silent reads
and writes nothing and closes nothing: as when packets are lost, neither end learns of it, and what was sent arrives
after healing. The queue is bounded, so a silent or slow link pushes back on the sender as a full TCP window does.

(The kernel's own netem would do this below TCP, but is not there on every machine, containers above all.)
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

import trio

CHUNK_BYTES = 16 * 1024
CHUNKS_WAITING_MAX = 256
"""Chunks under way in one direction of one connection; then no more are read, until some have arrived."""
DIAL_SECONDS_MAX = 5.0
BACKLOG = 32
LOOPBACK = "127.0.0.1"

_LOST = (trio.BrokenResourceError, trio.ClosedResourceError)


class Cut(StrEnum):
    """How a link is cut."""

    SILENCE = "silence"
    """Nothing passes, and nobody is told."""
    RESET = "reset"
    """Connections end at once, and new ones are refused."""


@dataclass(frozen=True, slots=True)
class Weather:
    """How a link passes bytes on. Latency is one-way and uniform in `latency_ms` ± `jitter_ms`.

    Now and then, `stall_every_seconds` apart on average (exponentially distributed; 0 is never), one direction of one
    connection stands still for `stall_ms`.
    """

    latency_ms: float = 0.0
    jitter_ms: float = 0.0
    stall_every_seconds: float = 0.0
    stall_ms: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.jitter_ms <= self.latency_ms:
            raise ValueError(f"jitter_ms: must be 0 to latency_ms ({self.latency_ms:g}), not {self.jitter_ms:g}")
        if self.stall_every_seconds < 0 or self.stall_ms < 0:
            raise ValueError("stall_every_seconds and stall_ms: must not be negative")


CLEAR = Weather()


class Link:
    """The proxy through which node `source` dials node `target`. `run` serves until cancelled."""

    def __init__(self, source: int, target: int, target_port: int, *, seed: int = 0) -> None:
        self.source = source
        self.target = target
        self.weather = CLEAR
        self._target_port = target_port
        self._random = random.Random(f"{seed}/{source}/{target}")
        self._listeners: list[trio.SocketListener] = []
        self._cut: Cut | None = None
        self._healed = trio.Event()
        self._healed.set()
        self._connections: set[trio.CancelScope] = set()

    async def bind(self) -> int:
        """Take a free port on loopback, and return it. Connections wait until `run`."""
        self._listeners = list(await trio.open_tcp_listeners(0, host=LOOPBACK, backlog=BACKLOG))
        port: int = self._listeners[0].socket.getsockname()[1]
        return port

    @property
    def connections(self) -> int:
        """How many connections it carries at this moment."""
        return len(self._connections)

    def cut(self, how: Cut) -> None:
        """Let nothing pass any more, for the connections that are there and for new ones."""
        self._cut = how
        if self._healed.is_set():
            self._healed = trio.Event()
        if how is Cut.RESET:
            self.drop_connections()

    def heal(self) -> None:
        """Let everything pass again."""
        self._cut = None
        self._healed.set()

    def drop_connections(self) -> None:
        """End the connections that are there; new ones are welcome."""
        for scope in tuple(self._connections):
            scope.cancel()

    async def run(self) -> None:
        """Carry connections until cancelled; to be called once, after `bind`."""
        try:
            await trio.serve_listeners(self._accept, self._listeners)
        finally:
            with trio.CancelScope(shield=True):
                for listener in self._listeners:
                    await listener.aclose()

    async def _accept(self, dialler: trio.SocketStream) -> None:
        with trio.CancelScope() as scope:
            if self._cut is Cut.RESET:
                return
            self._connections.add(scope)
            try:
                await self._healed.wait()
                with trio.fail_after(DIAL_SECONDS_MAX):
                    answerer = await trio.open_tcp_stream(LOOPBACK, self._target_port)
                async with answerer, trio.open_nursery() as nursery:
                    nursery.start_soon(self._carry, dialler, answerer, scope)
                    nursery.start_soon(self._carry, answerer, dialler, scope)
            except (OSError, trio.TooSlowError):
                return  # The target is not there; closing the dialler's connection tells it so.
            finally:
                self._connections.discard(scope)

    async def _carry(self, source: trio.SocketStream, target: trio.SocketStream, connection: trio.CancelScope) -> None:
        """One way. An orderly end is passed on behind what is under way; a broken end breaks the whole connection."""
        waiting, arriving = trio.open_memory_channel[tuple[float, bytes]](CHUNKS_WAITING_MAX)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read, source, waiting, connection)
            nursery.start_soon(self._write, arriving, target, connection)

    async def _read(
        self,
        source: trio.SocketStream,
        waiting: trio.MemorySendChannel[tuple[float, bytes]],
        connection: trio.CancelScope,
    ) -> None:
        async with waiting:
            arrives_at = stall_at = 0.0
            while True:
                await self._healed.wait()
                try:
                    chunk = await source.receive_some(CHUNK_BYTES)
                except _LOST:
                    connection.cancel()
                    return
                if not chunk:
                    return
                now, weather = trio.current_time(), self.weather
                delay_ms = weather.latency_ms + self._random.uniform(-weather.jitter_ms, weather.jitter_ms)
                arrives_at = max(arrives_at, now + delay_ms / 1000)
                if weather.stall_every_seconds > 0 and now >= stall_at:
                    # The first chunk in this weather only says when the first stall comes.
                    if stall_at > 0:
                        arrives_at += weather.stall_ms / 1000
                    stall_at = now + self._random.expovariate(1 / weather.stall_every_seconds)
                await waiting.send((arrives_at, chunk))

    async def _write(
        self,
        arriving: trio.MemoryReceiveChannel[tuple[float, bytes]],
        target: trio.SocketStream,
        connection: trio.CancelScope,
    ) -> None:
        try:
            async for arrives_at, chunk in arriving:
                await trio.sleep_until(arrives_at)
                await self._healed.wait()
                await target.send_all(chunk)
            await target.send_eof()
        except (*_LOST, OSError):
            connection.cancel()
