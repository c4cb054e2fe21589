"""What tests of proving do again and again on the page, and the signed proofs of others that they send meanwhile."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from typing import Any, Final

import httpx
from eth_account import Account
from eth_account.messages import encode_defunct
from playwright.sync_api import Locator, Page, expect

from tests.web.browser.network import Network
from tests.web.browser.other_wallet import OtherWallet
from tests.web.browser.visitor import Visitor

METRES_NORTH: Final = 1 / 111_194.93
"""Of latitude, in degrees."""
SECONDS_MAX: Final = 60.0


def at_prove(visitor: Visitor, network: Network, *, node: int = 0) -> tuple[Page, OtherWallet]:
    """At the page where one proves, with an account that signs at once."""
    wallet = OtherWallet(visitor.context)
    page = visitor.page(f"{network.app(node)}#/prove")
    wallet.choose(page)
    return page, wallet


def button(page: Page) -> Locator:
    return page.get_by_role("button", name="Prove that I am here")


def prove(visitor: Visitor, page: Page, lat: float, lon: float) -> None:
    """Stand there until one may prove, and prove."""
    until = time.monotonic() + SECONDS_MAX
    while not button(page).is_enabled():
        assert time.monotonic() < until, page.inner_text("main")
        # A receiver goes on telling where it is; what it said seconds ago is no position of now.
        visitor.stand(lat, lon)
        page.wait_for_timeout(500)
    button(page).click()


def entries(page: Page, state: str) -> Locator:
    """The proofs of this device that are in a state."""
    return page.locator(f"ol.outbox > li[data-state={state}]")


def expect_final(page: Page, count: int = 1) -> None:
    expect(entries(page, "final")).to_have_count(count, timeout=SECONDS_MAX * 1000)


def others_prove(network: Network, triangle: str, lat: float, lon: float, count: int) -> None:
    """So many others prove in a triangle, and their proofs become final."""
    for _ in range(count):
        body = signed_proof(triangle, lat, lon)
        answer = httpx.post(f"{network.urls[0]}/proof/submit", params={"wait_ms": 20_000}, json=body, timeout=30)
        assert answer.status_code == 200, answer.text


def signed_proof(triangle: str, lat: float, lon: float) -> dict[str, Any]:
    """Of a new account, now. Whole degrees would have to be written as JavaScript does, without a point."""
    account = Account.create()
    timestamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    nonce = uuid.uuid4().hex
    address = account.address.lower()
    place = f"triangle:{triangle}|lat:{lat!r}|lon:{lon!r}|acc:5"
    line = f"STEP-PROOF-v1|account:{address}|{place}|ts:{timestamp}|nonce:{nonce}"
    signed = Account.sign_message(encode_defunct(text=line), account.key)
    payload = {
        **{"version": "STEP-PROOF-v1", "account": address, "triangleId": triangle, "lat": lat, "lon": lon},
        **{"accuracy": 5, "timestamp": timestamp, "nonce": nonce},
    }
    return {"payload": payload, "signature": "0x" + bytes(signed.signature).hex()}


def active_triangle(network: Network, lat: float, lon: float) -> dict[str, Any]:
    answer = httpx.get(f"{network.urls[0]}/mesh/triangleAt", params={"lat": lat, "lon": lon, "level": "active"})
    result: dict[str, Any] = answer.json()["result"]
    return result
