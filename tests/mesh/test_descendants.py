"""All descendants at once are those one by one, to the last bit."""

from __future__ import annotations

import pytest

from mesh import TriangleId, corners, descendants, descendants_corners, descendants_text
from mesh.descendants import LEVELS_BELOW_MAX


@pytest.mark.parametrize("levels", range(5))
def test_all_corners_have_the_bits_of_the_exact_arithmetic(levels: int) -> None:
    for face in range(20):
        root = TriangleId(face, 1, 0)
        expected = [TriangleId(face, 1 + levels, path) for path in range(4**levels)]
        assert descendants(root, levels).tolist() == [triangle.integer for triangle in expected]
        assert descendants_text(root, levels) == [triangle.text for triangle in expected]
        made = [tuple(map(tuple, triangle)) for triangle in descendants_corners(root, levels).tolist()]
        assert made == [corners(triangle) for triangle in expected]


def test_deep_descendants_have_them_too() -> None:
    root = TriangleId(7, 18, 0x2_3456_789A)
    found = [TriangleId.from_int(number) for number in descendants(root, 3).tolist()]
    assert [triangle.level for triangle in found] == [21] * 64
    assert all(root.is_ancestor_of(triangle) for triangle in found)
    assert descendants_text(root, 3) == [triangle.text for triangle in found]
    made = [tuple(map(tuple, triangle)) for triangle in descendants_corners(root, 3).tolist()]
    assert made == [corners(triangle) for triangle in found]


@pytest.mark.parametrize(("level", "levels"), [(1, -1), (1, LEVELS_BELOW_MAX + 1), (20, 2)])
def test_levels_that_there_are_not_are_refused(level: int, levels: int) -> None:
    with pytest.raises(ValueError, match="levels: "):
        descendants(TriangleId(0, level, 0), levels)
    with pytest.raises(ValueError, match="levels: "):
        descendants_corners(TriangleId(0, level, 0), levels)
    with pytest.raises(ValueError, match="levels: "):
        descendants_text(TriangleId(0, level, 0), levels)
