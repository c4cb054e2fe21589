"""What has been found near enough without sines is near enough with them (protocol.md §2)."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from mesh import unit_vector, within_distance
from step_node.ledger.state_gates import METRES_A_DEGREE_MAX

latitudes = st.floats(-90, 90)
longitudes = st.floats(-180, 180)
steps = st.floats(-1, 1) | st.floats(-1e-6, 1e-6) | st.floats(-360, 360)


@given(latitudes, longitudes, steps, steps)
@example(0.0, 0.0, 1.0, 0.0)
@example(0.0, 0.0, 0.0, 1.0)
@example(0.0, -90.0, 0.0, 179.999)
@example(-45.0, 0.0, 89.9, 0.0)
@example(48.0, 11.0, 1e-9, 0.0)
def test_the_way_along_meridian_and_parallel_is_no_shorter_than_the_great_circle(
    lat: float, lon: float, north: float, east: float
) -> None:
    there = min(90.0, max(-90.0, lat + north)), min(180.0, max(-180.0, lon + east))
    least_metres = (abs(there[0] - lat) + abs(there[1] - lon)) * METRES_A_DEGREE_MAX
    # The speed limit is metres a second, times whole milliseconds: a millimetre is the least that is ever allowed.
    assert within_distance(unit_vector(lat, lon), unit_vector(*there), max(least_metres, 0.001))
