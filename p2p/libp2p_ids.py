"""Peer ids as text, which is how everything above `p2p` knows peers."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from libp2p.peer.id import ID

from p2p.network import PeerId

TEXTS_KEPT_MAX: Final = 4_096
"""Ids whose text is remembered: base58 takes 100 µs, and each message names two peers."""


def text_of(peer_id: ID) -> PeerId:
    """The id in base58."""
    return _base58_of(peer_id.to_bytes())


@lru_cache(maxsize=TEXTS_KEPT_MAX)
def _base58_of(encoded: bytes) -> PeerId:
    return PeerId(ID(encoded).to_base58())
