"""Two whole nodes over real libp2p show each other rightly, and follow an address that changes on chain."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from p2p.libp2p_host import peer_id_of
from p2p.libp2p_network import open_libp2p_network
from p2p.libp2p_settings import Libp2pSettings
from p2p.network import Network
from step_node.api.status.node import PeerStatus
from step_node.build import release
from step_node.node.node import Node
from step_node.testing.devnet.ports import LOOPBACK, free_ports
from tests.p2p.worlds import private_key_of
from tests.support.chains import make_genesis, validator_names
from tests.support.nodes import QUICK, running_node
from tests.support.operations import set_address
from tests.support.proofs import address
from tests.support.waiting import until

LONGEST_SECONDS = 60.0
LISTENER, DIALLER = NAMES = validator_names(2)
PEER_IDS = {name: peer_id_of(private_key_of(name)) for name in NAMES}


class Loopback:
    """Where nodes listen on ports of their own, and one dials the other."""

    def __init__(self) -> None:
        self._ports = dict(zip(NAMES, (node.p2p for node in free_ports(2)), strict=True))

    def address(self, name: str) -> str:
        """Without the peer id."""
        return f"/ip4/{LOOPBACK}/tcp/{self._ports[name]}"

    def full_address(self, name: str) -> str:
        return f"{self.address(name)}/p2p/{PEER_IDS[name]}"

    @asynccontextmanager
    async def join(self, name: str) -> AsyncIterator[Network]:
        settings = Libp2pSettings(
            private_key=private_key_of(name),
            listen_addresses=(self.address(name),),
            bootstrap_addresses=(self.full_address(LISTENER),) if name == DIALLER else (),
            redial_delay_initial_seconds=0.05,
        )
        async with open_libp2p_network(settings) as network:
            yield network


def known(node: Node) -> dict[bytes, str | None]:
    """The node of each validator, as far as it is known."""
    return {validator.address: validator.peer_id for validator in node.status().validators}


def only_peer(node: Node) -> PeerStatus:
    """What the node shows of its one peer."""
    (peer,) = node.status().peers
    return peer


async def test_two_nodes_show_each_other_rightly_and_follow_an_address_that_changes(tmp_path: Path) -> None:
    air = Loopback()
    genesis = make_genesis(2, **QUICK)
    named = tuple(
        validator.model_copy(update={"p2p_address": air.full_address(name)})
        for name, validator in zip(NAMES, genesis.validators, strict=True)
    )
    genesis = genesis.model_copy(update={"validators": named})
    async with (
        running_node(air, LISTENER, genesis, tmp_path / LISTENER) as listener,
        running_node(air, DIALLER, genesis, tmp_path / DIALLER) as dialler,
    ):
        nodes = {LISTENER: listener, DIALLER: dialler}
        everybody = {address(name): PEER_IDS[name] for name in NAMES}
        await until(lambda: known(listener) == known(dialler) == everybody)
        # Whichever has dialled, the two ends say the same.
        await until(lambda: {only_peer(node).outbound for node in nodes.values()} == {True, False})
        for name, other in ((LISTENER, DIALLER), (DIALLER, LISTENER)):
            peer = only_peer(nodes[name])
            assert (peer.peer_id, peer.version, peer.validator) == (PEER_IDS[other], release(), address(other))
            assert peer.height is not None
            assert peer.address == air.address(other) if peer.outbound else f"/ip4/{LOOPBACK}/tcp/" in peer.address

        # The owner of one names a node that is not its own: from that batch on nobody takes the old one for it.
        elsewhere = f"{air.address(DIALLER)}/p2p/{peer_id_of(private_key_of('elsewhere'))}"
        assert await listener.operations.submit(set_address(DIALLER, DIALLER, 0, elsewhere)) is None
        moved = {address(LISTENER): PEER_IDS[LISTENER], address(DIALLER): None}
        await until(lambda: known(listener) == known(dialler) == moved)
        assert only_peer(listener).validator is None

        # And back again, which the peer itself tells with its next hello.
        again = set_address(DIALLER, DIALLER, 1, air.full_address(DIALLER))
        assert await dialler.operations.submit(again) is None
        await until(lambda: known(listener) == known(dialler) == everybody)
        assert only_peer(listener).validator == address(DIALLER)
