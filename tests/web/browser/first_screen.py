"""How much the first screen loads, and when it can be used, over a slow network with a slow processor.

    python -m tests.web.browser.first_screen [RUNS]

measures it with four nodes of a devnet, a fresh profile of Chromium each time, and DevTools' throttling: 400 kbit/s,
400 ms for each request, and a processor four times as slow as this one. What is measured on a busy machine says little.

The first screen can be used when the app's own bar is there (not only the one that stands in the page: the app marks
the page one is on; a test taps it with all else held back), and no task of the page takes longer than 50 ms any more
until two seconds have passed without one, as Lighthouse counts it: the globe comes meanwhile, and its tasks count. When
the globe has been drawn with its land is told besides. What is loaded until the screen can be used is counted as it
came over the wire, heads and all.
"""

from __future__ import annotations

import json
import statistics
import sys
from dataclasses import asdict, dataclass
from typing import Any, Final

from playwright.sync_api import Browser, sync_playwright

from tests.javascript.browser import CHROMIUM
from tests.web.app import make_if_stale
from tests.web.browser.network import network_running

BYTES_PER_SECOND: Final = 400_000 // 8
LATENCY_MS: Final = 400
CPU_TIMES_SLOWER: Final = 4
QUIET_MS: Final = 2_000
RUNS: Final = 5

_WATCH: Final = """(() => {
  const tasks = [];
  let thereAtMs = null;
  window.globeAtMs = null;
  new PerformanceObserver((list) => {
    for (const { startTime, duration } of list.getEntries()) tasks.push([startTime, startTime + duration]);
  }).observe({ type: "longtask", buffered: true });
  const look = () => {
    if (thereAtMs === null && document.querySelector("nav a[aria-current]")) thereAtMs = performance.now();
    const land = document.querySelector(".globe canvas")?.dataset.land ?? "0";
    if (window.globeAtMs === null && land !== "0") window.globeAtMs = performance.now();
  };
  new MutationObserver(look).observe(document, { attributes: true, childList: true, subtree: true });
  window.interactiveAtMs = (quietMs) => {
    if (thereAtMs === null) return null;
    let quietSince = thereAtMs;
    for (const [from, to] of tasks) {
      if (to <= thereAtMs) continue;
      if (from - quietSince > quietMs) break;
      quietSince = to;
    }
    return performance.now() - quietSince > quietMs ? quietSince : null;
  };
})()"""


@dataclass(frozen=True, slots=True)
class FirstScreen:
    """What one visit came to; `loaded_bytes` and `requests` until it could be used, of the app and of the API."""

    first_paint_ms: float
    interactive_ms: float
    globe_ms: float
    loaded_bytes: int
    requests: int


def first_visit(browser: Browser, url: str, *, is_slow: bool = True) -> FirstScreen:
    """A visit with nothing kept from before."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, service_workers="block")
    page = context.new_page()
    page.add_init_script(_WATCH)
    devtools = context.new_cdp_session(page)
    devtools.send("Network.enable")
    finished: list[tuple[float, float]] = []
    begun: list[float] = []

    def begins(event: dict[str, Any]) -> None:
        begun.append(event["timestamp"])

    def ends(event: dict[str, Any]) -> None:
        finished.append((event["timestamp"], event["encodedDataLength"]))

    devtools.on("Network.requestWillBeSent", begins)
    devtools.on("Network.loadingFinished", ends)
    if is_slow:
        speed = {"downloadThroughput": BYTES_PER_SECOND, "uploadThroughput": BYTES_PER_SECOND}
        devtools.send("Network.emulateNetworkConditions", {"offline": False, "latency": LATENCY_MS, **speed})
        devtools.send("Emulation.setCPUThrottlingRate", {"rate": CPU_TIMES_SLOWER})
    page.goto(url, wait_until="commit")
    interactive_ms: float = page.wait_for_function(
        "(quietMs) => window.interactiveAtMs?.(quietMs) ?? false", arg=QUIET_MS, timeout=60_000
    ).json_value()
    globe_ms: float = page.wait_for_function("() => window.globeAtMs", timeout=60_000).json_value()
    first_paint_ms: float = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    context.close()
    # Each request's clock begins with the first one.
    until = begun[0] + interactive_ms / 1000
    return FirstScreen(
        round(first_paint_ms),
        round(interactive_ms),
        round(globe_ms),
        round(sum(size for at, size in finished if at <= until)),
        sum(at <= until for at in begun),
    )


def main() -> None:
    """Measure, and print each visit and the middle of them."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    make_if_stale()
    with network_running() as network, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        first_visit(browser, network.app(), is_slow=False)  # The node packs its files at the first request.
        visits = [first_visit(browser, network.app()) for _ in range(runs)]
        browser.close()
    for visit in visits:
        print(json.dumps(asdict(visit)))  # noqa: T201 - it is what the command is for
    for name in ("first_paint_ms", "interactive_ms", "globe_ms", "loaded_bytes", "requests"):
        print(f"{name}: {statistics.median(getattr(visit, name) for visit in visits):.0f}")  # noqa: T201


if __name__ == "__main__":
    main()
