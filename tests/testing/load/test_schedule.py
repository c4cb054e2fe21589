"""Who sends what, when and to whom."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import pytest

from mesh import contains
from step_node.testing.load.provers import PROOFS_PER_PROVER_MAX, Provers
from step_node.testing.load.schedule import Schedule


def _schedule(**changes: float) -> Schedule:
    settings = {"rate": 50.0, "seconds": 30.0, "nodes": 4, "moratorium_ms": 10_000} | changes
    # Numbers of both kinds in one dictionary are floats to mypy; each is of its field's kind.
    return Schedule(**settings)  # type: ignore[arg-type]


def test_arrival_times_are_fixed_beforehand_at_the_rate() -> None:
    requests = list(_schedule().requests())
    assert len(requests) == 1_500
    assert [request.due_seconds for request in requests[:3]] == [0, 0.02, 0.04]
    assert requests[-1].due_seconds == pytest.approx(29.98)


def test_requests_hold_every_proof_once_and_go_to_the_nodes_in_turn() -> None:
    requests = list(_schedule(batch=7).requests())
    proofs = [proof for request in requests for proof in range(request.first, request.end)]
    assert proofs == list(range(1_500))
    assert [request.node for request in requests[:5]] == [0, 1, 2, 3, 0]


@pytest.mark.parametrize("changes", [{}, {"batch": 7}, {"known": 2_000}, {"known": 2_000, "batch": 30, "nodes": 3}])
def test_a_prover_keeps_to_its_moratorium_and_to_its_node(changes: dict[str, float]) -> None:
    schedule = _schedule(**changes)
    proven: dict[int, list[float]] = defaultdict(list)
    nodes: dict[int, set[int]] = defaultdict(set)
    for request in schedule.requests():
        for proof in range(request.first, request.end):
            proven[schedule.prover(proof)].append(schedule.due_seconds(proof))
            nodes[schedule.prover(proof)].add(request.node)
    for moments in proven.values():
        assert all(later - earlier > 10.0 for earlier, later in pairwise(moments))
    if not changes.get("known"):
        assert all(len(places) == 1 for places in nodes.values())
        assert max(proven) < schedule.provers


def test_a_new_prover_makes_way_before_its_triangle_is_used_up() -> None:
    schedule = _schedule(seconds=300.0)
    counts: dict[int, int] = defaultdict(int)
    for proof in range(schedule.proofs):
        counts[schedule.prover(proof)] += 1
    assert max(counts.values()) == PROOFS_PER_PROVER_MAX
    # Newcomers come at all times, not in one wave.
    newcomers = [proof for proof in range(schedule.proofs) if counts.pop(schedule.prover(proof), 0)]
    assert max(later - earlier for earlier, later in pairwise(newcomers)) < 60


def test_known_provers_take_turns_from_the_first_that_is_given() -> None:
    schedule = Schedule(10.0, 60.0, 1, 10_000, known=1_000, first_known=950)
    assert [schedule.prover(proof) for proof in (0, 49, 50)] == [950, 999, 0]


def test_a_short_load_needs_no_more_provers_than_proofs() -> None:
    assert _schedule(rate=10_000.0, seconds=0.5, nodes=1).provers_at_once == 5_000


def test_no_two_provers_share_a_triangle_and_each_stands_in_its_own() -> None:
    provers = Provers(b"a seed", 3)
    triangles = {provers.triangle(number) for number in range(provers.count_max)}
    assert len(triangles) == provers.count_max == 320
    for number in (0, 1, 319):
        assert contains(provers.triangle(number), *provers.place(number))
    with pytest.raises(ValueError, match="there are 320 triangles"):
        provers.triangle(320)


def test_provers_follow_from_their_seed() -> None:
    assert Provers(b"one", 10).address(7) == Provers(b"one", 10).address(7)
    assert Provers(b"one", 10).address(7) != Provers(b"two", 10).address(7)
    assert Provers(b"one", 10).triangle(7) != Provers(b"two", 10).triangle(7)
