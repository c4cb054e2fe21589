"""docs/genesis.md, run to the letter: three operators make a genesis, and the network that begins with it finalises.

What stands for the reader's own is replaced, and nothing else: the beginning, the hosts and the ports. All hosts are
this one, so the nodes listen on its loopback: one that listens to the network dials nobody there.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import httpx
import pytest
import trio

from step_node.chain.genesis import load_genesis
from step_node.clock import SystemClock
from step_node.home.paths import NodeHome
from step_node.proofs.timestamps import format_timestamp
from step_node.signing.private_file import create_private_file
from step_node.testing.devnet.agreement import check_agreement
from step_node.testing.devnet.node_client import NodeClient, Unavailable
from step_node.testing.devnet.node_process import NodeProcess
from step_node.testing.devnet.ports import NodePorts, free_ports
from step_node.testing.devnet.walkers import Walkers

PAGE: Final = Path(__file__).parents[2] / "docs" / "genesis.md"
OPERATORS: Final = ("anna", "ben", "cleo")
PROOFS: Final = 6
SECONDS_MAX: Final = 300.0
BEGINNING: Final = "2026-12-01T12:00:00.000Z"


def blocks() -> list[str]:
    found = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert found
    return found


def as_here(block: str, ports: list[NodePorts], begins_at: str) -> str:
    """A block of the page, with this machine's hosts and ports, and a beginning that has come."""
    here = block.replace(BEGINNING, begins_at)
    for name, own in zip(OPERATORS, ports, strict=True):
        here = here.replace(f"/dns4/{name}.example/tcp/26600", f"/ip4/127.0.0.1/tcp/{own.p2p}")
        here = re.sub(
            rf"(init --home {name} --genesis genesis.json).*", rf"\1 --api-port {own.api} --p2p-port {own.p2p}", here
        )
    return here


@pytest.mark.long
async def test_three_operators_follow_the_guide_and_their_network_finalises(tmp_path: Path) -> None:
    ports = free_ports(len(OPERATORS))
    begins_at = format_timestamp(SystemClock().now_ms())
    for name in OPERATORS:
        create_private_file(tmp_path / f"{name}-password", f"the password of {name}\n".encode())
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    told = ""
    for block in blocks():
        ended = await trio.run_process(
            ["bash", "-e", "-c", as_here(block, ports, begins_at)],
            cwd=tmp_path,
            env=environment,
            capture_stdout=True,
            stderr=subprocess.STDOUT,
            check=False,
        )
        told += ended.stdout.decode()
        assert ended.returncode == 0, f"{block}\n{ended.stdout.decode()}"
    genesis = load_genesis(tmp_path / "genesis.json")
    hashed = genesis.hash.hex()
    assert told.count(" ".join(re.findall("....", hashed))) == 2, "collect and check tell the same hash"
    assert "ben.json: the owner 0x2b5ad5c4795c026514f8317c7a215e218dccd6cf has not signed" in told
    assert "anna.json: the owner" not in told
    assert (genesis.parameters.speed_limit_mps, genesis.parameters.epoch_batches) == (20, 500)
    await _finalises(tmp_path, ports)
    assert (tmp_path / "testnet" / "owners" / "owner3.json").exists()
    assert not NodeHome(tmp_path / "testnet" / "node4").validator_keystore.exists()


async def _finalises(directory: Path, ports: list[NodePorts]) -> None:
    nodes = [NodeProcess(index, NodeHome(directory / name)) for index, name in enumerate(OPERATORS)]
    for name, node in zip(OPERATORS, nodes, strict=True):
        create_private_file(node.home.password, (directory / f"{name}-password").read_bytes())
        config = node.home.config.read_text(encoding="utf-8")
        assert "/ip4/0.0.0.0/" in config
        node.home.config.write_text(config.replace("/ip4/0.0.0.0/", "/ip4/127.0.0.1/"), encoding="utf-8")
    async with httpx.AsyncClient(trust_env=False) as http:
        clients = [NodeClient(http, f"http://127.0.0.1:{own.api}") for own in ports]
        try:
            for node in nodes:
                await node.spawn()
            with trio.fail_after(SECONDS_MAX):
                for client in clients:
                    await _until_it_has_peers(client, len(nodes) - 1)
                walked = await Walkers(
                    clients, load_genesis(nodes[0].home.genesis).parameters, proofs=PROOFS, rate=None
                ).run()
            assert len(walked.final) == PROOFS, walked.rejected_by_code()
            agreement = await check_agreement(clients, [record.proof_id for record in walked.final])
            assert agreement.state_roots_equal
            rich = (await http.get(f"{clients[2].url}/account/0x7e5f4552091a69125d5dfcb7b8c2659029395bdf")).json()
            assert rich["balance"] == "1000.500000", json.dumps(rich)
        finally:
            for node in nodes:
                await node.stop()


async def _until_it_has_peers(client: NodeClient, peers: int) -> None:
    while True:
        try:
            if (await client.status()).peers >= peers:
                return
        except Unavailable:
            pass
        await trio.sleep(0.2)
