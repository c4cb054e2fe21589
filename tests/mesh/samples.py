"""Points and triangles for the tests of the mesh, and the known answers that the protocol comes with."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies

from mesh import TriangleId

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


def random_points(count: int, seed: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Latitudes and longitudes of points spread evenly over the sphere."""
    generator = np.random.default_rng(seed)
    return np.degrees(np.arcsin(generator.uniform(-1, 1, count))), generator.uniform(-180, 180, count)
