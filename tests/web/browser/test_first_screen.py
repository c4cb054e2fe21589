"""The first screen is small: the page, its script and styles, and the world that it draws."""

from __future__ import annotations

import gzip
import re

import pytest
from playwright.sync_api import Browser

from tests.web.app import SERVED
from tests.web.browser.first_screen import first_visit
from tests.web.browser.network import Network

PACKED_BYTES_MAX = 80_000
"""Of the app's files that the first screen shows, the coarse outlines of the world among them."""
LOADED_BYTES_MAX = 90_000
"""Of all that comes over the wire until it can be used: heads, and answers of the API, too."""
PARTS_MAX = 2
"""Over a slow network each round of requests is half a second: one script, and one sheet of styles."""


def test_what_the_first_screen_shows_is_small_and_comes_in_one_round() -> None:
    page = (SERVED / "index.html").read_text(encoding="utf-8")
    parts = re.findall(r'"(parts/[^"]*)"', page)
    (outlines,) = SERVED.glob("parts/coarse-*.js")
    shown = [SERVED / name for name in ("index.html", "icon.svg", "manifest.webmanifest", *parts)]
    assert len(parts) <= PARTS_MAX
    assert sum(len(gzip.compress(path.read_bytes(), mtime=0)) for path in (*shown, outlines)) <= PACKED_BYTES_MAX


@pytest.mark.long
def test_nothing_else_is_loaded_before_it_can_be_used(browser: Browser, network: Network) -> None:
    visit = first_visit(browser, network.app(), is_slow=False)
    assert visit.loaded_bytes <= LOADED_BYTES_MAX
