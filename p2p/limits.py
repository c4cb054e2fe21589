"""How much a peer may send: its share, and what happens beyond.

Theory of operation. A share is a bucket that fills at a steady rate up to a burst, once for messages and once for
bytes; what a peer sends is taken from it. Each neighbour has three shares:

- *read*: everything on its gossip stream, whatever it is. Beyond it the neighbour is read more slowly, so that what it
  goes on sending waits in its own memory. Nothing is lost, and nobody is charged: it may be a long line of messages
  that were said once before.
- *published*: what it has published itself, which its own signature proves. No honest node comes near the limit.
  Beyond it a message is dropped, and the peer is charged FLOOD, at most as often as `CHARGE_RATE` says.
  Of topics that are not urgent a peer with a reserved place may publish more. Whether it has one depends on how far
  each node has come, so nobody is charged for what would be within that larger share.
- *relayed*: what others have published. Beyond it a message is dropped and not passed on. The neighbour is not charged:
  it may have taken the messages in good faith, from more peers than we can see. Since each honest node drops what goes
  beyond a share, a flood ends at the first one that it reaches.

Urgent topics have published and relayed shares of their own, so that a flood of proofs leaves those of votes untouched;
of the other topics there is also one share for all neighbours together.

The clock is injected: seconds, from any origin, never going back.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final

from p2p.network import PeerId


@dataclass(frozen=True, slots=True)
class Rate:
    """So many messages and bytes a second, after a burst of at most so many."""

    messages_per_second: float
    messages_burst: float
    bytes_per_second: float
    bytes_burst: float


MIB: Final = 1024 * 1024

READ_RATE: Final = Rate(1_000, 4_000, 16 * MIB, 64 * MIB)
"""Of all gossip of one neighbour, control messages and repetitions among it: beyond it, it is read more slowly."""
PUBLISHED_RATE: Final = Rate(200, 2_000, MIB / 2, 8 * MIB)
"""Of what a neighbour publishes itself on urgent topics. A validator says some ten messages a second; the largest real
proposal, 1,000 proofs, has 250 KB and is said again once a second."""
RELAYED_RATE: Final = Rate(800, 8_000, 2 * MIB, 32 * MIB)
"""Of what a neighbour passes on of them, first arrivals only."""
BULK_PUBLISHED_RATE: Final = Rate(100, 1_000, MIB / 8, MIB)
"""Of what a neighbour publishes itself on other topics: some 660 proofs a second. The largest message fits in."""
BULK_RATE: Final = Rate(400, 4_000, MIB / 4, 1.5 * MIB)
"""Of all of it, whoever sends it: 1,300 proofs a second. What is dropped is not passed on either, and sending each
message on to every neighbour, and being sent it by each, is the greater part of what a flood costs a network. Proofs
that gossip loses are asked for."""
OWN_BULK_RATE: Final = Rate(80, 500, MIB / 10, 0.96 * MIB)
"""Of what this node publishes itself there: what is over waits. Below `BULK_PUBLISHED_RATE`, since messages bunch."""
MEMBER_BULK_PUBLISHED_RATE: Final = Rate(100, 1_000, 0.375 * MIB, 3 * MIB)
"""The same of a neighbour with a reserved place, as validators have: some 2,200 proofs a second of its clients."""
MEMBERS_BULK_RATE: Final = Rate(400, 4_000, 0.75 * MIB, 6 * MIB)
"""Of all that these publish: 4,500 proofs a second. Whoever has no reserved place takes nothing of it."""
OWN_MEMBER_BULK_RATE: Final = Rate(80, 500, 0.3 * MIB, 2.9 * MIB)
"""Of what this node publishes itself while it has such a place with the others."""
ANSWERED_RATE: Final = Rate(200, 2_000, 8 * MIB, 64 * MIB)
"""Of what is sent to a neighbour that asks for gossip it has missed; what is asked for beyond it is not sent."""
ACCEPTED_RATE: Final = Rate(20, 200, 1, 1)
"""Of connections from one IP address, before the costly handshake; one beyond it is closed at once. Several nodes may
share an address, and each dials no more than twice a second."""
CHARGE_RATE: Final = Rate(1, 1, 1, 1)
"""Of charges for flooding: some five seconds of it are a ban."""

PEERS_MAX: Final = 1_024
"""Peers whose shares are remembered; beyond it all are forgotten, which gives each a new burst, once."""
PEERS_FEW: Final = 32
"""Below this nobody's share is looked at again to see whether it can be forgotten."""


