"""One HTTP/1.1 connection: h11 understands the bytes, the ASGI application answers, and this keeps the bounds.

Everything that a client can keep waiting for has an end: the head of a request, its body, the reading of an answer,
the pause between two requests. A body is read as the application asks for it, so nothing piles up that nobody wants.
No other protocol is spoken: an `Upgrade` is answered as the request that it is in, HTTP/2's preface is refused. What
is no HTTP, or too large, or not paid for, is answered in the form of all errors, without asking the application.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Final, Never

import h11
import structlog
import trio
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Scope

from step_node.api.errors import ApiError, RequestCode, error_response
from step_node.api.events.client_presence import PRESENCE_EXTENSION
from step_node.api.middleware.cors import Cors
from step_node.api.middleware.request_ids import request_id_of
from step_node.api.server.asked import Asked
from step_node.api.server.bill import BILL_EXTENSION, ApplicationBill, Bill
from step_node.api.server.limits import PREFLIGHT_COST_MS, READ_COST_MS, asker_of, cost_ms_of
from step_node.api.server.quotas import AddressQuota, Quotas
from step_node.api.server.tls import Tls
from step_node.api.server.visitors import Refused, Visit, Visitors
from step_node.clock import Clock
from step_node.explanations.details import Details, shown
from step_node.proofs.proof import RefusalCode

HEADER_BYTES_MAX: Final = 16 * 1024
"""A request's line and headers together; more is answered 431 and the connection closed."""

HEADER_LINES_MAX: Final = 100
"""Lines of them; more is answered 431 too. Taking four thousand empty headers apart would take 20 ms."""

HEADER_SECONDS_MAX: Final = 5.0
"""How long they may take to arrive, from their first byte; then the answer is 408 and the connection closed."""

KEEP_ALIVE_SECONDS: Final = 15.0
"""How long a connection may stay open between requests, and a new one without sending its first."""

KEEP_ALIVE_REQUESTS_MAX: Final = 1_000
"""Requests on one connection; the answer to the last closes it."""

ANSWER_SECONDS_MAX: Final = 15.0
"""How long a client may take to take an answer in; then the connection is cut."""

LINGER_SECONDS_MAX: Final = 2.0
"""How long what a client still sends is thrown away after an answer that closes the connection. Closing at once would
reset it, and the client could lose the answer."""

CLOSE_SECONDS_MAX: Final = 1.0
"""How long a client may take to take TLS' last record; then it is cut off without."""

READ_BYTES: Final = 16 * 1024
"""Read at once; what a client sends beyond waits in the socket."""

UNASKED_BYTES_MAX: Final = 64 * 1024
"""What a client may send while a long answer is on its way; more ends the connection."""

_END_OF_HEAD = re.compile(rb"\n\r?\n")


@dataclass(slots=True)
class Service:
    """What all connections of one server have in common. `served` may change it."""

    app: ASGIApp
    clock: Clock
    visitors: Visitors
    cors: Cors = field(default_factory=Cors)
    tls: Tls | None = None
    """None: plain HTTP."""
    quotas: Quotas = field(default_factory=lambda: Quotas(0))
    """Of submissions, by address."""
    answered: Callable[[int, float], None] = lambda _status, _seconds: None
    """Told of each answer: its status, and how many seconds after the head of its request it began."""


class _Gone(Exception):
    """The client has gone, is too slow, or had to give way: the connection ends without a word."""


_LOST: Final = (_Gone, trio.BrokenResourceError, trio.ClosedResourceError)


