"""What a fault costs, and when a peer has had enough chances.

Theory of operation. Each fault adds its points (one table) to the peer's score; the score decays at a steady rate, so
that an honest peer with an unlucky day is forgiven. At the threshold the peer is banned for a fixed time, after which
it starts from zero. The clock is injected.

Where bans are kept over a restart is not decided here: `Bans` brings those that are known at the start, and is told
whenever they change. Scores are not kept; at most two faults are forgiven by a restart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from p2p.network import Fault, PeerId

BAN_THRESHOLD_POINTS: Final = 100.0
BAN_SECONDS: Final = 600.0
DECAY_POINTS_PER_SECOND: Final = 0.5

PENALTY_POINTS: Final[Mapping[Fault, float]] = {
    Fault.WRONG_CHAIN: 100.0,
    # Provable: the third within ten seconds is one too many.
    Fault.MALFORMED: 35.0,
    Fault.OVERSIZED: 35.0,
    Fault.BAD_SIGNATURE: 35.0,
    Fault.INVALID_DATA: 35.0,
    # Could be a bad line or a slow machine.
    Fault.UNREQUESTED: 20.0,
    Fault.FLOOD: 20.0,
    Fault.STALLED: 10.0,
    # Passed on in good faith by somebody who has come less far, or further. What is charged above must follow from the
    # bytes and from what never changes, or honest peers ban one another (docs/adr/0013-honest-faults.md).
    Fault.UNVERIFIABLE: 0.0,
    Fault.STALE: 0.0,
}

PENALISED_PEERS_MAX: Final = 1_024
"""Scores remembered; beyond it the one nearest to forgiveness is forgotten (peer identities cost nothing)."""
BANNED_PEERS_MAX: Final = 1_024
"""Bans remembered; beyond it the one that ends first is lifted."""


@dataclass(frozen=True, slots=True)
class Bans:
    """Bans that outlive the process. Both are of peers and of the seconds that their bans still last."""

    known: Mapping[PeerId, float] = field(default_factory=dict)
    changed: Callable[[Mapping[PeerId, float]], None] = lambda _bans: None
    """Told after every new ban, with all that last; must not block."""


NO_BANS: Final = Bans()
"""None at the start, and nobody to tell."""


class PenaltyBook:
    """Scores and bans of peers. `clock` returns seconds, from any origin, never going back."""

    def __init__(self, clock: Callable[[], float], bans: Bans = NO_BANS) -> None:
        self._clock = clock
        self._bans = bans
        self._scores: dict[PeerId, tuple[float, float]] = {}
        """Peer -> (points, the time they were counted)."""
        self._banned_until: dict[PeerId, float] = {}
        """Peer -> the time at which its ban ends."""
        for peer_id, seconds in bans.known.items():
            self._ban(peer_id, min(seconds, BAN_SECONDS))
        self._charged: Counter[Fault] = Counter()

    def __len__(self) -> int:
        """How many scores and bans are remembered."""
        return len(self._scores) + len(self._banned_until)

    def charge(self, peer_id: PeerId, fault: Fault) -> bool:
        """Add the fault's points; return True if the peer becomes banned by it."""
        self._charged[fault] += 1
        if self.is_banned(peer_id):
            return False
        points = self.points(peer_id) + PENALTY_POINTS[fault]
        if points < BAN_THRESHOLD_POINTS:
            self._scores[peer_id] = (points, self._clock())
            if len(self._scores) > PENALISED_PEERS_MAX:
                del self._scores[min(self._scores, key=self.points)]
            return False
        self._scores.pop(peer_id, None)
        self._ban(peer_id, BAN_SECONDS)
        self._bans.changed(self.bans())
        return True

    def points(self, peer_id: PeerId) -> float:
        """The peer's score of now."""
        points, counted_at = self._scores.get(peer_id, (0.0, 0.0))
        return max(0.0, points - (self._clock() - counted_at) * DECAY_POINTS_PER_SECOND)

    def is_banned(self, peer_id: PeerId) -> bool:
        """Whether the peer is to be refused now."""
        ends_at = self._banned_until.get(peer_id)
        if ends_at is None:
            return False
        if self._clock() < ends_at:
            return True
        del self._banned_until[peer_id]
        return False

    def bans(self) -> dict[PeerId, float]:
        """Who is banned now, and for how many seconds more."""
        now = self._clock()
        return {peer_id: ends_at - now for peer_id, ends_at in self._banned_until.items() if ends_at > now}

    def _ban(self, peer_id: PeerId, seconds: float) -> None:
        self._banned_until[peer_id] = self._clock() + seconds
        if len(self._banned_until) > BANNED_PEERS_MAX:
            del self._banned_until[min(self._banned_until, key=self._banned_until.__getitem__)]

    def banned_count(self) -> int:
        """How many peers are banned now."""
        return sum([self.is_banned(peer_id) for peer_id in tuple(self._banned_until)])

    def charged(self) -> dict[Fault, int]:
        """How often each fault was charged, over all peers."""
        return dict(self._charged)
