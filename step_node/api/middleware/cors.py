"""Which pages of other origins a browser lets read the API (CORS: the Fetch standard, section 3.2).

Browsers, and only they, keep a page from another origin away from answers that do not allow it. The API authenticates
nobody and knows no cookies, so a page learns nothing there that anybody else does not: the default is to allow all.
What an operator keeps inside the house (`/metrics`) is closed to other origins whatever the settings say, since a page
could otherwise read it from behind the operator's firewall, with the operator's own browser.

The fields are on every answer, also on those that the connection gives itself and on what is no HTTP: a page that may
not read a refusal learns nothing but "network error". Where all origins are allowed they do not depend on the request,
so a cache may give one page's answer to another.
"""

from __future__ import annotations

from typing import Final, TypeAlias
from urllib.parse import urlsplit

from starlette.responses import Response

Fields: TypeAlias = list[tuple[bytes, bytes]]

ANY_ORIGIN: Final = "*"

CLOSED_PATHS: Final = frozenset({"/metrics"})
"""For operators and their programs: no page of another origin reads these."""

METHODS: Final = "GET, HEAD, POST, OPTIONS"

PREFLIGHT_SECONDS: Final = 7_200
"""How long a browser need not ask again; Chromium keeps no answer longer."""

_REQUEST_FIELDS: Final = "Accept, Content-Type, If-None-Match, Last-Event-ID, X-Request-Id"
"""What a page may send, beyond what the Fetch standard lets every page send."""

_EXPOSED_FIELDS: Final = (
    "ETag, Link, RateLimit, RateLimit-Policy, Retry-After, Step-As-Of-Height, X-Request-Id, Allow, Date"
)
"""What a page may read of an answer, beyond its type, length and cache control."""


class Cors:
    """What to tell browsers, by the operator's `origins`: some, or `ANY_ORIGIN`, or none."""

    def __init__(self, origins: frozenset[str] = frozenset({ANY_ORIGIN})) -> None:
        self._any = ANY_ORIGIN in origins
        self._origins = frozenset(origin.encode() for origin in origins)
        self._to_all = _allowing(b"*") if self._any else [(b"vary", b"Origin")] if origins else []

    def fields(self, path: str | None, origin: bytes | None) -> Fields:
        """What an answer for `path` says to a page of `origin`. No path: the request could not be read."""
        if path in CLOSED_PATHS:
            return []
        if self._any or origin is None or origin not in self._origins:
            return self._to_all
        return [*self._to_all, *_allowing(origin)]

    def is_refused(self, path: str, origin: bytes | None, host: bytes) -> bool:
        """Whether a request to a closed path is by a page from elsewhere, as its `Origin` and `Host` say."""
        return path in CLOSED_PATHS and origin is not None and not _is_own(origin, host)

    def preflight(self) -> Response:
        """The answer to the question whether a page may ask at all; `fields` are what makes it yes or no."""
        allow = {
            "Access-Control-Allow-Methods": METHODS,
            "Access-Control-Allow-Headers": _REQUEST_FIELDS,
            "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
        }
        return Response(None, 204, allow if self._origins else None)


def _allowing(origin: bytes) -> Fields:
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", _EXPOSED_FIELDS.encode()),
    ]


def _is_own(origin: bytes, host: bytes) -> bool:
    try:
        return urlsplit(origin).netloc.lower() == host.lower() != b""
    except ValueError:
        return False  # As of brackets that do not close.
