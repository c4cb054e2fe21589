"""Serving the API: Hypercorn's trio worker, inside the caller's nursery.

The socket is bound here, so that the caller learns the real port and a port in use is an error of its own. When the
caller's scope is cancelled, the server stops listening, lets requests that are under way finish for
`SHUTDOWN_GRACE_SECONDS`, and ends. It installs no signal handlers: what a signal means is the node's business.
"""

from __future__ import annotations

import errno
import logging
import socket
from functools import partial
from typing import Final, cast

import trio
from fastapi import FastAPI
from hypercorn.config import Config
from hypercorn.trio import serve
from hypercorn.typing import ASGIFramework

from step_node.errors import StepNodeError

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
    framework = cast(ASGIFramework, app)
    run_server = partial(serve, framework, _config(listening.detach()), shutdown_trigger=stopping.wait)
    async with trio.open_nursery() as nursery:

        async def run_to_the_end(*, task_status: trio.TaskStatus[list[str]]) -> None:
            # Its own end is asked for by `stopping`: cancelling it would cut off requests under way.
            with trio.CancelScope(shield=True):
                await run_server(task_status=task_status)

        try:
            await nursery.start(run_to_the_end)
            task_status.started(bound_port)
            await trio.sleep_forever()
        finally:
            stopping.set()


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


def _config(listening_descriptor: int) -> Config:
    config = Config()
    config.bind = f"fd://{listening_descriptor}"
    config.backlog = BACKLOG_CONNECTIONS_MAX
    config.accesslog = None
    config.errorlog = logging.getLogger(__name__)
    config.include_server_header = False
    config.graceful_timeout = SHUTDOWN_GRACE_SECONDS
    config.h11_max_incomplete_size = HEADER_BYTES_MAX
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    config.keep_alive_max_requests = KEEP_ALIVE_REQUESTS_MAX
    config.max_app_queue_size = BODY_CHUNKS_MAX
    return config
