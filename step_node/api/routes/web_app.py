"""The web app at `/app/`: a wallet, a map and an explorer, as files of the package (`clients/web`, ADR 56).

Everything comes from the package and every request goes to this node, or to those that its operator names: the content
security policy says so to the browser.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from fastapi import APIRouter, Request, Response

from step_node.api.errors import ApiError, RequestCode
from step_node.api.middleware.compression import accepts_gzip
from step_node.api.routes.base_map import BASE_MAP_FILE, BASE_MAP_NOTE, base_map_note, base_map_part
from step_node.api.routing import api_router
from step_node.api.server.bill import bill_of
from step_node.api.server.limits import SENDING_COST_MS_PER_KIB
from step_node.api.web_app import WebApp
from step_node.explanations.details import Details, shown
from step_node.offload import run_blocking

_MEDIA_TYPES: Final[Mapping[str, str]] = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "png": "image/png",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
    "webmanifest": "application/manifest+json",
}
"""By what a file's name ends in: what ends otherwise is not of the app."""

_POLICY: Final = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self'{styles}; script-src 'self'{scripts};"
    " connect-src 'self'{nodes};"
    " worker-src 'self'; manifest-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)

_FOR_EVER: Final = "public, max-age=31536000, immutable"
"""For files whose names change with their content."""
_ASK_AGAIN: Final = "no-cache"

_PERMISSIONS: Final = "geolocation=(self), camera=(self), publickey-credentials-get=(self), microphone=(), payment=()"


@dataclass(frozen=True, slots=True)
class _File:
    plain: bytes
    packed: bytes
    digest: bytes
    media_type: str
    scripts: str = ""
    """What stands in a page itself, as its policy names it: by its hash, so that nothing else that gets there runs."""
    styles: str = ""


NODES_FILE: Final = "nodes.json"
"""Which other nodes the app may ask, by the operator's settings."""

WALLET_ADAPTER_FILE: Final = "wallet-adapter.js"
"""A module of the operator's own, if there is one (ADR 60)."""


def web_app_routes(web_app: WebApp) -> APIRouter:
    """`/app/` and its files."""
    routes = api_router("node")

    @routes.get("/app", include_in_schema=False)
    async def without_slash() -> Response:
        _check_served(web_app, "/app")
        # Relative: a proxy may serve the node under a path of its own.
        return Response(status_code=308, headers={"Location": "app/"})

    @routes.get("/app/{path:path}", include_in_schema=False)
    async def file(path: str, request: Request) -> Response:
        _check_served(web_app, request.url.path)
        if path == NODES_FILE:
            return _told_nodes(web_app)
        if path == BASE_MAP_NOTE:
            return base_map_note(web_app.base_map)
        if path == BASE_MAP_FILE and web_app.base_map is not None:
            return await base_map_part(web_app.base_map, request)
        found: _File | None
        if path == WALLET_ADAPTER_FILE and web_app.wallet_adapter is not None:
            found = await run_blocking(_wallet_adapter, web_app.wallet_adapter)
        else:
            found = (await run_blocking(_files)).get(path or "index.html")
        if found is None:
            raise ApiError(
                RequestCode.NOT_FOUND,
                "path: there is no such file of the web app, which begins at /app/",
                details=Details(value=shown(request.url.path)),
            )
        others = (*web_app.nodes, *web_app.wallet_origins)
        nodes = "".join(f" {other}" for other in others)
        policy = _POLICY.format(nodes=nodes, scripts=found.scripts, styles=found.styles)
        headers = {
            # Of the policy too: with a 304 browsers keep the headers that begin with "Content-" as they had them.
            "ETag": _tag(found.digest + policy.encode()),
            "Cache-Control": _FOR_EVER if path.startswith("parts/") else _ASK_AGAIN,
            "Content-Security-Policy": policy,
            "Cross-Origin-Opener-Policy": "same-origin",
            "Permissions-Policy": _PERMISSIONS,
            "Referrer-Policy": "no-referrer",
            "Vary": "Accept-Encoding",
            "X-Content-Type-Options": "nosniff",
        }
        body = found.plain
        if accepts_gzip(request.headers.getlist("accept-encoding")):
            headers["Content-Encoding"] = "gzip"
            body = found.packed
        # Each connection that takes it in slowly holds a copy.
        await bill_of(request.scope)["charge"](SENDING_COST_MS_PER_KIB * len(body) / 1024)
        return Response(body, headers=headers, media_type=found.media_type)

    return routes


def _check_served(web_app: WebApp, path: str) -> None:
    if not web_app.is_served:
        raise ApiError(
            RequestCode.NOT_FOUND,
            "path: this node does not serve the web app (its setting api.web_app is off)",
            details=Details(value=shown(path)),
        )


def _told_nodes(web_app: WebApp) -> Response:
    body = json.dumps(web_app.nodes).encode()
    return Response(body, headers={"ETag": _tag(body), "Cache-Control": _ASK_AGAIN}, media_type="application/json")


def _tag(content: bytes) -> str:
    """Weak, for the same content is sent packed and as it is."""
    return f'W/"{hashlib.sha256(content).hexdigest()[:16]}"'


@lru_cache(maxsize=1)
def _files() -> dict[str, _File]:
    """Every file of the app by its path: a few hundred kilobytes, read and packed once."""
    return dict(_read(files("step_node.api").joinpath("web"), ""))


def _read(folder: Traversable, before: str) -> Iterator[tuple[str, _File]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _read(entry, f"{before}{entry.name}/")
        elif media_type := _MEDIA_TYPES.get(entry.name.rpartition(".")[2]):
            yield before + entry.name, _packed(entry.read_bytes(), media_type)


@lru_cache(maxsize=1)
def _wallet_adapter(content: bytes) -> _File:
    return _packed(content, _MEDIA_TYPES["js"])


def _packed(plain: bytes, media_type: str) -> _File:
    packed, digest = gzip.compress(plain, mtime=0), hashlib.sha256(plain).digest()
    if media_type != _MEDIA_TYPES["html"]:
        return _File(plain, packed, digest, media_type)
    return _File(plain, packed, digest, media_type, scripts=_hashes(plain, b"script"), styles=_hashes(plain, b"style"))


def _hashes(page: bytes, element: bytes) -> str:
    """Of the elements of a page of ours that have their content in it, as a policy lists them."""
    within = re.findall(b"<" + element + b">(.*?)</" + element + b">", page, re.DOTALL)
    return "".join(f" 'sha256-{base64.b64encode(hashlib.sha256(each).digest()).decode()}'" for each in within)
