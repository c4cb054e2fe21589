"""A validator that only its two sentries know takes part, and nobody else learns where it is; real processes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import trio

from p2p.libp2p_host import peer_id_of
from step_node.chain.genesis import Genesis
from step_node.clock import SystemClock
from step_node.home.keys import NodeKeys
from step_node.home.making import NetworkNode, new_config, new_genesis, write_home
from step_node.home.paths import NodeHome
from step_node.signing.keystore import KdfStrength
from step_node.testing.devnet.agreement import check_agreement
from step_node.testing.devnet.node_client import NodeClient, Unavailable
from step_node.testing.devnet.node_process import NodeProcess
from step_node.testing.devnet.ports import LOOPBACK, free_ports
from step_node.testing.devnet.walkers import Walkers
from tests.integration.test_processes_killed import LONGEST_SECONDS, QUICK
from tests.support.waiting import until

OTHERS: Final = 3
"""Validators that everybody may see; with the hidden one a set of four, of which three are a quorum."""
HIDDEN: Final = OTHERS
SENTRIES: Final = (OTHERS + 1, OTHERS + 2)
COUNT: Final = OTHERS + 3
PASSWORD: Final = "throw-away keys"


@dataclass(frozen=True)
class Sentried:
    """The network: `OTHERS` validators, the hidden one, its two sentries."""

    plans: Sequence[NetworkNode]
    nodes: Sequence[NodeProcess]
    clients: Sequence[NodeClient]
    http: httpx.AsyncClient

    def peer_id(self, index: int) -> str:
        return peer_id_of(self.plans[index].keys.p2p)

    async def peers(self, index: int) -> set[str]:
        """Whom node `index` is connected to."""
        status = await self.clients[index].get("/status")
        return {peer["peerId"] for peer in status["peers"]}

    def known_to(self, index: int) -> list[str]:
        """The addresses in the node's book."""
        path = self.nodes[index].home.address_book
        return [one["address"] for one in json.loads(path.read_bytes())["known"]] if path.exists() else []


def _config(plans: Sequence[NetworkNode], index: int) -> Any:
    """What docs/sentries.md says, for each of the three kinds."""
    hidden = plans[HIDDEN]
    known = {
        HIDDEN: [plans[sentry].p2p_address for sentry in SENTRIES],
        **{sentry: [plans[0].p2p_address, hidden.p2p_address] for sentry in SENTRIES},
    }.get(index, [plans[sentry].p2p_address for sentry in SENTRIES])
    config = new_config(
        api_port=plans[index].api_port,
        p2p_port=plans[index].p2p_port,
        listen_host=LOOPBACK,
        bootstrap=known,
        has_quotas=False,
    )
    if index == HIDDEN:
        return config.model_copy(update={"p2p": config.p2p.model_copy(update={"discovery": False})})
    if index in SENTRIES:
        private = (peer_id_of(hidden.keys.p2p),)
        return config.model_copy(update={"p2p": config.p2p.model_copy(update={"private_peers": private})})
    return config


def _genesis(plans: Sequence[NetworkNode]) -> Genesis:
    """The hidden validator's record names its first sentry, which is where others shall dial."""
    places = [plan.p2p_address for plan in plans[:OTHERS]] + [plans[SENTRIES[0]].p2p_address]
    keys = [plan.keys.validator for plan in plans[: OTHERS + 1]]
    assert None not in keys
    return new_genesis(
        chain_id="sentries",
        genesis_time_ms=SystemClock().now_ms(),
        validators=[(key, place) for key, place in zip(keys, places, strict=True) if key is not None],
        parameters=QUICK,
    )


@asynccontextmanager
async def sentried(folder: Path) -> AsyncIterator[Sentried]:
    plans = [
        NetworkNode(NodeKeys.new(is_validator=index <= HIDDEN), ports.api, ports.p2p)
        for index, ports in enumerate(free_ports(COUNT))
    ]
    genesis = _genesis(plans)
    nodes = []
    for index, plan in enumerate(plans):
        home = NodeHome(folder / f"node{index}")
        write_home(
            home,
            keys=plan.keys,
            genesis=genesis,
            config=_config(plans, index),
            password=PASSWORD,
            strength=KdfStrength.DEVNET,
            keep_password=True,
        )
        nodes.append(NodeProcess(index, home))
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http, AsyncExitStack() as ending:
        clients = [NodeClient(http, f"http://{LOOPBACK}:{plan.api_port}") for plan in plans]
        for node in nodes:
            ending.push_async_callback(node.stop)
            await node.spawn()
        yield Sentried(plans, nodes, clients, http)


@pytest.mark.long
async def test_a_validator_behind_two_sentries_takes_part_and_nobody_else_learns_where_it_is(tmp_path: Path) -> None:
    with trio.fail_after(LONGEST_SECONDS):
        async with sentried(tmp_path) as network:
            hidden, sentries = network.peer_id(HIDDEN), {network.peer_id(sentry) for sentry in SENTRIES}

            async def is_whole() -> bool:
                try:
                    if await network.peers(HIDDEN) != sentries:
                        return False
                    others = [await network.peers(index) for index in range(OTHERS)]
                except Unavailable:  # It does not serve yet.
                    return False
                return all(len(peers) == OTHERS - 1 + len(SENTRIES) for peers in others)

            while not await is_whole():
                await trio.sleep(0.2)
            ready = await network.http.get(f"http://{LOOPBACK}:{network.plans[HIDDEN].api_port}/health/ready")
            assert ready.status_code == 200, ready.text

            # With one of the others gone there is no quorum without the hidden one.
            await network.nodes[0].stop()
            clients = network.clients[1:]
            walkers = Walkers(clients, QUICK, proofs=20, rate=8)
            await walkers.run()
            assert len(walkers.result.final) == 20, walkers.result.rejected_by_code()
            agreement = await check_agreement(clients, [record.proof_id for record in walkers.result.final])
            assert agreement.state_roots_equal

            # It still has these two peers alone, and goes on with one of them.
            assert await network.peers(HIDDEN) == sentries
            await network.nodes[SENTRIES[0]].stop()
            clients = [network.clients[index] for index in (1, 2, HIDDEN, SENTRIES[1])]
            walkers = Walkers(clients, QUICK, proofs=5, rate=4)
            await walkers.run()
            assert len(walkers.result.final) == 5, walkers.result.rejected_by_code()

            # The books of the others hold one another, and what the sentries have told: never the hidden one.
            await until(lambda: all(network.known_to(index) for index in (1, 2, *SENTRIES)))
            for index in (0, 1, 2, *SENTRIES):
                assert not [address for address in network.known_to(index) if hidden in address]
                assert index in SENTRIES or hidden not in (network.nodes[index].home.root / "node.log").read_text()
