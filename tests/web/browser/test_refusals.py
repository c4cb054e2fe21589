"""Each refusal of the nodes' table, as the app tells it to people: one sentence, and what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.javascript.node import ROOT
from tests.web.browser.network import Network
from tests.web.browser.proving import at_prove, button, entries, expect_final
from tests.web.browser.visitor import Visitor

pytestmark = pytest.mark.long

TABLE: list[dict[str, Any]] = json.loads((ROOT / "clients" / "codes.json").read_text(encoding="utf-8"))["codes"]
HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=1</script>'


def answering(refusal: dict[str, Any]) -> Callable[[Route], None]:
    """Answers submissions as the table's example of a code."""
    body = {
        **{"ok": False, "code": refusal["code"], "message": refusal["message"]},
        "details": {"gate": refusal["gate"], "retryable": refusal["retryable"], **refusal["example"]},
        "timestamp": "2026-01-31T12:00:00.000Z",
    }
    return lambda route: route.fulfill(status=refusal["status"], json=body)


def standing(visitor: Visitor, network: Network) -> Page:
    """At a place that is made up: no receiver is needed here."""
    page, _ = at_prove(visitor, network)
    page.goto(f"{network.app()}#/prove?lat=43.1&lon=3.1")
    page.reload()
    expect(button(page)).to_be_enabled()
    return page


def test_each_refusal_is_a_sentence_with_what_to_do(visitor: Visitor, network: Network) -> None:
    page = standing(visitor, network)
    told: set[str] = set()
    for refusal in TABLE:
        answer = answering(refusal)
        visitor.context.route("**/proof/submit**", answer)
        button(page).click()
        state = "waiting" if refusal["retryable"] else "refused"
        if refusal["example"].get("retryable"):
            state = "waiting"
        notice = entries(page, state).first.get_by_role("alert")
        expect(notice).to_be_visible(timeout=30_000)
        sentence = notice.locator("p").first.inner_text()
        for wrong in ("{", "undefined", "does not know the reason"):
            assert wrong not in sentence, (refusal["code"], sentence)
        told.add(sentence)
        instead = notice.get_by_role("button", name="Prove in the triangle of level")
        assert instead.count() == (1 if "tryInstead" in refusal["example"] else 0), refusal["code"]
        visitor.context.unroute("**/proof/submit**", answer)
        clear(page)
    # Hardly two say the same.
    assert len(told) >= len(TABLE) - 2


def test_a_refusal_that_time_heals_is_told_while_the_app_tries_again_by_itself(
    visitor: Visitor, network: Network
) -> None:
    page = standing(visitor, network)
    paused = next(one for one in TABLE if one["code"] == "INTAKE_PAUSED")
    visitor.context.route("**/proof/submit**", answering(paused))
    button(page).click()
    expect(entries(page, "waiting")).to_contain_text("has it take no proofs and no transfers for now", timeout=30_000)
    visitor.context.unroute("**/proof/submit**")
    page.reload()
    expect_final(page)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_what_a_node_says_is_text_and_nothing_else(visitor: Visitor, network: Network) -> None:
    page = standing(visitor, network)
    refusal = {**TABLE[0], "message": HOSTILE, "code": "INVALID_OPERATION", "example": {"field": HOSTILE}}
    visitor.context.route("**/proof/submit**", answering(refusal))
    button(page).click()
    notice = entries(page, "refused").get_by_role("alert")
    expect(notice).to_contain_text(HOSTILE)
    assert notice.locator("img, script").count() == 0
    assert page.title() != "1"


def test_refusals_are_told_in_german_too(visitors: Callable[..., Visitor], network: Network) -> None:
    visitor = visitors(locale="de-CH")
    page, _ = at_prove(visitor, network)
    page.goto(f"{network.app()}#/prove?lat=43.2&lon=3.2")
    page.reload()
    exhausted = next(one for one in TABLE if one["code"] == "TRIANGLE_EXHAUSTED")
    visitor.context.route("**/proof/submit**", answering(exhausted))
    page.get_by_role("button", name="Beweisen, dass ich hier bin").click()
    expect(entries(page, "refused")).to_contain_text("Dieses Dreieck ist voll und wurde in vier geteilt.")
    expect(page.get_by_role("button", name="Im Dreieck der Stufe 11 beweisen")).to_be_visible()


def clear(page: Page) -> None:
    """Forget what was signed, so that the next is not judged by it."""
    page.evaluate(
        """() => new Promise((resolve) => {
          const opening = indexedDB.open("step");
          opening.onsuccess = () => {
            const writing = opening.result.transaction("kept", "readwrite");
            writing.objectStore("kept").delete(IDBKeyRange.bound("proving.outbox/", "proving.outbox/\\uffff"));
            writing.oncomplete = () => (opening.result.close(), resolve());
          };
        })"""
    )
    page.reload()
    expect(button(page)).to_be_enabled()


def test_too_soon_and_too_far_are_told_with_the_time_from_when_on_it_goes(visitor: Visitor, network: Network) -> None:
    """Real refusals: the app is made to believe that this account has proven nothing, as after another device has."""
    page, _ = at_prove(visitor, network)
    page.goto(f"{network.app()}#/prove?lat=43.3&lon=3.3")
    page.reload()
    button(page).click()
    expect_final(page)

    def forgotten(route: Route) -> None:
        route.fulfill(json={**route.fetch().json(), "lastProof": None})

    visitor.context.route("**/account/0x*", forgotten)
    clear(page)
    button(page).click()
    expect(entries(page, "refused")).to_contain_text(
        re.compile(r"only \d\S* s before\. At least 10 s must lie between two")
    )
    expect(entries(page, "refused")).to_contain_text(re.compile(r"You may prove again at \d\d:\d\d:\d\d"))
    page.goto(f"{network.app()}#/prove?lat=44.3&lon=3.3")
    clear(page)
    button(page).click()
    expect(entries(page, "refused")).to_contain_text("You have proven 111 km from here")
    expect(entries(page, "refused")).to_contain_text(re.compile(r"You may prove here at \d\d:\d\d:\d\d"))


def test_a_wallet_that_refuses_or_signs_for_another_sends_nothing(visitor: Visitor, network: Network) -> None:
    page, wallet = at_prove(visitor, network)
    page.goto(f"{network.app()}#/prove?lat=43.4&lon=3.4")
    page.reload()
    wallet.is_willing = False
    button(page).click()
    expect(page.get_by_text("Nothing was done: it was cancelled")).to_be_visible()
    wallet.is_willing = True
    wallet.signs_for_another = True
    button(page).click()
    expect(page.get_by_text("The signature is not one of this account.")).to_be_visible()
    assert not [one for one in visitor.watched.asked if "/proof/submit" in one.url]
    wallet.signs_for_another = False
    button(page).click()
    expect_final(page)
