"""Attacks on the HTTP API, by raw sockets."""

from __future__ import annotations

import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import count, cycle
from typing import Final

import trio

from tests.hostile.siege import Attack, Target

READ_BYTES: Final = 65_536
OWN: Final = "127.0.2.1"
"""Where an attacker with one address comes from."""

WEBSOCKET: Final = (
    b"GET /status HTTP/1.1\r\nHost: node\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nx"
)
BAD_SETTINGS: Final = (
    b"GET / HTTP/1.1\r\nHost: node\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"
    b"HTTP2-Settings: AAMAAABkA\xe1QAAP__\r\n\r\n"
)
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"
"""HTTP/2's, and empty SETTINGS (RFC 9113 §3.4)."""

FIELDS: Final = b"\x82\x86\x84\x41\x04node"
"""GET http://node/ in HPACK: three fields of the static table, and a literal."""


def addresses(how_many: int) -> list[str]:
    """Loopback addresses of as many strangers."""
    return [f"127.0.{3 + index // 250}.{1 + index % 250}" for index in range(how_many)]


async def connect(port: int, source: str = OWN) -> trio.SocketStream:
    """A connection from `source`. Raises OSError."""
    sock = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        await sock.bind((source, 0))
        await sock.connect(("127.0.0.1", port))
    except OSError:
        sock.close()
        raise
    return trio.SocketStream(sock)


async def talk(port: int, source: str, *pieces: bytes) -> None:
    """Send on a connection of its own, and read until the node closes. Nothing that the node does is an error."""
    with suppress(OSError, trio.BrokenResourceError):
        async with await connect(port, source) as stream:
            for piece in pieces:
                await stream.send_all(piece)
            while await stream.receive_some(READ_BYTES):
                pass


async def at_a_rate(target: Target, per_second: float, act: Callable[[int], Awaitable[None]]) -> None:
    """Begin `act(port)` so often, at the nodes in turn, without waiting for it; a thousand are under way at most."""
    under_way = trio.CapacityLimiter(1_000)

    async def once(port: int) -> None:
        async with under_way:
            await act(port)

    async with trio.open_nursery() as nursery:
        for port in cycle(target.api_ports):
            nursery.start_soon(once, port)
            await trio.sleep(1 / per_second)


async def for_ever(act: Callable[[], Awaitable[None]]) -> None:
    """Again and again, a hundredth of a second after it has ended."""
    while True:
        with suppress(OSError, trio.BrokenResourceError):
            await act()
        await trio.sleep(0.01)


async def in_many_places(target: Target, sources: list[str], act: Callable[[int, str], Awaitable[None]]) -> None:
    """`act(port, source)` for ever, one task for each source at each node."""
    async with trio.open_nursery() as nursery:
        for port in target.api_ports:
            for source in sources:
                nursery.start_soon(for_ever, partial(act, port, source))


async def websocket_upgrades(target: Target) -> None:
    """`Upgrade: websocket` and one byte more, ten a second."""
    await at_a_rate(target, 10, lambda port: talk(port, OWN, WEBSOCKET))


async def undecodable_http2_settings(target: Target) -> None:
    """An upgrade to HTTP/2 with a header that is no Base64, twenty a second."""
    await at_a_rate(target, 20, lambda port: talk(port, OWN, BAD_SETTINGS))


async def http2_resets(target: Target) -> None:
    """HTTP/2 streams opened and reset at once, as fast as the node reads, on six connections."""
    await in_many_places(target, [OWN] * 3, _reset_streams)


async def _reset_streams(port: int, source: str) -> None:
    async with await connect(port, source) as stream:
        await stream.send_all(PREFACE)
        for begin in count(1, 200):
            frames = bytearray()
            for stream_id in range(begin, begin + 200, 2):
                frames += struct.pack(">I", len(FIELDS))[1:] + b"\x01\x05" + struct.pack(">I", stream_id) + FIELDS
                frames += b"\0\0\x04\x03\0" + struct.pack(">II", stream_id, 8)
            await stream.send_all(frames)


async def malformed_requests(target: Target) -> None:
    """Lines that are no HTTP, each on a connection of its own, as fast as they are refused."""
    await in_many_places(target, [OWN] * 16, lambda port, source: talk(port, source, b"\x16\x03\x01\x02\0\r\n\r\n"))


