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
"""Bans for faults remembered; beyond it the one that ends first is lifted."""
OPERATOR_BANS_MAX: Final = 256
"""Bans that the operator has said; one more is refused, since none of them may be lifted unasked."""
OPERATOR_BAN_SECONDS_MAX: Final = 365 * 86_400.0
"""The longest that the operator can say."""


@dataclass(frozen=True, slots=True)
class Bans:
    """Bans that outlive the process. Both are of peers and of the seconds that their bans still last."""

    known: Mapping[PeerId, float] = field(default_factory=dict)
    changed: Callable[[Mapping[PeerId, float]], None] = lambda _bans: None
    """Told after every new ban, with all that last; must not block."""
    operators: Mapping[PeerId, float] = field(default_factory=dict)
    """Those that the operator has said."""
    operators_changed: Callable[[Mapping[PeerId, float]], None] = lambda _bans: None
    """Told when the operator has said or lifted one, with all of theirs; and of the others by `changed`."""


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
        now = clock()
        self._operator_banned_until = {
            peer_id: now + min(seconds, OPERATOR_BAN_SECONDS_MAX) for peer_id, seconds in bans.operators.items()
        }
        """Kept apart: however many peers earn a ban, none of these is forgotten for them."""
        self._charged: Counter[Fault] = Counter()

    def __len__(self) -> int:
        """How many scores and bans are remembered."""
        return len(self._scores) + len(self._banned_until) + len(self._operator_banned_until)

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
        now, found = self._clock(), False
        for banned_until in (self._banned_until, self._operator_banned_until):
            ends_at = banned_until.get(peer_id)
            if ends_at is not None and now < ends_at:
                found = True
            elif ends_at is not None:
                del banned_until[peer_id]
        return found

    def ban_for(self, peer_id: PeerId, seconds: float) -> None:
        """Ban a peer on the operator's word; what was said of it before is replaced. Raises ValueError for a time
        beyond `OPERATOR_BAN_SECONDS_MAX`, or when there are `OPERATOR_BANS_MAX`."""
        if not 0 < seconds <= OPERATOR_BAN_SECONDS_MAX:
            raise ValueError(f"a ban must last up to {OPERATOR_BAN_SECONDS_MAX:.0f} seconds")
        others = {peer: left for peer, left in self.operator_bans().items() if peer != peer_id}
        if len(others) >= OPERATOR_BANS_MAX:
            raise ValueError(f"{OPERATOR_BANS_MAX} peers are banned by you already; lift one of those bans first")
        self._operator_banned_until[peer_id] = self._clock() + seconds
        self._bans.operators_changed(self.operator_bans())

    def unban(self, peer_id: PeerId) -> bool:
        """Lift what bans there are of a peer, and forgive its points; whether there was a ban."""
        was_banned = self.is_banned(peer_id)
        self._scores.pop(peer_id, None)
        if self._banned_until.pop(peer_id, None) is not None:
            self._bans.changed(self.bans())
        if self._operator_banned_until.pop(peer_id, None) is not None:
            self._bans.operators_changed(self.operator_bans())
        return was_banned

    def bans(self) -> dict[PeerId, float]:
        """Who is banned now for faults, and for how many seconds more."""
        return self._lasting(self._banned_until)

    def operator_bans(self) -> dict[PeerId, float]:
        """Who is banned now on the operator's word, and for how many seconds more."""
        return self._lasting(self._operator_banned_until)

    def _lasting(self, banned_until: Mapping[PeerId, float]) -> dict[PeerId, float]:
        now = self._clock()
        return {peer_id: ends_at - now for peer_id, ends_at in banned_until.items() if ends_at > now}

    def _ban(self, peer_id: PeerId, seconds: float) -> None:
        self._banned_until[peer_id] = self._clock() + seconds
        if len(self._banned_until) > BANNED_PEERS_MAX:
            del self._banned_until[min(self._banned_until, key=self._banned_until.__getitem__)]

    def banned_count(self) -> int:
        """How many peers are banned now."""
        banned = {*self._banned_until, *self._operator_banned_until}
        return sum([self.is_banned(peer_id) for peer_id in banned])

    def charged(self) -> dict[Fault, int]:
        """How often each fault was charged, over all peers."""
        return dict(self._charged)
