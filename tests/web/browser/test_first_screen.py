"""The first screen is small: the page, its script and styles, and the world that it draws."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.web.app import SERVED
from tests.web.browser.first_screen import first_visit
from tests.web.browser.network import Network
from tests.web.browser.visitor import Visitor

PACKED_BYTES_MAX = 80_000
"""Of the app's files that the first screen shows, the coarse outlines of the world among them."""
FRAME_BYTES_MAX = 16_000
"""Of the page with the frame in it, which can be used before anything else is there."""
LOADED_BYTES_MAX = 90_000
"""Of all that comes over the wire until it can be used: heads, and answers of the API, too."""
PARTS_MAX = 2
"""Over a slow network each round of requests is half a second: one script, and the styles of other pages."""


def test_what_the_first_screen_shows_is_small_and_comes_in_one_round() -> None:
    page = (SERVED / "index.html").read_text(encoding="utf-8")
    parts = re.findall(r'"(parts/[^"]*)"', page)
    (outlines,) = SERVED.glob("parts/coarse-*.js")
    shown = [SERVED / name for name in ("index.html", "icon.svg", "manifest.webmanifest", *parts)]
    assert len(parts) <= PARTS_MAX
    assert len(gzip.compress(page.encode(), mtime=0)) <= FRAME_BYTES_MAX
    assert sum(len(gzip.compress(path.read_bytes(), mtime=0)) for path in (*shown, outlines)) <= PACKED_BYTES_MAX


@pytest.fixture
def waiting(visitors: Callable[..., Visitor]) -> Callable[..., tuple[Page, Callable[[], None]]]:
    """A visitor whose page asks for nothing else but itself gets until the function that is given back is called."""

    def new(**options: Any) -> tuple[Page, Callable[[], None]]:
        page = visitors(service_workers="block", **options).context.new_page()
        held: list[Route] = []
        is_going_on = False

        def hold(route: Route) -> None:
            if is_going_on:
                route.continue_()
            else:
                held.append(route)

        def go_on() -> None:
            nonlocal is_going_on
            is_going_on = True
            for route in held:
                route.continue_()

        page.route(re.compile(r"/parts/|\.json$|/status$"), hold)
        return page, go_on

    return new


def test_a_tap_on_the_bar_is_answered_before_anything_else_is_there(
    waiting: Callable[..., tuple[Page, Callable[[], None]]], network: Network
) -> None:
    page, go_on = waiting()
    page.goto(network.app(), wait_until="commit")
    wallet = page.get_by_role("navigation", name="Pages").get_by_role("link", name="Wallet")
    expect(page.get_by_role("link", name="Globe", exact=True)).to_have_attribute("aria-current", "page")
    wallet.click()
    expect(wallet).to_have_attribute("aria-current", "page")
    expect(page).to_have_title("Wallet · STEP")
    expect(page.locator("main")).to_be_focused()
    expect(page.locator("main")).to_have_text("Loading…")
    page.get_by_role("button", name="Deutsch").click()
    expect(page.get_by_role("navigation", name="Seiten")).to_be_visible()
    go_on()
    expect(page.get_by_role("button", name="Schlüssel erzeugen").or_(page.get_by_role("heading").first)).to_be_visible()
    expect(page.get_by_text("Wird geladen")).to_have_count(0)


def test_the_frame_is_in_the_page_in_each_language_without_any_script(browser: Browser, network: Network) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(network.app())
    links = page.get_by_role("navigation", name="Pages").get_by_role("link")
    expect(links).to_have_text(["Globe", "Prove", "Wallet", "Explorer", "Node"])
    links.nth(2).click()
    assert page.url == f"{network.app()}#/wallet"
    context.close()


def test_the_frame_is_in_the_persons_language_before_the_apps_script_has_run(
    browser: Browser, network: Network
) -> None:
    context = browser.new_context(locale="de-CH", service_workers="block")
    page = context.new_page()
    # The script of the frame fails at its first step; the one before it does not need this.
    page.add_init_script("window.addEventListener = () => { throw new Error('no frame') }")
    page.goto(network.app())
    expect(page.get_by_role("navigation", name="Seiten").get_by_role("link")).to_have_text(
        ["Globus", "Beweisen", "Konto", "Einsicht", "Knoten"]
    )
    assert page.locator("html").get_attribute("lang") == "de"
    assert page.locator("nav a[aria-current]").count() == 0
    context.close()


@pytest.mark.long
def test_nothing_else_is_loaded_before_it_can_be_used(browser: Browser, network: Network) -> None:
    visit = first_visit(browser, network.app(), is_slow=False)
    assert visit.loaded_bytes <= LOADED_BYTES_MAX
