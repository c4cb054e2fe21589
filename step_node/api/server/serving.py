"""Serving the API: HTTP/1.1 on trio, inside the caller's nursery (docs/adr/0023-http-server.md).

The socket is bound here, so that the caller learns the real port and a port in use is an error of its own. Each
connection that finds a place (`visitors`) is a task of its own (`connection`), and what goes wrong in one ends that
one. When the caller's scope is cancelled, the server stops listening, lets requests that are under way finish for
`SHUTDOWN_GRACE_SECONDS`, and ends, whatever clients do. It installs no signal handlers: what a signal means is the
node's business.
"""

from __future__ import annotations

import errno
import logging
import math
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Literal

import trio
from starlette.types import ASGIApp

from step_node.api.errors import ApiError, error_response
from step_node.api.middleware.cors import Cors
from step_node.api.server.connection import Connection, Service
from step_node.api.server.limits import ApiLimits, counted_as
from step_node.api.server.quotas import Quotas
from step_node.api.server.served import ServedApi, connection_cost_ms
from step_node.api.server.tls import HANDSHAKE_SECONDS_MAX, HandshakeFailed, PlainHttp, Tls, TlsStream, plain_bytes
from step_node.api.server.visitors import Refused, Visit, Visitors
from step_node.clock import Clock
from step_node.errors import StepNodeError
from step_node.metrics import NodeMetrics
from step_node.proofs.proof import RefusalCode

log = logging.getLogger(__name__)

SHUTDOWN_GRACE_SECONDS: Final = 1.0
"""Requests under way at shutdown have this long; a submission that waits for finality is cut off, and is journalled."""

BACKLOG_CONNECTIONS_MAX: Final = 1_024
"""Connections that wait to be accepted; the system refuses more."""

TELL_FULL_SECONDS: Final = 60.0
"""How long after saying that there is no place left it is not said again."""

STALLED_CLIENT_MS: Final = 5_000
"""A client that takes nothing of its answer for so long is disconnected (where the system can: Linux)."""


NO_ROOM_SECONDS: Final = 0.1
"""How long nobody is let in after the system had no descriptor or no memory for one more."""

_NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


class CannotListen(StepNodeError):
    """The API cannot listen where the configuration says."""


class AddressInUse(CannotListen):
    """Another program listens there already."""


