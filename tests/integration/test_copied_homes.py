"""A home that was copied whole, p2p key and all, and started beside the original."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest
import trio

from step_node.engine.doppelganger import DoppelgangerFound
from step_node.home.paths import NodeHome
from step_node.parameters import Parameters
from step_node.testing.devnet.network import Devnet, DevnetSettings
from step_node.testing.devnet.node_client import NodeClient, Unavailable
from step_node.testing.devnet.node_process import NodeProcess
from step_node.testing.devnet.ports import LOOPBACK, free_ports
from step_node.testing.devnet.walkers import Walkers

LONGEST_SECONDS = 240.0
NOTICED_SECONDS_MAX = 10.0
QUICK = Parameters(batch_interval_ms=300)
COPIED = 1
"""Which of the four nodes is copied."""
COMMITS = 20

SHARED_KEY = "another process uses this node's p2p key"
SHARED_VALIDATOR = "another process signs with this validator's key"


@asynccontextmanager
async def busy_network(home: Path) -> AsyncIterator[Devnet]:
    """Four validators, with proofs that keep batches coming."""
    with trio.fail_after(LONGEST_SECONDS):
        async with (
            Devnet(DevnetSettings(base_port=0, parameters=QUICK, home=home)) as devnet,
            trio.open_nursery() as nursery,
        ):
            others = [client for index, client in enumerate(devnet.clients) if index != COPIED]
            nursery.start_soon(Walkers(others, QUICK, proofs=100_000, rate=5).run)
            await until_height(devnet, 3)
            yield devnet
            nursery.cancel_scope.cancel()


async def copy_of(devnet: Devnet, root: Path, *, is_observer: bool) -> NodeProcess:
    """The home of the stopped node, copied whole and given ports of its own. The original is started again."""
    await devnet.kill(COPIED)
    original = devnet.nodes[COPIED].home
    shutil.copytree(original.root, root, ignore=shutil.ignore_patterns("lock", "node.log", "admin.sock"))
    home = NodeHome(root)
    if is_observer:
        home.validator_keystore.unlink()
        shutil.rmtree(home.signing_histories)
    copy = NodeProcess(9, home)
    (ports,) = free_ports(1)
    copy.environment = {
        "STEP_API__PORT": str(ports.api),
        "STEP_P2P__LISTEN": json.dumps([f"/ip4/{LOOPBACK}/tcp/{ports.p2p}"]),
    }
    await devnet.restart(COPIED)
    await devnet.wait_until_connected()
    return copy


async def until_height(devnet: Devnet, height: int) -> None:
    while True:
        with suppress(Unavailable):
            if (await devnet.clients[0].status()).height >= height:
                return
        await trio.sleep(0.1)


async def until_it_has_a_peer(copy: NodeProcess) -> None:
    """From then on somebody is connected to both."""
    async with httpx.AsyncClient(trust_env=False) as http:
        client = NodeClient(http, f"http://{LOOPBACK}:{copy.environment['STEP_API__PORT']}")
        while True:
            with suppress(Unavailable):
                if (await client.status()).peers:
                    return
            await trio.sleep(0.1)


async def until_log(node: NodeProcess, has: Callable[[str], bool], *, start: int = 0) -> None:
    """Wait for something in the node's log from `start` (characters) on."""
    while not node.log_path.exists() or not has(node.log_path.read_text()[start:]):
        await trio.sleep(0.05)


async def signers_of(devnet: Devnet, height: int) -> set[str]:
    """Whose pre-commits stand in the commits of this height, as the other nodes keep them."""
    signers: set[str] = set()
    for index in range(len(devnet.nodes)):
        if index != COPIED:
            async with httpx.AsyncClient(base_url=devnet.node_url(index), trust_env=False) as http:
                commit = (await http.get(f"/batch/{height}")).json()["commit"]
                signers.update(one["validator"] for one in commit["signatures"])
    return signers


async def health_of(url: str) -> list[str]:
    async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
        return [reason["code"] for reason in (await http.get("/health")).json()["reasons"]]


async def both_say_it(original: NodeProcess, start: int, copy: NodeProcess, *words: str) -> None:
    """Wait until both logs say one of these; the copy has just found a peer, which is connected to both."""
    with trio.fail_after(NOTICED_SECONDS_MAX):
        for node, beginning in ((original, start), (copy, 0)):
            await until_log(node, lambda text: any(word in text for word in words), start=beginning)


@pytest.mark.long
async def test_both_notice_that_a_home_was_copied_whole(tmp_path: Path) -> None:
    async with busy_network(tmp_path / "network") as devnet:
        copy = await copy_of(devnet, tmp_path / "copy", is_observer=False)
        original = devnet.nodes[COPIED]
        start = len(original.log_path.read_text())
        await copy.spawn()
        try:
            await until_it_has_a_peer(copy)
            await both_say_it(original, start, copy, SHARED_KEY, SHARED_VALIDATOR)
            # One of them hears the other's signature, and leaves.
            while original.is_running and copy.is_running:
                await trio.sleep(0.1)
            ended = copy if original.is_running else original
            assert ended.exit_status == DoppelgangerFound.exit_status, ended.log_tail()
        finally:
            await copy.stop()


@pytest.mark.long
async def test_a_copy_that_only_observes_does_not_shut_its_validator_out(tmp_path: Path) -> None:
    async with busy_network(tmp_path / "network") as devnet:
        copy = await copy_of(devnet, tmp_path / "copy", is_observer=True)
        original = devnet.nodes[COPIED]
        start = len(original.log_path.read_text())
        await copy.spawn()
        try:
            await until_it_has_a_peer(copy)
            await both_say_it(original, start, copy, SHARED_KEY)
            # The copy's connections are now older than the validator's.
            start = len(original.log_path.read_text())
            await devnet.restart(COPIED)
            height = (await devnet.clients[0].status()).height + 3
            await until_height(devnet, height + COMMITS)
            validator = devnet.genesis.validators[COPIED].address
            heights = range(height, height + COMMITS)
            voted = sum([validator in await signers_of(devnet, each) for each in heights])
            assert voted >= COMMITS // 4, voted
            await until_log(original, lambda text: SHARED_KEY in text, start=start)
            assert "P2P_KEY_SHARED" in await health_of(devnet.node_url(COPIED))
            assert original.is_running
            assert copy.is_running
        finally:
            await copy.stop()
