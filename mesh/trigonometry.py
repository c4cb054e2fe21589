"""Sine, cosine and unit vectors that have the same bits on every machine.

Sine and cosine of the C library, and of NumPy's vector paths, differ in the last place between libraries and
between CPUs, and one bit is enough to put a point into another triangle and split the network. Here only
IEEE-754 `+ - * /` and `sqrt` on float64 are used, which the standard fixes to the last bit (protocol.md §1,
"Bit-for-bit determinism"):

1. The quadrant is taken off while the angle is still in degrees. For |angle| <= 180 that subtraction is exact,
   and leaves |rest| <= 45.
2. The rest is turned into radians as an unevaluated sum head + tail (Dekker's product), so that the conversion
   does not cost the last bits.
3. Taylor polynomials, whose coefficients are the float64 nearest to 1/n!, give sine and cosine to less than one
   unit in the last place.

docs/mesh-arithmetic.md is the specification for other implementations.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
Vector: TypeAlias = tuple[float, float, float]
"""A point of the unit sphere: x towards (0°, 0°), y towards (0°, 90° E), z towards the North Pole."""

# pi / 180 to 106 bits: the nearest float64, and the nearest float64 to what that leaves.
_DEGREE_HIGH: Final = float.fromhex("0x1.1df46a2529d39p-6")
_DEGREE_LOW: Final = float.fromhex("0x1.5c1d8becdd291p-62")
# _DEGREE_HIGH again, as the sum of two halves short enough for their products to be exact.
_DEGREE_HIGH_HEAD: Final = float.fromhex("0x1.1df46a0000000p-6")
_DEGREE_HIGH_TAIL: Final = float.fromhex("0x1.294e9c8000000p-33")
_SPLITTER: Final = 134217729.0  # 2**27 + 1, Veltkamp's constant for float64

# Every factorial up to 18! is a float64, so each quotient is the float64 nearest to 1/n!.
_INVERSE_3: Final = 1.0 / 6.0
_INVERSE_5: Final = 1.0 / 120.0
_INVERSE_7: Final = 1.0 / 5040.0
_INVERSE_9: Final = 1.0 / 362880.0
_INVERSE_11: Final = 1.0 / 39916800.0
_INVERSE_13: Final = 1.0 / 6227020800.0
_INVERSE_15: Final = 1.0 / 1307674368000.0
_INVERSE_17: Final = 1.0 / 355687428096000.0
_INVERSE_4: Final = 1.0 / 24.0
_INVERSE_6: Final = 1.0 / 720.0
_INVERSE_8: Final = 1.0 / 40320.0
_INVERSE_10: Final = 1.0 / 3628800.0
_INVERSE_12: Final = 1.0 / 479001600.0
_INVERSE_14: Final = 1.0 / 87178291200.0
_INVERSE_16: Final = 1.0 / 20922789888000.0


def sine_kernel(head: float, tail: float) -> float:
    """sin(head + tail), radians, for |head| <= pi/4 and |tail| at most half a unit in the last place of head."""
    square = head * head
    series = _INVERSE_15 - square * _INVERSE_17
    series = _INVERSE_13 - square * series
    series = _INVERSE_11 - square * series
    series = _INVERSE_9 - square * series
    series = _INVERSE_7 - square * series
    series = _INVERSE_5 - square * series
    series = _INVERSE_3 - square * series
    return head - (head * square * series - tail * (1.0 - 0.5 * square))


def cosine_kernel(head: float, tail: float) -> float:
    """cos(head + tail), radians, for |head| <= pi/4 and |tail| at most half a unit in the last place of head."""
    square = head * head
    series = _INVERSE_14 - square * _INVERSE_16
    series = _INVERSE_12 - square * series
    series = _INVERSE_10 - square * series
    series = _INVERSE_8 - square * series
    series = _INVERSE_6 - square * series
    series = _INVERSE_4 - square * series
    half_square = 0.5 * square
    rounded = 1.0 - half_square
    # What rounding 1 - half_square lost is (1 - rounded) - half_square, exactly; it is added back.
    return rounded + (((1.0 - rounded) - half_square) + (square * square * series - head * tail))


def sine_cosine(angle: float) -> tuple[float, float]:
    """Sine and cosine of an angle in degrees, |angle| <= 180, which the caller has checked."""
    if angle > 135.0:
        sine, cosine = _reduced_sine_cosine(angle - 180.0)
        return -sine, -cosine
    if angle > 45.0:
        sine, cosine = _reduced_sine_cosine(angle - 90.0)
        return cosine, -sine
    if angle < -135.0:
        sine, cosine = _reduced_sine_cosine(angle + 180.0)
        return -sine, -cosine
    if angle < -45.0:
        sine, cosine = _reduced_sine_cosine(angle + 90.0)
        return -cosine, sine
    return _reduced_sine_cosine(angle)


def unit_vector(lat: float, lon: float) -> Vector:
    """The point of the unit sphere at a latitude and longitude in degrees (protocol.md §1).

    Raises ValueError naming `lat` or `lon` when it is not a number in [-90, 90], or in [-180, 180].
    """
    lat = checked_degrees("lat", lat, 90.0)
    lon = checked_degrees("lon", lon, 180.0)
    sine_lat, cosine_lat = sine_cosine(lat)
    sine_lon, cosine_lon = sine_cosine(lon)
    return cosine_lat * cosine_lon, cosine_lat * sine_lon, sine_lat


def checked_degrees(name: str, degrees: float, limit: float) -> float:
    """`degrees` as a float64. Raises ValueError naming `name` when it is not a number in [-limit, limit]."""
    # The comparison also refuses NaN; it comes before float() because a huge int would overflow there.
    if not is_number(degrees) or not -limit <= degrees <= limit:
        raise ValueError(f"{name}: must be a number in [{-limit:g}, {limit:g}] degrees")
    return float(degrees)


def is_number(value: object) -> bool:
    """Whether a value is a real number of Python or NumPy, of any size; a bool is not."""
    return isinstance(value, float | int | np.floating | np.integer) and not isinstance(value, bool)


def checked_degrees_array(name: str, degrees: npt.ArrayLike, limit: float) -> FloatArray:
    """`degrees` as a float64 array. Raises ValueError naming `name` unless all are numbers in [-limit, limit]."""
    values = number_array(name, degrees, "fiu")
    if not np.all((values >= -limit) & (values <= limit)):
        raise ValueError(f"{name}: every element must be a number in [{-limit:g}, {limit:g}] degrees")
    return values.astype(np.float64)


def number_array(name: str, values: npt.ArrayLike, kinds: str) -> npt.NDArray[Any]:
    """`values` as an array whose dtype is of one of NumPy's `kinds`. Raises ValueError naming `name` if it is not."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name}: must be an array of one shape: {error}") from error
    if array.size == 0:
        return array.astype(kinds[0] + "8")
    if array.dtype.kind not in kinds:
        wanted = "numbers" if "f" in kinds else "integers"
        raise ValueError(f"{name}: must be an array of {wanted}, not of {array.dtype}")
    return array


def _reduced_sine_cosine(angle: float) -> tuple[float, float]:
    """Sine and cosine of |angle| <= 45 degrees."""
    head, tail = _radians(angle)
    return sine_kernel(head, tail), cosine_kernel(head, tail)


def _radians(angle: float) -> tuple[float, float]:
    """angle * pi / 180 as a sum: the rounded product, and what it lacks (Dekker 1971)."""
    head = angle * _DEGREE_HIGH
    scaled = _SPLITTER * angle
    angle_head = scaled - (scaled - angle)
    angle_tail = angle - angle_head
    lost = angle_head * _DEGREE_HIGH_HEAD - head
    lost = lost + angle_head * _DEGREE_HIGH_TAIL
    lost = lost + angle_tail * _DEGREE_HIGH_HEAD
    lost = lost + angle_tail * _DEGREE_HIGH_TAIL
    return head, lost + angle * _DEGREE_LOW
