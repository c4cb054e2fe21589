"""The operator's view: what the node that serves the page says of itself, and since when it says nothing."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, Route, expect

from tests.web.browser.network import Network
from tests.web.browser.visitor import Visitor

BEGAN = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
SAMPLES = 120


def load() -> dict[str, object]:
    """An hour in which proofs come, and for a while none."""

    def sample(number: int) -> dict[str, object]:
        is_quiet = 40 <= number < 60
        return {
            "at": (BEGAN + timedelta(seconds=30 * number)).isoformat().replace("+00:00", "Z"),
            "proofsAccepted": 0 if is_quiet else 30,
            "proofsFinalised": 0 if is_quiet else 29,
            "proofsRefused": 1,
            "finalityP50Ms": None if is_quiet else 640,
            "finalityP95Ms": None if is_quiet else 1_100,
            "loopLagP95Ms": 2,
            "height": 1_000 + 10 * number,
            "mempoolProofs": number % 7,
            "peers": 3,
            "residentBytes": 150_000_000,
        }

    return {"ok": True, "everySeconds": 30, "samples": [sample(number) for number in range(SAMPLES)]}


def answered_with_load(route: Route) -> None:
    route.fulfill(status=200, content_type="application/json", body=json.dumps(load()))


def test_an_operator_sees_health_votes_peers_and_the_load_of_the_last_hour(page: Page, network: Network) -> None:
    page.route("**/status/history", answered_with_load)
    page.evaluate("location.hash = '#node'")
    expect(page.get_by_text("All is well.")).to_be_visible()
    expect(page.get_by_role("heading", name="Peers (3)")).to_be_visible()
    votes = page.get_by_role("table", name="Who voted in this round")
    expect(votes.get_by_role("row")).to_have_count(1 + len(network.urls))
    proofs = page.get_by_role("img", name="Proofs a minute: latest accepted 60, final 58, refused 2")
    expect(proofs).to_be_visible()
    # Where nothing became final there is no finality: a line with a gap, not one at zero.
    finality = page.get_by_role("img", name=re.compile("^Finality, seconds")).locator("path.line").first
    assert (finality.get_attribute("d") or "").count("M") == 2
    chart = page.locator("figure").filter(has=proofs)
    chart.get_by_text("As a table").click()
    expect(chart.get_by_role("row")).to_have_count(1 + SAMPLES)
    expect(chart.get_by_role("row").nth(1)).to_contain_text("60")


def test_a_node_that_is_not_well_says_why(page: Page) -> None:
    reason = {"code": "NO_QUORUM", "message": "too few validators are connected", "figures": {}}
    down = {"ok": False, "code": "NOT_READY", "message": "…", "status": "down", "ready": False, "reasons": [reason]}
    answer = json.dumps(down)
    page.route("**/health", lambda route: route.fulfill(status=503, content_type="application/json", body=answer))
    page.evaluate("location.hash = '#node'")
    expect(page.get_by_text("It does not serve.")).to_be_visible()
    expect(page.get_by_text("too few validators are connected")).to_be_visible()


@pytest.mark.long
def test_a_node_that_stops_answering_is_told_of_with_since_when(visitor: Visitor, network: Network) -> None:
    page = visitor.page(f"{network.app(3)}#node")
    expect(page.get_by_text("All is well.")).to_be_visible()
    network.kill(3)
    try:
        silent = page.get_by_role("alert").filter(has_text="The node has not answered since")
        expect(silent).to_contain_text(re.compile(r"since \d{2}:\d{2}:\d{2}"))
        # What was known stays.
        expect(page.get_by_role("heading", name="Peers (3)")).to_be_visible()
    finally:
        network.restart(3)
    expect(silent).to_have_count(0)
