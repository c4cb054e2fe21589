"""A node dials its peers where its operator said, whatever they say of themselves."""

from __future__ import annotations

import pytest
from libp2p.crypto.secp256k1 import create_new_key_pair
from libp2p.network.exceptions import SwarmException
from libp2p.peer.id import ID
from libp2p.peer.peerstore import create_signed_peer_record
from multiaddr import Multiaddr

from p2p.libp2p_host import ChosenAddresses
from tests.p2p.worlds import private_key_of

CHOSEN = Multiaddr("/ip4/127.0.0.1/tcp/1001")
CLAIMED = Multiaddr("/ip4/127.0.0.1/tcp/1002")
KEYS = create_new_key_pair(private_key_of("claimant"))
PEER = ID.from_pubkey(KEYS.public_key)


def test_a_peer_has_its_chosen_addresses_for_as_long_as_it_is_dialled() -> None:
    store = ChosenAddresses()
    assert store.addrs(PEER) == []
    with store.chosen(PEER, [CHOSEN]):
        assert store.addrs(PEER) == [CHOSEN]
        assert store.addrs(ID(b"another")) == []
    assert store.addrs(PEER) == []


def test_a_dial_that_fails_leaves_no_address_behind() -> None:
    store = ChosenAddresses()
    with pytest.raises(SwarmException), store.chosen(PEER, [CHOSEN]):
        raise SwarmException("nobody is there")
    assert store.addrs(PEER) == []


def test_what_a_peer_claims_is_dialled_neither_instead_nor_besides() -> None:
    store = ChosenAddresses()
    signed = create_signed_peer_record(PEER, [CLAIMED], KEYS.private_key)
    with store.chosen(PEER, [CHOSEN]):
        store.add_addrs(PEER, [CLAIMED], 120)
        assert store.consume_peer_record(signed, 120)
        assert store.addrs(PEER) == [CHOSEN]
    assert store.addrs(PEER) == []
