"""The web app as a node serves it: its files, what browsers are told of them, and what the operator may say."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import random
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from pathlib import Path

import httpx
import pytest
import trio
from starlette.types import Receive, Scope, Send

from step_node.api.app import create_app
from step_node.api.base_map import PART_BYTES_MAX, checked_base_map
from step_node.api.server.bill import BILL_EXTENSION, ApplicationBill
from step_node.api.server.limits import COST_MS_DEFAULT, SENDING_COST_MS_PER_KIB, cost_ms_of
from step_node.api.server.quotas import AddressQuota, Quotas
from step_node.api.web_app import WALLET_ADAPTER_BYTES_MAX, WebApp, read_wallet_adapter
from step_node.errors import StepNodeError
from tests.api.made_up_node import MadeUpNode
from tests.api.serving import serve
from tests.web.app import SERVED

FILES = sorted(path.relative_to(SERVED).as_posix() for path in SERVED.rglob("*") if path.is_file())
TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "png": "image/png",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
    "webmanifest": "application/manifest+json",
}


def become(web_app: WebApp, other: WebApp) -> None:
    """As settings that are read again make it."""
    for one in fields(WebApp):
        setattr(web_app, one.name, getattr(other, one.name))


@asynccontextmanager
async def told(node: MadeUpNode, web_app: WebApp) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a node whose operator says this of the app."""
    app = create_app(replace(node.services(), web_app=web_app))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://node") as client:
        yield client


def test_there_is_an_app_to_serve() -> None:
    assert "index.html" in FILES, "step_node/api/web is empty: make web"


