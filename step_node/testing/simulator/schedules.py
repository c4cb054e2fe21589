"""Directed schedules: the network fails at the one moment at which a lock is all that keeps two batches apart.

Random faults hardly ever build the history in which a missing lock matters: one validator alone sees a batch decided
and is then cut off, while those who are left hold a lock on that batch and meet a proposer that has never heard of it.
A plot builds it. It picks a height and a round and gives out three parts, all to validators in that proposer order
which brings the question to a head soonest:

- the *hermit* hears everything, but nobody hears its pre-commits; as soon as it has finalised the batch, nobody hears
  it at all;
- the *blind* get neither the round's proposal nor the hermit's pre-vote, so they see no polka, and pre-vote nil;
- all others see the polka, lock on the batch, pre-commit it, and see the round fail.

A plot may have *accomplices*: then the next turn is a Byzantine validator's. All of those vote honestly until the trap
closes, and after that propose another batch, and claim that a quorum has pre-voted it in the very round of the lock.

The next rounds are the test: a correct validator that is locked refuses what the blind propose. Sometimes those who
are locked crash just then, and must find their lock again in their log.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import trio

from consensus.messages import Message, PreCommit, PreVote, ProofBatch

PLOT_SECONDS_MIN = 7.0
PLOT_SECONDS_MAX = 14.0


@dataclass(slots=True)
class Plot:
    """One directed schedule; `lets_pass` is a `step_node.testing.simulator.network.Filter`."""

    height: int
    round: int
    hermit: str
    blind: frozenset[str]
    locked: frozenset[str]
    ends_at: float
    crashes: bool
    has_accomplices: bool
    on_sprung: Callable[[Plot], None]
    is_sprung: bool = False
    _mine: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def is_over(self) -> bool:
        """Whether the links are whole again."""
        return trio.current_time() >= self.ends_at

    def lets_pass(self, sender: str, receiver: str, message: Message | None) -> bool:
        """Whether the plot lets one message over one link."""
        if self.is_over:
            return True
        if self.is_sprung and sender == self.hermit:
            return False
        if not isinstance(message, ProofBatch | PreVote | PreCommit):
            return True
        if (message.height, message.round) != (self.height, self.round):
            return True
        if isinstance(message, ProofBatch):
            return receiver not in self.blind
        if message.batch_hash is None or message.validator.hex() not in self._mine:
            return True
        return isinstance(message, PreVote) and receiver not in self.blind

    def finalised(self, name: str, height: int) -> None:
        """A node has finalised a height; if it is the hermit this height, the trap closes."""
        if name == self.hermit and height == self.height and not self.is_sprung and not self.is_over:
            self.is_sprung = True
            self.on_sprung(self)

    def __str__(self) -> str:
        return (
            f"height {self.height} round {self.round}: {self.hermit} is the hermit, blind are"
            f" {' '.join(sorted(self.blind))}{', the locked crash' if self.crashes else ''}"
            f"{', the next turn is an accomplice' if self.has_accomplices else ''}"
        )


def draw_plot(
    rng: random.Random,
    *,
    next_height: int,
    proposers: Callable[[int, int], str],
    honest: Sequence[str],
    address_of: Callable[[str], bytes],
    faults_max: int,
    on_sprung: Callable[[Plot], None],
) -> Plot | None:
    """A plot against `next_height` or the one after, or None if the honest validators are too few for its parts."""
    if len(honest) < 3:
        return None
    height = next_height + rng.randrange(2)
    number = rng.choice((0, 0, 0, 1))
    if rng.random() < 0.6:
        # If there is a liar, let the next turn be a liar's: it may claim what those who are locked would have to see.
        turns = (above for above in range(next_height, next_height + 4) if proposers(above, number + 1) not in honest)
        height = next(turns, height)
    has_accomplices = proposers(height, number + 1) not in honest
    first, second = proposers(height, number + 1), proposers(height, number + 2)
    leading_blind, hermit = (second, first) if rng.random() < 0.5 else (first, "")
    if hermit not in honest or hermit == leading_blind:
        hermit = rng.choice([name for name in honest if name != leading_blind])
    blind = [leading_blind] if leading_blind in honest else []
    others = [name for name in honest if name not in (hermit, leading_blind)]
    rng.shuffle(others)
    # Who proposes in the round of the lock cannot be blind; of the honest, at most f may be, or nobody sees a polka.
    others.sort(key=lambda name: name != proposers(height, number))
    while others and len(blind) < faults_max and (not blind or has_accomplices or rng.random() < 0.5):
        blind.append(others.pop())
    if not blind or not others:
        return None
    return Plot(
        height=height,
        round=number,
        hermit=hermit,
        blind=frozenset(blind),
        locked=frozenset(others),
        ends_at=trio.current_time() + rng.uniform(PLOT_SECONDS_MIN, PLOT_SECONDS_MAX),
        crashes=rng.random() < 0.3,
        has_accomplices=has_accomplices,
        on_sprung=on_sprung,
        _mine=frozenset({address_of(hermit).hex()}),
    )
