"""Proving where one is in the app, and the receipt of it, with real nodes behind it."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.web.browser.network import Network
from tests.web.browser.proving import (
    at_prove,
    expect_final,
    prove,
)
from tests.web.browser.visitor import Visitor

ZURICH = (47.3769, 8.5417)


def test_a_place_is_proven_and_its_receipt_verified_offline(visitor: Visitor, network: Network) -> None:
    page, wallet = at_prove(visitor, network)
    prove(visitor, page, *ZURICH)
    expect_final(page)
    assert len(wallet.lines) == 1
    page.get_by_role("link", name="Receipt").click()
    expect(page.get_by_text("Verified here")).to_be_visible()
    page.go_back()
    visitor.context.set_offline(True)
    page.get_by_role("link", name="Receipt").click()
    expect(page.get_by_text("Verified here")).to_be_visible()
    page.get_by_text("What was checked").click()
    expect(page.locator("ol.steps > li.good")).to_have_count(6)
