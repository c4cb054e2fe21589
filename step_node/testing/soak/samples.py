"""What a node holds at one moment: by its process, by its own metrics, and by the files of its home."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from step_node.home.paths import NodeHome

METRICS: Final = {
    "height": "step_height",
    "proofs_finalised": "step_proofs_finalised_total",
    "peers": "step_peers",
    "tasks": "step_tasks",
    "streams_kept": "step_p2p_streams_kept",
    "entries_by_peer": "step_p2p_entries_by_peer",
    "mempool_proofs": "step_mempool_proofs",
    "window_proofs": "step_window_proofs",
    "api_connections": "step_api_connections",
}
"""The name of a figure, and the metric that it is read from."""

MEMORY: Final = {"rss_kib": "VmRSS", "rss_anon_kib": "RssAnon", "rss_file_kib": "RssFile"}
"""The name of a figure, and what the kernel calls it: all that is resident; of that, what the process has made itself,
and what is of files, as its program and what SQLite shares."""

FIGURES: Final = (
    *MEMORY,
    "descriptors",
    *METRICS,
    "store_bytes",
    "consensus_log_bytes",
    "journal_bytes",
    "node_log_bytes",
)
"""Every figure of a sample, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Sample:
    """`figures` has a value for each of `FIGURES`; `seconds` are since the beginning of the soak."""

    seconds: float
    figures: dict[str, float]


def take_sample(seconds: float, pid: int, home: NodeHome, node_log: Path, metrics: str) -> Sample:
    """What the node with this process, home and metrics (Prometheus' text) holds now. Raises OSError if it has ended.

    Its reading of files blocks, so that it belongs on a thread.
    """
    return Sample(
        seconds,
        {
            **memory_kib(pid),
            "descriptors": sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()),
            **_sums(metrics),
            "store_bytes": _size_bytes(_with_sides(home.ledger)),
            "consensus_log_bytes": _size_bytes([home.consensus_log]),
            "journal_bytes": _size_bytes(_with_sides(home.journal)),
            "node_log_bytes": _size_bytes([node_log]),
        },
    )


def _sums(metrics: str) -> dict[str, float]:
    """Each of `METRICS`, over all its labels; 0 where it is not there."""
    by_metric: defaultdict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            by_metric[sample.name] += sample.value
    return {figure: by_metric[metric] for figure, metric in METRICS.items()}


def resident_kib(pid: int) -> int:
    """The resident memory of a process. Raises OSError if it has ended."""
    return memory_kib(pid)["rss_kib"]


def memory_kib(pid: int) -> dict[str, int]:
    """Each figure of `MEMORY`, of a process. Raises OSError if it has ended."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    # What the kernel calls kB is 1,024 bytes.
    told = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines) if "kB" in rest}
    return {figure: told[name] for figure, name in MEMORY.items()}


def _with_sides(database: Path) -> list[Path]:
    """SQLite's file, and what it keeps beside it."""
    return [database, database.with_name(database.name + "-wal"), database.with_name(database.name + "-shm")]


def _size_bytes(paths: Iterable[Path]) -> int:
    """Of those of them that there are now."""
    total = 0
    for path in paths:
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total
