"""The API under its real server, on a real socket."""

from __future__ import annotations

import sys
import traceback
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import httpx
import pytest
import trio
import trio.testing

from step_node.api.server.serving import AddressInUse, CannotListen
from step_node.ledger.records import Account
from step_node.storage.memory import MemoryStorage
from tests.api.made_up_node import MadeUpNode, Walker
from tests.api.serving import AMPLE, serve


@asynccontextmanager
async def served(node: MadeUpNode) -> AsyncIterator[tuple[httpx.AsyncClient, trio.Nursery]]:
    """A client of `node`'s API, and the nursery that serves it."""
    async with trio.open_nursery() as nursery:
        port = await nursery.start(partial(serve, node))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            yield client, nursery
        nursery.cancel_scope.cancel()


@dataclass(frozen=True)
class RunningServer:
    """Where a server listens, and the scope whose cancellation ends it."""

    url: str
    scope: trio.CancelScope
    ended: trio.Event = field(default_factory=trio.Event)


async def start_server(node: MadeUpNode, *, task_status: trio.TaskStatus[RunningServer]) -> None:
    """Serve `node`'s API in a scope of its own."""
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            port = await nursery.start(partial(serve, node))
            server = RunningServer(f"http://127.0.0.1:{port}", scope)
            task_status.started(server)
    server.ended.set()


async def test_a_proof_is_submitted_finalised_and_found_in_the_account(node: MadeUpNode) -> None:
    walker = Walker(1)
    async with served(node) as (client, nursery):

        async def finalise_when_it_waits() -> None:
            while not len(node.waiters):
                await trio.lowlevel.checkpoint()
            await node.finalise()

        nursery.start_soon(finalise_when_it_waits)
        answer = await client.post("/proof/submit", json=walker.proof(node.clock.now_ms()))
        assert answer.status_code == 200
        history = await client.get(f"/account/{walker.address_text}/proofs")
        assert [entry["proofId"] for entry in history.json()["proofs"]] == [answer.json()["proofId"]]


async def talk(client: httpx.AsyncClient, *pieces: bytes) -> bytes:
    """Send raw bytes for as long as the server takes them, and return all that it answers until it closes."""
    received = bytearray()
    stream = await trio.open_tcp_stream("127.0.0.1", client.base_url.port or 0)
    with trio.fail_after(20):
        async with stream, trio.open_nursery() as nursery:

            async def send() -> None:
                try:
                    for piece in pieces:
                        await stream.send_all(piece)
                except trio.BrokenResourceError:
                    return

            nursery.start_soon(send)
            try:
                while chunk := await stream.receive_some():
                    received += chunk
            except trio.BrokenResourceError:
                pass
            nursery.cancel_scope.cancel()
    return bytes(received)


def post(path: str, *headers: str) -> bytes:
    """The head of a request."""
    return "\r\n".join((f"POST {path} HTTP/1.1", "Host: node", *headers, "", "")).encode()


async def test_a_body_that_says_it_is_too_long_is_refused_before_it_is_sent(node: MadeUpNode) -> None:
    async with served(node) as (client, _):
        answer = await talk(client, post("/proof/submit", "Content-Length: 10485760"))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"PAYLOAD_TOO_LARGE"' in answer


@pytest.mark.parametrize("path", ["/proof/submit", "/nowhere"])
async def test_a_client_that_sends_ten_megabytes_all_the_same_reads_its_refusal(node: MadeUpNode, path: str) -> None:
    async with served(node) as (client, _):
        for _attempt in range(5):
            answer = await talk(client, post(path, "Content-Length: 10000000"), bytes(10_000_000))
            assert answer.startswith(b"HTTP/1.1 413 ")
        assert (await client.get("/health")).status_code == 200


async def test_a_chunked_body_without_end_is_refused_at_the_limit(node: MadeUpNode) -> None:
    chunk = b"3e8\r\n" + b" " * 1_000 + b"\r\n"
    async with served(node) as (client, _):
        answer = await talk(client, post("/proof/submit", "Transfer-Encoding: chunked"), *[chunk] * 2_000)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert (await client.get("/health")).status_code == 200


async def test_a_connection_that_breaks_the_http_library_ends_alone(node: MadeUpNode) -> None:
    upgrade = "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkA\xe1QAAP__"
    request = "\r\n".join(("GET / HTTP/1.1", "Host: node", *upgrade, "", "")).encode("latin-1")
    async with served(node) as (client, _):
        await talk(client, request)
        assert (await client.get("/health")).status_code == 200


async def test_head_leaves_the_connection_fit_for_further_requests(node: MadeUpNode) -> None:
    async with served(node) as (client, _):
        for _ in range(2):
            head, get = await client.head("/health"), await client.get("/health")
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-length"] == get.headers["content-length"]
            assert get.json()["ok"] is True


async def test_a_port_in_use_is_named_with_what_to_do(node: MadeUpNode) -> None:
    async with served(node) as (client, _):
        port = client.base_url.port or 0
        with pytest.raises(AddressInUse, match=rf"127\.0\.0\.1:{port}.*\[api\].*--base-port"):
            await serve(node, port=port)


