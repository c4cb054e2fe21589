"""The first screen is small: all that is loaded before it can be used."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser

from tests.web.app import SERVED
from tests.web.browser.first_screen import first_visit
from tests.web.browser.network import Network

LOADED_BYTES_MAX = 80_000
FILES_MAX = 3
"""The page, its script, its styles: over a slow network each round of requests is half a second."""


def test_what_the_page_names_is_one_script_and_one_sheet_of_styles() -> None:
    page = (SERVED / "index.html").read_text(encoding="utf-8")
    assert len(re.findall(r'"parts/[^"]*"', page)) == FILES_MAX - 1


@pytest.mark.long
def test_the_first_screen_is_small(browser: Browser, network: Network) -> None:
    visit = first_visit(browser, network.app(), is_slow=False)
    assert visit.loaded_bytes <= LOADED_BYTES_MAX
