"""Which triangle holds a point, for one point: the test that decides consensus.

The arithmetic is in descent.py. For many points at once see location_arrays.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, cast, overload

import numpy as np
import numpy.typing as npt

from mesh.descent import holds_point, locate_point
from mesh.location_arrays import locate_array
from mesh.triangle_id import LEVEL_MAX, LEVEL_MIN, TriangleId
from mesh.trigonometry import unit_vector

Numbers: TypeAlias = Sequence[float] | npt.NDArray[np.floating | np.integer]
Integers: TypeAlias = Sequence[int] | npt.NDArray[np.integer]


@overload
def locate(lat: float, lon: float, level: int) -> TriangleId: ...
@overload
def locate(lat: Numbers, lon: Numbers, level: int | Integers) -> npt.NDArray[np.int64]: ...
def locate(lat: float | Numbers, lon: float | Numbers, level: int | Integers) -> TriangleId | npt.NDArray[np.int64]:
    """The triangle of `level` (1 to 21) that holds the point at `lat`, `lon` in degrees (protocol.md §1).

    For numbers it is a `TriangleId`. For arrays `lat` and `lon` of one shape, and `level` a number or an array of
    that shape, it is the int64 array, of that shape, of the integer forms (see `locate_array`).

    Raises ValueError naming the argument that is out of range, not a number, or of another shape.
    """
    if _is_array(lat) or _is_array(lon) or _is_array(level):
        return locate_array(lat, lon, level)
    # No argument is an array; unit_vector and _checked_level refuse whatever else is not a number.
    return locate_point(unit_vector(cast(float, lat), cast(float, lon)), _checked_level(level))


def contains(triangle: TriangleId, lat: float, lon: float) -> bool:
    """Whether `triangle` is the one of its level that holds the point: `locate(lat, lon, level) == triangle`.

    Raises ValueError naming `lat` or `lon` (degrees) when it is out of range or not a number.
    """
    return holds_point(triangle, unit_vector(lat, lon))


def _checked_level(level: object) -> int:
    is_integer = isinstance(level, int | np.integer) and not isinstance(level, bool)
    if is_integer and LEVEL_MIN <= (number := int(cast(int, level))) <= LEVEL_MAX:
        return number
    raise ValueError(f"level: must be an integer from {LEVEL_MIN} to {LEVEL_MAX}")


def _is_array(value: object) -> bool:
    return isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim > 0)
