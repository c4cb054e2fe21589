"""The guardrails of the node that serves the page: how they stand, what is broken since when, what it then takes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

import pytest
from playwright.sync_api import Page, Route, expect

from step_node.economy.guardrails.guardrail import Guardrail
from tests.web.browser.network import Network
from tests.web.browser.proofs import new_spot, prove
from tests.web.browser.visitor import accessibility_violations, shoot

ADDRESS: Final = re.compile(r"/guardrails$")
WIDTHS: Final = (360, 1_440)
BREACHES: Final[dict[str, dict[str, Any]]] = {
    "rewards": {"figure": "0.000003", "bound": "0.000002", "message": "proof 0xab was paid 3 µSTEP; it earns 2"},
    "concentration": {"figure": "61.25", "bound": "50.00", "message": "the ten largest holders have 61.25 %"},
}


def breaking(intake_percent: int) -> Callable[[Route], None]:
    """The node's own answer, with two guardrails broken and one that only a later release has."""

    def answer(route: Route) -> None:
        response = route.fetch()
        body = response.json()
        since = {"isBroken": True, "brokenAtHeight": 1, "brokenSince": "2026-01-31T12:00:00.000Z"}
        body["guardrails"] = [
            one | since | BREACHES.get(one["name"], {}) if one["name"] in BREACHES else one
            for one in body["guardrails"]
        ]
        body["guardrails"].append(
            body["guardrails"][0] | {"name": "<i>later</i>", "isBroken": False, "holds": "all is <b>so</b>"}
        )
        body["intakePercent"] = intake_percent
        route.fulfill(response=response, body=json.dumps(body))

    return answer


def test_each_guardrail_is_told_in_plain_words_with_its_figure_and_bound(page: Page, network: Network) -> None:
    prove(network, new_spot())
    page.evaluate("location.hash = '#/node'")
    page.get_by_role("link", name="Guardrails").click()
    expect(page).to_have_title("Guardrails · STEP")
    expect(page.get_by_role("status").filter(has_text=f"All {len(Guardrail)} hold.")).to_be_visible()
    expect(page.get_by_text("Proofs and transfers of all accounts.")).to_be_visible()
    expect(page.get_by_role("article")).to_have_count(len(Guardrail))
    supply = page.locator("[data-guardrail=supply]")
    expect(supply).to_contain_text(re.compile(r"Made so far[\d,.]+ STEP\s*At most[\d,.]+ STEP"))
    # What has no bound yet says why.
    expect(page.locator("[data-guardrail=minting_rate]")).to_contain_text("once it has seen a day")
    # It is asked again by itself.
    with page.expect_response(ADDRESS):
        pass
    page.get_by_role("button", name="Deutsch").click()
    expect(page.get_by_role("heading", name="Nichts verloren, nichts erfunden")).to_be_visible()
    page.get_by_role("link", name="Wer wie viel bekommt").click()
    expect(page).to_have_title("Wer wie viel bekommt · STEP")
    page.get_by_role("link", name="Leitplanken").click()
    expect(page).to_have_title("Leitplanken · STEP")


@pytest.mark.long
def test_what_is_broken_says_since_which_batch_and_what_is_then_taken(page: Page) -> None:
    page.route(ADDRESS, breaking(10))
    page.evaluate("location.hash = '#/guardrails'")
    verdict = page.get_by_role("status").filter(has_text=f"Broken: 2 of {len(Guardrail) + 1}.")
    expect(verdict).to_have_class(re.compile(r"\bbad\b"))
    broken = page.get_by_role("list").filter(has_text="Pay for proofs").get_by_role("listitem")
    expect(broken).to_have_text(["Pay for proofs", "How much the ten largest have"])
    rewards = page.locator("[data-guardrail=rewards]")
    expect(rewards.get_by_role("link", name="batch 1")).to_have_attribute("href", "#/batch/1")
    expect(rewards).to_contain_text("31 Jan 2026")
    expect(rewards).to_contain_text("was paid 3 µSTEP; it earns 2")
    largest = page.locator("[data-guardrail=concentration]")
    expect(largest).to_contain_text(re.compile(r"Their share61\.25 %\s*At most50 %"))
    expect(largest.get_by_role("meter", name="61.25 % of at most 50 %")).to_be_visible()
    expect(page.get_by_text("Proofs and transfers of 10 in 100 accounts")).to_be_visible()
    expect(page.locator("[data-guardrail='<i>later</i>']")).to_contain_text("all is <b>so</b>")
    assert accessibility_violations(page) == []
    shoot(page, "guardrails-broken", widths=WIDTHS, full=True)
    page.unroute(ADDRESS)
    page.route(ADDRESS, breaking(0))
    expect(page.get_by_text("No proofs and no transfers.", exact=True)).to_be_visible()


@pytest.mark.long
def test_switched_off_or_without_the_node_the_page_says_so(page: Page) -> None:
    page.evaluate("location.hash = '#/guardrails'")
    expect(page.get_by_role("status").filter(has_text="hold.")).to_be_visible()
    page.route(ADDRESS, lambda route: route.abort())
    expect(page.get_by_role("alert").filter(has_text="The node has not answered since")).to_be_visible()
    # What was known stays, until it is known to be of before.
    expect(page.get_by_role("article")).to_have_count(len(Guardrail))
    off = {
        "ok": False,
        "code": "SWITCHED_OFF",
        "message": "the operator of this node has turned this off (guardrails)",
        "details": {"retryable": True, "retryAt": "2026-01-31T12:00:00.000Z", "value": "guardrails"},
    }
    page.unroute(ADDRESS)
    page.route(ADDRESS, lambda route: route.fulfill(status=503, json=off))
    expect(page.get_by_role("alert").filter(has_text="Who runs this node has turned this off.")).to_be_visible()
    expect(page.get_by_role("article")).to_have_count(0)
    expect(page.get_by_role("alert")).to_have_count(1)
