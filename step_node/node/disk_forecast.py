"""How fast a home's files grow, and when the disk is full by that: measured, over a day at most."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from step_node.home.paths import NodeHome

SAMPLED_EVERY_SECONDS: Final = 600.0

SAMPLES_MAX: Final = 145
"""A day of them; the oldest goes. Growth is between the first and the last."""

DAY_SECONDS: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class DiskSample:
    """What the files of a home take, by part, and what is free beside them, in bytes."""

    seconds: float
    parts: Mapping[str, int]
    free_bytes: int


class DiskForecast(Collector):
    """Samples of one home, and what follows from them."""

    def __init__(self) -> None:
        self._samples: deque[DiskSample] = deque(maxlen=SAMPLES_MAX)

    def note(self, sample: DiskSample) -> None:
        """Add the latest."""
        self._samples.append(sample)

    def growth_bytes_per_day(self) -> Mapping[str, float]:
        """Of each part; nothing while there are fewer than two samples."""
        if len(self._samples) < 2:
            return {}
        first, last = self._samples[0], self._samples[-1]
        days = (last.seconds - first.seconds) / DAY_SECONDS
        return {part: (size - first.parts.get(part, 0)) / days for part, size in last.parts.items()}

    def full_seconds(self) -> float | None:
        """How long until what is free is used up; infinity where nothing grows, None while it is not known."""
        growth = self.growth_bytes_per_day()
        if not growth:
            return None
        in_all = sum(growth.values())
        return self._samples[-1].free_bytes / in_all * DAY_SECONDS if in_all > 0 else float("inf")

    def collect(self) -> Iterator[Metric]:
        """The sizes, once there is a sample; growth and forecast, once there are two."""
        if self._samples:
            used = GaugeMetricFamily("step_disk_used_bytes", "What the home's files take, by part.", labels=["part"])
            for part, size in self._samples[-1].parts.items():
                used.add_metric([part], size)
            yield used
        growth = self.growth_bytes_per_day()
        if growth:
            grown = GaugeMetricFamily(
                "step_disk_growth_bytes_per_day", "By how much each part grows, over the last day.", labels=["part"]
            )
            for part, bytes_per_day in growth.items():
                grown.add_metric([part], bytes_per_day)
            yield grown
        full = self.full_seconds()
        if full is not None:
            yield GaugeMetricFamily(
                "step_disk_full_seconds", "How long until the disk is full, by how the home's files grow.", full
            )

    async def run(self, home: NodeHome) -> None:
        """Take a sample every `SAMPLED_EVERY_SECONDS`, until cancelled."""
        while True:
            sample = await trio.to_thread.run_sync(take_sample, home, trio.current_time())
            if sample is not None:
                self.note(sample)
            await trio.sleep(SAMPLED_EVERY_SECONDS)


def take_sample(home: NodeHome, seconds: float) -> DiskSample | None:
    """What the files of `home` take at the time `seconds`; None where the disk does not say what is free. It blocks."""
    try:
        free = shutil.disk_usage(home.data).free
    except OSError:
        return None
    parts = {
        "store": _size_bytes(home.data.glob(f"{home.ledger.name}*")),
        "journal": _size_bytes(home.data.glob(f"{home.journal.name}*")),
        "consensus_log": _size_bytes([home.consensus_log]),
        "snapshots": _size_bytes(home.snapshots.glob("*/*")),
        "log": _size_bytes(home.root.glob("*.log*")),
    }
    parts["other"] = max(0, _size_bytes(home.root.rglob("*")) - sum(parts.values()))
    return DiskSample(seconds, parts, free)


def _size_bytes(paths: Iterator[Path] | list[Path]) -> int:
    size = 0
    try:
        for path in paths:
            try:
                stat = path.stat()
            except OSError:
                continue  # Gone meanwhile, as the files beside a store are at times.
            if path.is_file():
                size += stat.st_size
    except OSError:
        return size
    return size
