"""One visitor with a browser profile of its own: pages, a place on Earth, screenshots, accessibility."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

from playwright.sync_api import BrowserContext, Page

from tests.javascript.node import ROOT
from tests.web.app import WEB
from tests.web.browser.watching import Watched

SCREENSHOTS: Final = Path(os.environ.get("STEP_TEST_SCREENSHOTS", ROOT / "build" / "screenshots"))
WIDTHS: Final = {360: 740, 768: 1_024, 1_440: 900}
"""Of a phone, a tablet and a desk, in CSS pixels, and how high each is."""
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
IN_CONTROL: Final = "navigator.serviceWorker.ready.then(() => navigator.serviceWorker.controller !== null)"
"""For `wait_for_function`: whether the service worker has kept the app, and answers for it."""
_TAGS: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


@dataclass
class Visitor:
    """Cookies, storage and service worker are this visitor's alone."""

    context: BrowserContext
    watched: Watched

    def page(self, url: str) -> Page:
        """A new tab at an address, once its page is loaded."""
        page = self.context.new_page()
        page.goto(url)
        return page

    def stand(self, lat: float, lon: float, *, accuracy_m: float = 5.0) -> None:
        """Be at a place, and let pages know it when they ask; again, to have moved."""
        self.context.grant_permissions(["geolocation"])
        self.context.set_geolocation({"latitude": lat, "longitude": lon, "accuracy": accuracy_m})

    def deny_position(self) -> None:
        """Pages that ask for the position are refused."""
        self.context.clear_permissions()


def shoot(page: Page, name: str, *, widths: Iterable[int] = WIDTHS, full: bool = False) -> list[Path]:
    """The page at each width, light and dark, as `NAME-WIDTH-SCHEME.png` in `SCREENSHOTS`; then as it was."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    before = page.viewport_size
    made = []
    for width in widths:
        page.set_viewport_size({"width": width, "height": WIDTHS.get(width, 900)})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            path = SCREENSHOTS / f"{name}-{width}-{scheme}.png"
            page.screenshot(path=path, full_page=full)
            made.append(path)
    page.emulate_media(color_scheme="null")
    if before is not None:
        page.set_viewport_size(before)
    return made


def accessibility_violations(page: Page) -> list[str]:
    """What axe finds wrong with the page as it is now: rule, what is asked, and the elements. Wants npm's packages."""
    page.evaluate(_axe())
    found: list[dict[str, Any]] = page.evaluate(
        "async (tags) => (await axe.run(document, { runOnly: tags, resultTypes: ['violations'] })).violations",
        list(_TAGS),
    )
    return [
        f"{one['id']}: {one['help']}: {node['html']} {node.get('failureSummary', '')}"
        for one in found
        for node in one["nodes"]
    ]


@lru_cache(maxsize=1)
def _axe() -> str:
    return (WEB / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
