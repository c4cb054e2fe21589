"""Observers behind one address: clients hand in proofs and read there, and see one chain whichever observer answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import trio

from step_node.api.middleware.as_of import AS_OF_HEIGHT
from step_node.home.keys import NodeKeys
from step_node.home.making import new_config, write_home
from step_node.home.paths import NodeHome
from step_node.parameters import Parameters
from step_node.testing.devnet.agreement import check_agreement
from step_node.testing.devnet.network import Devnet, DevnetSettings
from step_node.testing.devnet.node_client import NodeClient
from step_node.testing.devnet.node_process import NodeProcess
from step_node.testing.devnet.ports import LOOPBACK, NodePorts, free_ports
from step_node.testing.devnet.walkers import Walkers
from tests.support.balancer import balanced

pytestmark = pytest.mark.slow

LONGEST_SECONDS = 600.0
POLL_SECONDS = 0.1
PROOFS_MAX = 1_000
"""More than come in before both observers have been away."""
PASSWORD = "an observer has nothing to keep"
QUICK = Parameters(
    batch_interval_ms=300,
    timeout_propose_ms=1_500,
    timeout_pre_vote_ms=800,
    timeout_pre_commit_ms=500,
    timeout_delta_ms=200,
)


class Observer:
    """A node without a key, and its API."""

    def __init__(self, devnet: Devnet, index: int, ports: NodePorts, root: Path) -> None:
        home = NodeHome(root)
        write_home(
            home,
            keys=NodeKeys.new(is_validator=False),
            genesis=devnet.genesis,
            config=new_config(
                api_port=ports.api,
                p2p_port=ports.p2p,
                listen_host=LOOPBACK,
                bootstrap=[validator.p2p_address for validator in devnet.genesis.validators],
            ),
            password=PASSWORD,
        )
        self.process = NodeProcess(index, home)
        self.port = ports.api
        self.url = f"http://{LOOPBACK}:{ports.api}"

    async def until_ready(self, http: httpx.AsyncClient) -> None:
        """Wait until a balancer would send clients here."""
        while True:
            try:
                if (await http.get(f"{self.url}/health/ready")).status_code == 200:
                    return
            except httpx.HTTPError:
                assert self.process.is_running, self.process.log_tail()
            await trio.sleep(POLL_SECONDS)


@asynccontextmanager
async def network(tmp_path: Path) -> AsyncIterator[tuple[Devnet, list[Observer], httpx.AsyncClient]]:
    """A validator and two observers, all ready, for `LONGEST_SECONDS`. The client opens a connection each time."""
    no_keep_alive = httpx.Limits(max_keepalive_connections=0)
    with trio.fail_after(LONGEST_SECONDS):
        async with (
            Devnet(DevnetSettings(validators=1, base_port=0, parameters=QUICK)) as devnet,
            httpx.AsyncClient(trust_env=False, limits=no_keep_alive) as http,
        ):
            ports = free_ports(2)
            observers = [Observer(devnet, 10 + i, each, tmp_path / f"observer{i}") for i, each in enumerate(ports)]
            try:
                for observer in observers:
                    await observer.process.spawn()
                for observer in observers:
                    await observer.until_ready(http)
                yield devnet, observers, http
            finally:
                for observer in observers:
                    await observer.process.stop()


async def account_as_of(http: httpx.AsyncClient, url: str, account: str, height: int) -> dict[str, object]:
    """What a client does who was told of `height` by one node and asks the next: again, until that one has it too."""
    while True:
        answer = await http.get(f"{url}/account/{account}")
        if answer.status_code == 200 and int(answer.headers[AS_OF_HEIGHT]) >= height:
            document: dict[str, object] = answer.json()
            return document
        await trio.sleep(POLL_SECONDS)


@pytest.mark.long
async def test_proofs_handed_to_observers_become_final_and_are_read_at_any_of_them(tmp_path: Path) -> None:
    async with (
        network(tmp_path) as (devnet, observers, http),
        balanced([observer.port for observer in observers], tmp_path) as url,
    ):
        walkers = Walkers([NodeClient(http, url)], QUICK, proofs=30, rate=10)
        result = await walkers.run()
        assert len(result.final) == 30, result.rejected_by_code()
        proof_ids = [record.proof_id for record in result.final]
        clients = [*devnet.clients, *(NodeClient(http, observer.url) for observer in observers)]
        agreement = await check_agreement(clients, proof_ids)
        assert agreement.state_roots_equal
        assert agreement.missing == 0
        receipt = (await http.get(f"{url}/proof/status/{proof_ids[-1]}")).json()
        batch = (await http.get(f"{url}/batch/{receipt['height']}")).json()
        assert proof_ids[-1] in batch["proofIds"]


@pytest.mark.long
async def test_an_observer_that_goes_away_is_left_out_and_nothing_is_lost(tmp_path: Path) -> None:
    async with (
        network(tmp_path) as (devnet, observers, http),
        balanced([observer.port for observer in observers], tmp_path) as url,
    ):
        walkers = Walkers([NodeClient(http, url)], QUICK, proofs=PROOFS_MAX, rate=3)

        async def some_more() -> None:
            decided = len(walkers.result.final)
            while len(walkers.result.final) < decided + 5:
                await trio.sleep(POLL_SECONDS)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(walkers.run)
            for observer in observers:
                await some_more()
                observer.process.kill_at_once()
                await some_more()
                await observer.process.stop()
                await observer.process.spawn()
                await observer.until_ready(http)
            walkers.stop()
        assert len(walkers.result.final) == len(walkers.result.records), walkers.result.rejected_by_code()
        agreement = await check_agreement(devnet.clients, [record.proof_id for record in walkers.result.final])
        assert agreement.missing == 0


async def test_an_answer_tells_a_client_whether_the_observer_has_what_another_told(tmp_path: Path) -> None:
    async with network(tmp_path) as (_devnet, (first, second), http):
        second.process.pause()
        try:
            walkers = Walkers([NodeClient(http, first.url)], QUICK, proofs=10, rate=10)
            result = await walkers.run()
        finally:
            second.process.go_on()
        receipts = [(await http.get(f"{first.url}/proof/status/{one.proof_id}")).json() for one in result.final]
        height = max(receipt["height"] for receipt in receipts)
        page = (await http.get(f"{first.url}/leaderboard")).json()
        assert len(page["accounts"]) >= len(result.final)
        for entry in page["accounts"]:
            account = await account_as_of(http, second.url, entry["account"], height)
            assert account["balance"] == entry["balance"]
