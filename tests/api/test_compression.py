"""Answers in gzip: for those who take it, never held back, and bounded."""

from __future__ import annotations

import gzip

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from step_node.api.middleware.compression import (
    ACCEPT_CHARACTERS_MAX,
    BODY_BYTES_MAX,
    BODY_BYTES_MIN,
    Compression,
    accepts_gzip,
)


@pytest.mark.parametrize(
    ("field", "is_taken"),
    [
        ("gzip", True),
        ("gzip, deflate, br, zstd", True),
        ("GZip", True),
        ("x-gzip", True),
        ("deflate, gzip;q=0.5", True),
        ("gzip ; q=1.000", True),
        ("*", True),
        ("br, *;q=0.1", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("*, gzip;q=0", False),
        ("*;q=0", False),
        ("identity", False),
        ("deflate", False),
        ("", False),
        ("gzip;q=2", False),
        ("gzip;level=9", False),
        ("gzipped", False),
        ("gzip, " * ACCEPT_CHARACTERS_MAX, False),
    ],
)
def test_gzip_is_for_those_who_take_it(field: str, is_taken: bool) -> None:
    assert accepts_gzip([field]) is is_taken


def test_a_field_that_stands_twice_is_one_list() -> None:
    assert accepts_gzip(["br", "gzip"])
    assert not accepts_gzip([])


async def asked(
    body: bytes, content_type: str = "application/json", accept: str = "gzip", tag: str = ""
) -> httpx.Response:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        headers = [(b"content-type", content_type.encode()), (b"content-length", b"%d" % len(body))]
        headers += [(b"etag", tag.encode())] if tag else []
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async with httpx.AsyncClient(transport=httpx.ASGITransport(Compression(app)), base_url="http://node") as client:
        return await client.get("/", headers={"Accept-Encoding": accept})


@pytest.mark.parametrize("length", [BODY_BYTES_MIN, 20_000, 200_000, BODY_BYTES_MAX])
async def test_a_long_answer_is_compressed_and_reads_the_same(length: int) -> None:
    body = (b'{"triangleId": "STEP-TRI-v1"}, ' * (length // 31 + 1))[:length]
    answer = await asked(body, tag='"a"')
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) < length / 4
    assert answer.content == body
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.headers["etag"] == 'W/"a"'


@pytest.mark.parametrize(
    ("length", "content_type", "accept"),
    [
        (BODY_BYTES_MIN - 1, "application/json", "gzip"),
        (BODY_BYTES_MAX + 1, "application/json", "gzip"),
        (5_000, "text/event-stream", "gzip"),
        (5_000, "image/png", "gzip"),
        (5_000, "application/json", "br"),
    ],
)
async def test_others_are_sent_as_they_are(length: int, content_type: str, accept: str) -> None:
    answer = await asked(bytes(length), content_type, accept, tag='"a"')
    assert "content-encoding" not in answer.headers
    assert answer.content == bytes(length)
    assert answer.headers["etag"] == '"a"'


async def test_a_cache_is_told_that_the_encoding_was_chosen_also_where_it_is_none() -> None:
    assert (await asked(bytes(5_000), accept="identity")).headers["vary"] == "Accept-Encoding"


async def test_an_answer_in_parts_is_never_held_back() -> None:
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/csv")]})
        for number in range(3):
            await send({"type": "http.response.body", "body": bytes(2_000), "more_body": number < 2})
            assert len(sent) == 2 + number

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"accept-encoding", b"gzip")]}
    await Compression(app)(scope, receive, send)
    assert b"".join(message["body"] for message in sent[1:]) == bytes(6_000)


async def test_answers_of_the_api_are_compressed(client: httpx.AsyncClient) -> None:
    answer = await client.get("/openapi.json", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    head = await client.head("/openapi.json", headers={"Accept-Encoding": "gzip"})
    assert head.headers["content-length"] == answer.headers["content-length"]
    assert gzip.compress(answer.content, 1, mtime=0)[:3] == b"\x1f\x8b\x08"
