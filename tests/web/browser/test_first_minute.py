"""The first minute of a stranger: the network is started, its link opened, a key made, a place proven, its receipt
verified without a connection. Filmed."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import Browser, expect

from tests.web.app import make_if_stale
from tests.web.browser.filming import filmed
from tests.web.browser.proving import expect_final, prove
from tests.web.browser.test_wallet import confirm, make_key, unlock
from tests.web.browser.visitor import SCREENSHOTS, Visitor
from tests.web.browser.watching import Watched, origin_of

BUDAPEST: Final = (47.4979, 19.0402)
FILM: Final = SCREENSHOTS / "first-minute.webp"


@pytest.fixture
def link() -> Iterator[str]:
    """What `step-node devnet` prints first; it runs meanwhile, as for anybody who types that."""
    make_if_stale()
    command = [sys.executable, "-m", "step_node.cli.main", "devnet", "--base-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as devnet:
        assert devnet.stdout is not None
        try:
            for line in devnet.stdout:
                if found := re.match(r"Open  (\S+)", line):
                    yield found[1]
                    break
            else:
                pytest.fail("the network ended before it had a link")
        finally:
            devnet.terminate()
            devnet.communicate()


@pytest.mark.long
def test_from_the_link_to_a_receipt_that_is_verified_offline(browser: Browser, link: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, locale="en-GB")
    context.set_default_timeout(60_000)
    watched = Watched({origin_of(link)})
    watched.follow(context)
    visitor = Visitor(context, watched)
    page = context.new_page()
    with filmed(page, FILM):
        begun_at = time.monotonic()
        page.goto(link)
        expect(page.get_by_role("link", name=", live")).to_be_visible()
        expect(page.locator(".happened li").first).to_be_visible(timeout=60_000)  # Somebody's proof has become final.
        confirm(page, make_key(page))
        page.get_by_role("link", name="Prove", exact=True).click()
        prove(visitor, page, *BUDAPEST)
        if page.get_by_role("dialog").is_visible():
            unlock(page)
        expect_final(page)
        context.set_offline(True)
        page.get_by_role("link", name="Receipt", exact=True).click()
        expect(page.get_by_text("Verified here")).to_be_visible()
        seconds = time.monotonic() - begun_at
    print(f"from the link to the verified receipt: {seconds:.0f} s; filmed in {FILM}")  # noqa: T201 - for who measures
    context.close()
    watched.check()
