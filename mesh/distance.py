"""Great-circle distance, decided with the same bits on every machine.

The speed gate compares a distance with what time and speed allow (protocol.md §2). An angle would need asin or
atan2, which differ between machines; so the squared chords are compared instead: the chord between two unit vectors
grows with the angle between them, and the chord of an arc of d metres on a sphere of radius R is 2 sin(d / 2R).
"""

from __future__ import annotations

from typing import Final

from mesh.trigonometry import Vector, cosine_kernel, is_number, sine_kernel

EARTH_RADIUS_M: Final = 6_371_000.0
"""The sphere on which distances and areas are measured (protocol.md §2)."""

# pi / 2 to 106 bits, and pi / 4.
_QUARTER_TURN_HIGH: Final = float.fromhex("0x1.921fb54442d18p+0")
_QUARTER_TURN_LOW: Final = float.fromhex("0x1.1a62633145c07p-54")
_EIGHTH_TURN: Final = float.fromhex("0x1.921fb54442d18p-1")

_HALF_CIRCUMFERENCE_M: Final = 2.0 * EARTH_RADIUS_M * _QUARTER_TURN_HIGH


def within_distance(a: Vector, b: Vector, metres_max: float) -> bool:
    """Whether two points, as `unit_vector` gives them, are at most `metres_max` apart along the great circle.

    The sphere has radius 6,371,000 m; half its circumference or more, infinity included, allows every pair.
    Raises ValueError naming `metres_max` when it is negative, NaN, or not a number.
    """
    if not is_number(metres_max) or not metres_max >= 0:
        raise ValueError("metres_max: must be a number of metres, 0 or more")
    # Before float(), which a huge int would overflow.
    if metres_max >= _HALF_CIRCUMFERENCE_M:
        return True
    x = a[0] - b[0]
    y = a[1] - b[1]
    z = a[2] - b[2]
    half_chord_max = _sine(float(metres_max) / (2.0 * EARTH_RADIUS_M))
    return x * x + y * y + z * z <= 4.0 * (half_chord_max * half_chord_max)


def _sine(angle_rad: float) -> float:
    """sin of an angle in [0, pi/2], radians."""
    if angle_rad <= _EIGHTH_TURN:
        return sine_kernel(angle_rad, 0.0)
    # The subtraction is exact, both numbers being within a factor of two of each other.
    return cosine_kernel(_QUARTER_TURN_HIGH - angle_rad, _QUARTER_TURN_LOW)
