"""Where every decision of a history comes from: generators seeded with the seed and a purpose, which may be turned.

What one part of the world draws does not change what another draws. A *turn* has one purpose's generator go on from
another state after so many draws: all that was decided before stays as it was, so the history is the same up to there.
A search (`guided.py`) goes from one history to its neighbours by turns. A schedule's text is all that a replay needs:
`217`, or `217+partition@3:81`, which is seed 217 with other partitions from the fourth draw on.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

TURNS_MAX = 16
"""Turns in one schedule."""

_TURN = re.compile(r"(?P<purpose>[A-Za-z0-9_.-]+)@(?P<draw>[0-9]+):(?P<salt>[0-9]+)")


@dataclass(frozen=True, slots=True, order=True)
class Turn:
    """After `draw` draws for `purpose`, go on with the generator that belongs to `salt`."""

    purpose: str
    draw: int
    salt: int

    def __str__(self) -> str:
        return f"{self.purpose.replace(' ', '_')}@{self.draw}:{self.salt}"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A seed and the turns that lead away from its history; without any it is the seed's own."""

    seed: int
    turns: tuple[Turn, ...] = ()

    def __str__(self) -> str:
        return "+".join([str(self.seed), *map(str, self.turns)])

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """The schedule that `str` gave. Raises ValueError."""
        seed, *rest = text.split("+")
        if not re.fullmatch("[0-9]{1,18}", seed):
            raise ValueError(f"{text!r}: must begin with a seed, a whole number")
        if len(rest) > TURNS_MAX:
            raise ValueError(f"{text!r}: has more than {TURNS_MAX} turns")
        turns = []
        for part in rest:
            found = _TURN.fullmatch(part)
            if found is None:
                raise ValueError(f"{part!r}: a turn is purpose@draw:salt, such as partition@3:81")
            turns.append(Turn(found["purpose"].replace("_", " "), int(found["draw"]), int(found["salt"])))
        return cls(int(seed), tuple(turns))

    def rng(self, purpose: str) -> Generator:
        """The generator of one purpose."""
        turns = [one for one in self.turns if one.purpose == purpose]
        return Generator(self._state(purpose), [(one.draw, self._state(f"{purpose} {one.salt}")) for one in turns])

    def _state(self, purpose: str) -> bytes:
        return hashlib.sha256(f"{self.seed} {purpose}".encode()).digest()


class Generator(random.Random):
    """A generator that counts its draws, and is turned at some of them."""

    def __init__(self, state: bytes, turns: Sequence[tuple[int, bytes]] = ()) -> None:
        super().__init__(state)
        self.draws = 0
        self._turns = deque(sorted(turns))

    def random(self) -> float:
        """See `random.Random.random`."""
        self._count()
        return super().random()

    def getrandbits(self, k: int, /) -> int:
        """See `random.Random.getrandbits`."""
        self._count()
        return super().getrandbits(k)

    def _count(self) -> None:
        while self._turns and self.draws >= self._turns[0][0]:
            self.seed(self._turns.popleft()[1])
        self.draws += 1
