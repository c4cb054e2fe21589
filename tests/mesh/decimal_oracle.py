"""The mesh again, in 50-digit decimal arithmetic and by the plainest formulas: what the fast code must agree with.

It shares nothing with the package but the list of faces in the protocol, which it writes down for itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal, localcontext

Point = tuple[Decimal, Decimal, Decimal]

_PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494")
_FACES = (
    "0,11,5 0,5,1 0,1,7 0,7,10 0,10,11 1,5,9 5,11,4 11,10,2 10,7,6 7,1,8 "
    "3,9,4 3,4,2 3,2,6 3,6,8 3,8,9 4,9,5 2,4,11 6,2,10 8,6,7 9,8,1"
)


@contextmanager
def fifty_digits() -> Iterator[None]:
    with localcontext() as context:
        context.prec = 50
        yield


def sine_cosine(degrees: float) -> tuple[Decimal, Decimal]:
    angle = Decimal(degrees) * _PI / 180
    sine = cosine = Decimal(0)
    term = Decimal(1)
    for n in range(80):
        if n % 2:
            sine += term if n % 4 == 1 else -term
        else:
            cosine += term if n % 4 == 0 else -term
        term = term * angle / (n + 1)
    return sine, cosine


def unit_vector(lat: float, lon: float) -> Point:
    sine_lat, cosine_lat = sine_cosine(lat)
    sine_lon, cosine_lon = sine_cosine(lon)
    return cosine_lat * cosine_lon, cosine_lat * sine_lon, sine_lat


def locate(point: Point, level: int) -> tuple[int, int, Decimal]:
    """Face, path, and how far (radians) the point lies from the nearest edge that decided."""
    face, corners, margin = _base_face(point)
    path = 0
    for _ in range(level - 1):
        v0, v1, v2 = corners
        m01, m12, m20 = _middle(v0, v1), _middle(v1, v2), _middle(v2, v0)
        children = ((v0, m01, m20), (m01, v1, m12), (m20, m12, v2), (m01, m12, m20))
        digit = 3
        for number, (a, b) in enumerate(((m20, m01), (m01, m12), (m12, m20))):
            distance = _signed_distance(a, b, point)
            margin = min(margin, abs(distance))
            if distance < 0:
                digit = number
                break
        path = 4 * path + digit
        corners = children[digit]
    return face, path, margin


def corners_of(face: int, digits: tuple[int, ...]) -> tuple[Point, Point, Point]:
    corners = _faces()[face]
    for digit in digits:
        v0, v1, v2 = corners
        m01, m12, m20 = _middle(v0, v1), _middle(v1, v2), _middle(v2, v0)
        corners = ((v0, m01, m20), (m01, v1, m12), (m20, m12, v2), (m01, m12, m20))[digit]
    return corners


def _base_face(point: Point) -> tuple[int, tuple[Point, Point, Point], Decimal]:
    for face, (a, b, c) in enumerate(_faces()):
        distances = [_signed_distance(*edge, point) for edge in ((a, b), (b, c), (c, a))]
        if min(distances) >= 0:
            return face, (a, b, c), min(distances)
    raise AssertionError("no face holds the point")


def _faces() -> list[tuple[Point, Point, Point]]:
    phi = (1 + Decimal(5).sqrt()) / 2
    o, i = Decimal(0), Decimal(1)
    vertices = [(-i, phi, o), (i, phi, o), (-i, -phi, o), (i, -phi, o), (o, -i, phi), (o, i, phi)]
    vertices += [(o, -i, -phi), (o, i, -phi), (phi, o, -i), (phi, o, i), (-phi, o, -i), (-phi, o, i)]
    unit = [_normalise(vertex) for vertex in vertices]
    faces = [[unit[int(number)] for number in face.split(",")] for face in _FACES.split()]
    return [(a, b, c) for a, b, c in faces]


def _normalise(point: Point) -> Point:
    x, y, z = point
    norm = (x * x + y * y + z * z).sqrt()
    return x / norm, y / norm, z / norm


def _middle(a: Point, b: Point) -> Point:
    return _normalise((a[0] + b[0], a[1] + b[1], a[2] + b[2]))


def _signed_distance(a: Point, b: Point, p: Point) -> Decimal:
    x, y, z = _normalise((a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]))
    return x * p[0] + y * p[1] + z * p[2]
