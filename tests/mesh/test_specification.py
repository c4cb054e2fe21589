"""The page for other implementers (docs/mesh-arithmetic.md) gives the numbers that this implementation computes."""

from pathlib import Path

import pytest

from mesh import corners, locate, unit_vector

PAGE = (Path(__file__).parents[2] / "docs" / "mesh-arithmetic.md").read_text()


@pytest.mark.parametrize(("lat", "lon"), [(48.8583701, 2.2944813), (-33.8567844, 151.2152967)])
def test_the_unit_vectors_and_triangles_on_the_page_are_computed(lat: float, lon: float) -> None:
    assert _row(unit_vector(lat, lon)) in PAGE
    assert locate(lat, lon, 21).text in PAGE


def test_the_corner_on_the_page_is_computed() -> None:
    assert _row(corners(locate(48.8583701, 2.2944813, 21))[0]) in PAGE


def _row(vector: tuple[float, float, float]) -> str:
    return " ".join(f"`{coordinate.hex()}`" for coordinate in vector)
