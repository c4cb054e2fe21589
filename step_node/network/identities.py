"""Which validator a peer is.

A peer is a validator when both sides say so. The owner names the peer's id in the validator's record on chain
(`…/p2p/<peer id>`), and the peer, which the connection has authenticated under that id, names the validator in its
hello. Neither alone would do: a hello is anybody's word, and so is a record, in which an owner may name somebody else's
node (docs/adr/0015-addresses-and-identities.md).
"""

from __future__ import annotations

from collections.abc import Iterable

from p2p.network import PeerId
from step_node.ledger.records import ValidatorRecord, ValidatorState
from step_node.multiaddrs import named_peer


def agreed_validator(records: Iterable[ValidatorRecord], peer_id: PeerId, told: bytes | None) -> bytes | None:
    """`told`, the validator that the peer says it is (20 bytes), if that one's record names the peer; else None.

    Nobody is a validator by a key that has been replaced.
    """
    for record in records:
        if record.address == told:
            is_named = record.state is not ValidatorState.ROTATED and named_peer(record.p2p_address) == peer_id
            return told if is_named else None
    return None
