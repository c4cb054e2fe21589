"""A real Prometheus that scrapes a test's nodes every second, with the shipped rules shrunk; a real Alertmanager."""

from __future__ import annotations

import math
import subprocess
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import trio
import yaml

from step_node.testing.devnet.ports import LOOPBACK, free_ports
from tests.monitoring.rules import ROOT, program, write_shrunk_rules

READY_SECONDS_MAX = 120.0
POLL_SECONDS = 0.5


@dataclass
class Watched:
    """A running Prometheus. `fired` are the alerts that have been seen firing, `told` those that Alertmanager has."""

    url: str
    alertmanager_url: str
    http: httpx.AsyncClient
    fired: set[str] = field(default_factory=set)
    told: set[str] = field(default_factory=set)

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

    async def until_firing(self, alerts: Collection[str], *, instance: str | None = None, seconds: float) -> None:
        """Wait until each has fired since this was called, on `instance` if one is named. Raises AssertionError."""
        waiting = set(alerts)
        with trio.move_on_after(seconds):
            while waiting:
                waiting -= {name for name, where in await self.firing() if instance in (None, where)}
                await trio.sleep(POLL_SECONDS if waiting else 0)
        assert not waiting, f"did not fire within {seconds:g} s: {sorted(waiting)}; {sorted(await self.firing())} do"

    async def until_clear(self, alerts: Collection[str], *, instance: str | None = None, seconds: float) -> None:
        """Wait until none of these fires, on `instance` if one is named. Raises AssertionError."""
        left = set(alerts)
        with trio.move_on_after(seconds):
            while left:
                left = {name for name, where in await self.firing() if instance in (None, where)} & set(alerts)
                await trio.sleep(POLL_SECONDS if left else 0)
        assert not left, f"still fire after {seconds:g} s: {sorted(left)}"

    async def watch(self) -> None:
        """Remember what fires, and what Alertmanager was told, until cancelled."""
        while True:
            self.fired |= {name for name, _ in await self.firing()}
            told: Any = await self._get(f"{self.alertmanager_url}/api/v2/alerts")
            self.told |= {one["labels"]["alertname"] for one in told}
            await trio.sleep(POLL_SECONDS)

    async def _get(self, url: str, **params: str) -> dict[str, Any]:
        answer: dict[str, Any] = (await self.http.get(url, params=params, timeout=30)).raise_for_status().json()
        return answer


@asynccontextmanager
async def open_prometheus(folder: Path, targets: Sequence[str]) -> AsyncIterator[Watched]:
    """Both programs, running and watched; `targets` are the nodes' host:port. Skips the test where one is missing."""
    folder.mkdir(parents=True)
    prometheus = program("prometheus", "prometheus")
    alertmanager = program("prometheus-alertmanager", "prometheus-alertmanager")
    write_shrunk_rules(folder / "rules")
    own, other = (ports.api for ports in free_ports(2))
    config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
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
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watched.watch)
                yield watched
                nursery.cancel_scope.cancel()
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
