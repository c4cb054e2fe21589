"""What a person finds who opens the node's address in a browser: an index, and the API's description in a viewer.

Everything comes from the package, so the pages work without a network, and no other host learns who reads them. Their
content security policy says so to the browser.
"""

from __future__ import annotations

import gzip
import hashlib
import html
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final, Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field

import step_node
from step_node.api.documentation import EVERYWHERE, refusals
from step_node.api.errors import ApiError, RequestCode
from step_node.api.models.schema import Answer, TimestampText
from step_node.api.routing import api_router
from step_node.api.services import ApiServices
from step_node.explanations.details import Details, shown
from step_node.offload import run_blocking
from step_node.proofs.timestamps import format_timestamp

_JSON: Final = "application/json"
_HTML: Final = "text/html; charset=utf-8"

_INDEX_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
_VIEWER_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Swagger UI puts styles into its elements; scripts are files of this origin alone."""

_APP_LINK: Final = {"app": ("/app/", "the web app: a map, a wallet and an explorer")}
"""Where it is served."""

_LINKS: Final = {
    "documentation": ("/docs", "every request, to read and to try"),
    "description": ("/openapi.json", "the same for programs (OpenAPI)"),
    "health": ("/health", "whether the node is well"),
    "status": ("/status", "where it stands: height, peers, validators"),
    "rules": ("/proof/config", "what proofs are judged by"),
    "submit": ("/proof/submit", "POST a signed proof of where you are"),
    "triangleAt": ("/mesh/triangleAt?lat=47.3769&lon=8.5417&level=10", "the triangle that holds a point"),
    "trending": ("/trending", "where most is proven, by people who look like people"),
    "fairness": ("/fairness", "who was paid how much in each epoch"),
    "guardrails": ("/guardrails", "whether the ledger does what its rules say"),
    "leaderboard": ("/leaderboard", "the accounts with the highest balances"),
    "validators": ("/validators", "who votes"),
}

_INDEX_STYLE: Final = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:2rem auto;padding:0 1rem}code{background:#eee}"
    "@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}a{color:#8cf}code{background:#333}}"
)

_VIEWER_FILES: Final = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "start.js": "text/javascript; charset=utf-8",
}
_VIEWER_SECONDS: Final = 3_600

_RELATIONS: Final = '</openapi.json>; rel="service-desc", </docs>; rel="service-doc", </health>; rel="status"'
"""By RFC 8631."""


class IndexAnswer(Answer):
    """What this is, and where to go from here."""

    ok: Literal[True] = True
    name: str = Field(description="What this is.", examples=["STEP node"])
    version: str = Field(description="Of the program.", examples=["0.1.0"])
    chain_id: str = Field(description="The chain that it validates.", examples=["step-devnet"])
    height: int = Field(description="The last finalised height.", examples=[42])
    links: dict[str, str] = Field(description="Paths, by what is found there.", examples=[{"documentation": "/docs"}])
    timestamp: TimestampText


@dataclass(frozen=True, slots=True)
class _File:
    packed: bytes
    tag: str
    media_type: str


def page_routes(services: ApiServices, describe: Callable[[], dict[str, Any]]) -> APIRouter:
    """`/`, `/docs` with the files of the viewer, and `/openapi.json`, which `describe` makes."""
    routes = api_router("node")

    @routes.get(
        "/",
        summary="What this is, for programs and for people",
        response_model=IndexAnswer,
        responses={200: {"content": {"text/html": {"schema": {"type": "string"}}}}, **refusals(*EVERYWHERE)},
    )
    async def index(request: Request) -> Response:
        """JSON, or a page for whoever prefers HTML."""
        height = services.chain.head.chain.height
        headers = {"Link": _RELATIONS, "Vary": "Accept"}
        if _prefers_html(request.headers.get("accept", "")):
            page = _index_page(services.chain.chain_id, height, links())
            return Response(page, headers={**headers, "Content-Security-Policy": _INDEX_POLICY}, media_type=_HTML)
        answer = IndexAnswer(
            name="STEP node",
            version=step_node.__version__,
            chain_id=services.chain.chain_id,
            height=height,
            links={name: path for name, (path, _) in links().items()},
            timestamp=format_timestamp(services.clock.now_ms()),
        )
        return Response(answer.model_dump_json(by_alias=True), headers=headers, media_type=_JSON)

    def links() -> dict[str, tuple[str, str]]:
        return {**(_APP_LINK if services.web_app.is_served else {}), **_LINKS}

    @lru_cache(maxsize=1)
    def description() -> tuple[bytes, str]:
        body = json.dumps(describe(), ensure_ascii=False, separators=(",", ":")).encode()
        return body, _tag_of(body)

    @routes.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        body, tag = await run_blocking(description)
        return Response(body, headers={"ETag": tag}, media_type=_JSON)

    @routes.get("/docs", include_in_schema=False)
    async def documentation() -> Response:
        headers = {"Content-Security-Policy": _VIEWER_POLICY, "Referrer-Policy": "no-referrer"}
        return Response(_bytes_of("index.html"), headers=headers, media_type=_HTML)

    @routes.get("/docs/{name}", include_in_schema=False)
    async def viewer_file(name: str, request: Request) -> Response:
        if name not in _VIEWER_FILES:
            raise ApiError(
                RequestCode.NOT_FOUND,
                "path: there is nothing here; the API is described at /docs",
                details=Details(value=shown(request.url.path)),
            )
        found = await run_blocking(_viewer_file, name)
        headers = {"ETag": found.tag, "Cache-Control": f"public, max-age={_VIEWER_SECONDS}", "Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(found.packed, headers={**headers, "Content-Encoding": "gzip"}, media_type=found.media_type)
        plain = await run_blocking(gzip.decompress, found.packed)
        return Response(plain, headers=headers, media_type=found.media_type)

    return routes


def _prefers_html(accept: str) -> bool:
    """Browsers name HTML first; programs name JSON, or anything, or nothing."""
    found, wanted = accept.find("text/html"), accept.find("json")
    return found >= 0 and (wanted < 0 or found < wanted)


def _index_page(chain_id: str, height: int, links: Mapping[str, tuple[str, str]]) -> str:
    rows = "".join(
        f'<li><a href="{html.escape(path.removeprefix("/"))}">{html.escape(path)}</a> {html.escape(what)}</li>'
        for path, what in links.values()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<title>STEP node</title>"
        '<link rel="icon" href="data:,">'
        f"<style>{_INDEX_STYLE}</style></head><body><h1>STEP node</h1>"
        f"<p>A validator of the chain <code>{html.escape(chain_id)}</code>, at height {height}, version"
        f" {html.escape(step_node.__version__)}. People sign where they are, and a network of such nodes checks"
        f" the claim and credits the account.</p><ul>{rows}</ul>"
        "<p>To submit a proof, sign where you are with an Ethereum key, as the documentation says, and POST it.</p>"
        "</body></html>"
    )


@lru_cache(maxsize=len(_VIEWER_FILES))
def _viewer_file(name: str) -> _File:
    is_packed = name != "start.js"
    content = _bytes_of(f"{name}.gz" if is_packed else name)
    packed = content if is_packed else gzip.compress(content, mtime=0)
    return _File(packed, _tag_of(packed), _VIEWER_FILES[name])


def _bytes_of(name: str) -> bytes:
    return files("step_node.api").joinpath("viewer", name).read_bytes()


def _tag_of(content: bytes) -> str:
    return f'W/"{hashlib.sha256(content).hexdigest()[:16]}"'
