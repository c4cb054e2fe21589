"""Following `GET /events`: Server-Sent Events taken apart, and resumed on whichever node is there.

The format is that of the HTML Living Standard, section 9.2.6: lines `field: value`, an empty line ends an event, a
line that begins with a colon is a comment (the node's heartbeat). What is kept of a stream is one event at a time,
bounded by `EVENT_BYTES_MAX`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from step_node.client.answers import json_object
from step_node.client.errors import Unavailable, UnreadableAnswer
from step_node.client.exchange import Answer, Nodes, Reply, Request, RetryPolicy, judge

EVENT_BYTES_MAX: Final = 1_000_000
"""A longer event is no event of a node: the stream is given up as unreadable."""

EVENTS_PATH: Final = "/events"
OF_THE_STREAM: Final = frozenset({"open", "end"})
"""Events that say where one stream begins and why it ends; following goes on over them, so nobody is told."""

SILENCE_SECONDS_MAX: Final = 45.0
"""A stream that has said nothing for so long, not even a heartbeat, is dead: three heartbeats of the node."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its kind, its id (hand it back to go on from there), and what it tells."""

    kind: str
    id: str
    data: Mapping[str, Any] = field(repr=False)


class EventParser:
    """Bytes of a stream in, events out. `last_id` is that of the last event (or heartbeat) that came whole.

    An id counts once the empty line after it is there: a stream that breaks off in the middle of an event is resumed
    before it, not after.
    """

    def __init__(self, url: str, last_id: str = "") -> None:
        self._url = url
        self.last_id = self._next_id = last_id
        self.retry_seconds: float | None = None
        self._rest = b""
        self._data: list[str] = []
        self._kind = ""

    def feed(self, more: bytes) -> list[Event]:
        """The events that `more` completes. Raises UnreadableAnswer for what no node sends."""
        lines = (self._rest + more).replace(b"\r\n", b"\n").split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) + sum(map(len, self._data)) > EVENT_BYTES_MAX:
            raise UnreadableAnswer(self._url, f"an event has more than {EVENT_BYTES_MAX} bytes")
        return [event for line in lines if (event := self._line(line)) is not None]

    def _line(self, line: bytes) -> Event | None:
        try:
            name, _, value = line.decode().partition(":")
        except UnicodeDecodeError as error:
            raise UnreadableAnswer(self._url, "an event is not UTF-8") from error
        value = value.removeprefix(" ")
        if not line:
            return self._end()
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._kind = value
        elif name == "id" and "\0" not in value:
            self._next_id = value
        elif name == "retry" and value.isascii() and value.isdecimal():
            self.retry_seconds = float(value) / 1000
        return None

    def _end(self) -> Event | None:
        kind, data = self._kind or "message", "\n".join(self._data)
        self._kind, self._data, self.last_id = "", [], self._next_id
        if not data:
            return None
        document = json_object(data.encode())
        if document is None:
            raise UnreadableAnswer(self._url, "an event's data are not a JSON object")
        return Event(kind, self.last_id, document)


class Follower:
    """Which node to follow, from which event on, and how long to wait after a stream has ended.

    One that has told something ended for a reason of its own: it is gone on with soon, wherever. One that has told
    nothing counts as an attempt; too many of those in a row, over all nodes, are Unavailable.
    """

    def __init__(self, nodes: Nodes, policy: RetryPolicy, last_id: str | None) -> None:
        self._nodes = nodes
        self._policy = policy
        self._parser = EventParser("", last_id or "")
        self._failures: list[tuple[str, str]] = []
        self.url = ""

    def begin(self) -> dict[str, str]:
        """Choose the node to ask now; the headers to ask it with."""
        self.url, _ = self._nodes.choose()
        self._parser = EventParser(self.url, self._parser.last_id)
        headers = {"accept": "text/event-stream", "cache-control": "no-cache"}
        if self._parser.last_id:
            headers["last-event-id"] = self._parser.last_id
        return headers

    def no_stream(self, reply: Reply) -> float:
        """The node answered with something else. Raises Refused for what it has decided; else as `ended`."""
        outcome = judge(Request("GET", EVENTS_PATH), self.url, reply)
        if isinstance(outcome, Answer):
            return self.ended(f"status {outcome.status}, and no stream")
        return self.ended(outcome.message, after_seconds=outcome.after_seconds)

    def feed(self, more: bytes) -> list[Event]:
        """The events that these bytes complete."""
        events = self._parser.feed(more)
        if events:
            self._failures.clear()
            self._nodes.answered(self.url)
        return [event for event in events if event.kind not in OF_THE_STREAM]

    def ended(self, reason: str, *, after_seconds: float | None = None) -> float:
        """The stream is over, or never began: how many seconds to wait. Raises Unavailable after too many in vain."""
        self._failures.append((self.url, reason))
        if len(self._failures) >= self._policy.attempts_max:
            raise Unavailable("NO_ANSWER", f"GET {EVENTS_PATH}: {reason}", None, tuple(self._failures))
        delay_seconds = self._policy.delay_seconds(len(self._failures) - 1)
        wanted = max(delay_seconds, after_seconds or 0.0, self._parser.retry_seconds or 0.0)
        self._nodes.rest(self.url, wanted)
        _, rest_seconds = self._nodes.choose()
        return min(rest_seconds, self._policy.delay_max_seconds) if rest_seconds else delay_seconds / 4
