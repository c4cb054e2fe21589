"""An answer that does not end: Server-Sent Events (HTML Living Standard, section 9.2), for one client.

The stream ends by itself after a while, and whenever the node or the client cannot keep it up. Then an event `end` says
why, and the client comes again with the id of the last event that it has seen. Nothing waits here for a slow client but
its own stream: what it takes at once is bounded, paid for by its address like any other request, and sent in turns.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Final

import trio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from step_node.api.errors import ApiError
from step_node.api.events.client_presence import is_gone
from step_node.api.events.follower import FarAhead, Follower, TooSlow
from step_node.api.events.places import StreamPlaces
from step_node.api.events.texts import EventTexts
from step_node.api.middleware.methods import is_head
from step_node.api.server.bill import bill_of
from step_node.feed.feed import Feed
from step_node.metrics import NodeMetrics
from step_node.storage.interface import StorageUnavailable

HEARTBEAT_SECONDS: Final = 15.0
"""How often something is sent at least: proxies close what is silent, and a client that has gone is found so. It brings
the present id, so that a client that waits for rare events can go on from close by."""

PAUSE_SECONDS: Final = 0.2
"""How long what happens is gathered before a client is sent more: a thousand clients would else be woken for each proof
that is accepted."""

RETRY_MS: Final = 3_000
"""When a browser is to come again by itself."""

HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    # A proxy that gathers or compresses events would keep them.
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
    "Connection": "close",
}


class StreamEnd(StrEnum):
    """Why a stream has ended, as its event `end` and the metrics say it."""

    DURATION = "duration"
    TOO_SLOW = "too_slow"
    STOPPING = "stopping"
    NOT_READY = "not_ready"
    FAR_AHEAD = "far_ahead"
    SWITCHED_OFF = "switched_off"
    GONE = "gone"
    """The client has gone, or took nothing for too long. It is not told."""


_END_MESSAGES: Final = {
    StreamEnd.DURATION: "the stream has lasted as long as it may; go on from this id",
    StreamEnd.TOO_SLOW: "you do not keep up; go on from this id, with a narrower filter if you can",
    StreamEnd.STOPPING: "the node is stopping; go on from this id, here later or at another node now",
    StreamEnd.NOT_READY: "the node's store does not answer; go on from this id, here later or at another node now",
    StreamEnd.SWITCHED_OFF: "the operator has turned the feed of this node off; go on from this id at another node",
    StreamEnd.FAR_AHEAD: "the id is of a height far ahead of this node's; go on from it at another node",
}


class EventStream(Response):
    """See the module's docstring. It is made at once, and sent for up to `duration_ms`, while `is_served`."""

    def __init__(
        self,
        follower: Follower,
        *,
        feed: Feed,
        texts: EventTexts,
        places: StreamPlaces,
        metrics: NodeMetrics,
        duration_ms: int,
        is_served: Callable[[], bool] = lambda: True,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers(HEADERS)
        self._follower = follower
        self._feed = feed
        self._texts = texts
        self._places = places
        self._metrics = metrics
        self._duration_ms = duration_ms
        self._is_served = is_served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, to its end. Raises `ApiError` before anything is sent if there is no place for it."""
        address = address_of(scope)
        self._places.refuse_if_full(address)
        with self._places.taken(address):
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if not is_head(scope):
                await self._follow(scope, receive, send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _follow(self, scope: Scope, receive: Receive, send: Send) -> None:
        end = StreamEnd.GONE
        self._feed.followers += 1
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_watch, receive, nursery.cancel_scope.cancel)
                end = await self._write_all(scope, send)
                nursery.cancel_scope.cancel()
        finally:
            self._feed.followers -= 1
            self._metrics.event_stream_ended(end)

    async def _write_all(self, scope: Scope, send: Send) -> StreamEnd:
        ends_at = trio.current_time() + self._duration_ms / 1000
        try:
            await _write(send, f"retry: {RETRY_MS}\n\n".encode() + self._follower.control_text("open", **self._shown()))
            await self._follower.begin()
            end = await self._write_until(ends_at, scope, send)
        except TooSlow:
            end = StreamEnd.TOO_SLOW
        except FarAhead:
            end = StreamEnd.FAR_AHEAD
        except StorageUnavailable:
            end = StreamEnd.NOT_READY
        if end is not StreamEnd.GONE:
            await _write(send, self._follower.control_text("end", reason=end, message=_END_MESSAGES[end]))
        return end

    async def _write_until(self, ends_at: float, scope: Scope, send: Send) -> StreamEnd:
        charge = bill_of(scope)["charge"]
        beats_at = trio.current_time() + HEARTBEAT_SECONDS
        owed_ms = 0.0
        while True:
            if is_gone(scope):
                return StreamEnd.GONE
            if self._feed.is_stopping:
                return StreamEnd.STOPPING
            if not self._is_served():
                return StreamEnd.SWITCHED_OFF
            now = trio.current_time()
            if now >= ends_at:
                return StreamEnd.DURATION
            if now >= beats_at:
                await _write(send, f": heartbeat\nid: {self._follower.position}\n\n".encode())
                beats_at = trio.current_time() + HEARTBEAT_SECONDS
            if not self._follower.has_news():
                with trio.move_on_after(min(beats_at, ends_at) - now):
                    await self._feed.wait_for_news()
                    await trio.sleep(PAUSE_SECONDS)
                continue
            try:
                await charge(owed_ms)
            except ApiError:
                continue  # It has waited for that, and now looks again whether anybody is still there.
            async with self._texts.turns:
                turn = await self._follower.take()
                await trio.lowlevel.checkpoint()
            owed_ms = turn.cost_ms
            if turn.text:
                await _write(send, turn.text)
                self._metrics.events_sent(len(turn.text))
                beats_at = trio.current_time() + HEARTBEAT_SECONDS

    def _shown(self) -> dict[str, object]:
        return {"height": self._feed.height, "run": self._feed.run}


def address_of(scope: Scope) -> str:
    """Whose stream it is, as limits count it."""
    return (scope.get("client") or ("",))[0]


async def _write(send: Send, text: bytes) -> None:
    await send({"type": "http.response.body", "body": text, "more_body": True})


async def _watch(receive: Receive, leave: Callable[[], None]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    leave()
