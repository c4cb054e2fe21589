"""The mesh keeps nothing of what it was asked, or a node that hears from all over the world would grow for hours."""

import gc
import tracemalloc

from mesh import TriangleId, contains, locate
from tests.mesh.samples import random_points

GROWTH_BYTES_MAX = 20_000
"""For a thousand triangles: far less than a number kept of each."""


def test_triangles_that_were_located_named_read_and_compared_leave_nothing_behind() -> None:
    lats, lons = random_points(1_100, seed=3)
    points = [(float(lat), float(lon)) for lat, lon in zip(lats, lons, strict=True)]
    for lat, lon in points[:100]:
        _ask_all(lat, lon)
    gc.collect()
    tracemalloc.start()
    try:
        for lat, lon in points[100:]:
            _ask_all(lat, lon)
        gc.collect()
        grown_bytes = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert grown_bytes < GROWTH_BYTES_MAX


def _ask_all(lat: float, lon: float) -> None:
    triangle = locate(lat, lon, 21)
    assert contains(triangle, lat, lon)
    assert TriangleId.parse(triangle.text) == triangle
