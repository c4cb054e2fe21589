"""By how much figures grow: straight lines through samples, a table of them, and the verdict.

Theory of operation. A process that has just started grows for good reasons: caches fill, and memory is taken that will
be used again. So the first minutes are left out, and a straight line is laid through the rest (least squares). Its
slope is growth per minute; its standard error says how much of it may be chance. What must not grow is the memory that
is in use, and what follows from peers and clients who have gone. Files grow with the chain, by design, and are given
per batch and per proof.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from step_node.economy.rows import ROW_BYTES
from step_node.testing.soak.samples import FIGURES, Sample

RSS_KIB_PER_MINUTE_MAX: Final = 20.0
"""What a node's resident memory may grow by beside the window of proofs; more is a leak (30 MB a day)."""
WINDOW_BYTES_A_PROOF: Final = ROW_BYTES + 33 + 12
"""What a node holds of each final proof for two days: its row, and what is sorted of the rows for trending and for the
signals of plausibility. A soak is over long before the first of them go."""
COUNT_PER_MINUTE_MAX: Final = 0.5
"""What each figure of `COUNTS` may grow by: far less than come and go."""
COUNTS: Final = ("descriptors", "tasks", "streams_kept", "entries_by_peer", "api_connections")
"""What is counted in pieces, and returns to where it was when the visitors leave."""
STORE_BYTES_PER_MINUTE_MAX: Final = 20_000.0
"""What the store of a node that prunes may grow by: a tenth of what one that keeps all did (docs/soak.md). Accounts and
triangles, of which nothing goes, are that."""
CHANCE_ERRORS: Final = 2.0
"""How many standard errors of such a slope may be chance."""
SAMPLES_MIN: Final = 3
"""Below this, a line goes through any points."""


@dataclass(frozen=True, slots=True)
class Slope:
    """One figure of one node: its growth per minute, the standard error of that, and where it began and ended."""

    per_minute: float
    error_per_minute: float
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class Growth:
    """One node: the slope of each figure, and bytes of the store and of the log for each batch and proof.

    None if there was no batch, or no proof.
    """

    slopes: dict[str, Slope]
    store_bytes_per_batch: float | None
    store_bytes_per_proof: float | None
    consensus_log_bytes_per_batch: float | None
    node_log_bytes_per_batch: float | None

    def faults(self, *, is_level: bool = False) -> list[str]:
        """What grows and must not, in words; the store too where it `is_level`, as pruning has it."""
        rss, window = self.slopes["rss_kib"], self.slopes["window_proofs"]
        rss_max = RSS_KIB_PER_MINUTE_MAX + WINDOW_BYTES_A_PROOF * max(0.0, window.per_minute) / 1_024
        growing = [("rss_kib", rss, rss_max)] if rss.per_minute > rss_max else []
        # Visitors come and go at every moment, so that a count goes up and down around what it stays at.
        growing += [
            (figure, slope, COUNT_PER_MINUTE_MAX)
            for figure, slope in self.slopes.items()
            if figure in COUNTS and slope.per_minute - CHANCE_ERRORS * slope.error_per_minute > COUNT_PER_MINUTE_MAX
        ]
        store = self.slopes["store_bytes"]
        if is_level and store.per_minute - CHANCE_ERRORS * store.error_per_minute > STORE_BYTES_PER_MINUTE_MAX:
            growing.append(("store_bytes", store, STORE_BYTES_PER_MINUTE_MAX))
        return [
            f"{figure} grows by {slope.per_minute:.1f} a minute; {limit:g} are allowed"
            for figure, slope, limit in growing
        ]


def slope_of(points: Sequence[tuple[float, float]]) -> Slope:
    """The line of least squares through (seconds, value). Raises ValueError for fewer than `SAMPLES_MIN` points."""
    if len(points) < SAMPLES_MIN:
        raise ValueError(f"a slope needs {SAMPLES_MIN} samples at least, not {len(points)}: let it run longer")
    minutes = [seconds / 60 for seconds, _ in points]
    values = [value for _, value in points]
    minutes_mean, values_mean = math.fsum(minutes) / len(minutes), math.fsum(values) / len(values)
    spread = math.fsum((minute - minutes_mean) ** 2 for minute in minutes)
    along = math.fsum(
        (minute - minutes_mean) * (value - values_mean) for minute, value in zip(minutes, values, strict=True)
    )
    per_minute = along / spread
    residuals = math.fsum(
        (value - values_mean - per_minute * (minute - minutes_mean)) ** 2
        for minute, value in zip(minutes, values, strict=True)
    )
    return Slope(per_minute, math.sqrt(residuals / (len(points) - 2) / spread), values[0], values[-1])


def growth_of(samples: Sequence[Sample], *, settled_seconds: float) -> Growth:
    """How a node grew, by its samples from `settled_seconds` on. Raises ValueError as `slope_of` does."""
    settled = [sample for sample in samples if sample.seconds >= settled_seconds]
    slopes = {figure: slope_of([(sample.seconds, sample.figures[figure]) for sample in settled]) for figure in FIGURES}

    def per(figure: str, unit: str) -> float | None:
        units = slopes[unit].last - slopes[unit].first
        return (slopes[figure].last - slopes[figure].first) / units if units > 0 else None

    return Growth(
        slopes,
        store_bytes_per_batch=per("store_bytes", "height"),
        store_bytes_per_proof=per("store_bytes", "proofs_finalised"),
        consensus_log_bytes_per_batch=per("consensus_log_bytes", "height"),
        node_log_bytes_per_batch=per("node_log_bytes", "height"),
    )


def table(nodes: Mapping[str, Growth]) -> str:
    """Per node and figure: growth a minute, ± its standard error, from where to where; then growth with the chain."""
    lines = [f"{'node':<8} {'figure':<20} {'per minute':>12} {'±':>8} {'first':>12} {'last':>12}"]
    for name, growth in nodes.items():
        lines += [
            f"{name:<8} {figure:<20} {slope.per_minute:>12.2f} {slope.error_per_minute:>8.2f}"
            f" {slope.first:>12.0f} {slope.last:>12.0f}"
            for figure, slope in growth.slopes.items()
        ]
    lines.append("")
    for name, growth in nodes.items():
        grown = [
            f"{_bytes(growth.store_bytes_per_batch)} of store a batch",
            f"{_bytes(growth.store_bytes_per_proof)} a proof",
            f"{_bytes(growth.consensus_log_bytes_per_batch)} of consensus.log a batch",
            f"{_bytes(growth.node_log_bytes_per_batch)} of log a batch",
        ]
        lines.append(f"{name:<8} {', '.join(grown)}")
    return "\n".join(lines)


def as_json(nodes: Mapping[str, Growth], *, is_level: bool = False) -> dict[str, object]:
    """The same for programs."""
    return {name: {**asdict(growth), "faults": growth.faults(is_level=is_level)} for name, growth in nodes.items()}


def _bytes(value: float | None) -> str:
    return "no batch for bytes" if value is None else f"{value:,.0f} bytes"
