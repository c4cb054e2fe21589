"""A stream of events is taken apart as the standard says, and gone on with where it broke off, at whichever node."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from step_node.client import AsyncStepClient, Event, Refused, RetryPolicy, StepClient, Unavailable, UnreadableAnswer
from step_node.client import events as events_module
from step_node.client.events import EventParser
from tests.client.scripted import refused

STREAM = (
    b"retry: 10\n\n"
    b'id: 4.0\nevent: open\ndata: {"height": 4}\n\n'
    b": nothing happens\nid: 4.9\n\n"
    b'id: 5.1\r\nevent: proof_finalised\r\ndata: {"height":\r\ndata: 5}\r\n\r\n'
    b'data:{"a": "b: c"}\n\n'
    b"event: empty\n\n"
)
EVENTS = [
    Event("open", "4.0", {"height": 4}),
    Event("proof_finalised", "5.1", {"height": 5}),
    Event("message", "5.1", {"a": "b: c"}),
]
QUICK = RetryPolicy(attempts_max=4, seconds_max=5.0, delay_min_seconds=0.01, delay_max_seconds=0.02)


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_however_the_bytes_come_the_events_are_the_same(cuts: list[int]) -> None:
    parser = EventParser("http://node")
    edges = [0, *sorted(cuts), len(STREAM)]
    events = [event for start, end in pairwise(edges) for event in parser.feed(STREAM[start:end])]
    assert events == EVENTS
    assert (parser.last_id, parser.retry_seconds) == ("5.1", 0.01)


def test_an_id_counts_only_once_its_event_is_whole_and_a_heartbeats_counts_too() -> None:
    parser = EventParser("http://node", "3.0")
    parser.feed(b"id: 4.0\ndata: {}\n")
    assert parser.last_id == "3.0"
    parser.feed(b"\n")
    assert parser.last_id == "4.0"
    parser.feed(b": beat\nid: 4.7\n\n")
    assert parser.last_id == "4.7"


@pytest.mark.parametrize(
    "wrong", [b"data: 7\n\n", b"data: {\n\n", b"data: \xff\n\n", b"data: " + b"[" * 99_999 + b"\n\n"]
)
def test_what_no_node_sends_is_unreadable(wrong: bytes) -> None:
    with pytest.raises(UnreadableAnswer, match="http://node"):
        EventParser("http://node").feed(wrong)


def test_an_event_without_end_is_unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "EVENT_BYTES_MAX", 100)
    parser = EventParser("http://node")
    parser.feed(b"data: " + b"x" * 60 + b"\n")
    with pytest.raises(UnreadableAnswer, match="more than 100 bytes"):
        parser.feed(b"data: " + b"x" * 60)


class Told:
    """A node that tells `streams`, one for each time that it is asked, and then refuses; who asked for what."""

    def __init__(self, *streams: bytes) -> None:
        self.left = list(streams)
        self.asked: list[str | None] = []


@contextmanager
def serving(*nodes: Told) -> Iterator[list[str]]:
    """Their addresses."""
    servers = []
    for node in nodes:

        class Handler(BaseHTTPRequestHandler):
            told = node

            def do_GET(self) -> None:
                self.told.asked.append(self.headers.get("Last-Event-ID"))
                if not self.told.left:
                    answer = refused(400, "INVALID_PAYLOAD")
                    self.send_response(answer.status)
                    self.end_headers()
                    self.wfile.write(answer.body)
                    return
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                self.wfile.write(self.told.left.pop(0))

            def log_message(self, *_arguments: object) -> None:
                pass

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
    threads = [Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield [f"http://127.0.0.1:{server.server_port}" for server in servers]
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
        for thread in threads:
            thread.join()


BROKEN_OFF = b'id: 2.1\nevent: batch\ndata: {"hei'
FIRST = b'id: 1.0\nevent: open\ndata: {}\n\nid: 1.1\nevent: batch\ndata: {"height": 1}\n\n' + BROKEN_OFF
SECOND = b'id: 2.1\nevent: batch\ndata: {"height": 2}\n\nid: 2.2\nevent: end\ndata: {"reason": "stopping"}\n\n'


def test_a_stream_that_breaks_off_is_gone_on_with_at_another_node_and_nothing_is_told_twice() -> None:
    with serving(one := Told(FIRST), other := Told(SECOND)) as urls, StepClient(urls, policy=QUICK) as client:
        heights: list[int] = []
        with pytest.raises(Refused):
            heights.extend(event.data["height"] for event in client.events())
    assert heights == [1, 2]
    assert one.asked[0] is None
    assert other.asked[0] == "1.1"
    assert (one.asked + other.asked).count("2.2") == 1


async def test_the_asynchronous_client_follows_in_the_same_way() -> None:
    heights: list[int] = []
    with serving(Told(FIRST), Told(SECOND)) as urls:
        async with AsyncStepClient(urls, policy=QUICK) as client:

            async def follow() -> None:
                async for event in client.events(last_id="0.9"):
                    heights.append(event.data["height"])  # noqa: PERF401 - those before the refusal count

            with pytest.raises(Refused):
                await follow()
    assert heights == [1, 2]


def test_where_nobody_tells_anything_following_ends() -> None:
    with (
        serving(silent := Told(*[b""] * 9)) as urls,
        StepClient(urls, policy=QUICK) as client,
        pytest.raises(Unavailable, match="the stream has ended"),
    ):
        list(client.events())
    assert len(silent.asked) == QUICK.attempts_max
