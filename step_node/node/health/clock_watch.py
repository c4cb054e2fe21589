"""This node's clock against those of the validators that propose.

A proposer stamps a new batch with its clock, and the batch is here a moment later; so how old such a batch seems to be
on arrival is how far the two clocks differ, and how long it took. One proposer may be wrong or lie, and of N validators
f = floor((N-1)/3) may: only what f + 1 of them show is taken for true, since one of these is honest.

What is kept of a batch is its time less the monotonic clock at its arrival. So a clock that is set right is right at
once, on a chain that is idle, too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import trio

from consensus.state import NO_ROUND
from step_node.chain.chain import Chain
from step_node.clock import Clock

SAMPLES_MAX: Final = 2
"""Batches that are remembered of a proposer, the newest; the one that speaks less against the clock counts: one alone
may have been sent again, long after it was made."""


class ClockWatch:
    """Lives on the event loop."""

    def __init__(
        self, chain: Chain, clock: Clock, *, own: bytes | None, monotonic: Callable[[], float] = trio.current_time
    ) -> None:
        self._chain = chain
        self._clock = clock
        self._own = own
        self._monotonic = monotonic
        self._samples: dict[bytes, deque[int]] = {}
        self._latest: dict[bytes, int] = {}

    def use_key(self, address: bytes) -> None:
        """Proposals of this key are this node's own from now on."""
        self._own = address

    def note(self, proposer: bytes, *, height: int, round_number: int, valid_round: int, timestamp_ms: int) -> None:
        """`proposer` (20 bytes), a member of the set, has signed a proposal of a batch with this time, and here it is.

        Later rounds' are passed over: they may have been made long ago, and sent again.
        """
        head = self._chain.head.chain
        is_stamped_now = valid_round == NO_ROUND and round_number == 0 and timestamp_ms > head.timestamp_ms + 1
        if not is_stamped_now or height != head.height + 1 or height <= self._latest.get(proposer, 0):
            return
        self._forget_strangers()
        if proposer == self._own or proposer not in self._chain.validators:
            return
        self._latest[proposer] = height
        kept = self._samples.setdefault(proposer, deque(maxlen=SAMPLES_MAX))
        kept.append(timestamp_ms - self._monotonic_ms())

    def _forget_strangers(self) -> None:
        members = self._chain.validators
        self._latest = {one: height for one, height in self._latest.items() if one in members}
        self._samples = {one: kept for one, kept in self._samples.items() if one in members}

    @property
    def fast_ms(self) -> int:
        """By how much this clock is ahead of others, as far as f + 1 proposers show it; 0 if they do not."""
        own = self._clock.now_ms() - self._monotonic_ms()
        return self._shown([min(own - one for one in kept) for kept in self._samples.values()])

    @property
    def slow_ms(self) -> int:
        """By how much it is behind them."""
        own = self._clock.now_ms() - self._monotonic_ms()
        return self._shown([min(one - own for one in kept) for kept in self._samples.values()])

    def _shown(self, differences_ms: list[int]) -> int:
        """The greatest value that f + 1 of these reach."""
        faults_max = self._chain.validators.faults_max
        if len(differences_ms) <= faults_max:
            return 0
        return max(sorted(differences_ms, reverse=True)[faults_max], 0)

    def _monotonic_ms(self) -> int:
        return int(self._monotonic() * 1000)
