"""Processes on both engines, killed and started again, and one that joins from a snapshot, say the same bytes of the
economy; and what they say is what their chain makes, as whoever replays it finds."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import trio

from mesh import locate
from step_node.clock import SystemClock
from step_node.home.config import StorageConfig, load_config
from step_node.home.making import network_homes
from step_node.parameters import Parameters
from step_node.proofs.client_signing import sign_payload
from step_node.testing.devnet.node_client import Final, NodeClient, Unavailable
from step_node.testing.devnet.node_process import NodeProcess
from tests.support.grown_network import GrownNetwork, grow_network
from tests.support.mongod import mongodb_uri, new_database_name
from tests.support.proofs import address, private_key

__all__ = ["mongodb_uri"]

BATCHES, EPOCH_BATCHES = 60, 10
INTERVAL_MS = 3_600_000
"""Of the chain that was made beforehand: sixty hours, of which the window has forty-eight."""
LONGEST_SECONDS = 400.0
JOINS = {"STEP_SYNC__SNAPSHOT_DISTANCE_BATCHES": "10"}
VERIFY = (sys.executable, "-m", "step_node.cli.main", "economy", "verify")


@asynccontextmanager
async def running(processes: Sequence[NodeProcess]) -> AsyncIterator[None]:
    """Start these, and end them in any case."""
    try:
        for process in processes:
            await process.spawn()
        yield
    finally:
        for process in processes:
            await process.stop()


async def finalise_one(client: NodeClient, name: str, lat: float) -> None:
    """Have a proof of now finalised, once the network is there for it."""
    place = (lat, 8.5)
    signed = sign_payload(private_key(name), locate(*place, 10), *place, 4.0, SystemClock().now_ms(), "live")
    with trio.fail_after(LONGEST_SECONDS / 4):
        while not await serves(client) or not isinstance(await client.submit(signed, wait_ms=10_000), Final):
            await trio.sleep(0.5)


def pages() -> list[str]:
    """What is compared, byte by byte."""
    accounts = [f"0x{address(name).hex()}" for name in ("walker-150", "walker-10", "live-0", "nobody")]
    return [
        *(f"/plausibility/accounts/{one}" for one in accounts),
        f"/plausibility/triangles/{locate(47.0, 8.5, 3).text}",
        *(f"/trending?level={level}&limit=100" for level in (1, 4, 8, 10)),
        "/trending?bbox=5,40,12,50&limit=20",
        *(f"/fairness/{epoch}" for epoch in range(1, BATCHES // EPOCH_BATCHES + 1)),
    ]


async def told(http: httpx.AsyncClient, url: str, paths: Sequence[str]) -> dict[str, bytes]:
    """The bodies of these answers, once the node has computed them over a whole window."""
    answers: dict[str, bytes] = {}
    for path in paths:
        with trio.fail_after(LONGEST_SECONDS / 4):
            while True:
                answer = await http.get(url + path)
                if answer.status_code == 200 and answer.json().get("isComplete", True):
                    break
                await trio.sleep(0.2)
        answers[path] = answer.content
    return answers


async def reported(http: httpx.AsyncClient, url: str, client: NodeClient) -> list[int]:
    """The epochs of which the node at `url` has a report, rising, once it has one: proofs go on until then."""
    for number in range(2 * EPOCH_BATCHES):
        epochs = [one["epoch"] for one in (await http.get(f"{url}/fairness")).json()["epochs"]]
        if epochs:
            return sorted(epochs)
        await finalise_one(client, f"later-{number}", 40.0 - number)
    raise AssertionError("the node makes no report of an epoch that it has seen from its beginning")


async def until_equal_heights(clients: Sequence[NodeClient]) -> int:
    with trio.fail_after(LONGEST_SECONDS / 4):
        while len(heights := {(await client.status()).height for client in clients}) > 1:
            await trio.sleep(0.2)
    return heights.pop()


def nodes_of(grown: GrownNetwork) -> tuple[list[NodeProcess], list[str]]:
    homes = network_homes(grown.root, 4)
    urls = [f"http://127.0.0.1:{load_config(home.config).api.port}" for home in homes]
    return [NodeProcess(index, home) for index, home in enumerate(homes)], urls


@pytest.mark.long
async def test_processes_say_the_same_bytes_after_kills_and_a_join_and_their_chain_says_so_too(
    mongodb_uri: str, tmp_path: Path
) -> None:
    databases = [StorageConfig(engine="mongodb", mongodb_uri=mongodb_uri, mongodb_database=new_database_name())]
    databases.append(databases[0].model_copy(update={"mongodb_database": new_database_name()}))
    grown = await grow_network(
        tmp_path / "network",
        validators=4,
        batches=BATCHES,
        proofs_per_batch=3,
        snapshot_every=50,
        interval_ms=INTERVAL_MS,
        parameters=Parameters(epoch_batches=EPOCH_BATCHES),
        storage=[StorageConfig(), StorageConfig(), *databases],
    )
    nodes, urls = nodes_of(grown)
    joiner, joiner_url = grown.newcomer("joiner", index=4)
    joiner.environment = JOINS
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        clients = [NodeClient(http, url) for url in urls]
        with trio.fail_after(LONGEST_SECONDS):
            async with running(nodes):
                await finalise_one(clients[0], "live-0", 47.0)
                for victim in (nodes[1], nodes[3]):
                    await victim.kill(signal.SIGKILL)
                for victim in (nodes[1], nodes[3]):
                    await victim.spawn()
                await finalise_one(clients[2], "live-1", 45.0)
                async with running([joiner]):
                    joined = NodeClient(http, joiner_url)
                    while not await serves(joined):
                        await trio.sleep(0.2)
                    await finalise_one(clients[0], "live-2", 43.0)
                    of_joiner = await reported(http, joiner_url, clients[0])
                    height = await until_equal_heights([*clients, joined])
                    of_all = [await told(http, url, pages()) for url in urls]
                    assert all(answers == of_all[0] for answers in of_all)
                    earliest = (await joined.get("/status"))["earliestHeight"]
                    assert earliest > 1
                    # It lacks the reports of epochs before it, and says the same of all else: of those it has, too.
                    shared = [path for path in pages() if not path.startswith("/fairness")]
                    shared += [f"/fairness/{epoch}" for epoch in of_joiner]
                    assert await told(http, joiner_url, shared) == await told(http, urls[3], shared)
                    for path in ("/fairness/1", f"/fairness/{of_joiner[0]}/drift"):
                        assert (await http.get(joiner_url + path)).json()["code"] == "REPORT_NOT_FOUND"
                        assert (await http.get(urls[3] + path)).status_code == 200
                    assert await until_equal_heights([*clients, joined]) == height
                    genesis = ("--genesis", nodes[0].home.genesis)
                    await _verified("--url", urls[3], *genesis)
                for node in nodes:
                    await _verified("--home", node.home.root, *genesis)


async def serves(client: NodeClient) -> bool:
    try:
        return (await client.status()).height >= BATCHES
    except Unavailable:
        return False


async def _verified(*arguments: object) -> None:
    done = await trio.run_process(
        [*VERIFY, *map(str, arguments)], capture_stdout=True, capture_stderr=True, check=False
    )
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    assert b"fairness reports" in done.stdout