async def test_every_file_is_served_whole_packed_and_only_once(client: httpx.AsyncClient) -> None:
    for path in FILES:
        content = (SERVED / path).read_bytes()
        plain = await client.get(f"/app/{path}", headers={"Accept-Encoding": "identity"})
        assert (plain.status_code, plain.content) == (200, content), path
        assert plain.headers["content-type"] == TYPES[path.rpartition(".")[2]]
        assert plain.headers["x-content-type-options"] == "nosniff"
        async with client.stream("GET", f"/app/{path}", headers={"Accept-Encoding": "gzip"}) as packed:
            assert packed.headers["content-encoding"] == "gzip"
            assert gzip.decompress(b"".join([some async for some in packed.aiter_raw()])) == content
        is_for_ever = path.startswith("parts/")
        assert ("immutable" in plain.headers["cache-control"]) is is_for_ever
        assert is_for_ever or plain.headers["cache-control"] == "no-cache"
        again = await client.get(f"/app/{path}", headers={"If-None-Match": plain.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        head = await client.head(f"/app/{path}", headers={"Accept-Encoding": "identity"})
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(content))


async def test_who_refuses_gzip_gets_the_file_as_it_is(client: httpx.AsyncClient) -> None:
    answer = await client.get("/app/", headers={"Accept-Encoding": "gzip;q=0, identity"})
    assert "content-encoding" not in answer.headers


async def test_the_page_is_at_the_slash_and_leads_there_under_any_path(client: httpx.AsyncClient) -> None:
    page = await client.get("/app/")
    assert page.content == (SERVED / "index.html").read_bytes()
    without = await client.get("/app")
    assert (without.status_code, without.headers["location"]) == (308, "app/")
    # A proxy may serve the node under a path of its own: nothing in the page begins at the root.
    assert re.findall(r'(?:src|href)="(/|[a-z]+:)', page.text) == []


async def test_everything_that_the_page_loads_is_there(client: httpx.AsyncClient) -> None:
    loaded = re.findall(r'(?:src|href)="([^".][^"]*)"', (SERVED / "index.html").read_text())
    manifest = json.loads((SERVED / "manifest.webmanifest").read_text())
    icons = [icon["src"] for icon in manifest["icons"]]
    assert len(loaded) >= 4
    assert icons
    for path in (*loaded, *icons):
        assert (await client.get(f"/app/{path}")).status_code == 200, path


async def test_the_policy_lets_the_page_ask_this_node_alone(client: httpx.AsyncClient) -> None:
    headers = (await client.get("/app/")).headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert policy["connect-src"] == "'self'"
    # What stands in the page itself is named by its hash, each of it once.
    page = (SERVED / "index.html").read_bytes()
    for element in (b"script", b"style"):
        within = re.findall(b"<" + element + b">(.*?)</" + element + b">", page, re.DOTALL)
        hashes = [base64.b64encode(hashlib.sha256(each).digest()).decode() for each in within]
        assert len(within) == page.count(b"<" + element)
        assert policy[f"{element.decode()}-src"].split() == ["'self'", *(f"'sha256-{one}'" for one in hashes)]
    assert "sha256" not in (await client.get("/app/licences.txt")).headers["content-security-policy"]
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["object-src"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"


async def test_nodes_that_the_operator_names_may_be_asked_and_the_app_is_told(node: MadeUpNode) -> None:
    others = ("https://other.example", "http://192.0.2.1:8600")
    async with told(node, WebApp(nodes=others)) as client:
        answer = await client.get("/app/nodes.json")
        assert tuple(answer.json()) == others
        assert answer.headers["cache-control"] == "no-cache"
        same = await client.get("/app/nodes.json", headers={"If-None-Match": answer.headers["etag"]})
        assert same.status_code == 304
        policy = (await client.get("/app/")).headers["content-security-policy"]
        assert f"connect-src 'self' {' '.join(others)};" in policy
    async with told(node, WebApp()) as client:
        assert (await client.get("/app/nodes.json")).json() == []


async def test_who_has_the_page_gets_it_again_with_another_policy(node: MadeUpNode) -> None:
    # A 304 does not do: Chromium goes on with the headers "Content-..." that it had.
    web_app = WebApp()
    async with told(node, web_app) as client:
        before = (await client.get("/app/")).headers
        for other in (WebApp(nodes=("https://other.example",)), WebApp(wallet_origins=("wss://relay.example",))):
            become(web_app, other)
            answer = await client.get("/app/", headers={"If-None-Match": before["etag"]})
            assert answer.status_code == 200
            assert answer.headers["content-security-policy"] != before["content-security-policy"]
        become(web_app, WebApp())
        assert (await client.get("/app/", headers={"If-None-Match": before["etag"]})).status_code == 304


async def test_a_wallet_of_the_operators_is_served_and_may_ask_its_own_servers(node: MadeUpNode) -> None:
    module = b"export async function connect() {}"
    web_app = WebApp(wallet_adapter=module, wallet_origins=("wss://relay.example",))
    async with told(node, web_app) as client:
        answer = await client.get("/app/wallet-adapter.js")
        assert (answer.content, answer.headers["content-type"]) == (module, TYPES["js"])
        assert answer.headers["cache-control"] == "no-cache"
        policy = (await client.get("/app/")).headers["content-security-policy"]
        assert "connect-src 'self' wss://relay.example;" in policy
        assert "script-src 'self' 'sha256-" in policy
        assert "relay" not in policy.partition("script-src")[2].partition(";")[0]
        # Another one, and then none.
        become(web_app, WebApp(wallet_adapter=b"export const another = 1;"))
        changed = await client.get("/app/wallet-adapter.js", headers={"If-None-Match": answer.headers["etag"]})
        assert (changed.status_code, changed.content) == (200, b"export const another = 1;")
        become(web_app, WebApp())
        assert (await client.get("/app/wallet-adapter.js")).status_code == 404
        assert "connect-src 'self';" in (await client.get("/app/")).headers["content-security-policy"]


def test_a_wallet_that_cannot_be_read_or_is_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StepNodeError, match=r"api\.web_app_wallet: .*cannot be read"):
        read_wallet_adapter(tmp_path / "none.js")
    path = tmp_path / "wallet-adapter.js"
    path.write_bytes(b" " * WALLET_ADAPTER_BYTES_MAX)
    assert len(read_wallet_adapter(path)) == WALLET_ADAPTER_BYTES_MAX
    path.write_bytes(b" " * (WALLET_ADAPTER_BYTES_MAX + 1))
    with pytest.raises(StepNodeError, match=r"api\.web_app_wallet: .*at most 4194304 bytes"):
        read_wallet_adapter(path)


async def test_pages_ask_for_parts_of_a_base_map_and_never_get_the_whole(node: MadeUpNode, tmp_path: Path) -> None:
    path = tmp_path / "base-map.pmtiles"
    content = b"PMTiles\x03" + random.randbytes(PART_BYTES_MAX)
    path.write_bytes(content)
    web_app = WebApp(base_map=checked_base_map(path))

    async with told(node, web_app) as client:

        async def ask(asked: str | None) -> httpx.Response:
            return await client.get("/app/base-map.pmtiles", headers={} if asked is None else {"Range": asked})

        assert (await client.get("/app/base-map.json")).json() == {"isThere": True}
        for first, last in ((0, 99), (1_000, 1_000), (len(content) - 5, len(content) + 5)):
            answer = await ask(f"bytes={first}-{last}")
            end = min(last, len(content) - 1)
            assert (answer.status_code, answer.content) == (206, content[first : end + 1])
            assert answer.headers["content-range"] == f"bytes {first}-{end}/{len(content)}"
            assert answer.headers["content-type"] == "application/vnd.pmtiles"
            assert "content-encoding" not in answer.headers
        whole = f"bytes=0-{PART_BYTES_MAX}"
        past = f"bytes={len(content)}-{len(content) + 9}"
        for asked in (
            None,
            whole,
            past,
            "bytes=5-4",
            "bytes=-5",
            "bytes=0-",
            "bytes=0-1,5-6",
            "bytes=0-9999999999999999",
            # Further than ext4 seeks.
            "bytes=999999999999990-999999999999999",
        ):
            refused = await ask(asked)
            assert (refused.status_code, refused.json()["code"]) == (400, "INVALID_PAYLOAD"), asked
            assert refused.json()["details"]["field"] == "Range"

        tag = (await ask("bytes=0-9")).headers["etag"]
        path.write_bytes(content + b"more")
        assert (await ask("bytes=0-9")).headers["etag"] != tag
        path.unlink()
        assert (await ask("bytes=0-9")).status_code == 404
        become(web_app, WebApp())
        assert (await client.get("/app/base-map.json")).json() == {"isThere": False}
        assert (await ask("bytes=0-9")).json()["code"] == "NOT_FOUND"


@asynccontextmanager
async def charged_client(
    node: MadeUpNode, web_app: WebApp, charge: Callable[[float], None]
) -> AsyncIterator[httpx.AsyncClient]:
    """As `told`, of which `charge` is told what an answer costs beyond its request."""
    app = create_app(replace(node.services(), web_app=web_app))

    async def charging(cost_ms: float, /) -> None:
        charge(cost_ms)

    async def counting(scope: Scope, receive: Receive, send: Send) -> None:
        free = AddressQuota(Quotas(0), None)
        bill = ApplicationBill(charge=charging, give_back=lambda _part: None, quota=free)
        scope["extensions"] = {BILL_EXTENSION: bill}
        await app(scope, receive, send)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(counting), base_url="http://node") as client:
        yield client


