"""The filter before the descent is sure of nothing that the descent would see otherwise, and sure of nearly all."""

import numpy as np
import pytest

from mesh import barycentric_descent, contains, contains_array, locate, locate_array
from mesh.barycentric_descent import EDGE_MARGIN, descend_clear
from tests.mesh.samples import points_beside_edges, random_points

PROVEN_ERROR = 6e-6
"""Of a coordinate at level 21, as a share of the triangle's height."""
SHARES = [sign * share for share in (1e-3, 1e-4, EDGE_MARGIN, 2e-5, PROVEN_ERROR, 2e-6, 1e-7, 1e-9) for sign in (1, -1)]


def _located_otherwise(level: int, share: float, count: int = 60) -> int:
    """How many of `count` points at that distance from an edge are located otherwise together than alone."""
    _, lats, lons = points_beside_edges(count, seed=level, level=level, share=share)
    alone = [int(locate(lat, lon, level)) for lat, lon in zip(lats.tolist(), lons.tolist(), strict=True)]
    return int(np.count_nonzero(locate_array(lats, lons, level) != alone))


@pytest.mark.parametrize("level", [1, 2, 7, 8, 9, 12, 13, 17, 21])
@pytest.mark.parametrize("share", SHARES)
def test_points_beside_edges_are_located_together_as_they_are_alone(level: int, share: float) -> None:
    assert _located_otherwise(level, share) == 0


@pytest.mark.parametrize("share", SHARES)
def test_triangles_hold_points_beside_their_edges_together_as_they_do_alone(share: float) -> None:
    for level in (10, 21):
        triangles, lats, lons = points_beside_edges(60, seed=level, level=level, share=share)
        alone = [contains(*asked) for asked in zip(triangles, lats.tolist(), lons.tolist(), strict=True)]
        assert contains_array([int(triangle) for triangle in triangles], lats, lons).tolist() == alone
        # Nearer than 1e-9 of a height of 8e-7 rad, the rounding of the point itself may decide.
        assert alone == [share > 0] * len(alone)


def test_a_margin_below_the_error_of_the_coordinates_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(barycentric_descent, "EDGE_MARGIN", 0.0)
    assert _located_otherwise(21, 1e-6) + _located_otherwise(21, -1e-6) > 10


def test_coordinates_err_less_than_is_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(barycentric_descent, "EDGE_MARGIN", 0.0)
    for share in (PROVEN_ERROR, -PROVEN_ERROR):
        assert _located_otherwise(21, share, count=1_000) == 0


def test_nearly_all_points_are_clear_of_edges() -> None:
    lats, lons = random_points(20_000, seed=7)
    for depth in range(21):
        assert np.count_nonzero(~descend_clear(lats, lons, depth)[2]) < 20


def test_the_lines_of_symmetry_are_located_together_as_they_are_alone() -> None:
    steps = np.linspace(-180.0, 180.0, 49)
    lats, lons = (grid.ravel() for grid in np.meshgrid(steps / 2, steps))
    for sign in (0.0, -0.0):
        lats, lons = np.where(lats == 0.0, sign, lats), np.where(lons == 0.0, sign, lons)
        for level in (1, 10, 21):
            alone = [int(locate(lat, lon, level)) for lat, lon in zip(lats.tolist(), lons.tolist(), strict=True)]
            assert locate_array(lats, lons, level).tolist() == alone