async def idle_connections_of_one(target: Target) -> None:
    """1,100 connections of one address to each node that say nothing, opened again when they are closed."""
    await in_many_places(target, [OWN] * 1_100, _stay_idle)


async def idle_connections_of_many(target: Target) -> None:
    """5,000 connections of a hundred addresses to each node that say nothing."""
    await in_many_places(target, addresses(100) * 50, _stay_idle)


async def _stay_idle(port: int, source: str) -> None:
    async with await connect(port, source) as stream:
        await stream.receive_some(1)
    await trio.sleep(1)


async def slow_heads(target: Target) -> None:
    """Two hundred connections of fifty addresses that send a head a byte at a time."""
    await in_many_places(target, addresses(50) * 4, partial(_trickle, b"GET /status HTTP/1.1\r\nX: ", b"x"))


async def _trickle(beginning: bytes, more: bytes, port: int, source: str) -> None:
    async with await connect(port, source) as stream:
        await stream.send_all(beginning)
        while True:
            await stream.send_all(more)
            await trio.sleep(0.5)


async def slow_bodies(target: Target) -> None:
    """Two hundred connections of fifty addresses that announce a body and send it a byte at a time."""
    beginning = b"POST /proof/submit HTTP/1.1\r\nHost: node\r\nContent-Length: 9000\r\n\r\n"
    await in_many_places(target, addresses(50) * 4, partial(_trickle, beginning, b" "))


async def unread_answers(target: Target) -> None:
    """Sixty-four connections that ask for the largest answer again and again, and read none."""
    await in_many_places(target, [OWN] * 64, _ask_without_reading)


async def _ask_without_reading(port: int, source: str) -> None:
    async with await connect(port, source) as stream:
        while True:
            await stream.send_all(_get("/openapi.json") * 50)


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: node\r\n\r\n".encode()


async def _ask(paths: Iterator[str], port: int, source: str) -> None:
    """Ask on one connection, four requests at a time, and read what comes."""
    async with await connect(port, source) as stream, trio.open_nursery() as nursery:

        async def read() -> None:
            with suppress(trio.BrokenResourceError):
                while await stream.receive_some(READ_BYTES):
                    pass
            nursery.cancel_scope.cancel()

        nursery.start_soon(read)
        with suppress(trio.BrokenResourceError):
            while True:
                await stream.send_all(b"".join(_get(next(paths)) for _ in range(4)))


async def status_readers_of_one(target: Target) -> None:
    """Sixty-four connections of one address that ask for `/status` and `/metrics` without a pause."""
    await in_many_places(target, [OWN] * 64, partial(_ask, cycle(("/status", "/metrics"))))


async def status_readers_of_many(target: Target) -> None:
    """The same from sixty-four addresses."""
    await in_many_places(target, addresses(64), partial(_ask, cycle(("/status", "/metrics"))))


async def batch_readers(target: Target) -> None:
    """Forty readers that ask for one batch after another."""
    await in_many_places(target, addresses(40), partial(_ask, cycle(f"/batch/{height}" for height in range(1, 20))))


async def account_readers(target: Target) -> None:
    """Four hundred connections of forty addresses that ask for accounts and their ranks."""
    paths = cycle(f"/account/0x{number:040x}" for number in range(1_000))
    await in_many_places(target, addresses(40) * 10, partial(_ask, paths))


_FORGED: Final = (
    b'{"payload":{"version":"STEP-PROOF-v1","account":"0x7e5f4552091a69125d5dfcb7b8c2659029395bdf",'
    b'"triangleId":"STEP-TRI-v1:P10-13131312000000000000-VV7","lat":47.3769,"lon":8.5417,"accuracy":5,'
    b'"timestamp":"2026-01-31T12:00:00.000Z","nonce":"n"},"signature":"0x' + b"1" * 128 + b'1b"}'
)


async def forged_submissions(target: Target) -> None:
    """Submissions whose signature is by nobody, from forty addresses, without a pause."""
    await in_many_places(target, addresses(40), _submit_forged)


