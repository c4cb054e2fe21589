"""Locating points, and asking whether triangles hold them, many at once."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from mesh import LEVEL_MAX, contains_array, locate, locate_array
from step_node.parameters import Parameters
from step_node.testing.bench.figures import Bar, Sample
from step_node.testing.bench.plans import RowPlan, Workshop

POINTS = 1_000_000
POINTS_COMPARED = 200
"""Of each run's points, that are located one by one as well: the answers must be the same to the last bit."""
AT_ONCE = 1_000
CONTAINS_CALLS = 50
H3_RESOLUTION = 15
"""The finest of H3: its cells are of 0.9 m², as `LEVEL_MAX`'s triangles are of 21 m²."""
OPERATIONS_A_POINT = 640
"""Of many points in `mesh.barycentric_descent`: 130 to find the face, 36 for each of eleven curved digits and 10 more
for four of them, some 70 for the flat ones and to see what is clear of the edges."""
ELEMENTS = 1 << 14
"""Of the arrays with which NumPy's own speed is measured: they stay in the processor's cache."""
REPETITIONS = 200

Degrees: TypeAlias = npt.NDArray[np.float64]
T = TypeVar("T")


def random_points(count: int, seed: int) -> tuple[Degrees, Degrees]:
    """Latitudes and longitudes, degrees, evenly over the sphere."""
    random = np.random.default_rng(seed)
    return np.degrees(np.arcsin(random.uniform(-1, 1, count))), random.uniform(-180, 180, count)


async def measure_locate(workshop: Workshop) -> Sample:
    """A million points at level 21, beside what NumPy takes for as many operations, and H3 for the points."""
    lats, lons = random_points(POINTS, _seed(workshop))
    seconds, triangles = _timed(lambda: locate_array(lats, lons, LEVEL_MAX))
    for index in range(0, POINTS, POINTS // POINTS_COMPARED):
        if int(locate(lats[index], lons[index], LEVEL_MAX)) != int(triangles[index]):
            raise RuntimeError(f"{lats[index]}, {lons[index]}: located otherwise together than alone")
    h3 = _h3_microseconds(lats, lons)
    return Sample(seconds / POINTS * 1e6, _arithmetic_microseconds(), {} if h3 is None else {"h3ronpy": h3})


async def measure_contains(workshop: Workshop) -> Sample:
    """A thousand triangles and their points, asked about together: of the level that walkers begin at, and the last."""
    lats, lons = random_points(AT_ONCE, _seed(workshop))
    seeded = _contains_microseconds(lats, lons, Parameters().seeded_level)
    return Sample(seeded, figures={f"level {LEVEL_MAX}": _contains_microseconds(lats, lons, LEVEL_MAX)})


def _contains_microseconds(lats: Degrees, lons: Degrees, level: int) -> float:
    triangles = locate_array(lats, lons, level)

    def ask() -> bool:
        return all(bool(contains_array(triangles, lats, lons).all()) for _ in range(CONTAINS_CALLS))

    seconds, all_inside = _timed(ask)
    if not all_inside:
        raise RuntimeError("a point is not in the triangle that was located for it")
    return seconds / (AT_ONCE * CONTAINS_CALLS) * 1e6


def _h3_microseconds(lats: Degrees, lons: Degrees) -> float | None:
    """A point with H3, the mark that others set; None where `make bench` has not installed it."""
    try:
        coordinates_to_cells = importlib.import_module("h3ronpy.vector").coordinates_to_cells
    except ImportError:
        return None
    seconds, _ = _timed(lambda: coordinates_to_cells(lats, lons, H3_RESOLUTION))
    return seconds / len(lats) * 1e6


def _arithmetic_microseconds() -> float:
    """NumPy, for as many multiplications as locating one point has operations."""
    left, right, out = np.full(ELEMENTS, 0.5), np.full(ELEMENTS, 1.5), np.empty(ELEMENTS)

    def multiply() -> None:
        for _ in range(REPETITIONS):
            np.multiply(left, right, out=out)

    seconds, _ = _timed(multiply)
    return seconds / (ELEMENTS * REPETITIONS) * 1e6 * OPERATIONS_A_POINT


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    began_ns = time.thread_time_ns()
    result = work()
    return (time.thread_time_ns() - began_ns) / 1e9, result


def _seed(workshop: Workshop) -> int:
    """Another one for each run."""
    seed = workshop.kept.get("points seed")
    following = seed + 1 if isinstance(seed, int) else 1
    workshop.kept["points seed"] = following
    return following


PLANS = (
    RowPlan(
        "locate",
        "a million random points at level 21, on one core, exact",
        "µs/point",
        measure_locate,
        Bar(at_most=1.0),
        runs=3,
        limit_is="NumPy, for as many multiplications as locating has operations",
    ),
    RowPlan(
        "contains",
        "whether each of a thousand triangles of level 10 holds its point, asked together, on one core",
        "µs/point",
        measure_contains,
        Bar(at_most=0.7),
    ),
)
