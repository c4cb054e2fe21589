"""What browsers are told about pages of other origins, on every answer."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest
import trio
from starlette.types import Receive, Scope, Send
from trio.testing import MockClock

from step_node.api.middleware.cors import PREFLIGHT_SECONDS, Cors
from step_node.api.server.limits import CONNECTION_COST_MS, PREFLIGHT_COST_MS, READ_COST_MS
from step_node.api.server.visitors import BURST_SECONDS
from tests.api.serving import AMPLE
from tests.api.test_connection import hello, linked

PAGE = "https://app.example"


def request(method: str, path: str, *fields: str) -> bytes:
    """The bytes of a request without a body, after which the connection ends."""
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: node:8600", *fields, "Connection: close", "", "")).encode()


def preflight(path: str, origin: str = PAGE) -> bytes:
    """What a browser sends before a page may post JSON."""
    return request(
        "OPTIONS",
        path,
        f"Origin: {origin}",
        "Access-Control-Request-Method: POST",
        "Access-Control-Request-Headers: content-type",
    )


async def answer_to(data: bytes, cors: Cors | None = None) -> tuple[int, dict[str, str], bytes]:
    """Status, fields and body of what a connection answers."""
    async with linked(hello, cors=cors or Cors()) as link:
        await link.stream.send_all(data)
        head, _, body = (await link.rest()).partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    return int(first.split()[1]), dict(line.split(": ", 1) for line in lines), body


async def test_by_default_every_page_may_read_answers_and_their_fields() -> None:
    status, fields, _ = await answer_to(request("GET", "/proof/config", f"Origin: {PAGE}"))
    assert status == 200
    assert fields["access-control-allow-origin"] == "*"
    exposed = {name.strip().lower() for name in fields["access-control-expose-headers"].split(",")}
    assert exposed >= {"step-as-of-height", "retry-after", "ratelimit", "ratelimit-policy", "etag", "x-request-id"}


async def test_the_fields_stand_without_an_origin_too_so_that_a_cache_may_give_the_answer_to_a_page() -> None:
    _, fields, _ = await answer_to(request("GET", "/proof/config"))
    assert fields["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (request("GET", "nowhere"), 400),
        (request("CONNECT", "node:8600"), 405),
        (request("GET", "/", *[f"X-{number}: 1" for number in range(200)]), 431),
    ],
)
async def test_what_the_connection_refuses_itself_can_be_read_by_a_page(data: bytes, status: int) -> None:
    found, fields, body = await answer_to(data)
    assert found == status
    assert b'"ok":false' in body
    assert fields["access-control-allow-origin"] == "*"


async def test_a_preflight_is_answered_without_the_application_and_may_be_kept() -> None:
    async def never(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError(f"the application was asked: {scope}, {receive}, {send}")

    async with linked(never) as link:
        answer = await link.ask(preflight("/proof/submit").replace(b"Connection: close\r\n", b""))
        assert answer.startswith(b"HTTP/1.1 204 ")
        assert answer.count(b"\r\n\r\n") == 1
        assert answer.endswith(b"\r\n\r\n")
        assert b"access-control-allow-origin: *\r\n" in answer
        assert b"access-control-allow-methods: GET, HEAD, POST, OPTIONS\r\n" in answer
        assert b"Content-Type" in answer
        assert b"access-control-max-age: %d\r\n" % PREFLIGHT_SECONDS in answer
        assert b"connection: close" not in answer


async def test_preflights_are_paid_for(autojump_clock: MockClock) -> None:
    del autojump_clock
    limits = replace(AMPLE, address_cost_ms_per_second=2)
    async with linked(limits=limits) as link:
        begun = trio.current_time()
        for _ in range(40):
            await link.ask(preflight("/proof/submit").replace(b"Connection: close\r\n", b""))
        spent_ms = CONNECTION_COST_MS + 40 * (PREFLIGHT_COST_MS + READ_COST_MS)
        assert trio.current_time() - begun == pytest.approx(spent_ms / 2 - BURST_SECONDS, abs=0.5)


async def test_only_the_origins_of_the_operator_are_allowed_and_caches_are_told() -> None:
    cors = Cors(frozenset({PAGE}))
    _, fields, _ = await answer_to(request("GET", "/proof/config", f"Origin: {PAGE}"), cors)
    assert (fields["access-control-allow-origin"], fields["vary"]) == (PAGE, "Origin")
    for data in (request("GET", "/proof/config", "Origin: https://other.example"), request("GET", "/proof/config")):
        status, fields, _ = await answer_to(data, cors)
        assert status == 200
        assert "access-control-allow-origin" not in fields
        assert fields["vary"] == "Origin"
    _, fields, _ = await answer_to(preflight("/proof/submit", "https://other.example"), cors)
    assert "access-control-allow-origin" not in fields


async def test_without_origins_nothing_is_said() -> None:
    for data in (request("GET", "/proof/config", f"Origin: {PAGE}"), preflight("/proof/submit")):
        _, fields, _ = await answer_to(data, Cors(frozenset()))
        assert not [name for name in fields if name.startswith("access-control") or name == "vary"]


@pytest.mark.parametrize("path", ["/metrics", "/%6detrics", "http://node:8600/metrics"])
async def test_metrics_are_closed_to_pages_of_other_origins_whatever_the_settings_say(path: str) -> None:
    for data in (request("GET", path, f"Origin: {PAGE}"), preflight(path), request("GET", path, "Origin: null")):
        status, fields, body = await answer_to(data)
        assert status == 403
        assert b'"code":"FORBIDDEN"' in body
        assert not [name for name in fields if name.startswith("access-control")]


async def test_metrics_are_open_to_programs_and_to_a_page_of_the_node_itself() -> None:
    for data in (request("GET", "/metrics"), request("GET", "/metrics", "Origin: http://node:8600")):
        status, fields, _ = await answer_to(data)
        assert status == 200
        assert "access-control-allow-origin" not in fields
    status, _, _ = await answer_to(request("GET", "/metrics", "Origin: http://[::1"))
    assert status == 403


async def test_options_tells_the_methods_of_a_path(client: httpx.AsyncClient) -> None:
    for path, allowed in (
        ("/proof/submit", "OPTIONS, POST"),
        ("/health", "GET, HEAD, OPTIONS"),
        ("/proof/status/0x12", "GET, HEAD, OPTIONS"),
        ("/account/0x12", "GET, HEAD, OPTIONS"),
    ):
        answer = await client.options(path)
        assert (answer.status_code, answer.content, answer.headers["allow"]) == (204, b"", allowed)
    assert (await client.options("/nowhere")).status_code == 404


async def test_options_of_the_whole_server() -> None:
    status, _, body = await answer_to(request("OPTIONS", "*"))
    assert (status, body) == (200, b"* 0")
