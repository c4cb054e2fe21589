"""The id of a request: in its answer, in lines that are logged meanwhile, and with its proofs until they are final."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import structlog
from starlette.types import ASGIApp, Receive, Scope, Send
from structlog.testing import LogCapture

from step_node.api.app import create_app
from step_node.api.status.node import NodeStatus
from step_node.errors import leaves
from step_node.mempool.requests import REMEMBERED_MAX, RequestsOfProofs
from tests.api.made_up_node import START_MS, MadeUpNode, Walker
from tests.api.test_connection import GET, hello, linked


def with_id(*values: str) -> bytes:
    fields = "".join(f"X-Request-Id: {value}\r\n" for value in values)
    return GET.replace(b"\r\n\r\n", f"\r\n{fields}\r\n".encode("latin-1"))


def id_in(answer: bytes) -> str:
    (line,) = [line for line in answer.decode("latin-1").split("\r\n") if line.startswith("x-request-id: ")]
    return line.partition(": ")[2]


@pytest.mark.parametrize("own", ["a", "A-z_0.9", "x" * 64])
async def test_a_clients_own_id_comes_back(own: str) -> None:
    async with linked() as link:
        assert id_in(await link.ask(with_id(own))) == own


@pytest.mark.parametrize("others", [(), ("",), ("x" * 65,), ("a b",), ("é",), ('"a"',), ("a", "b"), ("a,b",)])
async def test_what_is_no_id_is_replaced_by_a_new_one(others: tuple[str, ...]) -> None:
    async with linked() as link:
        first, second = [id_in(await link.ask(with_id(*others))) for _ in range(2)]
        assert first not in others
        assert len(first) == len(second) == 16
        assert first != second


@pytest.mark.parametrize(
    "data", [b"\x00\r\n\r\n", b"GET nowhere HTTP/1.1\r\nHost: node\r\n\r\n", b"X: " + bytes(20_000)]
)
async def test_answers_that_the_connection_gives_itself_have_one_too(data: bytes) -> None:
    async with linked() as link:
        await link.stream.send_all(data)
        assert id_in(await link.rest())


async def test_an_answer_without_a_request_of_its_own_does_not_have_the_last_ones() -> None:
    async with linked() as link:
        assert id_in(await link.ask(with_id("first"))) == "first"
        await link.stream.send_all(b"\x00\r\n\r\n")
        assert id_in(await link.rest()) != "first"


@asynccontextmanager
async def captured() -> AsyncIterator[LogCapture]:
    """Events as they are logged, with the context of their task."""
    capture, before = LogCapture(), structlog.get_config()
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, capture], cache_logger_on_first_use=False)
    try:
        yield capture
    finally:
        structlog.configure(**before)


async def test_the_log_leads_from_a_request_to_the_batch_that_its_proof_is_final_in(
    node: MadeUpNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("step_node.mempool.requests.log", structlog.get_logger("requests"))
    body = json.dumps(Walker(1).proof(START_MS)).encode()
    fields = f"Host: node\r\nX-Request-Id: walk-17\r\nContent-Length: {len(body)}"
    head = f"POST /proof/submit?wait_ms=0 HTTP/1.1\r\n{fields}\r\n\r\n"
    async with captured() as capture, linked(create_app(node.services())) as link:
        answer = await link.ask(head.encode() + body)
        assert answer.startswith(b"HTTP/1.1 202 "), answer
        await node.finalise()
    lines = [line for line in capture.entries if line.get("request_id") == "walk-17"]
    assert [line["event"] for line in lines] == ["a proof is taken in", "a proof is final"]
    assert lines[0]["proof_id"] == lines[1]["proof_id"]
    assert lines[1]["height"] == 1


async def test_so_many_proofs_are_remembered_with_their_requests_and_no_more() -> None:
    requests = RequestsOfProofs()
    requests.taken_in([bytes(32)])
    assert len(requests) == 0
    with structlog.contextvars.bound_contextvars(request_id="r"):
        requests.taken_in(number.to_bytes(32, "big") for number in range(REMEMBERED_MAX + 5))
    assert len(requests) == REMEMBERED_MAX


async def test_the_id_is_in_the_context_of_the_request() -> None:
    seen: list[object] = []

    async def look(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(structlog.contextvars.get_contextvars().get("request_id"))
        await hello(scope, receive, send)

    async with linked(look) as link:
        await link.ask(with_id("mine"))
    assert seen == ["mine"]


async def test_a_bug_is_told_with_the_id_of_its_request(node: MadeUpNode) -> None:
    def fail() -> NodeStatus:
        raise RuntimeError("a bug")

    services = replace(node.services(), status=fail)
    with pytest.raises(ExceptionGroup) as caught:
        await ask_for_status(create_app(services))
    (error,) = leaves(caught.value)
    assert error.__notes__ == ["while answering GET /status, request mine"]


async def ask_for_status(app: ASGIApp) -> None:
    async with linked(app) as link:
        assert (await link.ask(with_id("mine"))).startswith(b"HTTP/1.1 500 ")
        await link.ended.wait()
