"""What caches may keep, and for how long (RFC 9111), and answers that the client has already (RFC 9110 §13).

An answer that never changes says so where it is made (`UNCHANGING`); every other answer to a GET may be kept, but has
to be asked for again before it is used; what is no success, or answers no GET, is not kept at all. A route that knows a
tag of its answer sets `ETag`, and nothing else: that the client has it is found here.
"""

from __future__ import annotations

import re
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

UNCHANGING: Final = "public, max-age=86400, immutable"
"""`Cache-Control` of what is final, at an address of one chain alone: with a hash in it, or the mesh's ids."""

FINAL_HERE: Final = "public, max-age=60"
"""Of what is final at an address that any chain has, as a height: a test network that is begun anew has it, too. After
that an answer is asked for by its tag."""

ASK_AGAIN: Final = "no-cache"
KEEP_NOTHING: Final = "no-store"

TAGS_CHARACTERS_MAX: Final = 2_048
"""Of `If-None-Match`; a client with more has to take the answer."""

_TAG: Final = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_OF_A_BODY: Final = ("content-length", "content-type", "content-encoding")


class Caching:
    """ASGI middleware: see the module's docstring."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_get = scope["method"] == "GET"
        wanted = Headers(scope=scope).get("if-none-match") if is_get else None
        is_had = False

        async def send_with_control(message: Message) -> None:
            nonlocal is_had
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=list(message["headers"]))
                is_success = message["status"] in (200, 304)
                if "cache-control" not in headers:
                    headers["Cache-Control"] = ASK_AGAIN if is_get and is_success else KEEP_NOTHING
                if message["status"] == 200 and is_named(headers.get("etag"), wanted):
                    is_had = True
                    for name in _OF_A_BODY:
                        del headers[name]
                    message = {**message, "status": 304}
                message = {**message, "headers": headers.raw}
            elif is_had:
                message = {**message, "body": b""}
            await send(message)

        await self._app(scope, receive, send_with_control)


def is_named(tag: str | None, wanted: str | None) -> bool:
    """Whether the `If-None-Match` of a request names the tag of its answer, by the weak comparison."""
    if tag is None or wanted is None or len(wanted) > TAGS_CHARACTERS_MAX:
        return False
    return wanted.strip() == "*" or tag.removeprefix("W/") in _TAG.findall(wanted)