async def serve_api(
    app: ASGIApp,
    host: str,
    port: int,
    *,
    limits: ApiLimits,
    clock: Clock,
    metrics: NodeMetrics | None,
    cors: Cors | None = None,
    tls: Tls | None = None,
    section: Literal["api", "metrics"] = "api",
    on_serving: Callable[[ServedApi], None] = lambda _served: None,
    on_stopping: Callable[[], None] = lambda: None,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `app` at `host`:`port` until cancelled; gives the port it listens on once it does (port 0: any free one).
    With `tls`, over TLS alone. Connections and answers are counted in `metrics`, if any; `section` of config.toml says
    where it listens.

    `on_serving` is told what can be changed meanwhile. `on_stopping` is called when the end has come, and answers that
    go on for long have to find theirs.

    Raises `AddressInUse`, or `CannotListen` for a host or port that this machine does not have or allow.
    """
    listening = await _listen(host, port, section)
    bound_port: int = listening.getsockname()[1]
    refused, answered = (_untold, _untold) if metrics is None else (metrics.api_refused, metrics.request_answered)
    visitors = Visitors(limits, refused, connection_cost_ms=connection_cost_ms(tls))
    if metrics is not None:
        metrics.expect_api_refusals(Refused)
        metrics.show_api_connections(lambda: len(visitors), limits.connections_max)
        if tls is not None:
            metrics.show_tls_expiry(tls.expires_at_ms / 1000)
    quotas = Quotas(limits.submissions_per_minute)
    service = Service(app, clock, visitors, cors or Cors(), tls, quotas, answered)
    on_serving(ServedApi(service, metrics))
    stopping = trio.Event()
    async with trio.open_nursery() as nursery:
        try:
            await nursery.start(
                _serve_until,
                stopping,
                service,
                listening,
            )
            task_status.started(bound_port)
            await trio.sleep_forever()
        finally:
            on_stopping()
            stopping.set()


def _untold(*_: object) -> None: ...


async def _serve_until(
    stopping: trio.Event, service: Service, listening: socket.socket, *, task_status: trio.TaskStatus[None]
) -> None:
    visitors = service.visitors
    # Its own end is asked for by `stopping`: cancelling it would cut off requests under way.
    with trio.CancelScope(shield=True):
        async with (
            trio.SocketListener(trio.socket.from_stdlib_socket(listening)) as listener,
            trio.open_nursery() as connections,
            trio.open_nursery() as acceptor,
        ):
            acceptor.start_soon(_accept, service, listener, connections)
            task_status.started()
            await stopping.wait()
            acceptor.cancel_scope.cancel()
            visitors.stop()
            connections.cancel_scope.deadline = trio.current_time() + SHUTDOWN_GRACE_SECONDS


async def _accept(service: Service, listener: trio.SocketListener, connections: trio.Nursery) -> None:
    """Take in connections for ever. One that gets no place is closed here: it is not worth a task."""
    full = _FullHouse(service.visitors.limits.connections_max)
    while True:
        try:
            stream = await listener.accept()
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            full.tell()
            await trio.sleep(NO_ROOM_SECONDS)
            continue
        host = _host_of(stream)
        visit = service.visitors.enter(host, counted_as(host))
        if isinstance(visit, Visit):
            connections.start_soon(_serve_connection, service, visit, stream)
            continue
        if visit is Refused.CONNECTIONS:
            full.tell()
        stream.socket.close()


async def _serve_connection(service: Service, visit: Visit, stream: trio.SocketStream) -> None:
    try:
        async with trio.open_nursery() as own:
            own.start_soon(_talk, service, visit, stream)
    except ExceptionGroup as error:
        log.error("an HTTP request met a bug of the node", exc_info=error)
    finally:
        service.visitors.leave(visit)


async def _talk(service: Service, visit: Visit, stream: trio.SocketStream) -> None:
    if service.tls is None:
        await Connection(service, visit, stream).run()
        return
    encrypted = await _encrypted(service, service.tls, visit, stream)
    if encrypted is not None:
        await Connection(service, visit, encrypted).run()


async def _encrypted(service: Service, tls: Tls, visit: Visit, stream: trio.SocketStream) -> TlsStream | None:
    """The connection in TLS; None if there is none, and then it is closed."""
    encrypted = None
    try:
        with visit.waiting(HANDSHAKE_SECONDS_MAX, idle=True) as scope:
            encrypted = await tls.shake_hands(stream)
    except PlainHttp:
        service.visitors.refuse(Refused.NOT_TLS)
        log.info("an HTTP client at %s speaks without TLS; it is told to use https://", visit.host)
        answer = plain_bytes(error_response(_NOT_TLS, service.clock))
        with suppress(trio.BrokenResourceError), visit.waiting(HANDSHAKE_SECONDS_MAX):
            await stream.send_all(answer)
            await stream.send_eof()
            await stream.receive_some()  # What it may send still: closing at once could lose it the answer.
        return None
    except (HandshakeFailed, trio.BrokenResourceError):
        service.visitors.refuse(Refused.TLS_HANDSHAKE)
        return None
    else:
        if scope.cancelled_caught and not visit.gave_way:
            service.visitors.refuse(Refused.TLS_HANDSHAKE)
        return encrypted
    finally:
        if encrypted is None:
            await trio.aclose_forcefully(stream)


_NOT_TLS: Final = ApiError(
    RefusalCode.INVALID_PAYLOAD, "request: this port speaks TLS alone; ask https://, not http://"
)


class _FullHouse:
    """Says that there is no place left, once in a while: who is kept out must not fill the log."""

    def __init__(self, connections_max: int) -> None:
        self._connections_max = connections_max
        self._told_at = -math.inf

    def tell(self) -> None:
        """A connection has been refused."""
        if trio.current_time() - self._told_at >= TELL_FULL_SECONDS:
            self._told_at = trio.current_time()
            log.warning("the API has no place for another connection: all %d are at work", self._connections_max)


def _host_of(stream: trio.SocketStream) -> str:
    """The other end's address, IPv4 in its own form on a socket of both; "" if it has gone already."""
    try:
        return str(stream.socket.getpeername()[0]).removeprefix("::ffff:")
    except OSError:
        return ""


async def _listen(host: str, port: int, section: str) -> socket.socket:
    """A bound and listening socket. Raises `CannotListen`."""
    cannot = "the API cannot listen on" if section == "api" else "metrics cannot listen on"
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        found = await trio.socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )
        family, _, _, _, address = found[0]
        listening = socket.create_server(address, family=family, backlog=BACKLOG_CONNECTIONS_MAX)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise AddressInUse(
                f"{cannot} {where}: another program does; end it, or choose another port (`port` under"
                f" [{section}] in config.toml, or --base-port of devnet)"
            ) from error
        raise CannotListen(
            f"{cannot} {where}: {error.strerror or error}; set `host` and `port` under [{section}] in"
            " config.toml to an address of this machine"
        ) from error
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Accepted connections inherit it.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED_CLIENT_MS)
    return listening
