"""Names of triangles: the text form, the integer form, and the family relations between them.

A triangle is a base face, a level, and the child digits that lead from the face down to it. The integer form
puts the face first, then the digits from the left, then the level, so sorting integers is walking the tree in
pre-order: a triangle comes directly before its descendants, and they are one contiguous range.

Decoding is strict: exactly one text and one integer name a triangle, and whatever else comes in is refused with
the rule it broke (protocol.md §1, "Text form" and "Integer form").
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import total_ordering
from hashlib import sha256
from typing import Final

import numpy as np

FACE_COUNT: Final = 20
LEVEL_MIN: Final = 1
LEVEL_MAX: Final = 21

PATH_DIGITS: Final = LEVEL_MAX - 1
PATH_BITS: Final = 2 * PATH_DIGITS
LEVEL_BITS: Final = 5
FACE_SHIFT: Final = PATH_BITS + LEVEL_BITS
LEVEL_MASK: Final = (1 << LEVEL_BITS) - 1
PATH_MASK: Final = (1 << PATH_BITS) - 1

TEXT_PREFIX: Final = "STEP-TRI-v1:"
TEXT_LENGTH_MAX: Final = len(TEXT_PREFIX) + len("A21-") + PATH_DIGITS + len("-ABC")

_FACE_LETTERS: Final = "ABCDEFGHIJKLMNOPQRST"
_FIVE_DIGITS: Final = tuple("".join(str(number >> shift & 3) for shift in (8, 6, 4, 2, 0)) for number in range(1 << 10))
"""The base-4 digits of ten bits."""
_LEVELS: Final = {str(level): level for level in range(LEVEL_MIN, LEVEL_MAX + 1)}
_CHECKSUM_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
CHECKSUM_LENGTH: Final = 3
_TWO_CHECKSUM_LETTERS: Final = tuple(one + other for one in _CHECKSUM_ALPHABET for other in _CHECKSUM_ALPHABET)
"""The two letters of ten bits."""


class TriangleIdError(ValueError):
    """A text or an integer does not name a triangle; the message says which rule it breaks."""


@total_ordering
@dataclass(frozen=True, slots=True)
class TriangleId:
    """One triangle of the mesh, ordered by its integer form (protocol.md §1).

    `face` is 0 to 19, `level` 1 to 21, and `path` the `level - 1` child digits read as one base-4 number, the
    digit nearest the face first (so the path of a level-1 triangle is 0).

    Raises `TriangleIdError` when a part is out of its range.
    """

    face: int
    level: int
    path: int
    integer: int = field(init=False, repr=False, compare=False)
    """The integer form, `face << 45 | path left-aligned in 40 bits << 5 | level`; below 2**50."""

    def __post_init__(self) -> None:
        face, level, path = self.face, self.level, self.path
        if not (type(face) is int and type(level) is int and type(path) is int):
            self._refuse_types()
        if not 0 <= face < FACE_COUNT:
            raise TriangleIdError(f"face: must be 0 to {FACE_COUNT - 1}")
        _check_level(level)
        if not 0 <= path < 1 << 2 * (level - 1):
            raise TriangleIdError(f"path: must have at most level - 1 = {level - 1} base-4 digits")
        # Asked for a dozen times on the way of a proof.
        aligned_path = path << 2 * (LEVEL_MAX - level)
        object.__setattr__(self, "integer", face << FACE_SHIFT | aligned_path << LEVEL_BITS | level)

    def _refuse_types(self) -> None:
        for name in ("face", "level", "path"):
            if type(getattr(self, name)) is not int:
                raise TriangleIdError(f"{name}: must be an integer, not {type(getattr(self, name)).__name__}")

    @classmethod
    def parse(cls, text: str) -> TriangleId:
        """Decode the text form. Raises `TriangleIdError`, naming the first rule that the text breaks."""
        if not isinstance(text, str):
            raise TriangleIdError(f"triangle id: must be a string, not {type(text).__name__}")
        if len(text) > TEXT_LENGTH_MAX:
            raise TriangleIdError(f"length: {len(text)} characters, at most {TEXT_LENGTH_MAX} are allowed")
        if not text.startswith(TEXT_PREFIX):
            raise TriangleIdError(f"prefix: the text must begin with {TEXT_PREFIX!r}, exactly so")
        body = text[len(TEXT_PREFIX) :]
        if body != body.upper():
            raise TriangleIdError("lower case: after the prefix every letter must be upper case")
        parts = body.split("-")
        if len(parts) != 3:
            raise TriangleIdError(
                f"parts: face and level, digits, checksum are expected after the prefix, two dashes between them; "
                f"found {len(parts)} part(s)"
            )
        head, digits, checksum = parts
        face = _parse_face(head[:1])
        level = _parse_level(head[1:])
        path = _parse_digits(digits, level)
        if len(checksum) != CHECKSUM_LENGTH:
            raise TriangleIdError(f"checksum: {len(checksum)} characters, exactly {CHECKSUM_LENGTH} are required")
        if checksum != checksum_of(body[: -CHECKSUM_LENGTH - 1]):
            raise TriangleIdError(f"checksum: {checksum!r} does not match the face, level and digits")
        return cls(face, level, path)

    @classmethod
    def from_int(cls, number: int | np.integer) -> TriangleId:
        """Decode the integer form (an `int`, or a NumPy integer such as `locate_array` gives).

        Raises `TriangleIdError`, naming the rule that the number breaks.
        """
        if type(number) is not int:
            if isinstance(number, bool) or not isinstance(number, int | np.integer):
                raise TriangleIdError(f"triangle integer: must be an integer, not {type(number).__name__}")
            number = int(number)
        if number < 0:
            raise TriangleIdError("triangle integer: must not be negative")
        face = number >> FACE_SHIFT
        if face >= 1 << 5:
            raise TriangleIdError(f"triangle integer: too large, more than {FACE_SHIFT + 5} bits")
        if face >= FACE_COUNT:
            raise TriangleIdError(f"face: {face}, the last one is {FACE_COUNT - 1}")
        level = number & LEVEL_MASK
        _check_level(level)
        aligned_path = number >> LEVEL_BITS & PATH_MASK
        padding_bits = PATH_BITS - 2 * (level - 1)
        if aligned_path & ((1 << padding_bits) - 1):
            raise TriangleIdError(f"padding: the path bits after digit {level - 1} must be zero at level {level}")
        return cls(face, level, aligned_path >> padding_bits)

    @property
    def digits(self) -> tuple[int, ...]:
        """The `level - 1` child digits, the one nearest the face first."""
        return tuple(self.path >> 2 * place & 3 for place in reversed(range(self.level - 1)))

    @property
    def text(self) -> str:
        """The text form, for example `STEP-TRI-v1:F1-00000000000000000000-5W6`."""
        path = self.path << 2 * (LEVEL_MAX - self.level)
        digits = (
            f"{_FIVE_DIGITS[path >> 30]}{_FIVE_DIGITS[path >> 20 & 1023]}"
            f"{_FIVE_DIGITS[path >> 10 & 1023]}{_FIVE_DIGITS[path & 1023]}"
        )
        checked = f"{_FACE_LETTERS[self.face]}{self.level}-{digits}"
        return f"{TEXT_PREFIX}{checked}-{checksum_of(checked)}"

    @property
    def parent(self) -> TriangleId | None:
        """The triangle one level up that holds this one; None at level 1."""
        if self.level == LEVEL_MIN:
            return None
        return TriangleId(self.face, self.level - 1, self.path >> 2)

    @property
    def parent_integer(self) -> int | None:
        """The integer form of `parent`."""
        if self.level == LEVEL_MIN:
            return None
        last_digit = 3 << LEVEL_BITS + 2 * (LEVEL_MAX - self.level)
        return (self.integer & ~last_digit) - 1

    @property
    def children(self) -> tuple[TriangleId, TriangleId, TriangleId, TriangleId]:
        """The four triangles one level down, child 0 to child 3. Raises `TriangleIdError` at level 21."""
        if self.level == LEVEL_MAX:
            raise TriangleIdError(f"level: a triangle of level {LEVEL_MAX} has no children")
        face, level, path = self.face, self.level + 1, self.path << 2
        return (
            TriangleId(face, level, path),
            TriangleId(face, level, path | 1),
            TriangleId(face, level, path | 2),
            TriangleId(face, level, path | 3),
        )

    @property
    def last_integer(self) -> int:
        """The integer form of its last descendant, at level 21 (there, its own).

        All that lie below it in the tree have integer forms above its own and up to this one, and no other triangle.
        """
        below = (1 << 2 * (LEVEL_MAX - self.level)) - 1
        return self.integer - self.level + (below << LEVEL_BITS) + LEVEL_MAX

    def is_ancestor_of(self, other: TriangleId) -> bool:
        """Whether `other` lies strictly below this triangle in the tree (no triangle is its own ancestor)."""
        return (
            self.face == other.face
            and self.level < other.level
            and self.path == other.path >> 2 * (other.level - self.level)
        )

    def __int__(self) -> int:
        return self.integer

    def __str__(self) -> str:
        return self.text

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, TriangleId):
            return NotImplemented
        return self.integer < other.integer


def _check_level(level: int) -> None:
    if not LEVEL_MIN <= level <= LEVEL_MAX:
        raise TriangleIdError(f"level: {level}, must be {LEVEL_MIN} to {LEVEL_MAX}")


def _parse_face(letter: str) -> int:
    # str.find("") is 0, so an empty letter has to be refused apart.
    face = _FACE_LETTERS.find(letter) if letter else -1
    if face < 0:
        raise TriangleIdError(f"face: {letter!r}, must be a letter {_FACE_LETTERS[0]} to {_FACE_LETTERS[-1]}")
    return face


def _parse_level(digits: str) -> int:
    if (level := _LEVELS.get(digits)) is not None:
        return level
    # str.isdigit alone would let digits of other scripts through.
    if not (digits.isascii() and digits.isdigit()):
        raise TriangleIdError(f"level: {digits!r}, must be a decimal number")
    if digits.startswith("0"):
        raise TriangleIdError(f"level: {digits!r} has a leading zero")
    raise TriangleIdError(f"level: {int(digits)}, must be {LEVEL_MIN} to {LEVEL_MAX}")


def _parse_digits(digits: str, level: int) -> int:
    if len(digits) != PATH_DIGITS:
        raise TriangleIdError(f"digits: {len(digits)} of them, exactly {PATH_DIGITS} are required")
    if wrong := digits.strip("0123"):
        raise TriangleIdError(f"digits: {wrong[0]!r}, a digit must be 0 to 3")
    if digits[level - 1 :].strip("0"):
        raise TriangleIdError(f"padding: the digits after the first {level - 1} must be zero at level {level}")
    return int(digits[: level - 1] or "0", 4)


def checksum_of(checked: str) -> str:
    """The three letters that end a text form, of what stands between its prefix and their dash (protocol.md §1)."""
    # ASCII is certain: every part has been checked, or built, from ASCII alphabets.
    digest = sha256(checked.encode("ascii")).digest()
    value = digest[0] << 7 | digest[1] >> 1
    return _TWO_CHECKSUM_LETTERS[value >> 5] + _CHECKSUM_ALPHABET[value & 31]
