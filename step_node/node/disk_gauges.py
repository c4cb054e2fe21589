"""How much room there is where the node keeps its files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class DiskGauges(Collector):
    """Of the file system that holds `folder`, looked up whenever somebody asks; nothing while it cannot be."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        """What is free to this process, and how large the whole is."""
        try:
            usage = shutil.disk_usage(self._folder)
        except OSError:
            return
        yield GaugeMetricFamily(
            "step_disk_free_bytes", "What is free to the node on the file system of its data.", usage.free
        )
        yield GaugeMetricFamily("step_disk_size_bytes", "How large that file system is.", usage.total)
