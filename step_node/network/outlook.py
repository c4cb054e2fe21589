"""How far the chain has come elsewhere, as consensus is told it (`engine.participation`)."""

from __future__ import annotations

from collections.abc import Callable

from p2p.network import Network, PeerId
from step_node.engine.participation import Told
from step_node.network.peers import Peers


class NetworkOutlook:
    """What peers tell and have shown. Of promises those of `trusted` peers count, and of members of the set; not those
    of a peer that was asked and has not delivered, until it is heard out anew (`network.track_record`)."""

    def __init__(
        self, *, network: Network, peers: Peers, is_catching_up: Callable[[], bool], trusted: frozenset[PeerId]
    ) -> None:
        self._network = network
        self._peers = peers
        self._is_catching_up = is_catching_up
        self._trusted = trusted

    @property
    def shown(self) -> int:
        """See `Outlook.shown`."""
        return self._peers.shown

    @property
    def is_catching_up(self) -> bool:
        """See `Outlook.is_catching_up`."""
        return self._is_catching_up()

    def told(self) -> Told:
        """See `Outlook.told`."""
        members = self._peers.members() - {self._network.peer_id}
        heights = {
            peer_id: height for peer_id in self._network.peers() if (height := self._peers.told(peer_id)) is not None
        }
        promised = [
            height
            for peer_id, height in heights.items()
            if (peer_id in members or peer_id in self._trusted) and not self._peers.records.doubted_seconds(peer_id)
        ]
        return Told(
            peers=len(heights),
            members=sum(peer_id in members for peer_id in heights),
            promised=max(promised, default=0),
        )
