"""A curve that nobody measured, for what reads and draws curves."""

from __future__ import annotations

from step_node.testing.bench.curves.points import Curve, Point, Scale
from step_node.testing.machine import Conditions

QUIET = Conditions(
    version="0.1.0", time="2026-01-31T12:00:00Z", python="3.11.7", machine="x86_64", cores=2, was_busy=False
)
BUSY = QUIET.model_copy(update={"was_busy": True})


def made_up_point(at: float, *, p95_ms: float | None = 1_500.0, lost: int = 0) -> Point:
    """One of a network that finalises 400 proofs a second."""
    return Point(
        at=at,
        offered_per_second=1_000.0,
        final_per_second=400.0,
        calm_per_second=200.0,
        finality_p50_ms=900.0,
        finality_p95_ms=p95_ms,
        lost=lost,
        recoveries_per_second=31_300.0,
    )


def made_up_curve(
    name: str = "validators",
    *,
    points: tuple[Point, ...] = (made_up_point(1), made_up_point(2), made_up_point(4)),
    scale: Scale = "linear",
    conditions: Conditions = QUIET,
    found_per_second: float | None = None,
) -> Curve:
    """Three points, by default."""
    return Curve(
        name=name,
        title="More of it",
        axis="pieces of it, dozens",
        scale=scale,
        how="Each is put beside the others.",
        engine="SQLite",
        conditions=conditions,
        points=points,
        found_per_second=found_per_second,
    )
