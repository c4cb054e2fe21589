"""A client of the live feed: Server-Sent Events over a real socket, taken apart as a browser does it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import h11
import trio

LONGEST_SECONDS = 20.0


@dataclass(frozen=True)
class ReadEvent:
    """One event; `id` is the last one that came, with this event or before it."""

    id: str
    event: str
    data: dict[str, Any]


class EventReader:
    """An open stream. `last_id` is what a browser would send as `Last-Event-ID`."""

    def __init__(self, stream: trio.abc.Stream, last_id: str) -> None:
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT)
        self._text = ""
        self.last_id = last_id

    async def ask(self, query: str, headers: dict[str, str]) -> None:
        """Send the request, and read the head of the answer, which must be a stream."""
        all_headers = {"Host": "node", **headers}
        asked = h11.Request(method="GET", target=f"/events{query}", headers=list(all_headers.items()))
        await self._stream.send_all(self._http.send(asked) + self._http.send(h11.EndOfMessage()))
        answer = await self._next_of_http()
        assert isinstance(answer, h11.Response)
        assert answer.status_code == 200, await self._next_of_http()

    async def next(self) -> ReadEvent:
        """The next event. Raises `EOFError` at the end of the stream."""
        with trio.fail_after(LONGEST_SECONDS):
            return await self._next()

    async def _next(self) -> ReadEvent:
        while True:
            while "\n\n" not in self._text:
                match await self._next_of_http():
                    case h11.Data(data=part):
                        self._text += bytes(part).decode()
                    case _:
                        raise EOFError
            block, _, self._text = self._text.partition("\n\n")
            fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
            self.last_id = fields.get("id", self.last_id)
            if "data" in fields:
                return ReadEvent(self.last_id, fields["event"], json.loads(fields["data"]))

    async def take(self, count: int) -> list[ReadEvent]:
        """The next `count` events."""
        return [await self.next() for _ in range(count)]

    async def until(self, event: str, **data: object) -> list[ReadEvent]:
        """All events up to one of this name with these values, it included."""
        found = [await self.next()]
        while found[-1].event != event or not data.items() <= found[-1].data.items():
            found.append(await self.next())
        return found

    async def _next_of_http(self) -> object:
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return event
            self._http.receive_data(bytes(await self._stream.receive_some()))


@asynccontextmanager
async def reading(port: int, query: str = "", *, last_id: str | None = None) -> AsyncIterator[EventReader]:
    """An open stream of the node at this port, whose `open` has been read."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        reader = EventReader(stream, last_id or "")
        await reader.ask(query, {} if last_id is None else {"Last-Event-ID": last_id})
        opened = await reader.next()
        assert opened.event == "open"
        yield reader
