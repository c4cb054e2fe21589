"""One connection's bounds, over a pretend link and a pretend clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import trio
from starlette.types import ASGIApp, Receive, Scope, Send
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair

from step_node.api.app import create_app
from step_node.api.middleware.cors import Cors
from step_node.api.server.bill import BILL_EXTENSION
from step_node.api.server.connection import (
    ANSWER_SECONDS_MAX,
    HEADER_BYTES_MAX,
    HEADER_LINES_MAX,
    HEADER_SECONDS_MAX,
    KEEP_ALIVE_REQUESTS_MAX,
    KEEP_ALIVE_SECONDS,
    Connection,
    Service,
)
from step_node.api.server.limits import CONNECTION_COST_MS, READ_COST_MS, ApiLimits
from step_node.api.server.visitors import BURST_SECONDS, REFUSAL_SECONDS_MIN, Visitors
from tests.api.made_up_node import START_MS, MadeUpNode, SetClock
from tests.api.serving import AMPLE

HOST = "192.0.2.1"
GET = b"GET /status HTTP/1.1\r\nHost: node\r\n\r\n"


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body, and answers with the path and its length."""
    length, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        length, more = length + len(message["body"]), message["more_body"]
    body = f"{scope['path']} {length}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def tell_client(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the client's address, as the application is told it."""
    del receive
    body = str(scope["client"][0]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


class Link:
    """The client's end of a connection that is served."""

    def __init__(self, stream: Any, visitors: Visitors) -> None:
        self.stream = stream
        self.visitors = visitors
        self.refused: list[str] = []
        self.ended = trio.Event()

    async def ask(self, data: bytes) -> bytes:
        """Send, and read what comes until the node has nothing more to say for now."""
        await self.stream.send_all(data)
        await trio.testing.wait_all_tasks_blocked()
        return bytes(await self.stream.receive_some())

    async def rest(self) -> bytes:
        """All that comes until the node closes."""
        received = bytearray()
        while chunk := await self.stream.receive_some():
            received += chunk
        return bytes(received)


@asynccontextmanager
async def linked(
    app: ASGIApp = hello, limits: ApiLimits = AMPLE, pair: Any = memory_stream_pair, cors: Cors | None = None
) -> AsyncIterator[Link]:
    """A connection to `app`. On a lockstep pair nothing is sent that is not taken."""
    refused: list[str] = []
    visitors = Visitors(limits, refused.append)
    ours, theirs = pair()
    visit = visitors.enter(HOST, HOST)
    assert not isinstance(visit, str)
    link = Link(ours, visitors)
    link.refused = refused

    async def serve() -> None:
        await Connection(Service(app, SetClock(START_MS), visitors, cors or Cors()), visit, theirs).run()
        link.ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        yield link
        nursery.cancel_scope.cancel()


async def test_requests_are_answered_one_after_another_also_when_they_come_together() -> None:
    async with linked() as link:
        for _ in range(2):
            answer = await link.ask(GET)
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert answer.endswith(b"/status 0")
            assert b"date: Thu, 01 Jan 2026 00:00:00 GMT" in answer
        await link.stream.send_all(GET * 3 + b"GET /last HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n")
        assert (await link.rest()).count(b"HTTP/1.1 200 ") == 4


async def test_a_body_is_handed_over_and_a_client_that_waits_for_100_gets_it() -> None:
    head = b"POST /p HTTP/1.1\r\nHost: node\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    async with linked() as link:
        assert (await link.ask(head)).startswith(b"HTTP/1.1 100 ")
        assert (await link.ask(b"12345")).endswith(b"/p 5")


async def test_the_target_may_be_a_whole_url_and_is_decoded() -> None:
    async with linked() as link:
        request = b"GET http://node/a%20b?x=1 HTTP/1.1\r\nHost: node\r\n\r\n"
        assert (await link.ask(request)).endswith(b"/a b 0")


async def test_an_upgrade_is_answered_as_the_request_that_it_is_in(caplog: pytest.LogCaptureFixture) -> None:
    upgrade = b"GET /w HTTP/1.1\r\nHost: node\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    settings = b"GET /h HTTP/1.1\r\nHost: node\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: \xe1\r\n\r\n"
    async with linked() as link:
        assert (await link.ask(upgrade)).endswith(b"/w 0")
        assert (await link.ask(settings)).endswith(b"/h 0")
        await link.stream.send_all(upgrade + b"x\r\n\r\n")
        assert b"HTTP/1.1 400 " in await link.rest()
    assert caplog.records == []


@pytest.mark.parametrize(
    "data",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"POST /p HTTP/1.1\r\nHost: node\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_refused_in_the_form_of_all_errors_and_not_logged(
    data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with linked() as link:
        await link.stream.send_all(data)
        answer = await link.rest()
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b'"code":"INVALID_PAYLOAD"' in answer
        assert link.refused == ["malformed"]
    assert caplog.records == []


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: node\r\nX: " + b"x" * HEADER_BYTES_MAX,
        b"GET / HTTP/1.1\r\nHost: node\r\nX: " + b"x" * HEADER_BYTES_MAX + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: node\r\n" + b"a:\r\n" * HEADER_LINES_MAX + b"\r\n",
    ],
)
async def test_a_head_that_is_too_large_is_refused(data: bytes) -> None:
    async with linked() as link, trio.open_nursery() as nursery:
        nursery.start_soon(link.stream.send_all, data)
        answer = await link.rest()
        assert answer.startswith(b"HTTP/1.1 431 ")
        assert b'"code":"HEADERS_TOO_LARGE"' in answer