class Share:
    """One bucket of a `Rate`."""

    def __init__(self, rate: Rate, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._clock = clock
        self._messages = rate.messages_burst
        self._bytes = rate.bytes_burst
        self._filled_at = clock()

    def take(self, size_bytes: int) -> bool:
        """Take one message of so many bytes if there is room for it; False, and nothing is taken, if not."""
        self._fill()
        if self._messages < 1 or self._bytes < size_bytes:
            return False
        self._messages -= 1
        self._bytes -= size_bytes
        return True

    def wait_after(self, messages: int, size_bytes: int) -> float:
        """Take it in any case, and return how many seconds must pass until the share is out of debt; 0 if it is not."""
        self._fill()
        self._messages -= messages
        self._bytes -= size_bytes
        return max(0.0, -self._messages / self._rate.messages_per_second, -self._bytes / self._rate.bytes_per_second)

    @property
    def is_full(self) -> bool:
        """Whether nothing is taken from it, so that a new one would be the same."""
        self._fill()
        return self._messages >= self._rate.messages_burst and self._bytes >= self._rate.bytes_burst

    def _fill(self) -> None:
        now = self._clock()
        passed_seconds, self._filled_at = now - self._filled_at, now
        rate = self._rate
        self._messages = min(rate.messages_burst, self._messages + passed_seconds * rate.messages_per_second)
        self._bytes = min(rate.bytes_burst, self._bytes + passed_seconds * rate.bytes_per_second)


class Shares:
    """A share of one rate for each peer. It outlives a connection, so that reconnecting does not renew it.

    Once it is full again it can be forgotten. All are looked at whenever there are twice as many as were left the last
    time, so that those of whoever has come and gone do not pile up, and a new one costs no more for it.
    """

    def __init__(self, rate: Rate, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._clock = clock
        self._shares: dict[Hashable, Share] = {}
        self._look_at = PEERS_FEW

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._shares)

    def of(self, peer: Hashable) -> Share:
        """The peer's share."""
        share = self._shares.get(peer)
        if share is None:
            if len(self._shares) >= self._look_at:
                self._forget()
            share = self._shares[peer] = Share(self._rate, self._clock)
        return share

    def _forget(self) -> None:
        for peer in [peer for peer, share in self._shares.items() if share.is_full]:
            del self._shares[peer]
        if len(self._shares) >= PEERS_MAX:
            self._shares.clear()
        self._look_at = min(PEERS_MAX, max(PEERS_FEW, 2 * len(self._shares)))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a message is within its sender's share, and if not, whether the sender is to be charged for it."""

    accepted: bool
    charge: bool = False


ACCEPTED: Final = Verdict(accepted=True)
DROPPED: Final = Verdict(accepted=False)
CHARGED: Final = Verdict(accepted=False, charge=True)


class GossipShares:
    """The published and relayed shares of all neighbours in the topics of one urgency."""

    def __init__(self, clock: Callable[[], float], *, urgent: bool) -> None:
        self._published = Shares(PUBLISHED_RATE if urgent else BULK_PUBLISHED_RATE, clock)
        self._relayed = Shares(RELAYED_RATE, clock)
        self._charges = Shares(CHARGE_RATE, clock)
        self._published_by_members = self._published if urgent else Shares(MEMBER_BULK_PUBLISHED_RATE, clock)
        self._all = None if urgent else Share(BULK_RATE, clock)
        self._all_of_members = None if urgent else Share(MEMBERS_BULK_RATE, clock)

    def __len__(self) -> int:
        """How many shares of neighbours are remembered."""
        shares = {
            id(each): each for each in (self._published, self._published_by_members, self._relayed, self._charges)
        }
        return sum(map(len, shares.values()))

    def judge(self, sender: PeerId, publisher: PeerId | None, size_bytes: int, *, by_member: bool = False) -> Verdict:
        """Take one message from the shares it belongs to; `by_member`: its publisher has a reserved place."""
        if sender == publisher:
            if not (self._published_by_members if by_member else self._published).of(sender).take(size_bytes):
                return self._beyond(sender, size_bytes, by_member)
        elif not self._relayed.of(sender).take(size_bytes):
            return DROPPED
        all_together = self._all_of_members if by_member else self._all
        return ACCEPTED if all_together is None or all_together.take(size_bytes) else DROPPED

    def _beyond(self, sender: PeerId, size_bytes: int, by_member: bool) -> Verdict:
        is_within_larger = (
            not by_member
            and self._published_by_members is not self._published
            and self._published_by_members.of(sender).take(size_bytes)
        )
        if is_within_larger or not self._charges.of(sender).take(0):
            return DROPPED
        return CHARGED
