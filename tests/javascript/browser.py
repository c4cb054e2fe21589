"""Headless Chromium, for pages that are served from an origin of their own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final

import pytest

from tests.javascript.node import ROOT, run_node

CHROMIUM: Final = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SECONDS_MAX: Final = 150.0

needs_browser: Final = pytest.mark.skipif(
    CHROMIUM is None, reason="NO BROWSER: chromium, chromium-browser or google-chrome must be on PATH"
)


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, and says nothing about it."""

    def log_message(self, *_arguments: object) -> None:
        """Tests' output is for tests."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The origin at which `folder` is served meanwhile."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def opened(page: str, profile: Path, until: str) -> dict[str, Any]:
    """What the page said in the end, how many shapes it drew, and which addresses the browser asked.

    `page` is an address, `profile` where the browser may keep what it keeps, `until` a pattern of what the page's
    element `said` says in the end; a line in it that begins with a code ends it too.
    """
    driver = ROOT / "tests" / "javascript" / "browser.mjs"
    told: dict[str, Any] = json.loads(run_node(driver, str(CHROMIUM), profile, page, until, seconds_max=SECONDS_MAX))
    return told
