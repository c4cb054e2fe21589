"""What nodes reckon of the economy, in the app: what trends on the map, how plausible it looks, who gets how much."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
from eth_account import Account
from playwright.sync_api import Locator, Page, Route, expect

from step_node.signing.keystore import new_private_key
from step_node.testing.devnet.network import DevnetSettings
from tests.web.app import make_if_stale
from tests.web.browser.network import QUICK, Network, network_running
from tests.web.browser.proofs import Spot, new_spot, prove
from tests.web.browser.visitor import Visitor, accessibility_violations, shoot

pytestmark = pytest.mark.long

EPOCH_BATCHES: Final = 3
WIDTHS: Final = (360, 1_440)


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    """Nodes of a chain whose epochs are short: what they say of one is there after three batches."""
    make_if_stale()
    settings = DevnetSettings(base_port=0, parameters=QUICK.model_copy(update={"epoch_batches": EPOCH_BATCHES}))
    with network_running(settings) as running:
        yield running


@pytest.fixture(scope="module")
def keys(network: Network) -> list[bytes]:
    """Whose proofs fill the first epochs: one, two and three accounts in three places near Sydney, and some far off."""
    keys = [new_private_key() for _ in range(6)]
    for key, place in zip(keys, (0, 1, 1, 2, 2, 2), strict=True):
        prove(network, Spot(-33.87 - 0.3 * place, 150.6 + 0.2 * place), private_key=key)
    for _ in range(EPOCH_BATCHES):
        prove(network, new_spot())
    return keys


def globe_of(page: Page) -> Locator:
    canvas = page.locator(".globe canvas")
    expect(canvas).to_have_attribute("data-land", re.compile(r"[1-9]"))
    return canvas


@pytest.mark.usefixtures("keys")
def test_what_trends_is_drawn_when_it_is_wanted_and_each_score_is_explained(visitor: Visitor, network: Network) -> None:
    page = visitor.page(f"{network.app()}#/map/-34.2/150.8/7")
    canvas = globe_of(page)
    asked = [one.url for one in visitor.watched.asked]
    assert not any("/trending" in url for url in asked), "who does not want it asks for nothing"
    expect(canvas).to_have_attribute("data-trending", "0")
    button = page.get_by_role("button", name="Where much happens")
    expect(button).to_have_attribute("aria-pressed", "false")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(canvas).to_have_attribute("data-trending", re.compile(r"[1-9]"))
    card = page.locator(".trending")
    first = card.get_by_role("listitem").first
    first.get_by_text("Why").click()
    expect(first.get_by_text("by their age")).to_be_visible()
    # As the node says it.
    with page.expect_response(re.compile(r"/trending\?")) as waited:
        page.reload()
        page.get_by_role("button", name="Where much happens").click()
    told: dict[str, Any] = waited.value.json()
    assert "bbox=" in waited.value.url
    best = told["triangles"][0]
    expect(card.locator("[data-trending]").first).to_have_attribute("data-trending", best["triangleId"])
    first.get_by_text("Why").click()
    expect(first.locator("dd").first).to_have_text(str(best["parts"]["clicks"]))
    assert accessibility_violations(page) == []
    shoot(page, "trending", widths=WIDTHS, full=True)
    first.get_by_role("button", name="on the globe").click()
    expect(first.get_by_text("around the place you tapped")).to_be_visible()
    # From afar all of the Earth is asked for.
    page.get_by_role("button", name="Whole Earth").click()
    expect(card.get_by_text("As of height")).to_be_visible()
    page.get_by_role("button", name="Deutsch").click()
    page.get_by_role("button", name="Wo viel geschieht").click()
    expect(canvas).to_have_attribute("data-trending", "0")
    expect(card).to_have_count(0)


def test_how_plausible_an_account_and_a_triangle_look_is_told_with_what_it_is_made_of(
    page: Page, network: Network, keys: list[bytes]
) -> None:
    address = Account.from_key(keys[0]).address.lower()
    page.goto(f"{network.app()}#/account/{address}")
    card = page.locator(".plausibility")
    expect(card.get_by_role("heading", name="How plausible it looks")).to_be_visible()
    expect(card.get_by_text("Nothing stands out").or_(card.get_by_text("Nothing to say"))).to_be_visible()

    def tell(route: Route) -> None:
        answer = route.fetch()
        body = answer.json() | {
            "proofs": 40,
            "implausibilityBps": 6_120,
            "isImplausible": True,
            "reasons": [
                {
                    "signal": "machine_intervals",
                    "strengthBps": 10_000,
                    "weightBps": 4_500,
                    "figures": {"intervalMs": 10_001, "sameIntervalBps": 9_800},
                },
                {"signal": "<b>of a later version</b>", "strengthBps": 1, "weightBps": 2, "figures": {"a": 1}},
            ],
        }
        route.fulfill(response=answer, body=json.dumps(body))

    page.route(re.compile("/plausibility/accounts/"), tell)
    page.reload()
    expect(card.get_by_text("61.2 of 100 %")).to_be_visible()
    expect(card.get_by_text("shown as implausible, from 50 % on")).to_be_visible()
    expect(card.get_by_text("98 % of the times between its proofs are 10 s, to within 2 %.")).to_be_visible()
    expect(card.get_by_text("<b>of a later version</b>")).to_be_visible()
    assert accessibility_violations(page) == []
    shoot(page, "plausibility-account", widths=WIDTHS, full=True)
    page.get_by_role("button", name="Deutsch").click()
    expect(card.get_by_text("Abstände wie von einer Maschine")).to_be_visible()
    page.goto(f"{network.app()}#/triangle/{Spot(-33.87, 150.6).triangle().text}")
    expect(card.get_by_role("heading", name="Wie glaubwürdig es aussieht")).to_be_visible()


def test_where_an_operator_has_it_off_the_pages_do_without(page: Page, network: Network, keys: list[bytes]) -> None:
    off = {"ok": False, "code": "SWITCHED_OFF", "message": "off", "details": {"retryable": False}}
    page.route(re.compile("/plausibility/"), lambda route: route.fulfill(status=503, json=off))
    page.goto(f"{network.app()}#/account/{Account.from_key(keys[0]).address.lower()}")
    expect(page.get_by_role("heading", name="What it did and was sent")).to_be_visible()
    expect(page.locator(".plausibility")).to_have_count(0)
    expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.usefixtures("keys")
def test_who_got_how_much_is_drawn_and_told_for_each_epoch(page: Page, network: Network) -> None:
    page.goto(f"{network.app()}#/explorer")
    page.get_by_role("link", name="Fairness").click()
    expect(page).to_have_title("Who gets how much · STEP")
    plot = page.get_by_role("img", name=re.compile("^How even, epoch by epoch: Inequality of pay"))
    expect(plot).to_be_visible()
    expect(page.get_by_role("heading", name="The latest epoch")).to_be_visible()
    in_short = r"[\d.]+ STEP went to (one account|\d+ accounts) for (one proof|\d+ proofs)\."
    expect(page.get_by_text(re.compile(in_short))).to_be_visible()
    page.get_by_text("As a table").click()
    expect(page.get_by_role("region", name="How even").get_by_role("row")).not_to_have_count(1)
    assert accessibility_violations(page) == []
    shoot(page, "fairness", widths=WIDTHS, full=True)
    with page.expect_response(re.compile(r"/fairness/1$")) as waited:
        page.get_by_role("table").last.get_by_role("link", name="1", exact=True).click()
    report = waited.value.json()
    expect(page).to_have_title("Epoch 1 · STEP")
    tiers = page.get_by_role("list", name="By what an account had before").get_by_role("listitem")
    expect(tiers).to_have_count(len([tier for tier in report["tiers"] if tier["accounts"]]))
    expect(tiers.first).to_contain_text("nothing")
    expect(page.get_by_role("list", name="By region").get_by_role("listitem")).to_have_count(len(report["regions"]))
    sizes = page.get_by_role("list", name="By size of the triangle").get_by_role("listitem")
    expect(sizes).to_have_count(len(report["levels"]))
    expect(sizes.first).to_contain_text("Level 10, about 13.8 km a side")
    validators = report["validators"]["members"]
    expect(page.get_by_role("list", name="What their owners earned by them").get_by_role("listitem")).to_have_count(
        len(validators)
    )
    # Counted by the page itself, of what it has read.
    expect(page.get_by_text(f"0x{hashlib.sha256(waited.value.body()).hexdigest()}")).to_be_visible()
    assert accessibility_violations(page) == []
    shoot(page, "fairness-epoch", widths=WIDTHS, full=True)
    page.get_by_role("button", name="Deutsch").click()
    expect(page.get_by_role("list", name="Nach Gegend")).to_be_visible()
    page.goto(f"{network.app()}#/fairness/9999999")
    expect(page.get_by_role("alert")).to_be_visible()


@pytest.mark.usefixtures("keys")
def test_earlier_epochs_are_added_when_they_are_wanted(page: Page, network: Network) -> None:
    limited = re.compile(r"/fairness\?limit=50")
    page.route(limited, lambda route: route.continue_(url=route.request.url.replace("limit=50", "limit=1")))
    page.goto(f"{network.app()}#/fairness")
    epochs = page.get_by_role("region", name="Epochs", exact=True).get_by_role("row")
    expect(epochs).to_have_count(1 + 1)
    newest = int(epochs.last.get_by_role("link").inner_text())
    assert newest > 1
    earlier = page.get_by_role("button", name="Earlier epochs")
    earlier.focus()
    for shown in range(2, newest + 1):
        page.keyboard.press("Enter")
        expect(epochs).to_have_count(1 + shown)
    assert [int(link.inner_text()) for link in epochs.get_by_role("link").all()] == list(range(newest, 0, -1))
    expect(earlier).to_have_count(0)
    # What cannot be had is told, and asked for again.
    page.route(re.compile("before="), lambda route: route.abort())
    page.reload()
    earlier.click()
    expect(page.get_by_role("alert").filter(has_text="No node answers.")).to_be_visible()
    page.unroute(re.compile("before="))
    page.get_by_role("button", name="Try again").click()
    expect(epochs).to_have_count(1 + 2)
