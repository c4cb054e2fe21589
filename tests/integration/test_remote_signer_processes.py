"""A validator with a remote signer, under load: either is killed, many times, and neither signs twice."""

from __future__ import annotations

import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import trio

from step_node.parameters import Parameters
from step_node.signing.keystore import load_keystore, read_password
from step_node.testing.devnet.network import Devnet, DevnetSettings
from step_node.testing.devnet.walkers import Walkers
from tests.support.signers import SignerProcess, Wiretap, is_in_memory, log_lines, move_key_out

LONGEST_SECONDS = 900.0
QUICK = Parameters(
    batch_interval_ms=300,
    timeout_propose_ms=1_500,
    timeout_pre_vote_ms=800,
    timeout_pre_commit_ms=500,
    timeout_delta_ms=200,
)
REMOTE = 3
"""Which of the four nodes has its key elsewhere."""
KILLS = 8
POLL_SECONDS = 0.1


@dataclass
class Network:
    """Four validators under load, one of which has a remote signer that is listened to."""

    devnet: Devnet
    signer: SignerProcess
    tap: Wiretap
    key: bytes
    walkers: Walkers

    async def height(self, index: int) -> int:
        return (await self.devnet.clients[index].status()).height

    async def until_height(self, index: int, height: int) -> None:
        while await self.height(index) < height:
            await trio.sleep(POLL_SECONDS)

    async def until_signed_above(self, height: int) -> None:
        while self.tap.height <= height:
            await trio.sleep(POLL_SECONDS)

    async def health_codes(self, index: int) -> set[str]:
        async with httpx.AsyncClient(base_url=self.devnet.node_url(index), trust_env=False) as http:
            return {reason["code"] for reason in (await http.get("/health")).json()["reasons"]}

    async def metric(self, index: int, name: str) -> float:
        """The sum over its labels."""
        async with httpx.AsyncClient(base_url=self.devnet.node_url(index), trust_env=False) as http:
            text = (await http.get("/metrics")).text
        lines = [line for line in text.splitlines() if line.split("{")[0].split(" ")[0] == name]
        assert lines
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


@asynccontextmanager
async def network(root: Path) -> AsyncIterator[Network]:
    with trio.fail_after(LONGEST_SECONDS):
        devnet = Devnet(DevnetSettings(base_port=0, parameters=QUICK, home=root / "net"))
        await devnet.prepare()
        node = devnet.nodes[REMOTE].home
        key = load_keystore(node.validator_keystore, read_password(node.password))
        signer = move_key_out(node, root / "signer", address=f"unix:{root / 'signer.tap'}")
        tap = Wiretap(signer)
        walkers = Walkers(devnet.clients[:REMOTE], QUICK, proofs=100_000, rate=4)
        try:
            async with tap.running(), devnet, trio.open_nursery() as nursery:
                await signer.spawn()
                nursery.start_soon(walkers.run)
                yield Network(devnet, signer, tap, key, walkers)
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await signer.stop()


async def check_nothing_signed_twice(net: Network) -> None:
    assert not net.tap.contradictions
    for index in range(4):
        assert await net.metric(index, "step_equivocations_seen_total") == 0
        assert await net.metric(index, "step_validators_slashed_total") == 0


@pytest.mark.long
async def test_either_is_killed_many_times_under_load_and_neither_signs_twice(tmp_path: Path) -> None:
    chance = random.Random(11)
    async with network(tmp_path) as net:
        await net.until_signed_above(2)
        assert not is_in_memory(net.devnet.nodes[REMOTE].pid, net.key)
        assert is_in_memory(net.signer.pid, net.key), "the search finds a key where there is one"
        net.tap.cut_every = 37
        for _ in range(KILLS):
            await trio.sleep(chance.uniform(0.1, 2.5))
            if chance.random() < 0.5:
                await net.signer.kill(signal.SIGKILL)
                height = await net.height(REMOTE)
                # The node goes on without it: it follows the others, and says what it lacks.
                await net.until_height(REMOTE, height + 2)
                assert "SIGNER_AWAY" in await net.health_codes(REMOTE)
                await net.signer.spawn()
            else:
                await net.devnet.kill(REMOTE)
                await net.devnet.restart(REMOTE)
            await net.until_signed_above(net.tap.height + 2)
        net.tap.cut_every = None
        assert net.devnet.nodes[REMOTE].is_running
        assert await net.metric(REMOTE, "step_signer_seconds_count") > 0
        await net.until_height(REMOTE, await net.height(0))
        await check_nothing_signed_twice(net)


@pytest.mark.long
async def test_a_node_that_stood_still_loses_its_lease_and_has_it_again_when_it_wakes(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        await net.until_signed_above(2)
        # The node is stopped still, as a machine that hangs: its lease ends, and when it wakes it has to ask again.
        net.devnet.nodes[REMOTE].pause()
        while not any("no longer" in str(line.get("event")) for line in log_lines(net.signer)):
            await trio.sleep(POLL_SECONDS)
        net.devnet.nodes[REMOTE].go_on()
        await net.until_signed_above(net.tap.height + 2)
        await check_nothing_signed_twice(net)
