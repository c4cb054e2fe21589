"""Names of triangles are unique, strict, and know their relations."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh import TriangleId, TriangleIdError
from mesh.triangle_id import LEVEL_MAX
from tests.mesh.samples import known_answers, triangles

VALID = "STEP-TRI-v1:N11-33230323210000000000-VSB"


@given(triangles())
def test_text_and_integer_forms_round_trip(triangle: TriangleId) -> None:
    assert TriangleId.parse(triangle.text) == triangle
    assert TriangleId.from_int(triangle.integer) == triangle
    assert TriangleId.from_int(np.int64(int(triangle))) == triangle
    assert str(triangle) == triangle.text
    assert pickle.loads(pickle.dumps(triangle)) == triangle


def test_known_texts_are_written_as_they_were_read() -> None:
    for answer in known_answers("mesh_locate.json"):
        assert TriangleId.parse(answer["triangleId"]).text == answer["triangleId"]


@given(triangles(level_max=20))
def test_parent_undoes_children(triangle: TriangleId) -> None:
    assert [child.parent for child in triangle.children] == [triangle] * 4
    assert [child.digits for child in triangle.children] == [(*triangle.digits, digit) for digit in range(4)]
    assert all(triangle.is_ancestor_of(child) and not child.is_ancestor_of(triangle) for child in triangle.children)


def test_a_face_has_no_parent_and_a_smallest_triangle_no_children() -> None:
    assert TriangleId(7, 1, 0).parent is None
    with pytest.raises(TriangleIdError, match="level 21 has no children"):
        _ = TriangleId(7, 21, 0).children


def _descendant_range(triangle: TriangleId) -> tuple[int, int]:
    """The integer forms of a triangle and of its last descendant: what a range query asks for (protocol.md §1)."""
    last = triangle
    while last.level < LEVEL_MAX:
        last = last.children[3]
    return triangle.integer, last.integer


@given(triangles(), triangles(), st.integers(0, 20))
def test_a_descendant_range_holds_the_triangle_and_its_descendants_only(
    one: TriangleId, other: TriangleId, steps_up: int
) -> None:
    relative: TriangleId | None = one
    for _ in range(steps_up):
        relative = relative.parent or relative if relative else None
    for ancestor, triangle in ((one, other), (other, one), (relative or one, one)):
        low, high = _descendant_range(ancestor)
        belongs = triangle == ancestor or ancestor.is_ancestor_of(triangle)
        assert (low <= triangle.integer <= high) == belongs


@given(triangles(level_max=20))
def test_the_ranges_of_children_follow_each_other_inside_the_parents(triangle: TriangleId) -> None:
    low, high = _descendant_range(triangle)
    ranges = [_descendant_range(child) for child in triangle.children]
    assert low < ranges[0][0]
    assert all(before[1] < after[0] for before, after in pairwise(ranges))
    assert ranges[-1][1] == high


@given(triangles(), triangles())
def test_triangles_are_ordered_by_their_integer_form(one: TriangleId, other: TriangleId) -> None:
    assert (one < other) == (int(one) < int(other))
    assert (one >= other) == (int(one) >= int(other))


def test_levels_have_twenty_times_powers_of_four_and_ten_levels_have_6990500() -> None:
    level = [TriangleId(face, 1, 0) for face in range(20)]
    for depth in range(5):
        assert len(set(level)) == 20 * 4**depth
        assert [int(triangle) for triangle in level] == sorted({int(triangle) for triangle in level})
        level = [child for triangle in level for child in triangle.children]
    assert sum(20 * 4 ** (number - 1) for number in range(1, 11)) == 6_990_500


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "prefix"),
        ("STEP-TRI-v2:" + VALID[12:], "prefix"),
        ("step-tri-v1:" + VALID[12:], "prefix"),
        (" " + VALID[:-1], "prefix"),
        (VALID.replace("N11", "n11"), "lower case"),
        (VALID[:-3] + "vsb", "lower case"),
        (VALID + "A", "length"),
        ("A" * 10_000_000, "length"),
        (VALID.replace("-VSB", "VSB"), "parts"),
        (VALID[:12], "parts"),
        (VALID.replace("N11", "U11"), "face"),
        (VALID.replace("N11", "111"), "face"),
        ("STEP-TRI-v1:-33230323210000000000-VSB", "face"),
        (VALID.replace("N11", "N"), "level"),
        (VALID.replace("N11", "N1X"), "level"),
        (VALID.replace("N11", "N٣"), "level"),
        (VALID.replace("N11", "N0"), "leading zero"),
        (VALID.replace("N11", "N07"), "leading zero"),
        (VALID.replace("N11", "N22"), "level"),
        (VALID.replace("-33230323210000000000", "-3323032321000000000"), "digits"),
        (VALID.replace("-3323", "-3423"), "digit must be 0 to 3"),
        (VALID.replace("0000-", "000²-"), "digit must be 0 to 3"),
        (VALID.replace("0000-", "0001-"), "padding"),
        (VALID[:-1], "checksum"),
        (VALID[:-1] + "A", "checksum"),
        (VALID[:-1] + "\n", "checksum"),
    ],
)
def test_a_wrong_text_is_refused_by_the_rule_it_breaks(text: str, rule: str) -> None:
    with pytest.raises(TriangleIdError, match=rule):
        TriangleId.parse(text)


@given(triangles(), st.integers(0, 39), st.characters(codec="utf-8"))
def test_another_text_is_never_the_same_triangle(triangle: TriangleId, index: int, character: str) -> None:
    text = triangle.text
    changed = text[:index] + character + text[index + 1 :]
    if changed == text:
        return
    try:
        decoded = TriangleId.parse(changed)
    except TriangleIdError:
        return
    # A changed text may pass the 15-bit checksum by chance, but then it is the one text of another triangle.
    assert decoded != triangle
    assert decoded.text == changed


@pytest.mark.parametrize("value", [None, 5, b"STEP-TRI-v1:", ["A"]])
def test_what_is_not_a_string_is_refused(value: object) -> None:
    with pytest.raises(TriangleIdError, match="must be a string"):
        TriangleId.parse(value)  # type: ignore[arg-type]  # the very thing to be refused


@pytest.mark.parametrize(
    ("number", "rule"),
    [
        (-1, "negative"),
        (1 << 50, "too large"),
        (10**400, "too large"),
        (20 << 45 | 1, "face"),
        (31 << 45 | 1, "face"),
        (0, "level"),
        (22, "level"),
        (31, "level"),
        (1 << 5 | 1, "padding"),
        (1 << 5 | 20, "padding"),
        (3 << 45 | 1 << 43 | 1, "padding"),
        (True, "must be an integer"),
        (1.0, "must be an integer"),
        ("1", "must be an integer"),
        (None, "must be an integer"),
    ],
)
def test_a_wrong_integer_is_refused_by_the_rule_it_breaks(number: int, rule: str) -> None:
    with pytest.raises(TriangleIdError, match=rule):
        TriangleId.from_int(number)


@given(st.integers(0, 2**50))
def test_an_integer_is_refused_or_is_the_one_form_of_its_triangle(number: int) -> None:
    try:
        triangle = TriangleId.from_int(number)
    except TriangleIdError:
        return
    assert triangle.integer == number


@pytest.mark.parametrize(
    ("face", "level", "path", "rule"),
    [
        (-1, 1, 0, "face"),
        (20, 1, 0, "face"),
        (0, 0, 0, "level"),
        (0, 22, 0, "level"),
        (0, 1, 1, "path"),
        (0, 3, 16, "path"),
        (0, 3, -1, "path"),
        (True, 1, 0, "face"),
        (0, 1.0, 0, "level"),
        (0, 1, None, "path"),
    ],
)
def test_a_triangle_cannot_be_made_of_wrong_parts(face: int, level: int, path: int, rule: str) -> None:
    with pytest.raises(TriangleIdError, match=rule):
        TriangleId(face, level, path)


@given(triangles(), triangles())
def test_descendants_are_what_lies_between_a_triangle_and_its_last_one(triangle: TriangleId, other: TriangleId) -> None:
    assert triangle.is_ancestor_of(other) == (triangle.integer < other.integer <= triangle.last_integer)
    last = TriangleId.from_int(triangle.last_integer)
    assert last.level == LEVEL_MAX
    assert last == triangle or triangle.is_ancestor_of(last)
    if triangle.level < LEVEL_MAX:
        assert [child.last_integer <= triangle.last_integer for child in triangle.children] == [True] * 4
        assert triangle.children[3].last_integer == triangle.last_integer
