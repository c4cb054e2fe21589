"""Proving where one is in the app, and the receipt of it, with real nodes behind it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.web.app import has_packages
from tests.web.browser.network import Network
from tests.web.browser.proving import (
    METRES_NORTH,
    active_triangle,
    at_prove,
    button,
    entries,
    expect_final,
    others_prove,
    prove,
)
from tests.web.browser.receipts import kept_receipt, paste
from tests.web.browser.test_wallet import address_in, confirm, make_key, unlock
from tests.web.browser.visitor import Visitor, accessibility_violations, shoot

ZURICH = (47.3769, 8.5417)


def test_a_place_is_proven_and_its_receipt_verified_offline(visitor: Visitor, network: Network) -> None:
    page, wallet = at_prove(visitor, network)
    prove(visitor, page, *ZURICH)
    expect_final(page)
    assert len(wallet.lines) == 1
    # As much as the triangle pays that is open there: the network is shared, and others may have used up the largest.
    expect(page.get_by_text(re.compile(r"(1\.00|0\.50|0\.25) STEP")).first).to_be_visible()
    page.get_by_role("link", name="Receipt", exact=True).click()
    expect(page.get_by_text("Verified here")).to_be_visible()
    page.go_back()
    visitor.context.set_offline(True)
    page.get_by_role("link", name="Receipt", exact=True).click()
    expect(page.get_by_text("Verified here")).to_be_visible()
    page.get_by_text("What was checked").click()
    expect(page.locator("ol.steps > li.good")).to_have_count(6)
    # Still offline: one that somebody has forged.
    forged = kept_receipt(page).replace('"reward":"1.', '"reward":"9.')
    page.get_by_role("link", name="Check a receipt").click()
    paste(page, forged)
    expect(page.get_by_text("This receipt does not hold")).to_be_visible()
    expect(page.locator("ol.steps > li.bad")).to_have_text(
        "The line and what it brought are in the batch. (does not hold)"
    )


@pytest.mark.long
def test_a_walk_along_a_track(visitor: Visitor, network: Network) -> None:
    page, wallet = at_prove(visitor, network)
    for step in range(3):
        prove(visitor, page, 47.0 + 30 * step * METRES_NORTH, 8.0)
        expect_final(page, step + 1)
        # At once it is too early: the app says from when on, and offers nothing that would be refused.
        visitor.stand(47.0 + 30 * step * METRES_NORTH, 8.0)
        expect(page.get_by_text("You may prove here at")).to_be_visible()
        expect(button(page)).to_be_disabled()
    assert len(wallet.lines) == 3
    assert entries(page, "refused").count() == 0


@pytest.mark.long
def test_far_from_the_last_proof_the_app_says_when_it_is_not_too_fast(visitor: Visitor, network: Network) -> None:
    page, _ = at_prove(visitor, network)
    prove(visitor, page, 46.0, 8.0)
    expect_final(page)
    visitor.stand(46.0 + 1_500 * METRES_NORTH, 8.0)
    expect(page.get_by_text("It is 1.5 km from your last proof")).to_be_visible()
    expect(button(page)).to_be_disabled()


@pytest.mark.long
def test_the_eleventh_click_under_ones_feet(visitor: Visitor, network: Network) -> None:
    """Others use the triangle up between the look and the proof: the app offers the one that is open now."""
    place = (-33.5, 151.5)
    before = active_triangle(network, *place)
    page, wallet = at_prove(visitor, network)
    visitor.context.route("**/mesh/triangleAt**", lambda route: route.fulfill(json={"ok": True, "result": before}))
    others_prove(network, before["triangleId"], *place, 11 - before["clicks"])
    prove(visitor, page, *place)
    refused = entries(page, "refused")
    expect(refused).to_contain_text("this triangle is full")
    visitor.context.unroute("**/mesh/triangleAt**")
    refused.get_by_role("button", name=f"Prove in the triangle of level {before['level'] + 1}").click()
    expect_final(page)
    expect(refused).to_have_count(0)
    first, second = wallet.lines
    assert triangle_level(first) == before["level"]
    assert triangle_level(second) == before["level"] + 1
    # The same visit: never both can be paid.
    assert moment(first) == moment(second)


@pytest.mark.long
def test_a_key_of_this_device_is_asked_for_when_it_is_to_sign(visitor: Visitor, network: Network) -> None:
    page = visitor.page(network.app())
    confirm(page, make_key(page))
    address = address_in(page)
    page.goto(f"{network.app()}#/prove?lat=-22.9&lon=-43.2")
    page.reload()  # From here on the key is locked.
    button(page).click()
    unlock(page)
    expect_final(page)
    page.get_by_role("link", name="Receipt", exact=True).click()
    expect(page.get_by_text("Verified here")).to_be_visible()
    expect(page.locator("main").get_by_title(address)).to_be_visible()


@pytest.mark.long
def test_success_is_shown_moving_only_to_who_wants_that(visitors: Callable[..., Visitor], network: Network) -> None:
    for index, (preference, animation) in enumerate({"no-preference": "celebrate", "reduce": "none"}.items()):
        visitor = visitors(reduced_motion=preference)
        page, _ = at_prove(visitor, network)
        prove(visitor, page, 42.5 + index, 1.5)
        final = entries(page, "final")
        expect(final).to_have_class("celebrated")
        expect(final).to_have_css("animation-name", animation)


@pytest.mark.long
@pytest.mark.skipif(not has_packages, reason="clients/web/node_modules is not there: make setup-js")
def test_the_pages_can_be_used_by_anybody(visitor: Visitor, network: Network) -> None:
    page, _ = at_prove(visitor, network)
    prove(visitor, page, 41.0, 2.0)
    expect_final(page)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert accessibility_violations(page) == []
    shoot(page, "prove", full=True)
    page.get_by_role("link", name="Receipt", exact=True).click()
    page.get_by_role("button", name="Show as QR code").click()
    expect(page.get_by_role("img", name="QR code of this receipt")).to_be_visible()
    assert accessibility_violations(page) == []
    shoot(page, "receipt", full=True)


def triangle_level(line: str) -> int:
    return int(line.split("|triangle:STEP-TRI-v1:")[1][1:].split("-")[0])


def moment(line: str) -> str:
    return line.split("|ts:")[1].split("|")[0]
