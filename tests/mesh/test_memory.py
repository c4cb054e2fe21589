"""The mesh keeps nothing of what it was asked, or a node that hears from all over the world would grow for hours."""

import gc
import tracemalloc
from functools import cache

import pytest

from mesh import TriangleId, barycentric_descent, barycentric_tables, contains, contains_array, locate
from tests.mesh.samples import random_points

GROWTH_BYTES_MAX = 20_000
"""For a thousand triangles: far less than a number kept of each."""

TABLES_BYTES_MAX = 700_000
"""Of the filter's tables, which a node that only asks whether triangles hold points has as well."""


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


def test_asking_about_many_at_once_costs_its_tables_once_and_less_than_a_megabyte(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lats, lons = random_points(100, seed=3)
    numbers = [int(locate(lat, lon, 10)) for lat, lon in zip(lats.tolist(), lons.tolist(), strict=True)]
    monkeypatch.setattr(barycentric_descent, "descent_tables", cache(barycentric_tables.descent_tables.__wrapped__))
    tracemalloc.start()
    try:
        kept_bytes = []
        for _ in range(3):
            assert contains_array(numbers, lats, lons).all()
            gc.collect()
            kept_bytes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert kept_bytes[0] < TABLES_BYTES_MAX
    assert kept_bytes[2] - kept_bytes[0] < GROWTH_BYTES_MAX


def _ask_all(lat: float, lon: float) -> None:
    triangle = locate(lat, lon, 21)
    assert contains(triangle, lat, lon)
    assert TriangleId.parse(triangle.text) == triangle
