"""Who may be connected when there are not enough places for everybody, and which of two connections to one peer stays.

Theory of operation. A node has so many places for connections. Peers with a *reserved* place (the validators of the
chain and the operator's own choice) always get one: where none is free, a stranger has to go. Strangers take what is
left, and of them no more than a few from one IP address (IPv4: the address, IPv6: its network of 64 bits), since
identities cost nothing and addresses do. Reserved peers are not counted there: many validators may share an address, as
those of a local network do, and whoever is behind one address with a crowd of strangers must still get in.

Two processes have one connection. When both dial at once there are two for a moment, and each side has to drop the same
one without asking: the one dialled by the lesser peer id stays. Only connections that began within `CROSSING_SECONDS`
can have crossed; against an older one, or one that the same side dialled, the newer one stays, since whoever dials has
lost the other. A peer id is nearly always one process. Where its key is used in two places, each of them has a
connection (`INSTANCES_PER_PEER_MAX`): with one for both, either the first would keep the other out for ever, or each
would throw the other out again and again.

Everything here is a pure function of the connections there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from p2p.network import PeerId

CROSSING_SECONDS: Final = 15.0
"""Longer than a dial can take, from its beginning to the connection (`p2p.libp2p_swarm`)."""

INSTANCES_PER_PEER_MAX: Final = 2
"""Processes under one peer id that are connected at once; for a further one the oldest has to go."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a connection says for itself."""

    peer_id: PeerId
    instance: bytes
    """Which process it leads to (`p2p.libp2p_instances`)."""
    group: str
    """The IP address that counts (`p2p.addresses.address_group`)."""
    outbound: bool
    began_at: float
    """Seconds, of the same clock for all."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections there may be, in all and of strangers from one IP address who have dialled."""

    connections_max: int
    strangers_per_address_max: int


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a connection gets a place, and who has to go for it."""

    admitted: bool
    evicted: Place | None = None


REFUSED: Final = Admission(admitted=False)


def admit(newcomer: Place, held: Iterable[Place], reserved: frozenset[PeerId], limits: Limits) -> Admission:
    """Judge a connection beside those that are held, none of them to the same process."""
    places = list(held)
    strangers = [place for place in places if place.peer_id not in reserved]
    is_reserved = newcomer.peer_id in reserved
    if not is_reserved and not newcomer.outbound:
        beside = sum(place.group == newcomer.group and not place.outbound for place in strangers)
        if beside >= limits.strangers_per_address_max:
            return REFUSED
    if len(places) < limits.connections_max:
        return Admission(admitted=True)
    if not is_reserved or not strangers:
        return REFUSED
    return Admission(admitted=True, evicted=_least_missed(strangers))


def _least_missed(strangers: list[Place]) -> Place:
    """Rather one that has dialled than one that was chosen, of the most crowded address, the newest."""
    crowds = Counter(place.group for place in strangers)
    return max(strangers, key=lambda place: (not place.outbound, crowds[place.group], place.began_at, place.peer_id))


def better(older: Place, newer: Place, *, own: PeerId) -> Place:
    """Which of two connections to one process stays; both sides choose the same one."""
    if older.outbound == newer.outbound or newer.began_at - older.began_at > CROSSING_SECONDS:
        return newer
    own_is_lesser = own < newer.peer_id
    return newer if newer.outbound == own_is_lesser else older
