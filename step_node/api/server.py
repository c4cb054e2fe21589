"""Serving the API: Hypercorn's HTTP on trio, inside the caller's nursery.

The socket is bound here, so that the caller learns the real port and a port in use is an error of its own; and
connections are accepted here, each with Hypercorn's own connection handler, so that what goes wrong in one ends that
one: under Hypercorn's `serve`, a header that its HTTP/2 upgrade cannot decode raises through all of them and would
take the node with it. When the caller's scope is cancelled, the server stops listening, lets requests that are under
way finish for `SHUTDOWN_GRACE_SECONDS`, and ends. It installs no signal handlers: what a signal means is the node's
business.
"""

from __future__ import annotations

import errno
import logging
import socket
from functools import partial
from typing import Any, Final, cast

import trio
from fastapi import FastAPI
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, LifespanState

from step_node.errors import StepNodeError

log = logging.getLogger(__name__)

CONNECTIONS_MAX: Final = 4_096
"""Open connections; one more is closed at once."""

SHUTDOWN_GRACE_SECONDS: Final = 1.0
"""Requests under way at shutdown have this long; a submission that waits for finality is cut off, and is journalled."""

HEADER_BYTES_MAX: Final = 16 * 1024
"""A request's line and headers together; more is answered 431 and the connection closed."""

KEEP_ALIVE_SECONDS: Final = 15.0
"""How long a connection may stay open between requests, and a new one without sending its first."""

KEEP_ALIVE_REQUESTS_MAX: Final = 100_000
"""Requests on one connection; the next one needs a new connection."""

BACKLOG_CONNECTIONS_MAX: Final = 1_024
"""Connections that wait to be accepted; the system refuses more."""

BODY_CHUNKS_MAX: Final = 10
"""Chunks of a body that wait for the application; further ones stay in the socket, and the client waits."""


STALLED_CLIENT_MS: Final = 5_000
"""A client that takes nothing of its answer for so long is disconnected (where the system can: Linux). The server
shields what it is sending from cancellation, so without this one stalled client could keep the node from stopping."""


class CannotListen(StepNodeError):
    """The API cannot listen where the configuration says."""


class AddressInUse(CannotListen):
    """Another program listens there already."""


async def serve_api(
    app: FastAPI, host: str, port: int, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve `app` at `host`:`port` until cancelled; gives the port it listens on once it does (port 0: any free one).

    Raises `AddressInUse`, or `CannotListen` for a host or port that this machine does not have or allow.
    """
    listening = await _listen(host, port)
    bound_port: int = listening.getsockname()[1]
    stopping = trio.Event()
    async with trio.open_nursery() as nursery:
        try:
            await nursery.start(_serve_until, stopping, app, listening)
            task_status.started(bound_port)
            await trio.sleep_forever()
        finally:
            stopping.set()


async def _serve_until(
    stopping: trio.Event, app: FastAPI, listening: socket.socket, *, task_status: trio.TaskStatus[None]
) -> None:
    framework = ASGIWrapper(cast(ASGIFramework, app))
    config, context = _config(), WorkerContext(None)

    async def serve_connection(stream: trio.SocketStream) -> None:
        if len(connections.child_tasks) > CONNECTIONS_MAX:
            await stream.aclose()
            return
        try:
            # The annotation of the last parameter says TLS, but a plain stream is what it expects here.
            await TCPServer(framework, config, context, LifespanState(), cast(Any, stream)).run()
        except ExceptionGroup as error:
            log.warning("an HTTP connection ended by an error of the server", exc_info=error)

    listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
    # Its own end is asked for by `stopping`: cancelling it would cut off requests under way.
    with trio.CancelScope(shield=True):
        async with trio.open_nursery() as connections, trio.open_nursery() as acceptor:
            await acceptor.start(
                partial(trio.serve_listeners, serve_connection, [listener], handler_nursery=connections)
            )
            task_status.started()
            await stopping.wait()
            acceptor.cancel_scope.cancel()
            await context.terminated.set()
            connections.cancel_scope.deadline = trio.current_time() + SHUTDOWN_GRACE_SECONDS


async def _listen(host: str, port: int) -> socket.socket:
    """A bound and listening socket. Raises `CannotListen`."""
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
                f"the API cannot listen on {where}: another program does; end it, or choose another port (`port` under"
                " [api] in config.toml, or --base-port of devnet)"
            ) from error
        raise CannotListen(
            f"the API cannot listen on {where}: {error.strerror or error}; set `host` and `port` under [api] in"
            " config.toml to an address of this machine"
        ) from error
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Accepted connections inherit it.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED_CLIENT_MS)
    return listening


def _config() -> Config:
    config = Config()
    config.accesslog = None
    config.errorlog = log
    config.include_server_header = False
    config.h11_max_incomplete_size = HEADER_BYTES_MAX
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    config.keep_alive_max_requests = KEEP_ALIVE_REQUESTS_MAX
    config.max_app_queue_size = BODY_CHUNKS_MAX
    return config