async def test_a_wallet_costs_by_what_is_sent_of_it(node: MadeUpNode) -> None:
    web_app, charged = WebApp(wallet_adapter=b" " * WALLET_ADAPTER_BYTES_MAX), list[float]()
    async with charged_client(node, web_app, charged.append) as client:
        for coding in ("identity", "gzip"):
            await client.get("/app/wallet-adapter.js", headers={"Accept-Encoding": coding})
    plain, packed = charged
    assert plain == SENDING_COST_MS_PER_KIB * WALLET_ADAPTER_BYTES_MAX / 1024
    assert 0 < packed < plain / 100


async def test_a_part_of_a_base_map_costs_by_its_size_and_before_it_is_read(node: MadeUpNode, tmp_path: Path) -> None:
    path = tmp_path / "base-map.pmtiles"
    path.write_bytes(b"PMTiles\x03" + bytes(PART_BYTES_MAX))
    charged: list[float] = []

    def charge(cost_ms: float) -> None:
        charged.append(cost_ms)
        if len(charged) > 2:
            path.unlink()

    async with charged_client(node, WebApp(base_map=checked_base_map(path)), charge) as client:
        for bytes_asked, status in ((1024, 206), (PART_BYTES_MAX, 206), (1024, 404)):
            asked = {"Range": f"bytes=0-{bytes_asked - 1}"}
            assert (await client.get("/app/base-map.pmtiles", headers=asked)).status_code == status
    assert charged == [cost * SENDING_COST_MS_PER_KIB for cost in (1, PART_BYTES_MAX / 1024, 1)]


def test_a_base_map_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StepNodeError, match=r"api\.web_app_base_map: .*cannot be read"):
        checked_base_map(tmp_path / "none.pmtiles")
    path = tmp_path / "base-map.pmtiles"
    path.write_bytes(b"SQLite format 3\0")
    with pytest.raises(StepNodeError, match=r"api\.web_app_base_map: .*must be a PMTiles file of version 3"):
        checked_base_map(path)


async def test_what_the_operator_says_holds_at_once(node: MadeUpNode) -> None:
    web_app = WebApp()
    async with told(node, web_app) as client:
        assert (await client.get("/")).json()["links"]["app"] == "/app/"
        web_app.is_served = False
        for path in ("/app", "/app/", "/app/index.html", "/app/nodes.json"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
            assert "api.web_app" in answer.json()["message"]
        assert "app" not in (await client.get("/")).json()["links"]
        web_app.is_served = True
        assert (await client.get("/app/")).status_code == 200


NOWHERE = (
    "nowhere.js",
    "parts/",
    "parts",
    "/index.html",
    "../pages.py",
    "%2e%2e/pages.py",
    "..%2fpages.py",
    "parts/../index.html",
    "parts/%2e%2e/index.html",
    "./index.html",
    "%2Fetc%2Fpasswd",
    "..%5c..%5cpages.py",
    "index.html%00.js",
    "INDEX.HTML",
    "__init__.py",
    "index.html/",
)
"""Sent as they stand, which clients of HTTP do not: they tidy paths up."""


async def test_nothing_else_is_served(node: MadeUpNode) -> None:
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve, node)
        for path in NOWHERE:
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            async with stream:
                await stream.send_all(f"GET /app/{path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n".encode())
                answer = b"".join([some async for some in stream])
            assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 404")), (path, answer)
            assert b'"ok":false' in answer
        nursery.cancel_scope.cancel()


async def test_the_page_of_the_node_leads_to_the_app(client: httpx.AsyncClient) -> None:
    page = await client.get("/", headers={"Accept": "text/html"})
    assert '<a href="app/">' in page.text


def test_a_file_costs_less_than_a_question() -> None:
    assert 0 < cost_ms_of("/app/") <= cost_ms_of("/app/parts/app.js") < COST_MS_DEFAULT
