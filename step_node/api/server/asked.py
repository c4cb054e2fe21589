"""What the head of a request asks for: its target, its host, and which page has a browser ask.

What is meant for another kind of server (a proxy, a tunnel) or names no host as RFC 3986 has them is refused here,
before the application is asked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

import h11

from step_node.api.errors import ApiError, RequestCode
from step_node.api.middleware.methods import SERVER_METHODS
from step_node.explanations.details import Details, shown
from step_node.proofs.proof import RefusalCode

_ABSOLUTE: Final = re.compile(rb"https?://[^/?]*", re.IGNORECASE)
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
"""A name or an address and perhaps a port. Names with other characters are legal, and nobody has one."""


@dataclass(frozen=True, slots=True)
class Asked:
    """`path` is decoded, `query` as it came. `origin` is a page's, None for what is no browser on behalf of a page."""

    path: str
    query: bytes
    host: bytes
    origin: bytes | None
    is_preflight: bool

    @classmethod
    def by(cls, request: h11.Request) -> Asked:
        """Raises `ApiError` for a target or a host that is none of ours."""
        path, query = _target(request)
        headers = dict(request.headers)
        host = headers.get(b"host", b"")
        if _HOST.fullmatch(host) is None:
            raise ApiError(
                RefusalCode.INVALID_PAYLOAD,
                "host: must be a name or an address, and perhaps a port",
                details=Details(value=shown(host.decode("latin-1"))),
            )
        is_preflight = request.method == b"OPTIONS" and b"access-control-request-method" in headers
        return cls(path, query, host, headers.get(b"origin"), is_preflight)


def _target(request: h11.Request) -> tuple[str, bytes]:
    """The path, decoded, and the query. A proxy's form (RFC 9112 §3.2.2) is taken too, and `*` of OPTIONS."""
    if request.method == b"CONNECT":
        # Not of the application's methods: what h11 makes of an answer to it depends on the status.
        raise ApiError(
            RequestCode.METHOD_NOT_ALLOWED,
            "method: CONNECT is for proxies, and this is none",
            details=Details(value="CONNECT", allowed=SERVER_METHODS),
        )
    target = _ABSOLUTE.sub(b"", request.target, count=1)
    if target == b"*" and request.method == b"OPTIONS":
        return "*", b""
    path, _, query = target.partition(b"?")
    if not path.startswith(b"/") and (path or target is request.target):
        raise ApiError(RefusalCode.INVALID_PAYLOAD, "request: its target must be a path, beginning with /")
    return unquote(path.decode("ascii")) or "/", query
