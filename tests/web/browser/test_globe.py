"""The first page: the network alive on a globe, and near enough a map. What is drawn stands in the canvas's data."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.web.app import needs_packages
from tests.web.browser.base_map import write_base_map
from tests.web.browser.network import Network
from tests.web.browser.other_wallet import OtherWallet
from tests.web.browser.proofs import Spot, new_spot, prove
from tests.web.browser.visitor import Visitor, accessibility_violations, shoot

STILL = """() => new Promise((done) => {
  let left = 30;
  const next = () => (left-- ? requestAnimationFrame(next) : done());
  next();
})"""
"""Half a second of frames."""


def globe_of(page: Page) -> Locator:
    canvas = page.locator(".globe canvas")
    expect(canvas).to_have_attribute("data-land", re.compile(r"[1-9]"))
    return canvas


def panel_of(page: Page) -> Locator:
    """What is told of the triangle that was chosen."""
    return page.locator("section.globe-panel")


def camera_of(canvas: Locator) -> tuple[float, float, float]:
    lat, lon, zoom = (float(canvas.get_attribute(f"data-{name}") or "nan") for name in ("lat", "lon", "zoom"))
    return lat, lon, zoom


def at(network: Network, spot: Spot, zoom: float = 11.0) -> str:
    return f"{network.app()}#/map/{spot.lat:.5f}/{spot.lon:.5f}/{zoom}"


def test_a_proof_lights_its_triangle_and_stands_in_words(page: Page, network: Network) -> None:
    canvas = globe_of(page)
    expect(page.get_by_text("What becomes final while you look")).to_be_visible()
    spot = new_spot()
    triangle = str(spot.triangle())
    # The feed may begin after the first proof.
    for _ in range(5):
        proof_id = prove(network, spot)
        try:
            expect(canvas).to_have_attribute("data-lit", re.compile(re.escape(triangle)), timeout=4_000)
            break
        except AssertionError:
            continue
    expect(canvas).to_have_attribute("data-lit", re.compile(re.escape(triangle)))
    happened = page.get_by_role("listitem").filter(has=page.locator(f"a[title='{triangle}']")).first
    expect(happened).to_contain_text("earned 0.001953 STEP")
    assert happened.get_by_role("link", name="proof").get_attribute("href") == f"#/proof/{proof_id}"
    network_now = page.get_by_role("region", name="The network now")
    expect(network_now.get_by_role("link")).to_have_attribute("href", re.compile(r"#/batch/\d+"))
    expect(network_now).to_contain_text(re.compile(r"Proofs a second\d"))

    happened.get_by_role("button", name="Show on the globe").click()
    expect(panel_of(page)).to_contain_text("0.001953 STEP")
    expect(page).to_have_url(re.compile(r"#/map/-2\d\..*\?triangle=STEP-TRI-v1%3A"))
    lat, lon, zoom = camera_of(canvas)
    assert abs(lat - spot.lat) < 0.2
    assert abs(lon - spot.lon) < 0.2
    assert zoom > 8


@pytest.mark.long
def test_whoever_has_not_looked_around_is_turned_to_the_first_proof(
    visitors: Callable[..., Visitor], network: Network
) -> None:
    page = visitors(timezone_id="America/New_York").page(network.app())
    canvas = globe_of(page)
    assert camera_of(canvas)[1] == pytest.approx(-75, abs=16)
    spot = new_spot()
    for _ in range(5):
        prove(network, spot)
        try:
            expect(canvas).to_have_attribute("data-lon", re.compile(r"^1[1-4]\d\."), timeout=4_000)
            break
        except AssertionError:
            continue
    assert camera_of(canvas)[1] == pytest.approx(spot.lon, abs=1)


@pytest.mark.long
def test_validators_and_their_votes(page: Page, network: Network) -> None:
    prove(network, new_spot())
    votes = page.get_by_role("region", name="Validators and their votes")
    expect(votes.locator("tbody tr")).to_have_count(4)
    expect(votes.get_by_text("this node")).to_have_count(1)
    expect(votes).to_contain_text("3 of 4 must agree")
    # Whoever has a quorum has signed; the fourth may have been too late to be needed.
    expect(votes.locator("td.good").nth(2)).to_be_attached()


def test_it_is_turned_and_zoomed_by_hand_wheel_keys_and_buttons_and_the_address_follows(page: Page) -> None:
    canvas = globe_of(page)
    box = canvas.bounding_box()
    assert box is not None
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    lat, lon, zoom = camera_of(canvas)

    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] - 60, middle[1] + 40, steps=5)
    page.mouse.up()
    expect(canvas).not_to_have_attribute("data-lon", f"{lon:.5f}")
    dragged = camera_of(canvas)
    assert dragged[0] > lat
    assert dragged[1] > lon

    page.mouse.wheel(0, -600)
    expect(canvas).not_to_have_attribute("data-zoom", f"{zoom:.2f}")
    wheeled = camera_of(canvas)
    assert wheeled[2] > zoom + 1
    expect(page).to_have_url(re.compile(r"#/map/"))

    canvas.focus()
    page.keyboard.press("ArrowLeft")
    expect(canvas).not_to_have_attribute("data-lon", f"{wheeled[1]:.5f}")
    assert camera_of(canvas)[1] < wheeled[1]
    page.keyboard.press("+")
    expect(canvas).to_have_attribute("data-zoom", f"{wheeled[2] + 0.5:.2f}")
    page.get_by_role("button", name="Zoom in").click()
    expect(canvas).to_have_attribute("data-zoom", f"{wheeled[2] + 1.5:.2f}")
    address = re.compile(rf"/{wheeled[2] + 1.5:.1f}$")
    expect(page).to_have_url(address)
    before = camera_of(canvas)
    page.reload()
    assert camera_of(globe_of(page)) == pytest.approx(before, abs=0.06)

    page.get_by_role("button", name="Whole Earth").click()
    expect(canvas).to_have_attribute("data-zoom", f"{zoom:.2f}")
    page.set_viewport_size({"width": 330, "height": 700})
    expect(canvas).not_to_have_attribute("data-zoom", f"{zoom:.2f}")
    narrow = canvas.bounding_box()
    assert narrow is not None
    assert camera_of(canvas)[2] == pytest.approx(zoom + math.log2(narrow["width"] / box["width"]), abs=0.02)


@pytest.mark.long
def test_two_fingers_zoom(visitors: Callable[..., Visitor], network: Network) -> None:
    visitor = visitors(has_touch=True)
    page = visitor.page(network.app())
    canvas = globe_of(page)
    zoom = camera_of(canvas)[2]
    touch = visitor.context.new_cdp_session(page)

    def fingers(kind: str, *ys: float) -> None:
        points = [{"x": 190, "y": y, "id": number} for number, y in enumerate(ys)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    fingers("touchStart", 230, 250)
    for far in (20, 40, 60, 80):
        fingers("touchMove", 230 - far, 250 + far)
    fingers("touchEnd")
    expect(canvas).not_to_have_attribute("data-zoom", f"{zoom:.2f}")
    assert camera_of(canvas)[2] > zoom + 1.5


def test_the_map_shows_triangles_as_they_stand_and_a_tap_opens_one(page: Page, network: Network) -> None:
    spot = new_spot()
    prove(network, spot)
    page.goto(at(network, spot))
    canvas = globe_of(page)
    expect(canvas).to_have_attribute("data-triangles", re.compile(r"^\d{2,3}$"))
    expect(page.get_by_text(re.compile(r"\d+ active triangles of level 10 are shown"))).to_be_visible()

    canvas.focus()
    page.keyboard.press("Enter")
    panel = panel_of(page)
    expect(panel).to_contain_text("1 of 11")
    expect(panel).to_contain_text("10 of 21")
    expect(panel).to_contain_text("Whoever stands in it may.")
    triangle = str(spot.triangle())
    link = panel.get_by_role("link", name="All about this triangle")
    assert link.get_attribute("href") == f"#/triangle/{triangle.replace(':', '%3A')}"
    prove(network, spot)
    expect(panel).to_contain_text("2 of 11")

    # Whoever is sent the address sees the same.
    shared = page.context.new_page()
    shared.goto(page.url)
    expect(panel_of(shared)).to_contain_text("2 of 11")
    assert camera_of(globe_of(shared)) == pytest.approx(camera_of(canvas), abs=0.06)
    panel.get_by_role("button", name="Close", exact=True).click()
    expect(panel).to_have_count(0)
    expect(page).not_to_have_url(re.compile("triangle="))


@pytest.mark.long
def test_whoever_has_an_account_sees_when_and_where_it_may_prove(visitor: Visitor, network: Network) -> None:
    wallet = OtherWallet(visitor.context)
    page = visitor.page(network.app())
    wallet.choose(page)
    spot = new_spot()
    prove(network, spot, private_key=wallet.private_key)
    page.goto(f"{at(network, spot)}?triangle={spot.triangle()}")
    panel = panel_of(page)
    expect(panel.locator("[data-may-mine=false]")).to_have_text(re.compile(r"You may from \d\d:\d\d:\d\d on"))
    expect(page.get_by_text("your proofs")).to_be_visible()
    expect(page.locator(".globe canvas")).to_have_attribute("data-own", "1")


@pytest.mark.long
def test_where_am_i(visitor: Visitor, network: Network) -> None:
    page = visitor.page(network.app())
    canvas = globe_of(page)
    page.get_by_role("button", name="Where am I?").click()
    expect(page.get_by_text("The browser does not give your position to this page.")).to_be_visible()
    visitor.stand(-33.8688, 151.2093, accuracy_m=12)
    page.get_by_role("button", name="Where am I?").click()
    expect(page.get_by_text("This is where you are, to within 12 m.")).to_be_visible()
    # It flies there.
    expect(canvas).to_have_attribute("data-lat", re.compile(r"^-33\.8[67]"))
    assert camera_of(canvas)[:2] == pytest.approx((-33.8688, 151.2093), abs=0.01)


@pytest.mark.long
@pytest.mark.parametrize(
    "address",
    [
        "#/map/<img src=x onerror=alert(1)>/8/12",
        "#/map/NaN/Infinity/1e999",
        "#/map/999/-999/999?triangle=%3Cscript%3Ealert(1)%3C/script%3E",
        "#/map?triangle=STEP-TRI-v1:F10-21212130000000000000-AAA",
    ],
)
def test_an_address_that_says_no_place_shows_the_globe(visitor: Visitor, network: Network, address: str) -> None:
    page = visitor.page(network.app() + address)
    canvas = page.locator(".globe canvas")
    expect(canvas).to_have_attribute("data-frames", re.compile(r"\d"))
    lat, lon, zoom = camera_of(canvas)
    assert abs(lat) < 90
    assert abs(lon) <= 180
    assert 0 < zoom <= 20
    expect(panel_of(page)).to_have_count(0)


HOSTILE = '<img src=x onerror="document.title=1">'


def test_what_a_node_says_is_shown_as_text(visitor: Visitor, network: Network) -> None:
    proof = {
        "proofId": HOSTILE,
        "account": HOSTILE,
        "triangleId": HOSTILE,
        "reward": "0.001953",
        "timestamp": "2026-01-01T00:00:00.000Z",
        "processedAt": "2026-01-01T00:00:01.000Z",
    }
    voter = {"address": HOSTILE, "isSelf": True, "isConnected": True, "preVote": HOSTILE, "preCommit": "nil"}
    consensus = {"height": 1, "round": 0, "proposer": HOSTILE, "quorum": 1, "validators": [voter]}

    def feed(route: Route) -> None:
        told = f"id: 1.1\nevent: proof_finalised\ndata: {json.dumps(proof)}\n\n"
        route.fulfill(body=told, content_type="text/event-stream")

    visitor.context.route(re.compile(r"/events\?"), feed)
    visitor.context.route(re.compile(r"/consensus$"), lambda route: route.fulfill(json=consensus))
    page = visitor.page(network.app())
    canvas = globe_of(page)
    expect(page.get_by_role("listitem").first).to_contain_text(HOSTILE)
    expect(page.locator(".votes tbody")).to_contain_text(HOSTILE)
    assert canvas.get_attribute("data-lit") == ""
    assert page.locator("img[src=x]").count() == 0
    expect(page).to_have_title("Globe · STEP")


@pytest.mark.long
def test_nothing_is_drawn_while_nothing_changes(visitor: Visitor, network: Network) -> None:
    visitor.context.route(
        re.compile(r"/events\?"), lambda route: route.fulfill(body="", content_type="text/event-stream")
    )
    page = visitor.page(network.app())
    canvas = globe_of(page)
    page.evaluate(STILL)
    frames = canvas.get_attribute("data-frames")
    page.evaluate(STILL)
    assert canvas.get_attribute("data-frames") == frames


@pytest.mark.long
def test_it_speaks_german(visitors: Callable[..., Visitor], network: Network) -> None:
    page = visitors(locale="de-CH").page(network.app())
    expect(page.get_by_role("heading", name="Das Netz jetzt")).to_be_visible()
    expect(page.get_by_role("heading", name="Validatoren und ihre Stimmen")).to_be_visible()


@pytest.mark.long
@needs_packages
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(visitors: Callable[..., Visitor], network: Network, scheme: str) -> None:
    spot = new_spot()
    prove(network, spot)
    page = visitors(color_scheme=scheme).page(f"{at(network, spot)}?triangle={spot.triangle()}")
    globe_of(page)
    expect(panel_of(page)).to_contain_text("1 of 11")
    expect(page.locator(".votes tbody tr")).to_have_count(4)
    prove(network, spot)
    expect(page.locator(".happened li").first).to_be_visible()
    assert accessibility_violations(page) == []


@pytest.mark.long
def test_as_it_looks(page: Page, network: Network) -> None:
    """Nothing is wider than the screen, at any width; the pictures are for people."""
    spot = new_spot()
    globe_of(page)
    for _ in range(3):
        prove(network, new_spot())
        prove(network, spot)
    shoot(page, "globe")
    page.goto(f"{at(network, spot)}?triangle={spot.triangle()}")
    expect(panel_of(page)).to_contain_text("3 of 11")
    shoot(page, "map")
    for width in (360, 768, 1_440, 3_840):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.long
def test_an_operators_base_map_lies_under_the_triangles(
    visitor: Visitor, network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spot = new_spot()
    path = tmp_path / "base-map.pmtiles"
    write_base_map(path, spot, HOSTILE)
    node = network.devnet.nodes[1]
    monkeypatch.setitem(node.environment, "STEP_API__WEB_APP_BASE_MAP", str(path))
    network.restart(1)
    page = visitor.page(f"{network.app(1)}#/map/{spot.lat}/{spot.lon}/13")
    canvas = page.locator(".globe canvas")
    expect(canvas).to_have_attribute("data-tiles", "1")
    expect(page.get_by_role("link", name="© OpenStreetMap")).to_be_visible()
    assert page.locator("img[src=x]").count() == 0
    # The middle is on the road, and a lake lies north-west of it.
    colours = page.evaluate(
        """(spots) => {
          const canvas = document.querySelector(".globe canvas");
          const { width, height } = canvas;
          const context = canvas.getContext("2d");
          return spots.map(([x, y]) => [...context.getImageData(width / 2 + x, height / 2 + y, 1, 1).data].join());
        }""",
        [[-80, -80], [80, 80], [-80, 80]],
    )
    assert colours[0] != colours[1]
    shoot(page, "base-map", widths=(1_440,))
    monkeypatch.undo()
    network.restart(1)
    page.reload()
    expect(canvas).to_have_attribute("data-triangles", re.compile(r"[1-9]"))
    expect(canvas).to_have_attribute("data-tiles", "0")
    expect(page.get_by_role("link", name="© OpenStreetMap")).to_have_count(0)


@pytest.mark.long
def test_a_feed_that_breaks_off_is_said_and_goes_on(visitor: Visitor, network: Network) -> None:
    page = visitor.page(network.app(2))
    canvas = globe_of(page)
    # Others that the node named would be asked next: none of them may answer.
    visitor.context.route(re.compile(r"/events\?"), lambda route: route.abort())
    network.kill(2)
    try:
        expect(page.get_by_text("The live feed has broken off.")).to_be_visible(timeout=90_000)
    finally:
        network.restart(2)
    visitor.context.unroute(re.compile(r"/events\?"))
    spot = new_spot()
    for _ in range(10):
        prove(network, spot)
        try:
            expect(canvas).to_have_attribute("data-glowing", re.compile(r"[1-9]"), timeout=4_000)
            break
        except AssertionError:
            continue
    expect(canvas).to_have_attribute("data-glowing", re.compile(r"[1-9]"))
    expect(page.get_by_text("The live feed has broken off.")).to_have_count(0)
