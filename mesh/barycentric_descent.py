"""Which triangles hold many points, quickly, where a point is clear of every edge: the filter before the descent.

Theory. Write a point as p = a v0 + b v1 + c v2, with the corners of the triangle that holds it; a, b and c are positive
inside. The middle of v0 and v1 is (v0 + v1) / 2k, k being the cosine of half the edge between them. So the edges of
the centre child lie where one coordinate is the sum of the other two, and in the child's own corners the point has

    child 0:  (a - b - c) / 2,   b times k of the edge v0 v1,   c times k of the edge v0 v2     if a > b + c
    child 3:  (b + c - a) / 2 times k of the edge v1 v2, and so on                              if none is greater

and the children 1 and 2 as child 0. Only the ratio of the coordinates matters. A level costs a dozen operations for
three numbers, instead of a hundred for nine, and k depends on the digits so far and on nothing else.

Child 3 stands on its head. Its corners are kept in the order of those that they lie opposite to, so that nothing is
moved; a table translates the digits from this *raw* order into that of protocol.md §1 at the end. Which face it is
comes from symmetry: mirrored into the octant x, y, z >= 0, a point lies in the face (1, 5, 9) or beyond one of its
edges (icosahedron.py), and all faces have the same k.

To level 8 every k comes from a table, half a megabyte, made when it is first needed. Below it, to level 12, 1 - k is a
quarter of what it was one level before, as in small triangles it nearly is. From level 12 on k is taken as 1: then
the children halve the triangle as if it were flat, and the digits are the binary digits of the coordinates.

The bound. `EDGE_MARGIN` is what certifies. Let e = 1 - k. A factor between 1 - e and 1 that is left out changes a
coordinate by e / 4 of the whole at most, and what is wrong doubles with each level. At level 12 e is below 5.3e-8, and
a quarter of that at each level after it: by level 21 that makes 5.3e-8 / 4 * 2**8 * 8 / 7 = 3.9e-6. The quarters
between level 8 and 12 are off by 1.2e-4 of an e of 1.4e-5 at most, which adds 1.9e-6, and the rounding of float64,
1e-15 at the beginning and as much at each level, 1e-8. So the coordinates at the end are within 6e-6 of the true ones.
If all are greater than `EDGE_MARGIN`, 3.1e-5, then the point is inside the true triangle, and farther from its edges
than 2.4e-5 of its height, which at level 21 is 2e-11 rad: twenty times what `contains` leaves to the descent
(descent.py), and a thousand times what the descent's own rounding comes to. A point that is inside a triangle and
clear of its edges is as clear of all the edges that decided above, since those do not enter it. So the descent gives
the same digits. For the other points, two in ten thousand, it has to be asked.
"""

from __future__ import annotations

from math import factorial, pi, sqrt
from typing import Final

import numpy as np
import numpy.typing as npt

from mesh.barycentric_tables import (
    CURVED_DIGITS,
    DIGITS_A_BYTE,
    DIGITS_A_GROUP,
    FLAT_DIGITS,
    TABLED_DIGITS,
    DescentTables,
    IntegerArray,
    descent_tables,
)
from mesh.trigonometry import FloatArray

EDGE_MARGIN: Final = 2.0**-15
"""A point is clear of the edges if each of its coordinates is more than this of their sum."""

