"""What the quick descent of many points looks up: factors of curvature, faces, and digits of turned triangles.

barycentric_descent.py has the theory. A *raw* corner of a triangle is numbered by the corner of the face that it goes
back to, a raw digit likewise; an *order* says which corner, as protocol.md §1 counts them, each raw corner is.
"""

from __future__ import annotations

from functools import cache
from itertools import permutations, product
from math import sqrt
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from mesh.icosahedron import FACES, VERTICES
from mesh.triangle_id import PATH_DIGITS
from mesh.trigonometry import FloatArray

IntegerArray: TypeAlias = npt.NDArray[np.int64]

CURVED_DIGITS: Final = 11
"""Of the digits, those that are found with the curvature; the rest are binary digits of the coordinates."""
TABLED_DIGITS: Final = 7
"""Of these, those for which each triangle has factors of its own."""
FLAT_DIGITS: Final = PATH_DIGITS - CURVED_DIGITS
DIGITS_A_GROUP: Final = 3
"""Flat digits that are looked up at once."""
DIGITS_A_BYTE: Final = 4

_COSINE_OF_HALF_A_SIDE: Final = sqrt((1.0 + 1.0 / sqrt(5.0)) / 2.0)
"""Of the icosahedron, whose neighbouring vertices have the scalar product 1 / sqrt(5)."""

_Order: TypeAlias = tuple[int, ...]
_ORDERS: Final[tuple[_Order, ...]] = tuple(permutations(range(3)))
"""Ways in which raw corners stand for the true ones: order[raw] is the true one."""


class DescentTables(NamedTuple):
    """What the descent looks up; `descent_tables` makes it once."""

    factors: tuple[FloatArray, ...]
    """Of each tabled digit, [raw corner, path with this digit]."""
    faces: IntegerArray
    """By signs and region (`barycentric_descent`): the face, and the order of its corners."""
    orders: IntegerArray
    curved: IntegerArray
    """By order and four raw digits: the true digits, and above them the order that follows."""
    spread: IntegerArray
    """A number's binary digits, three places apart."""
    flat: IntegerArray
    """By order, whether on its head, and three times three binary digits: digits, and above them what follows."""


@cache
def descent_tables() -> DescentTables:
    """The tables, 590 KB, made in some 30 ms when they are first asked for."""
    faces, orders = _face_tables()
    return DescentTables(_factor_tables(), faces, orders, _curved_table(), _spread_table(), _flat_table())


def _factor_tables() -> tuple[FloatArray, ...]:
    """By digit: for each raw path that ends with it (3 minus each digit), the factors of the three coordinates."""
    tables = []
    # cosines[corner, path] of half the edge opposite to each corner.
    cosines = np.full((3, 1), _COSINE_OF_HALF_A_SIDE)
    for _ in range(TABLED_DIGITS):
        # The middles of two sides have the scalar product (1 + all three) / (4 k k), v.w being 2 k k - 1.
        sum_of_products = 1.0 + np.add.reduce(2.0 * cosines * cosines - 1.0, axis=0)
        following, factors = (np.empty((3, cosines.shape[1], 4)) for _ in range(2))
        for corner in range(3):
            left, right = cosines[(corner + 1) % 3], cosines[(corner + 2) % 3]
            between_middles = _cosine_of_half(sum_of_products / (4.0 * left * right))
            for child in range(4):
                is_own = child in (corner, 3)
                following[corner, :, 3 - child] = between_middles if is_own else _cosine_of_half(cosines[corner])
                third = corner if child == 3 else 3 - child - corner
                factors[corner, :, 3 - child] = 1.0 if child == corner else cosines[third]
        cosines = following.reshape(3, -1)
        tables.append(factors.reshape(3, -1))
    return tuple(tables)


def _cosine_of_half(cosines: FloatArray) -> FloatArray:
    halves: FloatArray = np.sqrt((1.0 + cosines) * 0.5)
    return halves


def _face_tables() -> tuple[IntegerArray, IntegerArray]:
    """By the signs of x, y, z (1: negative), and 3 minus the corner whose edge the point lies beyond (0: none)."""
    faces, orders = [], []
    regions = ((1, 5, 9), (1, 5, 0), (1, 8, 9), (4, 5, 9))
    for *negative, region in product(range(2), range(2), range(2), regions):
        corners = []
        for vertex in region:
            mirrored = tuple(-c if flip else c for c, flip in zip(VERTICES[vertex], negative, strict=True))
            corners.append(VERTICES.index(mirrored))
        face = next(number for number, vertices in enumerate(FACES) if set(vertices) == set(corners))
        faces.append(face)
        orders.append(_ORDERS.index(tuple(FACES[face].index(corner) for corner in corners)))
    return np.array(faces, dtype=np.int64), np.array(orders, dtype=np.int64) << 2 * DIGITS_A_BYTE


def _curved_table() -> IntegerArray:
    bits = 2 * DIGITS_A_BYTE
    table = []
    for order, number in product(_ORDERS, range(1 << bits)):
        raw = [3 - (number >> shift & 3) for shift in range(bits - 2, -1, -2)]
        digits, following = _true_digits(raw, order)
        table.append(digits | _ORDERS.index(following) << bits)
    return np.array(table, dtype=np.int64)


def _spread_table() -> IntegerArray:
    numbers = range(1 << FLAT_DIGITS)
    return np.array([sum((number >> bit & 1) << 3 * bit for bit in range(FLAT_DIGITS)) for number in numbers])


def _flat_table() -> IntegerArray:
    bits = 3 * DIGITS_A_GROUP
    table = []
    for order, stands_on_head, number in product(_ORDERS, (False, True), range(1 << bits)):
        raw = []
        for shift in range(bits - 3, -1, -3):
            # On its head, the digits of the coordinates are those of what they lack.
            binary = (number >> shift & 7) ^ (7 if stands_on_head else 0)
            raw.append({0b100: 0, 0b010: 1, 0b001: 2}.get(binary, 3))
            stands_on_head ^= raw[-1] == 3
        digits, following = _true_digits(raw, order)
        table.append(digits | (2 * _ORDERS.index(following) + stands_on_head) << bits)
    return np.array(table, dtype=np.int64)


def _true_digits(raw: list[int], order: _Order) -> tuple[int, _Order]:
    """Digits as protocol.md §1 counts them, as one base-4 number, and the order of the corners after them."""
    digits = 0
    for digit in raw:
        digits = digits << 2 | (3 if digit == 3 else order[digit])
        if digit == 3:
            # Its corners are m01, m12 and m20, which lie opposite to 2, 0 and 1.
            order = tuple((corner + 1) % 3 for corner in order)
    return digits, order