async def _submit_forged(port: int, source: str) -> None:
    request = b"POST /proof/submit HTTP/1.1\r\nHost: node\r\nContent-Length: %d\r\n\r\n" % len(_FORGED) + _FORGED
    async with await connect(port, source) as stream:
        while True:
            await stream.send_all(request)
            if not await stream.receive_some(READ_BYTES):
                return


async def forged_batches(target: Target) -> None:
    """A thousand submissions whose signatures are by nobody in each body, from forty addresses, without a pause."""
    await in_many_places(target, addresses(40), _submit_forged_batches)


async def _submit_forged_batches(port: int, source: str) -> None:
    body = b"[" + b",".join([_FORGED] * 1_000) + b"]"
    request = b"POST /proof/submit-batch HTTP/1.1\r\nHost: node\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    async with await connect(port, source) as stream:
        while True:
            await stream.send_all(request)
            if not await stream.receive_some(READ_BYTES):
                return


async def map_readers(target: Target) -> None:
    """Forty readers that ask for the largest maps there are: whole worlds, wide discs, outlines of everything."""
    paths = cycle(
        (
            "/mesh/search?bbox=-180,-90,180,90&level=5&maxResults=1000&includePolygon=true",
            "/mesh/nearby?lat=47.3769&lon=8.5417&radius_m=20000&level=12",
            "/mesh/active?bbox=-180,-90,180,90",
            "/mesh/nearest?lat=47.3769&lon=8.5417&level=21&count=100",
            "/mesh/triangleAt?lat=47.3769&lon=8.5417&level=active&includePolygon=true",
        )
    )
    await in_many_places(target, addresses(40), partial(_ask, paths))


async def unread_feeds(target: Target) -> None:
    """Two hundred streams of fifty addresses that ask for every event, and read none."""
    await in_many_places(target, addresses(50) * 4, _follow_without_reading)


async def _follow_without_reading(port: int, source: str) -> None:
    async with await connect(port, source) as stream:
        await stream.send_all(_get("/events"))
        await trio.sleep(30)


async def feeds_begun_anew(target: Target) -> None:
    """Forty addresses that begin a stream at the chain's beginning, and leave it, without a pause."""
    await in_many_places(target, addresses(40), _begin_a_feed)


async def _begin_a_feed(port: int, source: str) -> None:
    async with await connect(port, source) as stream:
        await stream.send_all(_get("/events?lastEventId=1.0"))
        await stream.receive_some(READ_BYTES)


async def receipt_readers(target: Target) -> None:
    """Forty readers that ask for receipts and for tables, of batch after batch and of nothing."""
    account = "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf"
    paths = cycle(
        (
            *(f"/proof/0x{number:064x}/receipt" for number in range(50)),
            f"/account/{account}/proofs.csv",
            f"/account/{account}/transactions",
            "/batches?limit=100",
        )
    )
    await in_many_places(target, addresses(40), partial(_ask, paths))


async def preflights(target: Target) -> None:
    """Sixty-four addresses that ask what they may ask, without a pause."""
    await in_many_places(target, addresses(64), _preflight)


async def _preflight(port: int, source: str) -> None:
    request = (
        b"OPTIONS /proof/submit HTTP/1.1\r\nHost: node\r\nOrigin: https://app.example\r\n"
        b"Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n\r\n"
    )
    async with await connect(port, source) as stream:
        while True:
            await stream.send_all(request)
            if not await stream.receive_some(READ_BYTES):
                return


async def connecting_and_hanging_up(target: Target) -> None:
    """Connections that are closed as soon as they stand, by sixteen tasks."""
    await in_many_places(target, [OWN] * 16, _hang_up)


async def _hang_up(port: int, source: str) -> None:
    for _ in range(10):
        await (await connect(port, source)).aclose()


ATTACKS: Final[tuple[Attack, ...]] = (
    websocket_upgrades,
    undecodable_http2_settings,
    http2_resets,
    malformed_requests,
    idle_connections_of_one,
    idle_connections_of_many,
    slow_heads,
    slow_bodies,
    unread_answers,
    status_readers_of_one,
    status_readers_of_many,
    batch_readers,
    account_readers,
    forged_submissions,
    forged_batches,
    map_readers,
    unread_feeds,
    feeds_begun_anew,
    receipt_readers,
    preflights,
    connecting_and_hanging_up,
)
