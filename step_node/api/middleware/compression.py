"""Answers in gzip, for clients that take it: a page of a hundred triangles is a fifth as long.

Only what is answered whole is compressed, never a stream of events, which would be held back; at the lowest level,
within bounds, and on a worker thread where it takes more than a moment. An attacker who can have a secret compressed
beside a text of his own can find the secret out by lengths (BREACH): no answer of the API holds one.
"""

from __future__ import annotations

import gzip
import re
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from step_node.offload import run_blocking

BODY_BYTES_MIN: Final = 1_024
"""Shorter ones fit into a packet as they are."""

BODY_BYTES_MAX: Final = 1024 * 1024
"""Longer ones are sent as they are."""

INLINE_BYTES_MAX: Final = 16 * 1024
"""Up to so many take less than half a millisecond; more are compressed on a worker thread."""

ACCEPT_CHARACTERS_MAX: Final = 256
"""Of `Accept-Encoding`; who sends more gets the answer as it is."""

_LEVEL: Final = 1
_TYPES: Final = re.compile(r"(?:text/(?!event-stream)|application/(?:[a-z.-]+\+)?json\b|application/cbor\b|image/svg)")
_QUALITY: Final = re.compile(r"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")


class Compression:
    """ASGI middleware: see the module's docstring."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        takes_gzip = accepts_gzip(Headers(scope=scope).getlist("accept-encoding"))
        held: Message | None = None

        async def send_compressed(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start":
                if not _may_be_compressed(message):
                    await send(message)
                    return
                held = message
                return
            if held is None:
                await send(message)
                return
            start, held = held, None
            body = message.get("body", b"")
            if message.get("more_body", False) or not BODY_BYTES_MIN <= len(body) <= BODY_BYTES_MAX:
                await send(start)
                await send(message)
                return
            headers = MutableHeaders(raw=list(start["headers"]))
            headers.add_vary_header("Accept-Encoding")
            if takes_gzip:
                body = _pressed(body) if len(body) <= INLINE_BYTES_MAX else await run_blocking(_pressed, body)
                headers["Content-Encoding"] = "gzip"
                headers["Content-Length"] = str(len(body))
                tag = headers.get("etag")
                if tag is not None and not tag.startswith("W/"):
                    headers["ETag"] = f"W/{tag}"  # A strong tag is of these very bytes.
            await send({**start, "headers": headers.raw})
            await send({**message, "body": body})

        await self._app(scope, receive, send_compressed)


def accepts_gzip(fields: list[str]) -> bool:
    """Whether `Accept-Encoding` allows gzip (RFC 9110 section 12.5.3); nobody gets it who does not say so."""
    text = ",".join(fields).lower()
    if len(text) > ACCEPT_CHARACTERS_MAX:
        return False
    weights: dict[str, float] = {}
    for item in text.split(","):
        coding, _, rest = (part.strip() for part in item.partition(";"))
        quality = _QUALITY.fullmatch(rest.replace(" ", "")) if rest else None
        if not rest or quality is not None:
            weights["gzip" if coding == "x-gzip" else coding] = float(quality[1]) if quality else 1.0
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def _may_be_compressed(start: Message) -> bool:
    headers = Headers(raw=start["headers"])
    return (
        start["status"] not in (204, 304)
        and "content-encoding" not in headers
        and _TYPES.match(headers.get("content-type", "")) is not None
    )


def _pressed(body: bytes) -> bytes:
    return gzip.compress(body, _LEVEL, mtime=0)
