"""Four real processes of `testnet` that go on from the database of a single server, imported from a real MongoDB."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
import trio

from mesh import TriangleId
from step_node.amounts import step_text
from step_node.clock import SystemClock
from step_node.ledger.rewards import rounded_reward_ustep
from step_node.proofs.client_signing import sign_payload
from step_node.proofs.timestamps import format_timestamp
from step_node.testing.devnet.agreement import check_agreement
from step_node.testing.devnet.network import Devnet, DevnetSettings
from step_node.testing.devnet.node_client import Final, NodeClient, ProofState, Refused
from step_node.testing.devnet.ports import PortsInUse, block_of_ports
from tests.cli.conftest import STEP_NODE
from tests.importing.old_database import OldServer, write
from tests.support.mongod import mongodb_uri, new_database_name
from tests.support.proofs import address, private_key

__all__ = ["mongodb_uri"]

LAT, LON = 47.3769, 8.5417
CLICKS = 14
"""Eleven of them subdivide a triangle of level 1; the last three lie in one of level 2, the very last is alice's."""
VALIDATORS = 4
LONGEST_SECONDS = 300.0


def old_server(now_ms: int) -> OldServer:
    server = OldServer(level_first=1)
    for index in range(CLICKS):
        name = "alice" if index == CLICKS - 1 else f"old-{index}"
        at_ms = now_ms - 120_000 + index * 1_000
        server.click(f"0x{address(name).hex()}", LAT, LON, timestamp_ms=at_ms, nonce=f"used-{index}")
    return server


async def step_node(folder: Path, *arguments: object) -> None:
    ended = await trio.run_process(
        [*STEP_NODE, *map(str, arguments)], cwd=folder, capture_stdout=True, capture_stderr=True, check=False
    )
    assert ended.returncode == 0, ended.stderr.decode()


def free_base_port() -> int:
    for base_port in range(21_000, 30_000, 2 * VALIDATORS):
        try:
            block_of_ports(VALIDATORS, base_port)
        except PortsInUse:
            continue
        return base_port
    raise AssertionError("no block of ports is free")


@pytest.mark.long
async def test_four_processes_go_on_from_an_imported_state(mongodb_uri: str, tmp_path: Path) -> None:
    now_ms, database = SystemClock().now_ms(), new_database_name()
    server = old_server(now_ms)
    await trio.to_thread.run_sync(write, mongodb_uri, database, server)
    begins_at = format_timestamp(now_ms - 60_000)
    await step_node(
        tmp_path, "genesis", "new", "--chain-id", "goes-on", "--begins-at", begins_at, "--output", "plan.json"
    )
    await step_node(
        tmp_path,
        *("genesis", "import", "--plan", "plan.json", "--mongodb-uri", mongodb_uri, "--database", database),
        *("--output", "imported.json", "--initial-state", "state.bin"),
    )
    await step_node(
        tmp_path,
        *("testnet", "--plan", "imported.json", "--initial-state", "state.bin", "--output", "net"),
        *("--validators", VALIDATORS, "--base-port", free_base_port()),
    )
    with trio.fail_after(LONGEST_SECONDS):
        async with (
            Devnet(DevnetSettings(validators=VALIDATORS, home=tmp_path / "net")) as devnet,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(devnet.watch)
            for client in devnet.clients:
                await has_what_the_server_left(client, server)
            proof_ids = [await clicks_on(devnet.clients, server)]
            agreement = await check_agreement(devnet.clients, proof_ids)
            nursery.cancel_scope.cancel()
    assert (agreement.missing, agreement.state_roots_equal) == (0, True)
    assert agreement.height >= 1
    for index in range(VALIDATORS):
        await step_node(tmp_path, "store", "verify", "--home", f"net/node{index}")


async def has_what_the_server_left(client: NodeClient, server: OldServer) -> None:
    for account, document in server.accounts.items():
        told = await client.get(f"/account/{account}")
        assert told["balance"] == step_text(int(document["balance"]))
    for triangle, document in server.triangles.items():
        if document["clicks"]:
            told = await client.get(f"/triangle/{quote(triangle)}")
            assert (told["clicks"], told["state"]) == (document["clicks"], document["state"])


async def clicks_on(clients: list[NodeClient], server: OldServer) -> str:
    """Alice's next proof becomes final, though not with a nonce that she has used; its id."""
    alice = f"0x{address('alice').hex()}"
    place = TriangleId.parse(next(one["triangleId"] for one in server.events if one["account"] == alice))
    assert place.level == 2

    async def submit(client: NodeClient, nonce: str, wait_ms: int) -> ProofState:
        signed = sign_payload(private_key("alice"), place, LAT, LON, 5.0, SystemClock().now_ms(), nonce)
        return await client.submit(signed, wait_ms=wait_ms)

    for client in clients:
        used = await submit(client, f"used-{CLICKS - 1}", 0)
        assert isinstance(used, Refused), used
        assert used.code == "NONCE_REPLAY"
    outcome = await submit(clients[2], "new", 30_000)
    assert isinstance(outcome, Final), outcome
    (proof_id,) = await clients[2].batch_proof_ids(outcome.height)
    after = await clients[2].get(f"/account/{alice}")
    had_ustep, clicks = int(server.accounts[alice]["balance"]), server.triangles[place.text]["clicks"] + 1
    assert after["balance"] == step_text(had_ustep + rounded_reward_ustep(place.level, clicks))
    assert (await clients[2].get(f"/triangle/{quote(place.text)}"))["clicks"] == clicks
    return proof_id
