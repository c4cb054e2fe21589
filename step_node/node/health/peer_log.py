"""A line for each peer that comes or goes, saying which validator it is."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from step_node.api.status.node import PeerStatus

log = structlog.get_logger("peers")


class PeerLog:
    """Told now and then who is connected. A peer is named once it has greeted: only then it is known who it is."""

    def __init__(self) -> None:
        self._named: dict[str, PeerStatus] = {}

    def look(self, peers: Iterable[PeerStatus], members: frozenset[bytes]) -> None:
        """Take in the peers that are connected now, and the addresses (20 bytes) of the validator set."""
        greeted = {peer.peer_id: peer for peer in peers if peer.version is not None}
        for peer_id, peer in greeted.items():
            if peer_id not in self._named:
                log.info("a peer is connected", **_who(peer), address=peer.address, version=peer.version)
        for peer_id, peer in self._named.items():
            if peer_id not in greeted:
                say = log.warning if peer.validator in members else log.info
                say("a peer is lost", **_who(peer))
        self._named = greeted


def _who(peer: PeerStatus) -> dict[str, object]:
    validator = None if peer.validator is None else f"0x{peer.validator.hex()}"
    return {"peer": peer.peer_id, "validator": validator, "outbound": peer.outbound}
