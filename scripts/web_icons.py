"""Draws the web app's icons as PNG of its SVG, with Chromium; what it draws is committed.

    python -m scripts.web_icons

`icon-maskable-512.png` has no rounded corners, and all that matters within the middle four fifths: phones cut it as
they like.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from playwright.sync_api import sync_playwright

STATIC: Final = Path(__file__).parents[1] / "clients" / "web" / "static"
ROUND: Final = 'rx="112" '
SIZES: Final = {"icon-180.png": 180, "icon-192.png": 192, "icon-512.png": 512, "icon-maskable-512.png": 512}
SQUARE: Final = ("icon-180.png", "icon-maskable-512.png")
"""Without corners of their own; iOS rounds them as well."""
WHOLE: Final = 'viewBox="0 0 512 512"'
FURTHER: Final = 'viewBox="-48 -48 608 608" style="background:#0b1220"'


def main() -> None:
    """Draw them all."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    svg = (STATIC / "icon.svg").read_text(encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, size in SIZES.items():
            page = browser.new_page(viewport={"width": size, "height": size})
            drawn = svg.replace(ROUND, "") if name in SQUARE else svg
            if "maskable" in name:
                drawn = drawn.replace(WHOLE, FURTHER)
            page.set_content(f"<style>*{{margin:0}}svg{{display:block;width:100vw}}</style>{drawn}")
            page.screenshot(path=STATIC / name, omit_background=True)
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
