"""What a person finds in a browser, and that it needs nobody but the node."""

from __future__ import annotations

import gzip
import hashlib
import re
from importlib.resources import files

import httpx
import pytest

from scripts.vendor_viewer import VIEWER

HASHES = {
    "swagger-ui-bundle.js.gz": "e6a898692f2d768e807c3ba4626068a69a2c5dd960dd6c76f3e4d3a3de180af2",
    "swagger-ui.css.gz": "5ed08757e53da3e026d6cbecc61fe5d43585c9560b302d534ad56692519a273d",
}
"""Of what they unpack to: the files of swagger-ui-dist, as `scripts.vendor_viewer` has them checked."""

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


async def test_programs_find_paths_at_the_root(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    found = answer.json()
    assert (found["ok"], found["name"], found["height"]) == (True, "STEP node", 0)
    for name, path in found["links"].items():
        assert (await client.get(path)).status_code == (405 if name == "submit" else 200), path
    assert 'rel="service-desc"' in answer.headers["link"]


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (BROWSER, "text/html; charset=utf-8"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("application/json, text/html", "application/json"),
        ("", "application/json"),
    ],
)
async def test_who_prefers_html_gets_a_page_at_the_root(
    client: httpx.AsyncClient, accept: str, media_type: str
) -> None:
    answer = await client.get("/", headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == media_type
    assert "Accept" in answer.headers["vary"]


async def test_pages_name_no_other_origin_and_forbid_all_others(client: httpx.AsyncClient) -> None:
    for path in ("/", "/docs"):
        page = await client.get(path, headers={"Accept": BROWSER})
        assert re.findall(r"(?:https?:)?//[a-z]", page.text) == []
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "http" not in policy
        assert "unsafe-eval" not in policy
        assert "script-src 'self' 'unsafe-inline'" not in policy
    started = (await client.get("/docs/start.js")).text
    assert "//" not in re.sub(r"^// .*$", "", started, flags=re.MULTILINE)
    assert "validatorUrl: null" in started


async def test_everything_that_the_viewer_loads_is_served(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs")).text
    loaded = re.findall(r'(?:src|href)="(docs/[^"]+)"', page)
    assert len(loaded) == 3
    for path in loaded:
        packed = await client.get(f"/{path}", headers={"Accept-Encoding": "gzip"})
        plain = await client.get(f"/{path}", headers={"Accept-Encoding": "identity"})
        assert (packed.status_code, plain.status_code) == (200, 200)
        assert packed.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert packed.content == plain.content
        assert packed.headers["content-type"].startswith(("text/javascript", "text/css"))
        assert "max-age" in packed.headers["cache-control"]
        again = await client.get(f"/{path}", headers={"If-None-Match": packed.headers["etag"]})
        assert again.status_code == 304


@pytest.mark.parametrize("name", ["LICENSE", "index.html", "..%2Fapp.py", "swagger-ui-bundle.js.gz", "%2e%2e"])
async def test_nothing_else_of_the_package_is_served(client: httpx.AsyncClient, name: str) -> None:
    assert (await client.get(f"/docs/{name}")).status_code == 404


@pytest.mark.parametrize("name", HASHES)
def test_the_viewer_is_the_one_that_was_fetched(name: str) -> None:
    content = gzip.decompress((VIEWER / name).read_bytes())
    assert hashlib.sha256(content).hexdigest() == HASHES[name]


def test_the_viewers_licence_goes_with_it() -> None:
    viewer = files("step_node.api").joinpath("viewer")
    assert "Apache License" in viewer.joinpath("LICENSE").read_text()
    assert "swagger-ui" in viewer.joinpath("NOTICE").read_text()
    assert viewer.joinpath("swagger-ui-bundle.js.LICENSE.txt").is_file()
