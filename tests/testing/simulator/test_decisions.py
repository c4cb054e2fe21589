"""Decisions come from the seed and a purpose, and a turn changes nothing before it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from step_node.testing.simulator.campaign import quiet
from step_node.testing.simulator.decisions import TURNS_MAX, Schedule, Turn
from step_node.testing.simulator.guided import Search
from step_node.testing.simulator.settings import SimulationSettings
from step_node.testing.simulator.world import simulate_seed

TURNS = st.builds(
    Turn,
    purpose=st.from_regex(r"[A-Za-z0-9.-][A-Za-z0-9. -]{0,20}", fullmatch=True),
    draw=st.integers(0, 10**6),
    salt=st.integers(0, 2**24),
)
SCHEDULES = st.builds(Schedule, seed=st.integers(0, 10**9), turns=st.lists(TURNS, max_size=TURNS_MAX).map(tuple))


@given(SCHEDULES)
def test_a_schedule_is_all_in_its_text(schedule: Schedule) -> None:
    assert Schedule.parse(str(schedule)) == schedule


@pytest.mark.parametrize(
    "text", ["", "x", "1+", "1+air", "1+air@x:2", "1+air@1", "-1", "1" + "+air@1:1" * (TURNS_MAX + 1)]
)
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must begin with a seed|a turn is|has more than"):
        Schedule.parse(text)


@given(st.integers(0, 1000), st.integers(0, 30))
def test_a_turn_leaves_what_was_drawn_before_it(seed: int, draw: int) -> None:
    plain, turned = Schedule(seed).rng("air"), Schedule(seed, (Turn("air", draw, 7),)).rng("air")
    first = [plain.random() for _ in range(40)]
    second = [turned.random() for _ in range(40)]
    assert first[:draw] == second[:draw]
    assert first[draw] != second[draw]
    assert Schedule(seed, (Turn("air", draw, 7),)).rng("clients").random() == Schedule(seed).rng("clients").random()


def test_counting_draws_does_not_change_them() -> None:
    rng = Schedule(3).rng("air")
    plain = random.Random()
    plain.setstate(rng.getstate())
    for one in (rng, plain):
        one.shuffle(list(range(9)))
    assert [rng.random(), rng.randrange(100), rng.expovariate(2.0)] == [
        plain.random(),
        plain.randrange(100),
        plain.expovariate(2.0),
    ]
    assert rng.draws > 9


def test_a_turned_history_is_the_same_up_to_the_turn_and_is_one_history() -> None:
    settings = SimulationSettings(faults=frozenset())
    with quiet():
        plain = simulate_seed(Schedule(2), settings, keep_lines=True)
        late = Schedule(2, (Turn("clients None", 9, 5),))
        turned = simulate_seed(late, settings, keep_lines=True)
        again = simulate_seed(Schedule.parse(str(late)), settings)
    assert turned.digest == again.digest != plain.digest
    same = next(index for index, (a, b) in enumerate(zip(plain.lines, turned.lines, strict=False)) if a != b)
    assert same > 20


def test_a_search_goes_from_what_has_reached_something_new_to_its_neighbours() -> None:
    settings = SimulationSettings(faults=frozenset(), proofs=4, fault_seconds=3)

    def tried() -> list[str]:
        search = Search(settings)
        with quiet():
            return [str(search.next().schedule) for _ in range(8)]

    first = tried()
    assert first == tried()
    assert any("@" in text for text in first)
    assert "0" in first