async def test_the_lines_of_later_requests_do_not_count_for_the_first() -> None:
    async with linked() as link:
        await link.stream.send_all(GET * HEADER_LINES_MAX + b"x\r\n\r\n")
        assert (await link.rest()).count(b"HTTP/1.1 200 ") == HEADER_LINES_MAX


async def test_a_head_that_trickles_in_is_given_up(autojump_clock: MockClock) -> None:
    del autojump_clock
    async with linked() as link:

        async def trickle() -> None:
            while not link.ended.is_set():
                await link.stream.send_all(b"GET / HTTP/1.1\r\nX: "[:1])
                await trio.sleep(0.5)

        begun = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trickle)
            answer = await link.rest()
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert trio.current_time() - begun <= HEADER_SECONDS_MAX + 1
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("before", [b"", GET])
async def test_a_connection_without_a_request_is_closed(before: bytes, autojump_clock: MockClock) -> None:
    del autojump_clock
    async with linked() as link:
        if before:
            await link.ask(before)
        begun = trio.current_time()
        assert await link.rest() == b""
        assert trio.current_time() - begun == pytest.approx(KEEP_ALIVE_SECONDS)


async def test_a_client_that_does_not_take_its_answer_is_cut_off(autojump_clock: MockClock) -> None:
    del autojump_clock
    async with linked(pair=lockstep_stream_pair) as link:
        await link.stream.send_all(GET)
        begun = trio.current_time()
        with trio.move_on_after(10 * ANSWER_SECONDS_MAX):
            await link.ended.wait()
        assert trio.current_time() - begun == pytest.approx(ANSWER_SECONDS_MAX)


async def test_the_last_request_of_a_connection_closes_it() -> None:
    async with linked() as link:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.stream.send_all, GET * (KEEP_ALIVE_REQUESTS_MAX + 5))
            answers = await link.rest()
        assert answers.count(b"HTTP/1.1 200 ") == KEEP_ALIVE_REQUESTS_MAX
        assert answers.count(b"onnection: close") == 1


async def test_who_asks_for_more_than_its_share_waits_and_is_then_refused(autojump_clock: MockClock) -> None:
    del autojump_clock
    limits = replace(AMPLE, address_cost_ms_per_second=20)
    async with linked(limits=limits) as link:
        begun = trio.current_time()
        statuses = [(await link.ask(GET)).split()[1] for _ in range(60)]
        # 2 ms each, of 20 a second: forty at once, and then one in a tenth of a second.
        assert statuses == [b"200"] * 60
        spent_ms = CONNECTION_COST_MS + 60 * (2.0 + READ_COST_MS)
        assert trio.current_time() - begun == pytest.approx(spent_ms / 20 - BURST_SECONDS, abs=0.2)


