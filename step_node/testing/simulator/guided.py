"""A search through schedules that is guided by what they reach.

Plain seeds draw every history anew. Here a history that has reached something new (`coverage.py`) becomes a place to
start from: its *neighbours* are its schedule with a turn more (`decisions.py`), so they are the same up to some moment,
and then other links are cut, another node crashes, or another plot is hatched. Which to start from is drawn, those
first that have found much and have been started from seldom. Now and then comes a fresh seed, so that the search does
not dig in one place.

Which schedules are tried depends on the first seed and on the code alone, however long each takes.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from step_node.testing.simulator.campaign import Summary, quiet
from step_node.testing.simulator.coverage import Coverage, Feature
from step_node.testing.simulator.decisions import TURNS_MAX, Schedule, Turn
from step_node.testing.simulator.settings import SimulationSettings
from step_node.testing.simulator.world import History, simulate_seed

FRESH_RATE = 0.4
"""How likely the next history is that of a seed of its own."""
CORPUS_MAX = 2_000
"""Histories to start from; beyond it the one that promises least is forgotten."""
STEP_WORTH = 5
"""A new step of one node counts as so many new constellations, of which there are many more."""


@dataclass(slots=True)
class _Found:
    """A history worth starting from."""

    schedule: Schedule
    draws: dict[str, int]
    worth: int
    children: int = 0

    @property
    def promise(self) -> float:
        return self.worth / (1 + self.children)


@dataclass(slots=True)
class Search:
    """See the module's docstring. Each call of `next` runs one history."""

    settings: SimulationSettings
    first_seed: int = 0
    steps: set[Feature] = field(default_factory=set)
    constellations: set[Feature] = field(default_factory=set)
    _corpus: list[_Found] = field(default_factory=list)
    _rng: random.Random = field(init=False)
    _seed: int = field(init=False)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.first_seed)
        self._seed = self.first_seed

    def next(self) -> History:
        """Run the next history, and remember what it has reached."""
        schedule = self._choose()
        coverage = Coverage()
        history = simulate_seed(schedule, self.settings, coverage=coverage)
        new_steps = coverage.steps - self.steps
        new_constellations = coverage.constellations - self.constellations
        self.steps |= new_steps
        self.constellations |= new_constellations
        worth = STEP_WORTH * len(new_steps) + len(new_constellations)
        if worth:
            self._corpus.append(_Found(schedule, history.draws, worth))
            if len(self._corpus) > CORPUS_MAX:
                self._corpus.remove(min(self._corpus, key=lambda found: found.promise))
        return history

    def _choose(self) -> Schedule:
        rng = self._rng
        if not self._corpus or rng.random() < FRESH_RATE:
            self._seed += 1
            return Schedule(self._seed - 1)
        (found,) = rng.choices(self._corpus, [one.promise for one in self._corpus])
        found.children += 1
        return self._neighbour(found)

    def _neighbour(self, found: _Found) -> Schedule:
        """One or two turns more, each at some draw of a purpose that this history has drawn for."""
        rng = self._rng
        turns = list(found.schedule.turns)
        for _ in range(rng.choice((1, 1, 2))):
            purpose = rng.choice([name for name, draws in found.draws.items() if draws])
            turns.append(Turn(purpose, rng.randrange(found.draws[purpose]), rng.getrandbits(24)))
        return Schedule(found.schedule.seed, tuple(turns[-TURNS_MAX:]))


def search(
    settings: SimulationSettings, *, first_seed: int, seconds: float, on_history: Callable[[History, Summary], None]
) -> tuple[Summary, Search]:
    """Search for `seconds`; `on_history` is told of each history as it is done."""
    summary, state, started = Summary(), Search(settings, first_seed), time.monotonic()
    with quiet():
        while (passed := time.monotonic() - started) < seconds:
            history = state.next()
            summary.add(history)
            summary.wall_seconds = passed
            on_history(history, summary)
    return summary, state


def histories(settings: SimulationSettings, first_seed: int) -> Iterator[History]:
    """The histories of a search, without an end."""
    state = Search(settings, first_seed)
    while True:
        yield state.next()
