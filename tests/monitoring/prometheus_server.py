"""A real Prometheus that scrapes a test's nodes, with the shipped rules shrunk, and a real Alertmanager."""

from __future__ import annotations

import math
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import trio
import yaml

from step_node.testing.devnet.ports import LOOPBACK, free_ports
from tests.monitoring.rules import ROOT, program, write_shrunk_rules

READY_SECONDS_MAX = 120.0

SCRAPED_EVERY_SECONDS = 2
"""And so long a node may take to answer: on a busy machine it needs more than a second at times, and a scrape that
fails begins each alert's `for:` anew."""


@dataclass
class Watched:
    """Both programs, running."""

    url: str
    alertmanager_url: str
    http: httpx.AsyncClient

    async def firing(self) -> set[tuple[str, str]]:
        """Name and instance ("" where the alert is of several) of what fires now."""
        alerts: list[dict[str, Any]] = (await self._get(f"{self.url}/api/v1/alerts"))["data"]["alerts"]
        return {
            (one["labels"]["alertname"], one["labels"].get("instance", ""))
            for one in alerts
            if one["state"] == "firing"
        }

    async def query(self, expr: str) -> list[float]:
        """The values that an expression has now."""
        answer = await self._get(f"{self.url}/api/v1/query", query=expr)
        assert answer["status"] == "success", answer
        return [float(series["value"][1]) for series in answer["data"]["result"]]

    async def told(self) -> set[tuple[str, str]]:
        """The same, of what Alertmanager has."""
        alerts: Any = await self._get(f"{self.alertmanager_url}/api/v2/alerts")
        return {(one["labels"]["alertname"], one["labels"].get("instance", "")) for one in alerts}

    async def _get(self, url: str, **params: str) -> dict[str, Any]:
        answer: dict[str, Any] = (await self.http.get(url, params=params, timeout=30)).raise_for_status().json()
        return answer


@asynccontextmanager
async def open_prometheus(folder: Path, targets: Sequence[str]) -> AsyncIterator[Watched]:
    """Both programs, running; `targets` are the nodes' host:port. Skips the test where one is missing."""
    folder.mkdir(parents=True)
    prometheus = program("prometheus", "prometheus")
    alertmanager = program("prometheus-alertmanager", "prometheus-alertmanager")
    write_shrunk_rules(folder / "rules")
    own, other = (ports.api for ports in free_ports(2))
    config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    config["global"] = {
        **dict.fromkeys(("scrape_interval", "scrape_timeout"), f"{SCRAPED_EVERY_SECONDS}s"),
        "evaluation_interval": "1s",
    }
    config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [f"{LOOPBACK}:{other}"]}]}]
    (job,) = config["scrape_configs"]
    del job["file_sd_configs"]
    job["static_configs"] = [{"targets": list(targets)}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    commands = (
        [
            *(prometheus, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}"),
            f"--web.listen-address={LOOPBACK}:{own}",
        ],
        [
            *(alertmanager, f"--config.file={ROOT / 'deploy' / 'alertmanager' / 'alertmanager.yml'}"),
            *(f"--storage.path={folder / 'alertmanager'}", f"--web.listen-address={LOOPBACK}:{other}"),
            "--cluster.listen-address=",
        ],
    )
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for number, command in enumerate(commands):
            with (folder / f"{number}.log").open("wb") as log:
                processes.append(subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL))
        async with httpx.AsyncClient(trust_env=False) as http:
            watched = Watched(f"http://{LOOPBACK}:{own}", f"http://{LOOPBACK}:{other}", http)
            for url in (watched.url, watched.alertmanager_url):
                await _until_ready(http, url)
            yield watched
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


async def _until_ready(http: httpx.AsyncClient, url: str) -> None:
    with trio.fail_after(READY_SECONDS_MAX):
        while True:
            try:
                if (await http.get(f"{url}/-/ready")).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            await trio.sleep(0.2)


def is_number(value: float) -> bool:
    """Whether a curve has a point there: Prometheus answers NaN for a share of nothing."""
    return not math.isnan(value)
