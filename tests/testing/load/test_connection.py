"""One connection that is kept, against a server of a few lines that does as each test wants."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import pytest
import trio

from step_node.errors import StepNodeError
from step_node.testing.load import connection as module
from step_node.testing.load.connection import Answer, Connection, Endpoint, NoAnswer

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
BUSY = b"HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 2\r\n\r\n{}"


@dataclass
class Server:
    """Gives each request of each connection the next of `answers`; None closes the connection instead."""

    answers: list[bytes | None]
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        async with stream:
            while self.answers and (request := await stream.receive_some()):
                self.requests.append(bytes(request))
                answer = self.answers.pop(0)
                if answer is None:
                    return
                await stream.send_all(answer)
                if b"connection: close" in answer:
                    return


class SilentServer(Server):
    """Takes connections, and says nothing."""

    async def serve(self, stream: trio.SocketStream) -> None:
        async with stream:
            await trio.sleep_forever()


async def _ask(server: Server, ask: Callable[[Connection], Awaitable[None]]) -> None:
    async with trio.open_nursery() as nursery:
        listen = partial(trio.serve_tcp, server.serve, 0, host="127.0.0.1")
        (listener,) = await nursery.start(listen)
        port = listener.socket.getsockname()[1]
        connection = Connection(Endpoint.of(f"http://127.0.0.1:{port}/below"))
        await ask(connection)
        await connection.close()
        nursery.cancel_scope.cancel()


async def test_a_connection_is_kept_for_the_next_request() -> None:
    server = Server([OK, BUSY])

    async def ask(connection: Connection) -> None:
        assert await connection.request("POST", "/proof/submit", b"{}") == Answer(200, None, b"{}")
        assert await connection.request("GET", "/status") == Answer(503, 7.0, b"{}")

    await _ask(server, ask)
    assert server.connections == 1
    assert server.requests[0].startswith(b"POST /below/proof/submit HTTP/1.1\r\n")
    assert server.requests[0].endswith(b"\r\n\r\n{}")


@pytest.mark.parametrize("first", [OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"), OK])
async def test_what_is_asked_on_a_connection_that_was_closed_is_asked_again_on_a_new_one(first: bytes) -> None:
    server = Server([first, *([] if b"close" in first else [None]), OK])

    async def ask(connection: Connection) -> None:
        for _ in range(2):
            assert (await connection.request("GET", "/status")).status == 200

    await _ask(server, ask)
    assert server.connections == 2


async def test_a_new_connection_that_is_closed_without_an_answer_is_no_answer() -> None:
    async def ask(connection: Connection) -> None:
        with pytest.raises(NoAnswer, match="closed before the answer"):
            await connection.request("GET", "/status")

    server = Server([None])
    await _ask(server, ask)
    assert len(server.requests) == 1


async def test_an_answer_that_is_too_long_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_BYTES_MAX", 1)

    async def ask(connection: Connection) -> None:
        with pytest.raises(NoAnswer, match="more than 1 bytes"):
            await connection.request("GET", "/status")

    await _ask(Server([OK]), ask)


@pytest.mark.usefixtures("autojump_clock")
async def test_an_answer_that_does_not_come_in_time_is_none() -> None:
    async def ask(connection: Connection) -> None:
        with pytest.raises(NoAnswer, match="TooSlowError"):
            await connection.request("GET", "/status", seconds_max=5)

    await _ask(SilentServer([]), ask)


async def test_nobody_there_is_no_answer() -> None:
    with pytest.raises(NoAnswer):
        await Connection(Endpoint("127.0.0.1", 1, is_tls=False)).request("GET", "/status")


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://127.0.0.1:8600", Endpoint("127.0.0.1", 8_600, is_tls=False)),
        ("https://node.example/step/", Endpoint("node.example", 443, is_tls=True, prefix="/step")),
        ("http://[::1]:8600", Endpoint("::1", 8_600, is_tls=False)),
    ],
)
def test_an_address_is_read(url: str, endpoint: Endpoint) -> None:
    assert Endpoint.of(url) == endpoint
    assert endpoint.authority.count("]") == url.count("]")


@pytest.mark.parametrize("url", ["127.0.0.1:8600", "ftp://node.example", "http://", "http://node.example:port"])
def test_what_is_no_address_of_an_api_is_refused(url: str) -> None:
    with pytest.raises(StepNodeError, match="--url"):
        Endpoint.of(url)
