"""Sine and cosine are right to the last place, and exact where symmetry says so."""

from decimal import Decimal
from math import ulp

from hypothesis import given

from mesh import unit_vector
from mesh.trigonometry import sine_cosine
from tests.mesh import decimal_oracle
from tests.mesh.samples import latitudes, longitudes


@given(longitudes)
def test_sine_and_cosine_are_within_one_unit_in_the_last_place(angle: float) -> None:
    with decimal_oracle.fifty_digits():
        for computed, exact in zip(sine_cosine(angle), decimal_oracle.sine_cosine(angle), strict=True):
            # The fifty digits themselves are good to some 1e-48.
            assert abs(Decimal(computed) - exact) <= max(Decimal(ulp(computed)), Decimal("1e-45"))


def test_right_angles_are_exact() -> None:
    assert [sine_cosine(angle) for angle in (0.0, 90.0, 180.0, -90.0, -180.0)] == [
        (0.0, 1.0),
        (1.0, 0.0),
        (0.0, -1.0),
        (-1.0, 0.0),
        (0.0, -1.0),
    ]


@given(longitudes)
def test_sine_is_odd_and_cosine_even(angle: float) -> None:
    sine, cosine = sine_cosine(angle)
    assert sine_cosine(-angle) == (-sine, cosine)


@given(latitudes, longitudes)
def test_a_unit_vector_has_length_one(lat: float, lon: float) -> None:
    x, y, z = unit_vector(lat, lon)
    assert abs(x * x + y * y + z * z - 1.0) < 1e-15
