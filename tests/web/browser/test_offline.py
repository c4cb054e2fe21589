"""The service worker: the app opens without its node, a new version waits for the person, and the API is never kept."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from tests.javascript.browser import served
from tests.web.app import SERVED
from tests.web.browser.network import Network
from tests.web.browser.visitor import IN_CONTROL, Visitor

KEPT: Final = """Promise.all((await caches.keys()).map(async (name) =>
  (await (await caches.open(name)).keys()).map(({ url }) => url)))"""


def kept_by_the_worker(page: Page) -> list[str]:
    """The addresses of all that any cache of the origin has."""
    lists: list[list[str]] = page.evaluate(f"async () => {KEPT}")
    return [url for urls in lists for url in urls]


@pytest.mark.long
def test_the_app_opens_without_a_connection_and_says_so(page: Page, network: Network, visitor: Visitor) -> None:
    page.wait_for_function(IN_CONTROL)
    expect(page.get_by_role("link", name=", live")).to_be_visible()
    visitor.context.set_offline(True)
    expect(page.get_by_text("No connection.")).to_be_visible()
    for name in ("Prove", "Wallet", "Explorer", "Node", "Globe"):
        link = page.get_by_role("navigation", name="Pages").get_by_role("link", name=name, exact=True)
        link.click()
        expect(link).to_have_attribute("aria-current", "page")
        expect(page.get_by_text("Loading…")).to_have_count(0)
        expect(page.get_by_text("This page has failed")).to_have_count(0)
    page.reload()
    expect(page.get_by_role("link", name="Globe", exact=True)).to_be_visible()
    expect(page.get_by_text("No connection.")).to_be_visible()
    visitor.context.set_offline(False)
    expect(page.get_by_text("No connection.")).to_have_count(0)
    expect(page.get_by_role("link", name=", live")).to_be_visible()
    kept = kept_by_the_worker(page)
    assert f"{network.app()}index.html" in kept
    assert [url for url in kept if not url.startswith(network.app())] == [], "answers of the API are never kept"


@pytest.mark.long
def test_browsers_find_nothing_that_keeps_the_app_from_being_installed(page: Page) -> None:
    page.wait_for_function(IN_CONTROL)
    devtools = page.context.new_cdp_session(page)
    errors = devtools.send("Page.getInstallabilityErrors")["installabilityErrors"]
    # A profile of a test is a private window, which installs nothing.
    assert [error["errorId"] for error in errors if error["errorId"] != "in-incognito"] == []
    manifest = json.loads(devtools.send("Page.getAppManifest")["data"])
    assert manifest["start_url"] == manifest["scope"] == "./"
    for icon in (*manifest["icons"], *(one for shortcut in manifest["shortcuts"] for one in shortcut["icons"])):
        size = page.evaluate(
            "async (src) => { const image = new Image(); image.src = src; await image.decode();"
            " return `${image.naturalWidth}x${image.naturalHeight}`; }",
            icon["src"],
        )
        assert icon["sizes"] in ("any", size)


@pytest.mark.long
def test_a_new_version_waits_until_the_person_wants_it(visitors: Callable[..., Visitor], tmp_path: Path) -> None:
    app = tmp_path / "site" / "app"
    shutil.copytree(SERVED, app)
    (app / "nodes.json").write_text("[]")
    with served(tmp_path / "site") as origin:
        visitor = visitors()
        visitor.watched.origins.add(origin)
        page = visitor.page(f"{origin}/app/")
        page.wait_for_function(IN_CONTROL)
        page.evaluate("window.isTheSame = true")
        expect(page.get_by_text("new version")).to_have_count(0)
        for name in ("service-worker.js", "index.html"):
            path = app / name
            path.write_text(
                re.sub(r"[0-9a-f]{16}", "0123456789abcdef", path.read_text()).replace("<title>", "<title>New ")
            )
        page.evaluate("navigator.serviceWorker.getRegistration().then((it) => it.update())")
        expect(page.get_by_text("There is a new version of this app.")).to_be_visible()
        assert page.evaluate("window.isTheSame"), "nothing is reloaded by itself"
        page.get_by_role("button", name="Reload").click()
        page.wait_for_function("window.isTheSame === undefined")
        expect(page.get_by_text("There is a new version of this app.")).to_have_count(0)
        names = page.evaluate("caches.keys()")
        assert [name.rpartition(" ")[2] for name in names] == ["0123456789abcdef"], "the old version is gone"
        # A node that serves no app any more has it go.
        shutil.rmtree(app)
        page.reload()
        page.wait_for_function("navigator.serviceWorker.getRegistration().then((it) => it === undefined)")


@pytest.mark.long
def test_who_stays_with_the_old_version_in_another_tab_has_all_of_its_parts(
    visitors: Callable[..., Visitor], tmp_path: Path
) -> None:
    app = tmp_path / "site" / "app"
    shutil.copytree(SERVED, app)
    (app / "nodes.json").write_text("[]")
    with served(tmp_path / "site") as origin:
        visitor = visitors()
        visitor.watched.origins.add(origin)
        page = visitor.page(f"{origin}/app/")
        page.wait_for_function(IN_CONTROL)
        other = visitor.page(f"{origin}/app/")
        other.wait_for_function(IN_CONTROL)
        # The new version has another part for the page of the node, and the old one is served no more.
        (old,) = (path.name for path in (app / "parts").glob("node-*.js"))
        (app / "parts" / old).rename(app / "parts" / "node-0NEW0000.js")
        for path in (*app.glob("*.html"), app / "service-worker.js"):
            new = path.read_text().replace(old, "node-0NEW0000.js").replace("<title>", "<title>New ")
            path.write_text(re.sub(r'"[0-9a-f]{16}"', '"0123456789abcdef"', new))
        page.evaluate("navigator.serviceWorker.getRegistration().then((it) => it.update())")
        page.get_by_role("status").get_by_role("button", name="Reload").click()
        page.wait_for_function("caches.keys().then((names) => names.some((name) => name.endsWith('0123456789abcdef')))")
        page.wait_for_function("document.title.startsWith('Globe') && navigator.serviceWorker.controller !== null")
        other.get_by_role("navigation", name="Pages").get_by_role("link", name="Node").click()
        expect(other.get_by_text("Loading…")).to_have_count(0)
        expect(other.get_by_text("This page has failed")).to_have_count(0)
        expect(other.get_by_role("heading", name="Node").first).to_be_visible()
        # Alone, the new version needs nothing of the old one.
        other.close()
        page.reload()
        page.wait_for_function("caches.keys().then((names) => names.length === 1)")
