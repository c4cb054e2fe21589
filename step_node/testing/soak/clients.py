"""Clients that come and go over HTTP: they ask on a connection of their own, say nothing, or break off."""

from __future__ import annotations

import secrets
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

import httpx
import trio

IDLE_SECONDS: Final = 10.0
TIMEOUT_SECONDS: Final = 10.0


async def ask(host: str, port: int) -> None:
    """Ask for a few things, one of them new each time, and close."""
    base = f"http://{host}:{port}"
    async with httpx.AsyncClient(trust_env=False, timeout=TIMEOUT_SECONDS) as http:
        for path in ("/status", "/health", "/batch/1", f"/account/0x{secrets.token_hex(20)}", "/nowhere"):
            with suppress(httpx.HTTPError):
                await http.get(base + path)


async def say_nothing(host: str, port: int) -> None:
    """Connect, and close after a while."""
    with suppress(OSError, trio.BrokenResourceError):
        async with await trio.open_tcp_stream(host, port):
            await trio.sleep(IDLE_SECONDS)


async def break_off(host: str, port: int) -> None:
    """Send half a request, and reset the connection."""
    with suppress(OSError, trio.BrokenResourceError):
        async with await trio.open_tcp_stream(host, port) as stream:
            await stream.send_all(b"POST /proof/submit HTTP/1.1\r\nHost: node\r\nContent-Length: 100\r\n\r\n{")
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


VISITS: Final[tuple[Callable[[str, int], Awaitable[None]], ...]] = (ask, say_nothing, ask, break_off, ask)


async def visit_by_turns(urls: Sequence[str], *, per_minute: float) -> None:
    """Begin a visit so often, at the nodes in turn, until cancelled."""
    places = [(str(url.host), int(url.port or 0)) for url in map(httpx.URL, urls)]
    number = 0
    async with trio.open_nursery() as nursery:
        while True:
            host, port = places[number % len(places)]
            nursery.start_soon(VISITS[number % len(VISITS)], host, port)
            number += 1
            await trio.sleep(60 / per_minute)