@pytest.mark.parametrize("host", ["203.0.113.1", "no-such-host.invalid"])
async def test_a_host_of_another_machine_is_named_with_what_to_do(node: MadeUpNode, host: str) -> None:
    with pytest.raises(CannotListen, match=rf"{host}:0.*\[api\]"):
        await serve(node, host=host)


async def test_cancelling_the_server_ends_it_and_frees_its_port(node: MadeUpNode) -> None:
    async with served(node) as (client, nursery):
        port = client.base_url.port or 0
        assert (await client.get("/health")).status_code == 200
        nursery.cancel_scope.cancel()
    async with trio.open_nursery() as nursery:
        assert port == await nursery.start(partial(serve, node, port=port))
        nursery.cancel_scope.cancel()


class AwkwardStorage(MemoryStorage):
    """A store whose leaderboard comes when a test says so, and which fails at accounts."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = trio.Event()
        self.answer = trio.Event()

    async def account(self, address: bytes) -> Account | None:
        """A bug."""
        raise RuntimeError(f"no account of {len(address)} bytes")

    async def leaderboard(self, *, limit: int) -> Sequence[Account]:
        """Wait for `answer`."""
        self.asked.set()
        await self.answer.wait()
        return await super().leaderboard(limit=limit)


@pytest.fixture
def storage() -> AwkwardStorage:
    """The store under the node of this module."""
    return AwkwardStorage()


async def test_a_request_under_way_is_answered_while_the_server_ends(node: MadeUpNode, storage: AwkwardStorage) -> None:
    answers: list[httpx.Response] = []
    async with trio.open_nursery() as nursery:
        server = await nursery.start(start_server, node)
        async with httpx.AsyncClient(base_url=server.url, timeout=20) as client, trio.open_nursery() as requests:

            async def ask() -> None:
                answers.append(await client.get("/leaderboard"))

            requests.start_soon(ask)
            await storage.asked.wait()
            server.scope.cancel()
            await trio.testing.wait_all_tasks_blocked()
            storage.answer.set()
    assert [answer.status_code for answer in answers] == [200]


async def test_a_submission_that_still_waits_does_not_keep_the_server_from_ending(node: MadeUpNode) -> None:
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            server = await nursery.start(start_server, node)
            async with httpx.AsyncClient(base_url=server.url, timeout=60) as client, trio.open_nursery() as requests:

                async def submit() -> None:
                    with pytest.raises(httpx.RemoteProtocolError):
                        await client.post("/proof/submit?wait_ms=30000", json=Walker(1).proof(node.clock.now_ms()))

                requests.start_soon(submit)
                while not len(node.waiters):
                    await trio.lowlevel.checkpoint()
                server.scope.cancel()
    assert len(await node.journal.waiting()) == 1


async def test_a_bug_is_logged_once_with_its_traceback_and_the_request(
    node: MadeUpNode, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(node) as (client, _):
        assert (await client.get(f"/account/0x{'ab' * 20}")).status_code == 500
        assert (await client.get("/health")).status_code == 200
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.exc_info is not None
    shown = "".join(traceback.format_exception(record.exc_info[1]))
    assert "no account of 20 bytes" in shown
    assert f"while answering GET /account/0x{'ab' * 20}" in shown


async def test_a_client_that_reads_nothing_does_not_keep_the_server_from_ending(node: MadeUpNode) -> None:
    request = b"GET /openapi.json HTTP/1.1\r\nHost: node\r\n\r\n"
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            server = await nursery.start(start_server, node)
            stream = await trio.open_tcp_stream("127.0.0.1", int(server.url.rpartition(":")[2]))
            async with stream:
                await stream.send_all(request * 2_000)
                # Every task waits for a socket now: the server's for this client to read.
                await trio.testing.wait_all_tasks_blocked(0.2)
                server.scope.cancel()
                await server.ended.wait()


async def test_an_idle_connection_gives_way_to_who_comes_when_all_places_are_taken(node: MadeUpNode) -> None:
    async with trio.open_nursery() as nursery:
        port = await nursery.start(partial(serve, node, limits=replace(AMPLE, connections_max=3)))
        idle = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(3)]
        await trio.testing.wait_all_tasks_blocked(0.1)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            assert (await client.get("/health")).status_code == 200
            assert 'step_api_refused_total{reason="gave_way"}' in (await client.get("/metrics")).text
        with trio.fail_after(20):
            assert await idle[0].receive_some() == b""
        for stream in idle:
            await stream.aclose()
        nursery.cancel_scope.cancel()


@pytest.mark.skipif(sys.platform != "linux", reason="needs a second loopback address")
async def test_one_address_gets_no_more_connections_than_its_bound_and_another_does(node: MadeUpNode) -> None:
    async with trio.open_nursery() as nursery:
        port = await nursery.start(partial(serve, node, limits=replace(AMPLE, connections_per_address_max=2)))
        streams = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(3)]
        with trio.fail_after(20):
            assert await streams[2].receive_some() == b""
        transport = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", transport=transport) as client:
            assert (await client.get("/health")).status_code == 200
        for stream in streams:
            await stream.aclose()
        nursery.cancel_scope.cancel()
