"""What trends: computing an answer of a full window, and what a proof costs the event loop on its way into it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias, TypeVar

import numpy as np

from mesh import LEVEL_MAX, Box, TriangleId, locate_array
from step_node.economy.columns import PERIOD_MS, WINDOW_MS, WINDOW_PROOFS_MAX, ProofColumns
from step_node.economy.observatory import TOLD_ROWS
from step_node.economy.plausibility import account_signals
from step_node.economy.trending import TrendingBase
from step_node.economy.trends import Area, TrendsAt, compute_top
from step_node.economy.window import ProofWindow
from step_node.proofs.proof import ADDRESS_BYTES, PROOF_ID_BYTES, SIGNATURE_BYTES, SignedProof
from step_node.testing.bench.figures import Bar, Sample
from step_node.testing.bench.mesh_rows import random_points
from step_node.testing.bench.plans import RowPlan, Workshop

T = TypeVar("T")

ACCOUNTS: Final = 100_000
BATCH_PROOFS: Final = 1_000
FOLDED_BATCHES: Final = 200
PERIOD: Final = 2_900_000
BOX_SIDES_DEGREES: Final = (0.05, 0.5, 5.0, 50.0)
PERCENTILE: Final = 95

BoxDegrees: TypeAlias = tuple[float, float, float, float]
"""South, west, north and east."""


async def measure_trending(workshop: Workshop) -> Sample:
    """Each question once, none answered before: every level everywhere, and boxes of several sizes around proofs."""
    workshop.tell(f"{WINDOW_PROOFS_MAX:,} proofs, each in a triangle of its own")
    rows, since = made_up_rows(WINDOW_PROOFS_MAX, 1), made_up_rows(TOLD_ROWS - 1, 2, age_ms_max=1)
    signals_s, signals = _timed(lambda: account_signals(rows))
    sorting_s, base = _timed(lambda: TrendingBase.of(rows, PERIOD, signals.keys, signals.implausibility_bps))
    at = TrendsAt(1, PERIOD * PERIOD_MS, True, 1, base, (since,))
    answered_ms, worked_ms = list[float](), list[float]()
    for level, box in questions(rows):
        area = None if box is None else Area("box", Box.checked(*box))
        began = time.thread_time()
        answered_ms.append(_timed(partial(compute_top, at, level, area))[0] * 1e3)
        worked_ms.append((time.thread_time() - began) * 1e3)
    figures = {
        "of the processor's time, p95, ms": float(np.percentile(worked_ms, PERCENTILE)),
        "slowest, ms": max(answered_ms),
        "median, ms": float(np.median(answered_ms)),
        "sorting a window, s": sorting_s,
        "signals of a window, s": signals_s,
        "into the window, µs a proof": _folding_us(BATCH_PROOFS),
        "into the window, µs a proof in batches of ten": _folding_us(10),
    }
    return Sample(float(np.percentile(answered_ms, PERCENTILE)), figures=figures)


def questions(rows: ProofColumns) -> list[tuple[int, BoxDegrees | None]]:
    """Every level everywhere, and several in boxes of several sizes that begin where a proof is."""
    asked: list[tuple[int, BoxDegrees | None]] = [(level, None) for level in range(1, LEVEL_MAX + 1)]
    for level in (8, 12, 16, LEVEL_MAX):
        for side in BOX_SIDES_DEGREES:
            lat, lon = float(rows.lat[level * 1_000]), float(rows.lon[level * 1_000])
            asked.append((level, (lat, lon, min(lat + side, 90.0), (lon + side + 180.0) % 360.0 - 180.0)))
    return asked


def made_up_rows(
    count: int, seed: int, *, end_ms: int = PERIOD * PERIOD_MS, age_ms_max: int = WINDOW_MS
) -> ProofColumns:
    """Rows at random points, nearly all in triangles of their own, of the time before `end_ms`."""
    random = np.random.default_rng(seed)
    lats, lons = random_points(count, seed)
    account = np.zeros((count, ADDRESS_BYTES), np.uint8)
    account[:, :8] = random.integers(0, ACCOUNTS, count).astype(">u8").view(np.uint8).reshape(count, 8)
    times = end_ms - np.sort(random.integers(0, age_ms_max, count))[::-1]
    return ProofColumns(
        height=np.arange(count, dtype=np.int64) // BATCH_PROOFS,
        batch_time_ms=times.astype(np.int64),
        timestamp_ms=times.astype(np.int64),
        triangle=locate_array(lats, lons, LEVEL_MAX).astype(np.uint64),
        lat=lats,
        lon=lons,
        accuracy_m=random.uniform(3.0, 50.0, count),
        account=account,
    )


def _folding_us(batch_proofs: int) -> float:
    """The processor's time that a proof takes from a final batch into the window, on the event loop."""
    triangle = TriangleId(3, 10, 77)
    proofs = tuple(
        SignedProof(
            number.to_bytes(ADDRESS_BYTES, "big"), triangle, 47.0, 8.0, 5.0, 1, str(number), bytes(SIGNATURE_BYTES),
            bytes(PROOF_ID_BYTES),
        )
        for number in range(batch_proofs)
    )  # fmt: skip
    window = ProofWindow()
    began = time.thread_time()
    for height in range(1, FOLDED_BATCHES + 1):
        time_ms = PERIOD * PERIOD_MS + height * 1_000
        rows = ProofColumns.of_proofs(proofs, height=height, batch_time_ms=time_ms)
        window.append(rows, height=height, batch_time_ms=time_ms)
    return (time.thread_time() - began) / (FOLDED_BATCHES * batch_proofs) * 1e6


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


PLANS = (
    RowPlan(
        "trending",
        "what trends in a full window, 1,048,576 proofs in as many triangles: p95 of computing an answer",
        "ms",
        measure_trending,
        Bar(at_most=250),
        runs=3,
    ),
)
