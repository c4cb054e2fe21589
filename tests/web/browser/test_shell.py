"""The frame around the pages: addresses, titles, languages, and what it asks for."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.web.browser.network import Network
from tests.web.browser.visitor import Visitor
from tests.web.browser.watching import origin_of


def test_every_page_of_the_bar_has_an_address_and_a_title(page: Page) -> None:
    bar = page.get_by_role("navigation")
    for name in bar.get_by_role("link").all_inner_texts():
        bar.get_by_role("link", name=name).click()
        expect(page).to_have_title(f"{name} · STEP")
        expect(bar.get_by_role("link", name=name)).to_have_attribute("aria-current", "page")


def test_only_the_node_that_serves_it_is_asked(page: Page, network: Network, visitor: Visitor) -> None:
    expect(page.get_by_role("navigation")).to_be_visible()
    assert {origin_of(one.url) for one in visitor.watched.asked} == {network.urls[0]}
