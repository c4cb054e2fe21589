"""Whether a walk is too long is decided to the millimetre, and the same way everywhere."""

from math import inf, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh import EARTH_RADIUS_M, unit_vector, within_distance
from tests.mesh.samples import latitudes, longitudes

HALF_CIRCUMFERENCE_M = np.pi * EARTH_RADIUS_M


@given(latitudes, longitudes, st.floats(0, 1e9))
def test_a_point_is_within_any_distance_of_itself(lat: float, lon: float, metres: float) -> None:
    assert within_distance(unit_vector(lat, lon), unit_vector(lat, lon), metres)


@given(st.floats(-90, 90), longitudes, st.floats(0, 90))
def test_an_arc_along_a_meridian_is_as_long_as_its_degrees_say(lat: float, lon: float, degrees: float) -> None:
    other = lat + degrees if lat + degrees <= 90 else lat - degrees
    metres = abs(other - lat) * HALF_CIRCUMFERENCE_M / 180
    a, b = unit_vector(lat, lon), unit_vector(other, lon)
    assert within_distance(a, b, metres + 1e-3)
    if metres > 1e-3:
        assert not within_distance(a, b, metres - 1e-3)


@pytest.mark.parametrize("degrees", [1e-4, 0.1, 44.0, 89.0, 90.0, 91.0, 135.0, 179.0])
def test_the_limit_is_right_on_short_and_long_ways(degrees: float) -> None:
    metres = degrees * HALF_CIRCUMFERENCE_M / 180
    a, b = unit_vector(0.0, -10.0), unit_vector(0.0, degrees - 10.0 if degrees < 190 else 180.0)
    assert within_distance(a, b, metres + 1e-4)
    assert not within_distance(a, b, metres - 1e-4)


def test_the_way_across_the_antimeridian_is_short() -> None:
    assert within_distance(unit_vector(10.0, 179.9999), unit_vector(10.0, -179.9999), 22.0)
    assert not within_distance(unit_vector(10.0, 179.9999), unit_vector(10.0, -179.9999), 21.8)


@given(latitudes, longitudes, latitudes, longitudes)
def test_half_the_circumference_allows_everything(lat_a: float, lon_a: float, lat_b: float, lon_b: float) -> None:
    a, b = unit_vector(lat_a, lon_a), unit_vector(lat_b, lon_b)
    for metres in (HALF_CIRCUMFERENCE_M, 1e300, inf, 10**400):
        assert within_distance(a, b, metres)


@given(latitudes, longitudes, latitudes, longitudes, st.floats(0, 2.1e7), st.floats(0, 2.1e7))
def test_more_is_allowed_at_a_greater_distance_and_direction_does_not_matter(
    lat_a: float, lon_a: float, lat_b: float, lon_b: float, one: float, other: float
) -> None:
    a, b = unit_vector(lat_a, lon_a), unit_vector(lat_b, lon_b)
    assert within_distance(a, b, one) == within_distance(b, a, one)
    assert within_distance(a, b, min(one, other)) <= within_distance(a, b, max(one, other))


@pytest.mark.parametrize("metres", [-1, -1e-300, nan, -inf, True, "5", None])
def test_an_impossible_distance_is_refused_by_name(metres: float) -> None:
    with pytest.raises(ValueError, match=r"^metres_max:"):
        within_distance((1.0, 0.0, 0.0), (1.0, 0.0, 0.0), metres)
