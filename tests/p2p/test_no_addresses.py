"""A node dials where it was told to, whatever peers say of themselves."""

from __future__ import annotations

from libp2p.crypto.secp256k1 import create_new_key_pair
from libp2p.peer.id import ID
from libp2p.peer.peerstore import create_signed_peer_record
from multiaddr import Multiaddr

from p2p.libp2p_swarm import NoAddresses
from tests.p2p.worlds import private_key_of

CLAIMED = Multiaddr("/ip4/127.0.0.1/tcp/1002")
KEYS = create_new_key_pair(private_key_of("claimant"))
PEER = ID.from_pubkey(KEYS.public_key)


def test_what_a_peer_claims_is_not_dialled() -> None:
    store = NoAddresses()
    store.add_addrs(PEER, [CLAIMED], 120)
    assert store.consume_peer_record(create_signed_peer_record(PEER, [CLAIMED], KEYS.private_key), 120)
    assert store.addrs(PEER) == []


def test_nothing_is_remembered_of_a_peer_that_is_gone() -> None:
    store = NoAddresses()
    store.add_pubkey(PEER, KEYS.public_key)
    store.add_addrs(PEER, [CLAIMED], 120)
    store.consume_peer_record(create_signed_peer_record(PEER, [CLAIMED], KEYS.private_key), 120)
    store.forget(PEER)
    assert PEER not in store.peer_data_map
    assert store.get_peer_record(PEER) is None
