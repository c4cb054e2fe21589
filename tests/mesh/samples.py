"""Points and triangles for the tests of the mesh, and the known answers that the protocol comes with."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies

from mesh import TriangleId, corners, locate_array

Degrees = npt.NDArray[np.float64]

_VECTORS = Path(__file__).parent.parent / "vectors"

# Hypothesis likes the corners of an interval, so the poles, the antimeridian, 0 and -0.0 come up by themselves.
latitudes = strategies.floats(-90, 90)
longitudes = strategies.floats(-180, 180)
levels = strategies.integers(1, 21)


@strategies.composite
def triangles(draw: strategies.DrawFn, level_min: int = 1, level_max: int = 21) -> TriangleId:
    level = draw(strategies.integers(level_min, level_max))
    return TriangleId(draw(strategies.integers(0, 19)), level, draw(strategies.integers(0, (1 << 2 * (level - 1)) - 1)))


def known_answers(name: str) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = json.loads((_VECTORS / name).read_text())
    return answers


def random_points(count: int, seed: int) -> tuple[Degrees, Degrees]:
    """Latitudes and longitudes of points spread evenly over the sphere."""
    generator = np.random.default_rng(seed)
    return np.degrees(np.arcsin(generator.uniform(-1, 1, count))), generator.uniform(-180, 180, count)


def points_beside_edges(count: int, seed: int, level: int, share: float) -> tuple[list[TriangleId], Degrees, Degrees]:
    """Random triangles of `level`, and for each a point `share` of its height inside one of its edges (< 0: outside).

    Latitudes and longitudes are degrees, good to some 1e-16 rad.
    """
    generator = np.random.default_rng(seed)
    lats, lons = random_points(count, seed)
    triangles = [TriangleId.from_int(number) for number in locate_array(lats, lons, level)]
    points = []
    for triangle in triangles:
        along = generator.uniform(0.05, 0.95)
        weights = np.roll([share, along * (1 - share), (1 - along) * (1 - share)], generator.integers(3))
        points.append(weights @ np.array(corners(triangle)))
    x, y, z = np.array(points).T
    return triangles, np.degrees(np.arctan2(z, np.hypot(x, y))), np.degrees(np.arctan2(y, x))
