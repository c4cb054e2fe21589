"""Which peers deliver what they say they have, and in which order to ask them.

What a peer says of itself costs it nothing, so it decides nothing but whether there is a reason to ask. A peer that was
asked and did not deliver, or made the asker wait too long, is in *doubt* for a while: it is not asked, whatever it says
meanwhile. The doubt doubles each time, and so does the patience with which the peer is heard when it is asked again.
So an honest peer on a slow line is heard out in the end, and one that never delivers costs ever less. Nobody is
charged, since a slow machine is no fault.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import trio

from p2p.network import PeerId

PATIENCE_MS_MIN = 1_000
"""How long a peer may take until the first message of its answer has come, to begin with."""
PATIENCE_MS_MAX = 10_000
"""The longest that it becomes."""
DOUBT_MS_MIN = 2_000
"""How long a peer that has not delivered is not asked again, the first time."""
DOUBT_MS_MAX = 300_000
"""The longest that it becomes. A doubt ends when the peer delivers, and that it can only when it is asked."""
RECORDS_MAX = 1_024
"""Peers remembered, over disconnections too; beyond it the one heard of least lately is forgotten."""

ASKED_AT_ONCE = 2
"""How many peers are asked the same at once, so that nobody's silence holds the asker up by itself."""
HEAD_START_MS = 250
"""How long the first has before the second is asked too: mostly it answers, and nothing is sent twice."""


@dataclass(slots=True)
class _Record:
    failures: int = 0
    """In a row."""
    doubted_until: float = 0.0
    pace: float = 0.0
    """Of its last answer, in messages a second; 0 if it has given none, or failed since."""


_NO_RECORD = _Record()


class TrackRecords:
    """What is remembered of peers. `clock` is in seconds and never goes back."""

    def __init__(self, clock: Callable[[], float] = trio.current_time) -> None:
        self._clock = clock
        self._records: OrderedDict[PeerId, _Record] = OrderedDict()

    def kept(self, peer_id: PeerId, *, pace: float = 0.0) -> None:
        """The peer has delivered, at so many messages a second; 0 where it is all the same who is asked first."""
        record = self._record(peer_id)
        record.failures, record.doubted_until, record.pace = 0, 0.0, pace

    def broke(self, peer_id: PeerId) -> None:
        """The peer has not delivered, or not in time."""
        record = self._record(peer_id)
        # So far and no further: 2 to the power of many failures is not worth computing.
        doubt_ms = min(DOUBT_MS_MIN << min(record.failures, 30), DOUBT_MS_MAX)
        record.failures += 1
        record.doubted_until, record.pace = self._clock() + doubt_ms / 1000, 0.0

    def patience_seconds(self, peer_id: PeerId) -> float:
        """How long to wait for the peer's first message."""
        failures = self._records.get(peer_id, _NO_RECORD).failures
        return min(PATIENCE_MS_MIN << min(failures, 30), PATIENCE_MS_MAX) / 1000

    def doubted_seconds(self, peer_id: PeerId) -> float:
        """For how much longer the peer is not to be asked; 0 if it may be."""
        return max(0.0, self._records.get(peer_id, _NO_RECORD).doubted_until - self._clock())

    def in_order(self, peer_ids: Iterable[PeerId], *, members: frozenset[PeerId], turn: int = 0) -> list[PeerId]:
        """Those that may be asked, in the order in which to ask them.

        First who has delivered, the quicker before the slower; then members of the validator set; then the rest, and
        among them who has failed less often. Equals come in the order given, begun at `turn`, so that each is the first
        of them at times.
        """
        asked = [peer_id for peer_id in peer_ids if not self.doubted_seconds(peer_id)]
        start = turn % len(asked) if asked else 0
        return sorted(asked[start:] + asked[:start], key=lambda peer_id: self.rank(peer_id, members))

    def rank(self, peer_id: PeerId, members: frozenset[PeerId]) -> tuple[float, bool, int]:
        """What `in_order` sorts by: the less, the sooner it is asked."""
        record = self._records.get(peer_id, _NO_RECORD)
        return -record.pace, peer_id not in members, record.failures

    def _record(self, peer_id: PeerId) -> _Record:
        record = self._records.setdefault(peer_id, _Record())
        self._records.move_to_end(peer_id)
        while len(self._records) > RECORDS_MAX:
            self._records.popitem(last=False)
        return record


async def ask_until_delivered(peer_ids: Iterable[PeerId], ask: Callable[[PeerId], Awaitable[bool]]) -> bool:
    """Ask peers in this order, `ASKED_AT_ONCE` at a time, until one delivers; whether one did.

    `ask(peer_id)` returns whether it delivered, and bounds how long it takes. What others are still asked is cancelled.
    """
    waiting = iter(peer_ids)
    delivered = False

    async def ask_one_after_another(head_start_ms: int) -> None:
        nonlocal delivered
        await trio.sleep(head_start_ms / 1000)
        for peer_id in waiting:
            if await ask(peer_id):
                delivered = True
                nursery.cancel_scope.cancel()
                return

    async with trio.open_nursery() as nursery:
        for number in range(ASKED_AT_ONCE):
            nursery.start_soon(ask_one_after_another, number * HEAD_START_MS)
    return delivered
