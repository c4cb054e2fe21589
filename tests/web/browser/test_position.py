"""What the app says of the device's position, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.web.browser.network import Network
from tests.web.browser.proving import at_prove, button, expect_final
from tests.web.browser.visitor import Visitor

pytestmark = pytest.mark.long


def test_a_refused_permission_is_explained_and_goes_on_once_allowed(visitor: Visitor, network: Network) -> None:
    page, _ = at_prove(visitor, network)
    # Chromium without a head denies what nobody can be asked for.
    page.get_by_role("button", name="Find my position").click()
    expect(page.get_by_text("This page may not know where you are. Allow it in the browser's settings")).to_be_visible()
    expect(button(page)).to_be_disabled()
    visitor.stand(47.5, 8.5)
    page.reload()
    visitor.stand(47.5, 8.5)
    expect(page.get_by_text("The position is good.")).to_be_visible()


def test_nothing_is_asked_before_the_person_has_said_so(visitor: Visitor, network: Network) -> None:
    page, _ = at_prove(visitor, network)
    expect(page.get_by_role("button", name="Find my position")).to_be_visible()
    assert not [one for one in visitor.watched.asked if "triangleAt" in one.url]


def test_a_poor_position_is_waited_on_until_it_is_good(visitor: Visitor, network: Network) -> None:
    page, _ = at_prove(visitor, network)
    visitor.stand(47.6, 8.6, accuracy_m=180)
    page.reload()
    visitor.stand(47.6, 8.6, accuracy_m=180)
    expect(page.get_by_text("within 180 m")).to_be_visible()
    expect(page.get_by_text("The position is not exact enough yet.")).to_be_visible()
    expect(page.get_by_text("50 m or better are needed")).to_be_visible()
    expect(button(page)).to_be_disabled()
    visitor.stand(47.6, 8.6, accuracy_m=32.4)
    expect(page.get_by_text("within 32 m")).to_be_visible()
    expect(button(page)).to_be_enabled()


def test_a_position_that_gets_old_cannot_be_proven(visitor: Visitor, network: Network) -> None:
    page, _ = at_prove(visitor, network)
    visitor.stand(47.7, 8.7)
    page.reload()
    visitor.stand(47.7, 8.7)
    expect(button(page)).to_be_enabled()
    # The receiver says nothing more.
    expect(page.get_by_text("No new position has come for a while.")).to_be_visible(timeout=20_000)
    expect(button(page)).to_be_disabled()


def test_without_a_signal_it_says_so(visitor: Visitor, network: Network) -> None:
    page, _ = at_prove(visitor, network)
    visitor.context.grant_permissions(["geolocation"])
    page.context.new_cdp_session(page).send("Emulation.setGeolocationOverride", {})
    page.reload()
    expect(page.get_by_text("The device does not know where it is.")).to_be_visible()


def test_an_insecure_connection_is_told_from_a_refusal(visitor: Visitor, network: Network) -> None:
    visitor.context.add_init_script("Object.defineProperty(window, 'isSecureContext', { value: false })")
    page = visitor.page(f"{network.app()}#/prove")
    expect(page.get_by_text("since it came over an insecure connection. Open the node by https.")).to_be_visible()


def test_a_made_up_position_is_marked_as_one_and_can_be_proven_on_a_devnet(visitor: Visitor, network: Network) -> None:
    page, _ = at_prove(visitor, network)
    page.get_by_text("Simulate a position").click()
    page.get_by_label("Latitude").fill("91")
    # The page is drawn anew every second: what somebody is typing stays.
    page.wait_for_timeout(2_500)
    expect(page.get_by_label("Latitude")).to_have_value("91")
    page.get_by_role("button", name="Be there").click()
    expect(page.get_by_text("Latitude is a number from -90 to 90")).to_be_visible()
    page.get_by_label("Latitude").fill("48,85")
    page.get_by_label("Longitude").fill("2.35")
    page.get_by_role("button", name="Be there").click()
    expect(page.locator(".place").get_by_text("Simulated position")).to_be_visible()
    button(page).click()
    expect_final(page)
    expect(page.locator("ol.outbox").get_by_text("Simulated position")).to_be_visible()
    page.get_by_role("button", name="Walk 20 m north").click()
    expect(page.get_by_text("48.85018")).to_be_visible()


def test_on_any_other_chain_no_position_can_be_made_up(visitors: Callable[..., Visitor], network: Network) -> None:
    visitor = visitors()

    def other(route: object) -> None:
        answer = route.fetch()  # type: ignore[attr-defined]
        route.fulfill(json={**answer.json(), "CHAIN_ID": "step-1"})  # type: ignore[attr-defined]

    visitor.context.route("**/proof/config", other)
    page = visitor.page(f"{network.app()}#/prove?lat=48.85&lon=2.35")
    expect(page.get_by_text("The triangle here")).to_be_visible()
    expect(page.get_by_text("Simulate")).to_have_count(0)
    expect(page.get_by_role("button", name="Find my position")).to_be_visible()