class Connection:
    """See the module's docstring. `run` serves it to its end, and closes the stream."""

    def __init__(self, service: Service, visit: Visit, stream: trio.abc.HalfCloseableStream) -> None:
        self._service = service
        self._visit = visit
        self._stream = stream
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEADER_BYTES_MAX)
        # The place is paid for already; it goes with the first request.
        self._bill = self._new_bill(service.visitors.connection_cost_ms if visit.counted else 0.0)
        self._requests = 0
        self._is_head = False
        self._request_id = ""
        self._quota: AddressQuota | None = None
        self._asked: Asked | None = None
        """None until a request could be read."""
        self._is_over = False
        self._asked_at: float | None = None
        """When the head of the request under way was here; None before its first."""
        self._unsent = b""
        self._fault: Exception | None = None
        """What the client did while the application was asked. It is told that the client has gone, and no more: an
        exception would be its bug."""

    async def run(self) -> None:
        """Answer requests until one side has had enough. What a client does never raises; a bug does."""
        try:
            while await self._serve_request():
                self._http.start_next_cycle()
            await self._linger()
        except _LOST:
            pass
        finally:
            self._fault = None  # Its traceback leads here again: neither would go before the garbage collector comes.
            await self._close()

    async def _close(self) -> None:
        """TLS has a last word, so that a client can tell an end from a cut; it is not waited for for long."""
        with self._visit.waiting(CLOSE_SECONDS_MAX):
            await self._stream.aclose()

    # --- requests -------------------------------------------------------------------------------------------------

    async def _serve_request(self) -> bool:
        """Take in one request and answer it; whether another may follow."""
        try:
            request = await self._read_head()
            self._requests += 1
            self._asked_at = trio.current_time()
            self._is_head = request.method == b"HEAD"
            self._request_id = request_id_of(request.headers)
            structlog.contextvars.bind_contextvars(request_id=self._request_id)
            self._bill.payer = self._asker(request)
            self._quota = AddressQuota(self._service.quotas, self._bill.payer)
            asked = self._asked = Asked.by(request)
            if asked.is_preflight:
                await self._charge(PREFLIGHT_COST_MS)
            else:
                await self._charge(cost_ms_of(asked.path))
            if self._service.cors.is_refused(asked.path, asked.origin, asked.host):
                raise ApiError(
                    RequestCode.FORBIDDEN,
                    f"origin: pages of other origins may not read {asked.path}",
                    details=Details(value=shown((asked.origin or b"").decode("latin-1"))),
                )
            if asked.is_preflight:
                self._http.next_event()  # Its end. If a body comes instead, the answer closes the connection.
                await self._answer(self._service.cors.preflight())
            else:
                await self._ask_application(request, asked)
        except h11.RemoteProtocolError as error:
            await self._refuse_malformed(error)
        except ApiError as refusal:
            path = self._asked.path if self._asked is not None else ""
            await self._answer(error_response(refusal, self._service.clock, path=path))
        self._bill = self._new_bill()
        self._asked = self._quota = self._asked_at = None
        self._request_id = ""
        structlog.contextvars.unbind_contextvars("request_id")
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    async def _read_head(self) -> h11.Request:
        """The next request. Raises `_Gone`, `ApiError`, or h11's error for what is none."""
        deadline = trio.current_time() + KEEP_ALIVE_SECONDS
        has_begun = False
        while True:
            buffered, _ = self._http.trailing_data
            if _lines_of_head(buffered) > HEADER_LINES_MAX:
                raise _too_large(HEADER_LINES_MAX, "lines")
            event = self._http.next_event()
            if isinstance(event, h11.Request):
                if not event.http_version.startswith(b"1."):
                    raise h11.RemoteProtocolError("another version of HTTP")
                return event
            if event is not h11.NEED_DATA:
                raise _Gone
            if buffered and not has_begun:
                has_begun = True
                deadline = trio.current_time() + HEADER_SECONDS_MAX
            bytes_max = HEADER_BYTES_MAX + 1 - len(buffered)
            data = await self._receive(bytes_max, deadline - trio.current_time(), idle=not has_begun)
            if data is None:
                if not has_begun:
                    raise _Gone
                raise ApiError(
                    RequestCode.REQUEST_TIMEOUT,
                    f"request: its head must arrive within {HEADER_SECONDS_MAX:g} seconds",
                    details=Details(limit=HEADER_SECONDS_MAX, unit="s"),
                )
            self._http.receive_data(data)

    def _asker(self, request: h11.Request) -> str:
        forwarded_for = [value.decode("latin-1") for name, value in request.headers if name == b"x-forwarded-for"]
        return asker_of(self._visit.host, forwarded_for, self._service.visitors.limits.proxies)

    def _new_bill(self, paid_ms: float = 0.0) -> Bill:
        return Bill(self._service.visitors, self._visit.address if self._visit.counted else None, paid_ms)

    async def _charge(self, cost_ms: float) -> None:
        """Wait until whoever asks has paid for it. Raises `ApiError` if that would take too long, and `_Gone`."""
        seconds = self._bill.add(cost_ms)
        if not isinstance(seconds, Refused):
            await self._wait(seconds)
            return
        await self._wait(self._service.visitors.refusal_seconds())
        if seconds is Refused.ADDRESS_COST:
            raise ApiError(
                RefusalCode.RATE_LIMITED,
                "address: asks for more than its share of this node's time",
                details=Details(
                    gate="address_share",
                    limit=self._service.visitors.limits.address_cost_ms_per_second,
                    unit="ms/s",
                ),
            )
        raise ApiError(
            RefusalCode.NOT_READY,
            "the node is asked for more than it can answer; try again later",
            details=Details(gate="share"),
        )

    async def _wait(self, seconds: float) -> None:
        if seconds > 0:
            with self._visit.waiting(math.inf) as scope:
                await trio.sleep(seconds)
            if scope.cancelled_caught:
                raise _Gone

    async def _refuse_malformed(self, error: h11.RemoteProtocolError) -> None:
        self._service.visitors.refuse(Refused.MALFORMED)
        self._is_over = True
        if error.error_status_hint == 431:
            refusal = _too_large(HEADER_BYTES_MAX, "bytes")
        else:
            refusal = ApiError(RefusalCode.INVALID_PAYLOAD, "request: must be HTTP/1.1 (RFC 9112)")
        await self._answer(error_response(refusal, self._service.clock))

    async def _receive(self, bytes_max: int, seconds: float, *, idle: bool = False) -> bytes | None:
        """What has arrived, b"" for the end; None if nothing came in time. Raises `_Gone` if it must give way."""
        with self._visit.waiting(seconds, idle=idle) as scope:
            data = bytes(await self._stream.receive_some(bytes_max))
        if self._visit.gave_way:
            raise _Gone
        if scope.cancelled_caught:
            return None
        pause = self._bill.add(READ_COST_MS)
        await self._wait(self._service.visitors.refusal_seconds() if isinstance(pause, Refused) else pause)
        return data

    # --- answers --------------------------------------------------------------------------------------------------

    async def _ask_application(self, request: h11.Request, asked: Asked) -> None:
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": request.http_version.decode("ascii"),
            "method": request.method.decode("ascii"),
            "scheme": "http" if self._service.tls is None else "https",
            "path": asked.path,
            "raw_path": request.target,
            "query_string": asked.query,
            "root_path": "",
            "headers": list(request.headers),
            "client": (self._bill.payer, 0),
            "server": None,
            "extensions": {
                BILL_EXTENSION: ApplicationBill(
                    charge=self._charge_unless_gone,
                    give_back=self._bill.give_back,
                    quota=self._quota or AddressQuota(self._service.quotas, self._bill.payer),
                ),
                PRESENCE_EXTENSION: lambda: self._fault is not None,
            },
        }
        await self._service.app(scope, self._receive_message, self._send_unless_gone)
        if self._fault is not None:
            raise self._fault

    async def _charge_unless_gone(self, cost_ms: float, /) -> None:
        """What the application charges for. Raises `ApiError`."""
        try:
            await self._charge(cost_ms)
        except _Gone as error:
            self._fault = error
            raise ApiError(
                RefusalCode.NOT_READY,
                "the connection had to give way; try again later",
                details=Details(gate="connection"),
            ) from error

    async def _receive_message(self) -> Message:
        """ASGI's `receive`. What the application does not ask for is not read."""
        try:
            return await self._part_of_body()
        except (*_LOST, h11.RemoteProtocolError) as error:
            self._fault = error
            return {"type": "http.disconnect"}

    async def _send_unless_gone(self, message: Message) -> None:
        """ASGI's `send`."""
        if self._fault is None:
            try:
                await self._send_message(message)
            except _LOST as error:
                self._fault = error

    async def _part_of_body(self) -> Message:
        if self._http.they_are_waiting_for_100_continue:
            await self._send(self._http.send(h11.InformationalResponse(status_code=100, headers=[])))
        if self._http.their_state is not h11.SEND_BODY:
            await self._until_gone()
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Data):
                return {"type": "http.request", "body": bytes(event.data), "more_body": True}
            if isinstance(event, h11.EndOfMessage):
                return {"type": "http.request", "body": b"", "more_body": False}
            # `BodyLimit` says how long a body may take.
            data = await self._receive(READ_BYTES, math.inf)
            self._http.receive_data(data or b"")

    async def _until_gone(self) -> Never:
        """The body has been handed over: wait until the client hangs up, and raise `_Gone`.

        Only who sends a long answer asks for this. The connection has a place of its own meanwhile, and does not give
        way. What a client sends all the same is thrown away, for the answer closes the connection.
        """
        unasked_bytes = len(self._http.trailing_data[0])
        while unasked_bytes <= UNASKED_BYTES_MAX:
            data = bytes(await self._stream.receive_some(READ_BYTES))
            if not data:
                raise _Gone
            unasked_bytes += len(data)
            pause = self._bill.add(READ_COST_MS)
            await trio.sleep(self._service.visitors.refusal_seconds() if isinstance(pause, Refused) else pause)
        raise _Gone

    async def _send_message(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._unsent += self._http.send(self._head(message["status"], list(message["headers"])))
            return
        if message["body"] and not self._is_head:
            self._unsent += self._http.send(h11.Data(data=message["body"]))
        if not message.get("more_body", False):
            self._unsent += self._http.send(h11.EndOfMessage())
        data, self._unsent = self._unsent, b""
        await self._send(data)

    async def _answer(self, response: Response) -> None:
        """Answer by itself, in the application's place."""
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            raise _Gone
        head = {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}
        await self._send_message(head)
        await self._send_message({"type": "http.response.body", "body": response.body})

    def _head(self, status: int, headers: list[tuple[bytes, bytes]]) -> h11.Response:
        now = trio.current_time()
        self._service.answered(status, now - (now if self._asked_at is None else self._asked_at))
        headers.append((b"date", _date_at(self._service.clock.now_ms() // 1000)))
        path, origin = (None, None) if self._asked is None else (self._asked.path, self._asked.origin)
        headers.append((b"x-content-type-options", b"nosniff"))
        headers += self._service.cors.fields(path, origin)
        headers.append((b"x-request-id", (self._request_id or request_id_of([])).encode()))
        if self._quota is not None:
            headers += self._quota.fields()
        closes = (b"connection", b"close")
        # After a bug of the node nobody knows what else would go wrong on this connection.
        self._is_over |= self._requests >= KEEP_ALIVE_REQUESTS_MAX or status == HTTPStatus.INTERNAL_SERVER_ERROR
        if (
            self._is_over or self._service.visitors.is_stopping or self._http.their_state is h11.SEND_BODY
        ) and closes not in headers:
            headers.append(closes)
        return h11.Response(status_code=status, headers=headers, reason=HTTPStatus(status).phrase.encode("ascii"))

    async def _send(self, data: bytes | None) -> None:
        with self._visit.waiting(ANSWER_SECONDS_MAX) as scope:
            await self._stream.send_all(data or b"")
        if scope.cancelled_caught:
            raise _Gone

    async def _linger(self) -> None:
        """Let the client read the last answer; see `LINGER_SECONDS_MAX`."""
        await self._stream.send_eof()
        deadline = trio.current_time() + LINGER_SECONDS_MAX
        while await self._receive(READ_BYTES, deadline - trio.current_time()):
            pass


@lru_cache(maxsize=2)
def _date_at(second: int) -> bytes:
    """As RFC 9110 section 5.6.7 has it. Making it up takes as long as the rest of an answer's head."""
    return formatdate(second, usegmt=True).encode("ascii")


def _lines_of_head(buffered: bytes) -> int:
    end = _END_OF_HEAD.search(buffered)
    return buffered.count(b"\n", 0, end.start() if end else len(buffered))


def _too_large(most: int, unit: str) -> ApiError:
    return ApiError(
        RequestCode.HEADERS_TOO_LARGE,
        f"request: its line and headers must have at most {most} {unit}",
        details=Details(limit=most, unit=unit),
    )
