"""What holds for every page: axe finds nothing, light or dark, and neither does Lighthouse."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import expect

from tests.javascript.browser import CHROMIUM
from tests.javascript.node import NODE
from tests.web.app import WEB, needs_packages
from tests.web.browser.network import Network
from tests.web.browser.proofs import new_spot, prove
from tests.web.browser.visitor import SCHEMES, WIDTHS, Visitor, accessibility_violations, shoot

PAGES: Final = (
    "",
    "prove",
    "wallet",
    "wallet/new",
    "explorer",
    "validators",
    "receipt",
    "node",
    "guardrails",
    "fairness",
    "nowhere",
)
LIGHTHOUSE: Final = WEB / "audit" / "node_modules" / "lighthouse" / "cli" / "index.js"
BEYOND_PX: Final = "document.documentElement.scrollWidth - innerWidth"
SCORE_MIN: Final = 0.95
SECONDS_MAX: Final = 300


@pytest.mark.long
@needs_packages
@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing_light_or_dark_small_or_large(visitor: Visitor, network: Network, path: str) -> None:
    prove(network, new_spot())
    page = visitor.page(f"{network.app()}#/{path}")
    expect(page.get_by_role("link", name=", live")).to_be_visible()
    expect(page.get_by_text("Loading…")).to_have_count(0)
    for width in (min(WIDTHS), max(WIDTHS)):
        page.set_viewport_size({"width": width, "height": WIDTHS[width]})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            assert accessibility_violations(page) == [], (width, scheme)
    shoot(page, f"page-{path.replace('/', '-') or 'globe'}")
    # Nothing is wider than a phone, in the language with the longer words either.
    page.set_viewport_size({"width": min(WIDTHS), "height": WIDTHS[min(WIDTHS)]})
    assert page.evaluate(BEYOND_PX) <= 0
    page.get_by_role("button", name="Deutsch").click()
    expect(page.get_by_text("Wird geladen …")).to_have_count(0)
    assert page.evaluate(BEYOND_PX) <= 0


@pytest.mark.long
@pytest.mark.skipif(
    not LIGHTHOUSE.exists(), reason="Lighthouse is not there: make test-web, which wants npm's registry"
)
def test_lighthouse_is_content(network: Network, tmp_path: Path) -> None:
    """In all but speed, which a test cannot promise on a machine that does other things: that is printed."""
    report = tmp_path / "report.json"
    flags = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage"
    subprocess.run(
        [
            NODE,
            LIGHTHOUSE,
            network.app(),
            "--output=json",
            f"--output-path={report}",
            f"--chrome-flags={flags}",
            "--quiet",
        ],
        env={**os.environ, "CHROME_PATH": str(CHROMIUM)},
        check=True,
        timeout=SECONDS_MAX,
    )
    told: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    scores = {name: category["score"] for name, category in told["categories"].items()}
    print(f"Lighthouse: {scores}")  # noqa: T201 - for who measures
    assert scores.keys() == {"performance", "accessibility", "best-practices", "seo"}
    assert {name: score for name, score in scores.items() if name != "performance" and score < SCORE_MIN} == {}
