"""The circuit breaker of the intake, by its definition, second by second."""

from __future__ import annotations

import pytest

from step_node.api.submissions.breaker import (
    BASELINE_SECONDS,
    BASELINE_SECONDS_MIN,
    CLOSED_BELOW,
    OPEN_SECONDS,
    WINDOW_SECONDS,
    BreakerSettings,
    BreakerState,
    IntakeBreaker,
)

FLOOR = 10.0
SETTINGS = BreakerSettings(factor=3.0, floor_per_second=FLOOR)


class Driven:
    """A breaker to which so many submissions a second are offered."""

    def __init__(self, settings: BreakerSettings = SETTINGS) -> None:
        self.now = 1_000.0
        self.breaker = IntakeBreaker(settings, self.now)

    def offer(self, per_second: int, seconds: int) -> int:
        """How many of them are taken."""
        taken = 0
        for _ in range(seconds):
            taken += sum(self.breaker.offer(1, self.now + part / (per_second + 1)) for part in range(per_second))
            self.now += 1
        return taken

    def is_now(self, state: BreakerState) -> bool:
        return self.breaker.figures(self.now).state is state

    @property
    def limit(self) -> float:
        return self.breaker.figures(self.now).limit_per_second


def test_a_quiet_node_does_not_shed_its_fourth_client() -> None:
    driven = Driven()
    driven.offer(1, 400)
    assert driven.limit == 3 * FLOOR
    assert driven.offer(int(3 * FLOOR), 60) == 60 * int(3 * FLOOR)
    assert driven.is_now(BreakerState.CLOSED)


def test_it_opens_above_three_times_what_was_taken_over_five_minutes_and_not_at_three_times() -> None:
    driven = Driven()
    driven.offer(20, BASELINE_SECONDS + WINDOW_SECONDS)
    assert driven.limit == 60
    driven.offer(60, WINDOW_SECONDS)
    assert driven.is_now(BreakerState.CLOSED)
    driven = Driven()
    driven.offer(20, BASELINE_SECONDS + WINDOW_SECONDS)
    driven.offer(61, WINDOW_SECONDS)
    assert driven.is_now(BreakerState.OPEN)


def test_one_second_of_a_great_burst_is_enough() -> None:
    driven = Driven()
    driven.offer(20, 200)
    assert driven.offer(600, 1) == 600
    assert driven.is_now(BreakerState.OPEN)
    assert driven.offer(600, 1) == 0


def test_a_node_that_has_just_started_sheds_nothing() -> None:
    driven = Driven()
    seconds = BASELINE_SECONDS_MIN + WINDOW_SECONDS - 1
    assert driven.offer(500, seconds) == 500 * seconds
    assert driven.is_now(BreakerState.CLOSED)


def test_open_takes_nothing_half_open_takes_up_to_the_limit_and_calm_closes_it() -> None:
    driven = Driven()
    driven.offer(10, 200)
    driven.offer(400, 1)
    assert driven.is_now(BreakerState.OPEN)
    assert driven.breaker.retry_seconds(driven.now) == OPEN_SECONDS
    assert driven.offer(10, OPEN_SECONDS) == 0
    assert driven.is_now(BreakerState.HALF_OPEN)
    assert driven.offer(100, 1) == int(driven.limit)
    driven.offer(10, WINDOW_SECONDS - 1)
    assert driven.breaker.figures(driven.now).rate_per_second == 19
    assert driven.is_now(BreakerState.CLOSED)
    assert driven.breaker.retry_seconds(driven.now) == 0


def test_a_surge_that_lasts_opens_it_again_and_again() -> None:
    driven = Driven()
    driven.offer(10, 200)
    states = []
    for _ in range(40):
        driven.offer(100, 1)
        states.append(driven.breaker.figures(driven.now).state)
    assert states.count(BreakerState.OPEN) >= 2 * OPEN_SECONDS
    assert BreakerState.CLOSED not in states[WINDOW_SECONDS:]


def test_between_the_two_limits_it_stays_half_open_and_does_not_flutter() -> None:
    driven = Driven()
    driven.offer(10, 400)
    driven.offer(400, 1)
    driven.offer(0, OPEN_SECONDS)
    between = int((CLOSED_BELOW + 1) / 2 * 3 * FLOOR)
    states = set()
    for _ in range(30):
        driven.offer(between, 1)
        states.add(driven.breaker.figures(driven.now).state)
    assert states == {BreakerState.HALF_OPEN}


def test_what_is_shed_does_not_become_usual() -> None:
    driven = Driven()
    driven.offer(20, BASELINE_SECONDS + WINDOW_SECONDS)
    driven.offer(100_000, 1)
    before = driven.limit
    driven.offer(1_000, 4)
    assert driven.limit == pytest.approx(before, rel=0.02)


def test_growth_that_lasts_becomes_usual_and_ends_the_shedding() -> None:
    driven = Driven()
    driven.offer(20, BASELINE_SECONDS + WINDOW_SECONDS)
    driven.offer(80, 2 * BASELINE_SECONDS)
    assert driven.is_now(BreakerState.CLOSED)
    assert driven.offer(80, 30) == 30 * 80


def test_many_that_come_together_are_taken_whole_or_not_at_all() -> None:
    driven = half_open()
    assert driven.breaker.offer(40, driven.now), "or a body above the limit would never get in"
    assert not driven.breaker.offer(1, driven.now)
    driven.now += 1
    assert driven.breaker.offer(20, driven.now), "what is left of the second's 30, since the 40 were 10 too many"
    assert not driven.breaker.offer(1, driven.now)
    driven.now += 1
    assert driven.breaker.offer(20, driven.now)
    assert not driven.breaker.offer(20, driven.now)


def test_bodies_above_the_limit_do_not_pass_one_in_each_second() -> None:
    driven = half_open()
    taken = 0
    for _ in range(WINDOW_SECONDS):
        taken += 60 if driven.breaker.offer(60, driven.now) else 0
        driven.now += 1
    assert 60 < taken <= driven.limit * WINDOW_SECONDS


def test_after_a_body_above_the_limit_it_says_when_there_is_room_again() -> None:
    driven = half_open()
    assert driven.breaker.offer(100, driven.now)
    driven.now += 1
    wait = driven.breaker.retry_seconds(driven.now)
    assert not driven.breaker.offer(1, driven.now + wait - 1)
    assert driven.breaker.offer(1, driven.now + wait)


def half_open() -> Driven:
    """A breaker whose limit is 30 a second, at the first moment at which it takes something again."""
    driven = Driven()
    driven.offer(10, 200)
    driven.offer(400, 1)
    driven.offer(0, OPEN_SECONDS)
    assert driven.is_now(BreakerState.HALF_OPEN)
    return driven


def test_hours_without_a_question_are_hours_without_submissions() -> None:
    driven = Driven()
    driven.offer(100, 200)
    driven.now += 10_000
    assert driven.breaker.figures(driven.now).limit_per_second == 3 * FLOOR
    assert driven.breaker.figures(driven.now).rate_per_second == 0


def test_turned_off_it_counts_and_never_sheds() -> None:
    driven = Driven(BreakerSettings(sheds=False, floor_per_second=FLOOR))
    driven.offer(10, 200)
    assert driven.offer(1_000, 5) == 5_000
    driven.breaker.set(SETTINGS)
    driven.offer(1_000, 1)
    assert driven.is_now(BreakerState.OPEN)
    driven.breaker.set(BreakerSettings(sheds=False))
    assert driven.is_now(BreakerState.CLOSED)