_PHI: Final = (1.0 + sqrt(5.0)) / 2.0
_PHI_MINUS_1: Final = _PHI - 1.0
_SINE_COEFFICIENTS: Final = tuple((-1) ** (n // 2) / factorial(n) for n in range(1, 20, 2))

_SIGN_BIT: Final = 63


def descend_clear(
    lats: FloatArray, lons: FloatArray, depth: int
) -> tuple[IntegerArray, IntegerArray, npt.NDArray[np.bool_]]:
    """Faces, paths of `depth` digits left-aligned in `PATH_BITS`, and which points are clear of edges.

    `lats` and `lons` are degrees, one-dimensional and checked. What stands for a point that is not clear means nothing.
    """
    tables = descent_tables()
    coordinates, octant_and_region = _in_a_face(lats, lons)
    curved = min(depth, CURVED_DIGITS)
    raw_digits = _curved_digits(tables, coordinates, curved)
    # A leading digit makes whole bytes of them; it is one that does not turn the triangle.
    raw_digits |= 3 << 2 * curved
    raw_digits <<= 2 * (CURVED_DIGITS - curved)
    state = tables.orders.take(octant_and_region)
    paths = np.zeros_like(raw_digits)
    for shift in range(2 * (CURVED_DIGITS + 1 - DIGITS_A_BYTE), -1, -2 * DIGITS_A_BYTE):
        _look_up(tables.curved, raw_digits, shift, 2 * DIGITS_A_BYTE, 2 * DIGITS_A_BYTE, state, paths)
    paths &= (1 << 2 * CURVED_DIGITS) - 1
    paths <<= 2 * FLAT_DIGITS
    # What is behind the point is where it lies in its triangle, before it the flat digits, if they are wanted.
    coordinates *= (2.0**FLAT_DIGITS if depth > curved else 1.0) / np.add.reduce(coordinates, axis=0)
    whole = coordinates.astype(np.int64)
    coordinates -= whole
    if depth > curved:
        paths |= _flat_digits(tables, whole, state)
    # The sum of the three is 1, or 2 where the triangle stands on its head and the coordinates are what lacks of 1.
    clear = np.minimum.reduce(coordinates, axis=0) > EDGE_MARGIN
    clear &= np.maximum.reduce(coordinates, axis=0) < 1.0 - EDGE_MARGIN
    faces: IntegerArray = tables.faces.take(octant_and_region)
    return faces, paths, clear


def _in_a_face(lats: FloatArray, lons: FloatArray) -> tuple[FloatArray, IntegerArray]:
    """Coordinates [raw corner, point] in the faces that hold the points, and the places of these in the tables."""
    angles = np.empty((4, lats.size))
    latitude, colatitude, longitude, colongitude = angles
    np.abs(lats, out=latitude)
    np.abs(lons, out=longitude)
    # The index grows by a bit with each sign. A shift by 63 bits leaves -1 of a negative number, and 0 of another.
    index = -_sign(90.0 - longitude)
    for numbers in (lons, lats):
        index <<= 1
        index -= _sign(numbers)
    np.subtract(180.0, longitude, out=colongitude)
    np.minimum(longitude, colongitude, out=longitude)
    np.subtract(90.0, latitude, out=colatitude)
    np.subtract(90.0, longitude, out=colongitude)
    sine_lat, cosine_lat, sine_lon, cosine_lon = _sines(angles)
    # The first two rows once more, so that the next and the next but one of x, y, z are slices.
    point = np.empty((5, lats.size))
    np.multiply(cosine_lon, cosine_lat, out=point[0])
    np.multiply(sine_lon, cosine_lat, out=point[1])
    point[2] = sine_lat
    point[3:] = point[:2]
    # Of corners 1, 5 and 9: how far the point is within the edge opposite to each.
    within = _PHI * point[1:4]
    within += _PHI_MINUS_1 * point[:3]
    within -= point[2:]
    beyond = np.minimum(np.minimum.reduce(within, axis=0), 0.0)
    other_is_beyond = np.empty((3, lats.size), dtype=np.int64)
    _mark_others_of_negative(within.view(np.int64), other_is_beyond)
    _append_digit(index, other_is_beyond)
    # Corner 9's mirror image beyond the edge 1-5 is (v1 + v5) / phi - v9, and 1 / phi is phi - 1.
    beyond *= _PHI_MINUS_1
    coordinates = within + beyond
    _choose(coordinates.view(np.int64), np.abs(within).view(np.int64), other_is_beyond)
    return coordinates, index


def _curved_digits(tables: DescentTables, coordinates: FloatArray, count: int) -> IntegerArray:
    """The first raw digits of the points, 3 minus each; `coordinates` become those in the triangles they lead to."""
    points = coordinates.shape[1]
    digits = np.zeros(points, dtype=np.int64)
    half = np.empty(points)
    opposite, factors = np.empty_like(coordinates), np.empty_like(coordinates)
    coordinate_bits, opposite_bits = coordinates.view(np.int64), opposite.view(np.int64)
    other_is_child = np.empty((3, points), dtype=np.int64)
    for number in range(count):
        np.add.reduce(coordinates, axis=0, out=half)
        half *= 0.5
        np.subtract(half, coordinates, out=opposite)
        _mark_others_of_negative(opposite_bits, other_is_child)
        _append_digit(digits, other_is_child)
        np.abs(opposite, out=opposite)
        _choose(coordinate_bits, opposite_bits, other_is_child)
        if number < TABLED_DIGITS:
            tables.factors[number].take(digits, axis=1, out=factors, mode="clip")
        else:
            # The last digit in a triangle as its ancestor of level 7 is, and so much flatter.
            ancestors = digits >> 2 * (number + 1 - TABLED_DIGITS)
            ancestors |= 3
            ancestors ^= ~digits & 3
            tables.factors[-1].take(ancestors, axis=1, out=factors, mode="clip")
            share = 0.25 ** (number + 1 - TABLED_DIGITS)
            factors *= share
            factors += 1.0 - share
        coordinates *= factors
    return digits


def _flat_digits(tables: DescentTables, whole: IntegerArray, orders: IntegerArray) -> IntegerArray:
    """The last digits of the points, from the binary digits of their coordinates [raw corner, point]."""
    first, second, third = tables.spread.take(whole, mode="clip")
    first <<= 1
    first |= second
    first <<= 1
    first |= third
    state = orders << 2  # Past three times three binary digits instead of four of base 4, and not on its head.
    digits: IntegerArray = np.zeros_like(first)
    in_bits, out_bits = 3 * DIGITS_A_GROUP, 2 * DIGITS_A_GROUP
    for shift in range(3 * (FLAT_DIGITS - DIGITS_A_GROUP), -1, -in_bits):
        _look_up(tables.flat, first, shift, in_bits, out_bits, state, digits)
    return digits


def _look_up(
    table: IntegerArray,
    source: IntegerArray,
    shift: int,
    in_bits: int,
    out_bits: int,
    state: IntegerArray,
    digits: IntegerArray,
) -> None:
    """Append to `digits` what stands in the table for `in_bits` of the source and the state, and follow the state."""
    mask = (1 << in_bits) - 1
    index = source >> shift
    index &= mask
    index |= state
    found = table.take(index)
    digits <<= out_bits
    digits |= found & mask
    np.bitwise_and(found, ~mask, out=state)


def _sines(degrees: FloatArray) -> FloatArray:
    """Of angles from 0 to 90 degrees, within 1e-15; Taylor's series. Overwrites the angles."""
    degrees *= pi / 180.0
    square = degrees * degrees
    series: FloatArray = square * _SINE_COEFFICIENTS[-1]
    for coefficient in _SINE_COEFFICIENTS[-2:0:-1]:
        series += coefficient
        series *= square
    series += _SINE_COEFFICIENTS[0]
    series *= degrees
    return series


def _sign(numbers: FloatArray) -> IntegerArray:
    """-1 for a negative number, -0.0 included, and 0 for another."""
    signs: IntegerArray = numbers.view(np.int64) >> _SIGN_BIT
    return signs


def _mark_others_of_negative(rows: IntegerArray, marks: IntegerArray) -> None:
    """`marks[j]` becomes -1, all bits, where a row other than j is negative, 0 elsewhere; at most one is.

    `rows` are the bits of float64.
    """
    np.right_shift(rows, _SIGN_BIT, out=marks)
    any_is = marks[0] | marks[1]
    any_is |= marks[2]
    marks ^= any_is


def _append_digit(digits: IntegerArray, marks: IntegerArray) -> None:
    """3 minus the number of the row that is negative, 0 if none is: its bits are two of the marks."""
    digits <<= 1
    digits -= marks[2]
    digits <<= 1
    digits -= marks[1]


def _choose(kept: IntegerArray, otherwise: IntegerArray, marks: IntegerArray) -> None:
    """Overwrite `kept` with `otherwise` where the mark is 0; a third of the time that masks of bools take."""
    kept ^= otherwise
    kept &= marks
    kept ^= otherwise
