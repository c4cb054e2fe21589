"""The frame around the pages: addresses, titles, languages, keyboard, chains, failures; and what it asks for."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import pytest
from eth_account import Account
from playwright.sync_api import Page, Route, expect

from step_node.signing.keystore import new_private_key
from tests.web.browser.network import Network
from tests.web.browser.proofs import new_spot, prove
from tests.web.browser.visitor import IN_CONTROL, WIDTHS, Visitor, accessibility_violations
from tests.web.browser.watching import origin_of

ENGLISH: Final = ("Globe", "Prove", "Wallet", "Explorer", "Node")
GERMAN: Final = ("Globus", "Beweisen", "Konto", "Einsicht", "Knoten")
KEEP_CHAIN: Final = """(chain) => new Promise((resolve, reject) => {
  const opening = indexedDB.open("step", 1);
  opening.onerror = reject;
  opening.onsuccess = () => {
    const writing = opening.result.transaction("kept", "readwrite");
    writing.objectStore("kept").put(chain, "chain");
    writing.oncomplete = () => { opening.result.close(); resolve(); };
  };
})"""
"""As `shell/keeping.ts` keeps it."""


def test_each_page_of_the_bar_is_reached_titled_and_read_from_its_beginning(
    page: Page, network: Network, visitor: Visitor
) -> None:
    bar = page.get_by_role("navigation", name="Pages")
    for name in (*ENGLISH[1:], ENGLISH[0]):
        bar.get_by_role("link", name=name, exact=True).click()
        # The parts of the explorer have titles of their own.
        expect(page).to_have_title(f"{'Overview' if name == 'Explorer' else name} · STEP")
        expect(bar.get_by_role("link", name=name, exact=True)).to_have_attribute("aria-current", "page")
        expect(page.locator("main")).to_be_focused()
    expect(page.get_by_label(re.compile(f"^{network.devnet.genesis.chain_id} [0-9,]+ batches, live$"))).to_be_visible()
    # It is another language at once, also the next time.
    page.get_by_role("button", name="Deutsch").click()
    bar = page.get_by_role("navigation", name="Seiten")
    assert tuple(text.strip() for text in bar.get_by_role("link").all_inner_texts()) == GERMAN
    expect(page).to_have_title("Globus · STEP")
    page.reload()
    expect(bar.get_by_role("link", name="Globus")).to_be_visible()
    assert page.locator("html").get_attribute("lang") == "de"
    # The node that serves the app is the only one that is asked, as long as it answers.
    assert [one.url for one in visitor.watched.asked if origin_of(one.url) != network.urls[0]] == []


@pytest.mark.long
def test_the_keyboard_skips_to_the_content_and_stays_on_the_page(page: Page) -> None:
    expect(page.get_by_role("navigation", name="Pages")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    expect(page).to_have_title("Globe · STEP")
    for _ in ENGLISH:
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.activeElement.closest('nav') !== null"):
            break
    expect(page.get_by_role("link", name="Node", exact=True)).to_be_focused()


@pytest.mark.long
def test_who_asks_for_no_page_is_told_and_led_back(visitor: Visitor, network: Network) -> None:
    page = visitor.page(f"{network.app()}#/nowhere/<b>at all</b>")
    expect(page.get_by_text("There is no such page.")).to_be_visible()
    page.get_by_role("link", name="Back to the globe").click()
    expect(page).to_have_title("Globe · STEP")


@pytest.mark.long
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_sticks_out_at_any_width(visitor: Visitor, network: Network, width: int) -> None:
    page = visitor.page(network.app())
    page.set_viewport_size({"width": width, "height": WIDTHS[width]})
    for name in ENGLISH:
        page.get_by_role("navigation", name="Pages").get_by_role("link", name=name, exact=True).click()
        expect(page.get_by_role("link", name=name, exact=True).first).to_have_attribute("aria-current", "page")
        expect(page.get_by_text("Loading…")).to_have_count(0)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name


@pytest.mark.long
def test_a_page_that_cannot_be_loaded_says_so_and_leaves_the_others(
    visitors: Callable[..., Visitor], network: Network
) -> None:
    visitor = visitors(service_workers="block")

    def fail(route: Route) -> None:
        route.abort()

    page = visitor.page(network.app())
    expect(page).to_have_title("Globe · STEP")
    page.route(re.compile(r"/parts/node-"), fail)
    page.get_by_role("link", name="Node", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("This page has failed")
    page.get_by_role("link", name="Explorer", exact=True).click()
    expect(page.get_by_text("This page has failed")).to_have_count(0)
    page.get_by_role("link", name="Node", exact=True).click()
    expect(page.get_by_text("This page has failed")).to_be_visible()
    page.unroute(re.compile(r"/parts/node-"))
    page.get_by_role("button", name="Reload").click()
    expect(page).to_have_title("Node · STEP")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_the_button_asks_the_browser_to_install_the_app_once(page: Page) -> None:
    button = page.get_by_role("button", name="Install", exact=True)
    expect(page.get_by_role("navigation", name="Pages")).to_be_visible()
    expect(button).to_have_count(0)
    offer = """() => {
      const offer = new Event("beforeinstallprompt", { cancelable: true });
      offer.prompt = async () => { window.asked = (window.asked ?? 0) + 1; };
      dispatchEvent(offer);
      return offer.defaultPrevented;
    }"""
    assert page.evaluate(offer), "the browser's own banner is held back"
    button.click()
    expect(button).to_have_count(0)
    assert page.evaluate("window.asked") == 1
    # Another way to it has been taken meanwhile, such as the browser's menu.
    page.evaluate(offer)
    expect(button).to_be_visible()
    page.evaluate("dispatchEvent(new Event('appinstalled'))")
    expect(button).to_have_count(0)
    assert page.evaluate("window.asked") == 1


@pytest.mark.long
def test_dates_and_amounts_that_are_none_fail_no_page(page: Page, network: Network) -> None:
    spot = new_spot()
    key = new_private_key()
    proof = prove(network, spot, private_key=key)
    address = Account.from_key(key).address.lower()

    def lie(route: Route) -> None:
        answer = route.fetch()
        text = re.sub(r'"\d{4}-\d\d-\d\dT[^"]*"', '"yesterday"', answer.text())
        route.fulfill(response=answer, body=re.sub(r'"-?\d+\.\d{6}"', '"lots <b>"', text))

    page.route(re.compile(rf"^{re.escape(network.urls[0])}/(?!app/|events)"), lie)
    paths = ("", "explorer", "batch/1", f"proof/{proof}", f"account/{address}", f"triangle/{spot.triangle().text}")
    for path in (
        *paths,
        "validators",
        "node",
        "wallet",
        f"map/{spot.lat}/{spot.lon}/12?triangle={spot.triangle().text}",
    ):
        page.goto(f"{network.app()}#/{path}")
        page.reload()
        expect(page.get_by_role("link", name=", live")).to_be_visible()
        expect(page.get_by_text("Loading…")).to_have_count(0)
        expect(page.locator("main").get_by_role("heading").first).to_be_attached()
        expect(page.get_by_text("This page has failed"), path).to_have_count(0)
    page.goto(f"{network.app()}#/account/{address}")
    expect(page.get_by_text("– STEP").first).to_be_visible()


@pytest.mark.long
def test_a_node_of_another_chain_is_asked_nothing_until_the_person_goes_on_with_it(
    page: Page, network: Network, visitor: Visitor
) -> None:
    expect(page.get_by_role("link", name=", live")).to_be_visible()
    page.evaluate(KEEP_CHAIN, {"chainId": "step-old", "genesisHash": "0x" + "ab" * 32})
    visitor.watched.asked.clear()
    page.reload()
    expect(page.get_by_role("heading", name="This node is of another chain")).to_be_visible()
    expect(page.get_by_text("step-old").first).to_be_visible()
    asked = {one.url for one in visitor.watched.asked if not one.url.startswith(network.app())}
    assert f"{network.urls[0]}/status" in asked
    assert {urlsplit(url).path for url in asked} == {"/status"}
    assert accessibility_violations(page) == []
    page.get_by_role("button", name=f"Go on with {network.devnet.genesis.chain_id}").click()
    expect(page.get_by_role("link", name=", live")).to_be_visible()


@pytest.mark.long
def test_when_its_node_dies_the_app_asks_another_of_the_same_chain_and_none_of_another(
    page: Page, network: Network, visitor: Visitor
) -> None:
    expect(page.get_by_role("link", name=", live")).to_be_visible()
    page.wait_for_function(IN_CONTROL)
    before = page.locator(".height").inner_text()

    def other_chain(route: Route) -> None:
        route.fulfill(
            json={"ok": True, "chainId": "step-other", "genesisHash": "0x" + "cd" * 32},
            headers={"Access-Control-Allow-Origin": "*"},
        )

    page.route(f"{network.urls[1]}/status", other_chain)
    network.kill(0)
    try:
        visitor.watched.console.clear()
        expect(page.get_by_text(f"The node {network.urls[1]} is of another chain")).to_be_visible()
        expect(page.get_by_role("link", name=", live")).to_be_visible()
        prove(network, new_spot(), node=2)
        expect(page.locator(".height")).not_to_have_text(before)
        asked = [one.url for one in visitor.watched.asked if one.url.startswith(network.urls[1])]
        assert asked
        assert set(asked) == {f"{network.urls[1]}/status"}
        # Opened anew while its node is away, the app comes from what is kept, and knows the others from the last time.
        page.reload()
        expect(page.get_by_role("link", name=", live")).to_be_visible()
    finally:
        network.restart(0)
