"""Sine and cosine are right to the last place, the same for one and for many, and exact where symmetry says so."""

from decimal import Decimal
from math import ulp

import numpy as np
import pytest
from hypothesis import given

from mesh import unit_vector, unit_vector_array
from mesh.trigonometry import sine_cosine, sine_cosine_array
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
def test_one_and_many_give_the_same_bits(lat: float, lon: float) -> None:
    one = np.array(unit_vector(lat, lon))
    many = np.array(unit_vector_array([lat], [lon]))[:, 0]
    # As bytes, because -0.0 equals 0.0.
    assert one.tobytes() == many.tobytes()


def test_many_angles_give_the_same_bits_as_one_by_one() -> None:
    angles = np.concatenate((np.linspace(-180, 180, 4321), np.nextafter([-135.0, -45.0, 45.0, 135.0], 0.0)))
    one_by_one = np.array([sine_cosine(angle) for angle in angles.tolist()]).T
    assert np.array(sine_cosine_array(angles)).tobytes() == np.ascontiguousarray(one_by_one).tobytes()


@given(latitudes, longitudes)
def test_a_unit_vector_has_length_one(lat: float, lon: float) -> None:
    x, y, z = unit_vector(lat, lon)
    assert abs(x * x + y * y + z * z - 1.0) < 1e-15


@pytest.mark.parametrize(("lats", "lons", "name"), [([91.0], [0.0], "lats"), ([0.0], [[0.0]], "lons")])
def test_wrong_arrays_are_refused_by_name(lats: list[float], lons: list[float], name: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name}:"):
        unit_vector_array(lats, lons)