async def test_what_a_proxy_brings_is_paid_by_its_client(autojump_clock: MockClock) -> None:
    del autojump_clock
    limits = replace(AMPLE, address_cost_ms_per_second=20, proxies=frozenset({HOST}))
    from_client = GET.replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: 198.51.100.7\r\n\r\n")
    async with linked(limits=limits) as link:
        while link.visitors.charge("198.51.100.7", 5) == 0:
            pass
        begun = trio.current_time()
        await link.ask(GET.replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: 198.51.100.8\r\n\r\n"))
        # Pieces are paid for with the request that they are of.
        assert link.visitors.charge("198.51.100.8", 20 * BURST_SECONDS - 2.0 - READ_COST_MS) == 0
        assert link.visitors.charge("198.51.100.8", 1) == pytest.approx(0, abs=1e-6)
        assert link.visitors.charge("198.51.100.8", 1) == pytest.approx(1 / 20)
        assert trio.current_time() == begun
        await link.ask(from_client)
        assert trio.current_time() > begun
        assert link.visitors.charge(HOST, 1) == 0


async def test_a_request_that_the_application_is_glad_of_costs_nothing(autojump_clock: MockClock) -> None:
    del autojump_clock

    async def glad(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/glad":
            scope["extensions"][BILL_EXTENSION]["give_back"](1.0)
        await hello(scope, receive, send)

    limits = replace(AMPLE, address_cost_ms_per_second=20)
    async with linked(glad, limits=limits) as link:
        begun = trio.current_time()
        for _ in range(500):
            await link.ask(GET.replace(b"/status", b"/glad"))
        assert trio.current_time() == begun
        for _ in range(60):
            await link.ask(GET)
        assert trio.current_time() > begun + 1


async def test_a_crowd_of_one_address_is_refused_and_another_address_is_served(autojump_clock: MockClock) -> None:
    del autojump_clock
    limits = replace(AMPLE, address_cost_ms_per_second=20)
    async with linked(limits=limits) as link:
        async with trio.open_nursery() as others:

            async def ask_in_vain() -> None:
                while True:
                    link.visitors.charge("192.0.2.1", 5)
                    await trio.sleep(0.01)

            others.start_soon(ask_in_vain)
            await trio.sleep(1)
            begun = trio.current_time()
            await link.stream.send_all(GET)
            answer = bytes(await link.stream.receive_some())
            others.cancel_scope.cancel()
        assert answer.startswith(b"HTTP/1.1 429 ")
        assert b"retry-after: 1" in answer.lower()
        assert b'"code":"RATE_LIMITED"' in answer
        assert trio.current_time() - begun >= REFUSAL_SECONDS_MIN
        assert link.visitors.charge("198.51.100.7", 5) == 0


async def test_more_than_all_may_have_together_is_refused_with_503(autojump_clock: MockClock) -> None:
    del autojump_clock
    limits = replace(AMPLE, cost_ms_per_second=20)
    async with linked(limits=limits) as link:
        async with trio.open_nursery() as others:

            async def ask_in_crowds() -> None:
                for number in range(100_000):
                    link.visitors.charge(str(number), 5)
                    await trio.sleep(0.01)

            others.start_soon(ask_in_crowds)
            await trio.sleep(1)
            await link.stream.send_all(GET)
            answer = bytes(await link.stream.receive_some())
            others.cancel_scope.cancel()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b'"code":"NOT_READY"' in answer


async def test_the_application_is_told_who_is_counted_for_a_request() -> None:
    get = GET.replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: 198.51.100.1, 203.0.113.7\r\n\r\n")
    async with linked(tell_client) as link:
        assert (await link.ask(get)).endswith(b"192.0.2.1"), "a stranger's word for another is not believed"
    async with linked(tell_client, replace(AMPLE, proxies=frozenset({"192.0.2.1"}))) as link:
        assert (await link.ask(get)).endswith(b"203.0.113.7")


BAD_HOSTS = ("a b", "a/b", "a@b", "a,b", "a:b", "a:123456", "[::1", "é", "<a>")
BAD_TARGETS = ("nowhere", "*", "ftp://node/", "?x", "javascript:1")


@pytest.mark.parametrize(
    "head",
    [
        *(f"GET / HTTP/1.1\r\nHost: {host}" for host in BAD_HOSTS),
        *(f"GET {target} HTTP/1.1\r\nHost: node" for target in BAD_TARGETS),
        "OPTIONS nowhere HTTP/1.1\r\nHost: node",
    ],
)
async def test_a_bad_host_or_target_is_refused_with_the_rule(head: str) -> None:
    async with linked() as link:
        answer = await link.ask(f"{head}\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b'"code":"INVALID_PAYLOAD"' in answer
        assert b'"field":"host"' in answer or b'"field":"request"' in answer


@pytest.mark.parametrize(
    "host", ["node", "node:8600", "192.0.2.1:80", "[2001:db8::1]:8600", "[::1]", "a.b-c_d.example.", ""]
)
async def test_hosts_as_they_are_written_are_taken(host: str) -> None:
    async with linked() as link:
        assert (await link.ask(f"GET /p HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())).endswith(b"/p 0")


@pytest.mark.parametrize("method", ["CONNECT", "OPTIONS", "TRACE", "HEAD", "BREW"])
async def test_every_method_has_an_answer_of_one_form_from_one_end_to_the_other(node: MadeUpNode, method: str) -> None:
    target = "node:8600" if method == "CONNECT" else "/health"
    async with linked(create_app(node.services())) as link:
        await link.stream.send_all(f"{method} {target} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n".encode())
        head, _, body = (await link.rest()).partition(b"\r\n\r\n")
    status = int(head.split()[1])
    assert status == {"OPTIONS": 204, "HEAD": 200}.get(method, 405)
    if status == 405:
        assert b'"code":"METHOD_NOT_ALLOWED"' in body
        assert b"access-control-allow-origin: *" in head
    else:
        assert body == b""


async def test_a_field_of_a_thousand_codings_costs_no_more_than_any_other(node: MadeUpNode) -> None:
    codings = ",".join(["gzip;q=0.001"] * 1_000)
    async with linked(create_app(node.services())) as link:
        fields = f"Host: node\r\nAccept-Encoding: {codings}"
        answer = await link.ask(f"GET /openapi.json HTTP/1.1\r\n{fields}\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"content-encoding" not in answer.partition(b"\r\n\r\n")[0]
