"""What passes a filter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh import FACE_COUNT, TriangleId
from step_node.feed.events import EventKind, FeedEvent, ProofDrop
from step_node.feed.filters import Box, EventFilter, TriangleRange
from step_node.proofs.proof import Refusal, RefusalCode
from tests.support.proofs import signed_proof

TOLD = ProofDrop(signed_proof("alice"), Refusal(RefusalCode.CLOCK_DRIFT, "timestamp: too old"), 1)


@st.composite
def triangles(draw: st.DrawFn) -> TriangleId:
    level = draw(st.integers(1, 21))
    # Few digits, so that one is often below another.
    digits = draw(st.lists(st.sampled_from([0, 3]), min_size=level - 1, max_size=level - 1))
    path = 0
    for digit in digits:
        path = path << 2 | digit
    return TriangleId(draw(st.integers(0, 1)), level, path)


@given(above=triangles(), other=triangles())
def test_the_range_of_a_triangle_is_itself_and_what_is_below_it(above: TriangleId, other: TriangleId) -> None:
    found = TriangleRange.below(above)
    assert (found.first <= other.integer <= found.last) == (above == other or above.is_ancestor_of(other))


def test_the_last_triangle_of_a_face_is_below_it_and_the_next_face_is_not() -> None:
    for face in range(FACE_COUNT - 1):
        found = TriangleRange.below(TriangleId(face, 1, 0))
        assert found.first <= TriangleId(face, 21, 4**20 - 1).integer <= found.last
        assert TriangleId(face + 1, 1, 0).integer > found.last


@pytest.mark.parametrize(
    ("box", "inside", "outside"),
    [
        (Box(8.0, 47.0, 9.0, 48.0), (47.5, 8.5), (47.5, 9.5)),
        (Box(8.0, 47.0, 9.0, 48.0), (47.0, 8.0), (46.999, 8.0)),
        (Box(170.0, -20.0, -170.0, 20.0), (0.0, 179.0), (0.0, 0.0)),
        (Box(170.0, -20.0, -170.0, 20.0), (0.0, -180.0), (0.0, -169.0)),
        (Box(-180.0, -90.0, 180.0, 90.0), (90.0, 180.0), (91.0, 0.0)),
    ],
)
def test_a_box_holds_its_edges_and_may_cross_the_antimeridian(
    box: Box, inside: tuple[float, float], outside: tuple[float, float]
) -> None:
    assert box.holds(*inside)
    assert not box.holds(*outside)


def test_every_part_of_a_filter_must_fit() -> None:
    alice, bob = b"a" * 20, b"b" * 20
    triangle = TriangleId(3, 10, 77)
    event = FeedEvent(EventKind.PROOF_DROPPED, TOLD, (alice,), triangle.integer, (47.5, 8.5))
    here, there = Box(8, 47, 9, 48), Box(0, 0, 1, 1)
    below = (TriangleRange.below(TriangleId(3, 1, 0)),)
    elsewhere = (TriangleRange.below(TriangleId(4, 1, 0)),)
    assert EventFilter().passes(event)
    assert EventFilter(accounts=frozenset({alice, bob}), triangles=(*elsewhere, *below), box=here).passes(event)
    assert not EventFilter(kinds=frozenset({EventKind.BATCH})).passes(event)
    assert not EventFilter(accounts=frozenset({bob}), box=here).passes(event)
    assert not EventFilter(accounts=frozenset({alice}), box=there).passes(event)
    assert not EventFilter(triangles=elsewhere, box=here).passes(event)


def test_what_is_nowhere_and_about_nobody_passes_only_filters_that_do_not_ask() -> None:
    batch = FeedEvent(EventKind.BATCH, TOLD)
    assert EventFilter().passes(batch)
    assert not EventFilter(accounts=frozenset({b"a" * 20})).passes(batch)
    assert not EventFilter(triangles=(TriangleRange(0, 2**60),)).passes(batch)
    assert not EventFilter(box=Box(-180, -90, 180, 90)).passes(batch)
