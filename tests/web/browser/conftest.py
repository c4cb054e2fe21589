"""Chromium and a real network for the tests of the web app.

`network` is four real nodes, `visitor` a fresh profile of Chromium, `page` its tab at the app of the first node, and
`visitors` makes more of them. A test fails if its pages asked anybody but the network's nodes, broke a policy, or left
an exception uncaught; `visitor.watched` has what they asked. All of it ends with the last test of this folder:
Playwright leaves an event loop running in its thread, which other tests would not stand.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.javascript.browser import CHROMIUM, needs_browser
from tests.web.app import SERVED, make_if_stale
from tests.web.browser.network import Network, network_running
from tests.web.browser.visitor import Visitor
from tests.web.browser.watching import Watched, origin_of

PHONE = {"width": 390, "height": 844}
MAKING_MS_MAX = 20_000
"""How long a test waits for what is to be seen, where it does not say otherwise: a loaded machine is slow."""

expect.set_options(timeout=MAKING_MS_MAX)

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each test here wants a browser, and processes."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.slow)
            item.add_marker(needs_browser)


@pytest.fixture(scope="package")
def network() -> Iterator[Network]:
    make_if_stale()
    if not (SERVED / "index.html").exists():
        pytest.skip("NO APP: step_node/api/web is not there; npm run build in clients/web makes it")
    with network_running() as running:
        yield running


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    # Without it, what a service worker asks for is not told.
    os.environ["PW_EXPERIMENTAL_SERVICE_WORKER_NETWORK_EVENTS"] = "1"
    expect.set_options(timeout=MAKING_MS_MAX)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def visitors(browser: Browser, network: Network) -> Iterator[Callable[..., Visitor]]:
    """Makes visitors; what is given is as `browser.new_context` takes it (`locale=`, `viewport=`, `offline=`…)."""
    made: list[Visitor] = []

    def new(**options: Any) -> Visitor:
        chosen = {"viewport": PHONE, "locale": "en-GB", "reduced_motion": "reduce", **options}
        context = browser.new_context(**chosen)
        context.set_default_timeout(MAKING_MS_MAX)
        watched = Watched({origin_of(url) for url in network.urls})
        watched.follow(context)
        made.append(Visitor(context, watched))
        return made[-1]

    yield new
    for visitor in made:
        visitor.context.close()
    for visitor in made:
        visitor.watched.check()


@pytest.fixture
def visitor(visitors: Callable[..., Visitor]) -> Visitor:
    return visitors()


@pytest.fixture
def page(visitor: Visitor, network: Network) -> Page:
    """At the app of the first node, English, of a phone's size."""
    return visitor.page(network.app())
