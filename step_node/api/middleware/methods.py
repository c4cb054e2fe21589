"""The methods that no route has a line of code for: HEAD, OPTIONS, and what a path does not allow.

HEAD is what GET answers, less the body (RFC 9110 section 9.3.2): load balancers ask `HEAD /health`. OPTIONS tells the
methods of a path in `Allow` (section 9.3.7), and so does a 405. What browsers ask before a page may send is answered in
front of this (`cors`).
"""

from __future__ import annotations

from typing import Final

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_IS_HEAD: Final = "step.is_head"
"""In the scope of a request whose answer is wanted without its body."""

_ROUTED_METHODS: Final = ("GET", "POST")

SERVER_METHODS: Final = ("GET", "HEAD", "OPTIONS", "POST")
"""What some path allows, for `OPTIONS *`."""


class HeadAndOptions:
    """ASGI middleware: the application behind it knows GET and POST only."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and scope["method"] == "HEAD":
            await self._app({**scope, "method": "GET", _IS_HEAD: True}, receive, _without_body(send))
            return
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            allowed = SERVER_METHODS if scope["path"] == "*" else allowed_methods(scope)
            if allowed:
                await Response(None, 204, {"Allow": ", ".join(allowed)})(scope, receive, send)
                return
        await self._app(scope, receive, send)


def allowed_methods(scope: Scope) -> tuple[str, ...]:
    """The methods of this request's path, by all routes; none if there is no such path."""
    application: Starlette = scope["app"]
    allowed = [
        method
        for method in _ROUTED_METHODS
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in application.routes)
    ]
    with_head = ("HEAD", *allowed) if "GET" in allowed else allowed
    return tuple(sorted(("OPTIONS", *with_head))) if allowed else ()


def is_head(scope: Scope) -> bool:
    """Whether the body is thrown away: an answer that goes on for long need not make it."""
    return _IS_HEAD in scope


def _without_body(send: Send) -> Send:
    async def send_without_body(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return send_without_body
