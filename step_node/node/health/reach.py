"""How many validators of the set are within reach: whether anything can become final.

A peer is known to be a validator when both sides say so (`network.identities`). Observers are no help to a quorum, so
they do not count; but where a validator's record names no peer id, nobody can tell its node from another's, and as many
unknown peers as there are such records get the benefit of the doubt.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from step_node.api.status.node import PeerStatus
from step_node.ledger.records import ValidatorRecord
from step_node.multiaddrs import named_peer


@dataclass(frozen=True, slots=True)
class Reach:
    """Of `members` validators of the set, `reached` are connected or this node itself; `quorum` are needed.

    `missing` are the addresses (20 bytes each) of those that name a peer which is not connected as them.
    """

    members: int
    quorum: int
    reached: int
    missing: tuple[bytes, ...]

    @property
    def is_enough(self) -> bool:
        """Whether these can finalise a batch."""
        return self.reached >= self.quorum


def reach_of(
    records: Iterable[ValidatorRecord], peers: Sequence[PeerStatus], *, own: bytes | None, quorum: int
) -> Reach:
    """Who of the members in `records` is within reach of a node with the key of address `own`, and these `peers`."""
    members = [record for record in records if record.is_in_set]
    connected = {peer.validator for peer in peers if peer.validator is not None}
    known = [record for record in members if record.address == own or record.address in connected]
    others = [record for record in members if record not in known]
    unnamed = sum(named_peer(record.p2p_address) is None for record in others)
    unknown_peers = sum(peer.validator is None for peer in peers)
    return Reach(
        members=len(members),
        quorum=quorum,
        reached=len(known) + min(unnamed, unknown_peers),
        missing=tuple(record.address for record in others if named_peer(record.p2p_address) is not None),
    )
