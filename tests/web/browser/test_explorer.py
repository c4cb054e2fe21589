"""The explorer: each thing on the chain at an address of its own, found by whatever it is called, told in words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from step_node.client import StepClient
from step_node.crypto import eip191
from step_node.signing.keystore import new_private_key
from step_node.testing.devnet.misbehaviour import Misbehaviour
from step_node.testing.devnet.network import DevnetSettings
from tests.web.app import needs_packages
from tests.web.browser.network import QUICK, Network, network_running
from tests.web.browser.proofs import Spot, new_spot, prove
from tests.web.browser.visitor import Visitor, accessibility_violations, shoot

HOSTILE_MEMO = '<img src=x onerror="window.hacked=1">\'&{x}'
FRIEND = "0x" + "f1" * 20


@dataclass(frozen=True, slots=True)
class Happened:
    """What is on the chain for all tests of this module: a proof of an account, and what it then sent to a friend."""

    spot: Spot
    account: str
    proof_id: str
    height: int
    operation_id: str


@pytest.fixture(scope="module")
def happened(network: Network) -> Happened:
    key, spot = new_private_key(), new_spot()
    proof_id = prove(network, spot, private_key=key)
    with StepClient(network.urls, key=key) as client:
        transfer = client.sign_transfer(FRIEND, "0.001", memo=HOSTILE_MEMO)
        client.send_transfer(transfer)
        height = int(answer_of(network, f"/proof/status/{proof_id}")["height"])
        account = f"0x{eip191.address_of(eip191.public_key_of(key)).hex()}"
        return Happened(spot, account, proof_id, height, transfer.operation_id)


def answer_of(network: Network, path: str) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.get(f"{network.urls[0]}{path}", timeout=30).raise_for_status().json()
    return answer


def open_at(page: Page, path: str, heading: str | re.Pattern[str]) -> None:
    """Go to a page of the explorer, and wait until it is there."""
    page.evaluate("(hash) => { location.hash = hash; }", f"#/{path}")
    expect(page.get_by_role("heading", level=1, name=heading)).to_be_visible()


def fact(page: Page, name: str) -> str:
    """The value beside a name."""
    return (
        page.locator("dt", has_text=re.compile(f"^{re.escape(name)}$"))
        .locator("xpath=following-sibling::dd[1]")
        .inner_text()
    )


def test_whatever_a_thing_is_called_the_search_leads_to_its_page(page: Page, happened: Happened) -> None:
    triangle = happened.spot.triangle()
    open_at(page, "explorer", "Overview")
    box = page.get_by_role("searchbox", name="Search the chain")
    for text, address in (
        (f"#{happened.height}", f"#/batch/{happened.height}"),
        (happened.account.upper(), f"#/account/{happened.account}"),
        (happened.proof_id, f"#/proof/{happened.proof_id}"),
        (happened.operation_id[2:], f"#/operation/{happened.operation_id}"),
        (str(triangle), f"#/triangle/{triangle}".replace(":", "%3A")),
    ):
        box.fill(text)
        box.press("Enter")
        expect(page).to_have_url(re.compile(re.escape(address) + "$"))
    # Of a place the triangle to prove in: the largest that is active.
    box.fill(f"{happened.spot.lat:.5f}, {happened.spot.lon:.5f}")
    box.press("Enter")
    expect(page).to_have_url(re.compile(f"#/triangle/STEP-TRI-v1%3A{str(triangle)[12]}\\d+-"))
    expect(page.get_by_role("heading", level=1, name="Triangle")).to_be_visible()
    box.fill("0x" + "ab" * 32)
    box.press("Enter")
    expect(page.get_by_text("knows no proof and no operation of this id")).to_be_visible()
    box.fill("San")
    box.press("Enter")
    page.get_by_role("link", name="Triangle at San Francisco").click()
    expect(page).to_have_url(re.compile("#/triangle/"))
    # The way back does not lead through a search that only led on.
    page.go_back()
    expect(page.get_by_role("link", name="Triangle at San Diego")).to_be_visible()


def test_a_batch_names_its_proofs_and_who_signed_and_its_neighbours_by_keyboard(page: Page, happened: Happened) -> None:
    open_at(page, f"batch/{happened.height}", f"Batch {happened.height}")
    expect(page.locator(f"a[href='#/proof/{happened.proof_id}']")).to_be_visible()
    expect(page.get_by_text(re.compile(r"^[34] of 4 signed\.$"))).to_be_visible()
    assert page.get_by_role("listitem").filter(has_text="✓").count() >= 3
    expect(page).to_have_title(f"Batch {happened.height} · STEP")
    after = page.get_by_role("link", name=f"Batch {happened.height + 1} →")
    after.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name=f"Batch {happened.height + 1}")).to_be_visible()


def test_what_a_stranger_wrote_is_shown_as_text(page: Page, network: Network, happened: Happened) -> None:
    open_at(page, f"operation/{happened.operation_id}", "Operation")
    expect(page.get_by_text(HOSTILE_MEMO)).to_be_visible()
    assert fact(page, "Amount") == "0.001 STEP"
    open_at(page, f"account/{FRIEND}", "Account")
    expect(page.get_by_text(HOSTILE_MEMO).first).to_be_visible()

    # And if a node itself lies: its ids, addresses and nonces are no more than text either.
    triangle = str(happened.spot.triangle())
    proof = answer_of(network, f"/triangle/{triangle}/proofs")["proofs"][0]
    hostile = "javascript:window.hacked=1//<script>window.hacked=1</script>"
    lie = {"ok": True, "proofs": [proof | {"nonce": hostile, "account": hostile}], "nextCursor": None}

    def lying(route: Route) -> None:
        route.fulfill(status=200, content_type="application/json", body=json.dumps(lie))

    page.route("**/triangle/*/proofs*", lying)
    open_at(page, f"triangle/{triangle}", "Triangle")
    expect(page.get_by_text(hostile).first).to_be_visible()
    assert page.locator("main img, main script").count() == 0
    links = page.locator("main a").evaluate_all(
        "(all) => all.map((one) => new URL(one.getAttribute('href'), location.href).protocol)"
    )
    assert set(links) <= {"http:"}
    assert page.evaluate("window.hacked") is None


def test_a_proof_tells_who_was_where_and_a_triangle_its_proofs(page: Page, happened: Happened) -> None:
    open_at(page, f"proof/{happened.proof_id}", "Proof")
    expect(page.locator(f"a[href='#/account/{happened.account}']")).to_be_visible()
    said = [float(angle) for angle in fact(page, "Position").split(", ")]
    assert said == [round(happened.spot.lat, 7), round(happened.spot.lon, 7)]
    page.get_by_role("link", name=re.compile(r"^[A-T]10-")).click()
    expect(page.get_by_role("heading", level=1, name="Triangle")).to_be_visible()
    expect(page.locator("svg circle")).to_have_count(1)
    assert (fact(page, "Level"), fact(page, "State"), fact(page, "Clicks")) == ("10", "active", "1")
    page.get_by_role("link", name="Proof of click 1").click()
    expect(page).to_have_url(re.compile(happened.proof_id))
    page.go_back()
    page.get_by_role("link", name="on the map").click()
    panel = page.locator("section.globe-panel")
    expect(panel.get_by_text(str(happened.spot.triangle())[12:15]).first).to_be_visible()


def test_batches_appear_as_they_become_final(page: Page, network: Network) -> None:
    open_at(page, "explorer", "Overview")
    height = int(answer_of(network, f"/proof/status/{prove(network, new_spot())}")["height"])
    expect(page.get_by_role("link", name=str(height), exact=True)).to_be_visible()
    # What the stream tells of needs no asking any more.
    prove(network, new_spot())
    expect(page.get_by_text("live", exact=True)).to_be_visible()


@pytest.mark.long
def test_every_page_can_be_shared_by_its_link(page: Page, visitor: Visitor, happened: Happened) -> None:
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_at(page, f"proof/{happened.proof_id}", "Proof")
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_text("Copied")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == page.url
    other = visitor.page(link)
    expect(other.get_by_text(happened.proof_id)).to_be_visible()


@pytest.mark.parametrize(
    "path", ["batch/0", "batch/x", "proof/0x12", "account/<b>", "triangle/STEP-TRI-v1:A1", "validator/0x", "operation/"]
)
@pytest.mark.long
def test_an_address_that_names_nothing_says_so_and_asks_nobody(page: Page, visitor: Visitor, path: str) -> None:
    page.evaluate("(hash) => { location.hash = hash; }", f"#/{path}")
    expect(page.get_by_text("This address of a page names nothing that there can be.")).to_be_visible()
    # The chain's rules are asked for on every page.
    asked = re.compile(r"/(batch|account|triangle)/|/proof/(?!config$)")
    assert not [one.url for one in visitor.watched.asked if asked.search(one.url)]


@pytest.mark.long
def test_a_batch_that_is_to_come_appears_when_it_is_final(page: Page, network: Network) -> None:
    height = int(answer_of(network, "/status")["height"]) + 1
    page.evaluate("(hash) => { location.hash = hash; }", f"#/batch/{height}")
    expect(page.get_by_text("It appears here as soon as it is final.")).to_be_visible()
    prove(network, new_spot())
    expect(page.get_by_role("heading", name="Who signed")).to_be_visible()


@pytest.mark.long
def test_a_divided_triangle_shows_what_is_inside_it(page: Page, network: Network) -> None:
    spot = new_spot()
    for _ in range(11):
        prove(network, spot)
    open_at(page, f"triangle/{spot.triangle()}", "Triangle")
    expect(page.locator("dd .state.subdivided")).to_have_text("divided")
    expect(page.get_by_role("row")).to_have_count(1 + 11)
    expect(page.locator(".descendants .state.active")).to_have_count(4)
    # Of the one above it, this one can be opened, as deep as the chain has gone.
    page.get_by_role("link", name=re.compile("^[A-T]9-")).click()
    page.get_by_text("What is inside").click()
    expect(page.locator(".descendants .descendants > li")).to_have_count(4)


@pytest.mark.long
def test_a_history_goes_on_by_its_cursor_without_gap_or_repeat(page: Page, happened: Happened) -> None:
    def entry(number: int) -> dict[str, Any]:
        told = {"type": "proof", "height": number, "timestamp": "2026-01-31T12:00:00.000Z", "reward": "0.001953"}
        return told | {"id": f"0x{number:064x}"}

    asked: list[str | None] = []

    def listing(route: Route) -> None:
        before = parse_qs(urlsplit(route.request.url).query).get("before", [None])[0]
        asked.append(before)
        numbers = range(45, 25, -1) if before is None else range(25, 5, -1) if before == "c1" else range(5, 0, -1)
        follows = {None: "c1", "c1": "c2", "c2": None}[before]
        body = {"ok": True, "transactions": [entry(number) for number in numbers], "nextCursor": follows}
        route.fulfill(status=200, content_type="application/json", body=json.dumps(body))

    page.route("**/transactions*", listing)
    open_at(page, f"account/{happened.account}", "Account")
    for count in (20, 40):
        expect(page.get_by_role("row")).to_have_count(1 + count)
        page.get_by_role("button", name="Show more").click()
    expect(page.get_by_role("row")).to_have_count(1 + 45)
    expect(page.get_by_role("button", name="Show more")).to_have_count(0)
    links = page.get_by_role("link", name="proof", exact=True).evaluate_all("(all) => all.map((one) => one.hash)")
    assert links == [f"#/proof/0x{number:064x}" for number in range(45, 0, -1)]
    assert asked == [None, "c1", "c2"]


@needs_packages
@pytest.mark.long
def test_every_page_is_accessible_and_fits_a_phone(page: Page, network: Network, happened: Happened) -> None:
    validator = answer_of(network, "/validators")["validators"][0]["address"]
    for name, path, heading in (
        ("explorer", "explorer", "Overview"),
        ("batch", f"batch/{happened.height}", f"Batch {happened.height}"),
        ("proof", f"proof/{happened.proof_id}", "Proof"),
        ("operation", f"operation/{happened.operation_id}", "Operation"),
        ("account", f"account/{happened.account}", "Account"),
        ("triangle", f"triangle/{happened.spot.triangle()}", "Triangle"),
        ("validators", "validators", "Validators"),
        ("validator", f"validator/{validator}", "Validator"),
        ("search", "search?for=san", "Search for"),
        ("node", "node", "This node"),
    ):
        open_at(page, path, re.compile(heading))
        expect(page.get_by_text("Loading…")).to_have_count(0)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert accessibility_violations(page) == [], (name, scheme)
        page.set_viewport_size({"width": 360, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, name
        shoot(page, name, full=True)


@pytest.mark.long
def test_it_speaks_german(visitors: Callable[..., Visitor], network: Network, happened: Happened) -> None:
    page = visitors(locale="de-DE").page(f"{network.app()}#/batch/{happened.height}")
    expect(page.get_by_role("heading", name=f"Block {happened.height}")).to_be_visible()
    expect(page.get_by_text(re.compile(r"von 4 haben unterschrieben"))).to_be_visible()


@pytest.mark.long
def test_it_is_told_why_a_validator_was_slashed(visitors: Callable[..., Visitor]) -> None:
    settings = DevnetSettings(base_port=0, parameters=QUICK, byzantine=Misbehaviour.DOUBLE_SIGN)
    with network_running(settings) as network:
        until_slashed(network)
        visitor = visitors()
        visitor.watched.origins.update(network.urls)
        page = visitor.page(f"{network.app()}#/validators")
        told = page.get_by_role("listitem").filter(has_text="signed two different votes of one round")
        expect(told.first).to_contain_text("It cost 50,000.00 STEP (50 % of the stake), which are burnt.")
        # The batch that took the evidence up tells of it as well.
        told.first.get_by_role("link", name=re.compile("^Batch ")).click()
        expect(page.get_by_role("heading", name="Evidence")).to_be_visible()
        expect(page.get_by_text("signed two different votes of one round")).to_be_visible()
        page.get_by_role("listitem").filter(has_text="signed two different votes").get_by_role("link").click()
        expect(page.get_by_text("jailed")).to_be_visible()
        expect(page.get_by_text("signed two different votes of one round").first).to_be_visible()
        shoot(page, "slashed", full=True)


def until_slashed(network: Network) -> None:
    """Proofs give it something to vote on twice."""
    for _ in range(20):
        prove(network, new_spot())
        if answer_of(network, "/evidence")["slashings"]:
            return
    raise AssertionError("nobody was slashed")
