"""Real processes whose validators were restored from their keys alone, or have lost their consensus logs.

What must hold: a restored key signs nothing at a height that was final when it started, and never contradicts what it
had signed before; and a network whose consensus logs are gone goes on by itself.
"""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from step_node.home.paths import NodeHome
from step_node.parameters import Parameters
from step_node.signing.history import SignedRecord
from step_node.testing.devnet.network import Devnet, DevnetSettings
from step_node.testing.devnet.walkers import Walkers
from tests.integration.test_processes_killed import check_ledgers, height_of, until_height
from tests.support.signatures import contradictions, signed_in
from tests.support.waiting import until

SWIFT = Parameters(
    batch_interval_ms=100,
    timeout_propose_ms=1_500,
    timeout_pre_vote_ms=800,
    timeout_pre_commit_ms=500,
    timeout_delta_ms=200,
)
LONGEST_SECONDS = 900.0
HEIGHTS = 250
"""How long the chain is when the validator is restored."""


def history_of(home: NodeHome) -> Path:
    (path,) = home.signing_histories.glob("*.log")
    return path


def restore_from_keys_alone(home: NodeHome, kept: Path) -> set[SignedRecord]:
    """Empty the home but for keys, genesis and config; what its key had signed is given, and kept elsewhere."""
    shutil.copy(history_of(home), kept)
    shutil.rmtree(home.data)
    return signed_in(kept)


async def said_by(devnet: Devnet, index: int, path: str, field: str) -> Any:
    """A field of what the node's API answers."""
    async with httpx.AsyncClient(base_url=devnet.node_url(index), trust_env=False) as http:
        return (await http.get(path)).json()[field]


@pytest.mark.long
async def test_a_validator_restored_from_its_keys_alone_signs_nothing_of_the_past(tmp_path: Path) -> None:
    with trio.fail_after(LONGEST_SECONDS):
        async with Devnet(DevnetSettings(base_port=0, parameters=SWIFT)) as devnet:
            walkers = Walkers(devnet.clients[:3], SWIFT, proofs=5_000, rate=8)
            restored = devnet.nodes[3]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(walkers.run)
                await until_height(devnet, 3, HEIGHTS)
                await devnet.kill(3, signal.SIGTERM)
                before = restore_from_keys_alone(restored.home, tmp_path / "before")
                head = max([await height_of(devnet, index) for index in range(3)])
                restored.arguments = ("--lost-signing-history",)
                await devnet.restart(3)
                await until_height(devnet, 3, head + 2)
                while not signed_in(history_of(restored.home)):
                    await trio.sleep(0.1)
                nursery.cancel_scope.cancel()
            await devnet.kill(3, signal.SIGTERM)
            after = signed_in(history_of(restored.home))
            assert before
            assert not [record for record in after if record.height <= head]
            assert contradictions(before, after) == []


@pytest.mark.long
async def test_a_restored_validator_that_is_alone_signs_nothing_at_all(tmp_path: Path) -> None:
    with trio.fail_after(LONGEST_SECONDS):
        async with Devnet(DevnetSettings(base_port=0, parameters=SWIFT)) as devnet:
            walkers = Walkers(devnet.clients, SWIFT, proofs=20, rate=8)
            await walkers.run()
            for index in range(4):
                await devnet.kill(index, signal.SIGTERM)
            restored = devnet.nodes[3]
            assert restore_from_keys_alone(restored.home, tmp_path / "before")
            restored.arguments = ("--lost-signing-history",)
            await devnet.restart(3)
            lonely = Walkers([devnet.clients[3]], SWIFT, proofs=3, rate=8)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lonely.run)
                while "doubtful" not in str(await said_by(devnet, 3, "/health", "reasons")):
                    await trio.sleep(0.1)
                # A proof waits, and a proposer that does not know better would propose it in its turn.
                while not await said_by(devnet, 3, "/status", "mempoolProofs"):
                    await trio.sleep(0.1)
                await trio.sleep(2 * SWIFT.timeout_propose_ms / 1000)
                nursery.cancel_scope.cancel()
            await devnet.kill(3, signal.SIGTERM)
            assert signed_in(history_of(restored.home)) == set()


@pytest.mark.long
@pytest.mark.parametrize("losers", [2, 4])
async def test_a_network_goes_on_whose_validators_have_lost_their_consensus_logs_under_load(losers: int) -> None:
    with trio.fail_after(LONGEST_SECONDS):
        async with Devnet(DevnetSettings(base_port=0, parameters=SWIFT)) as devnet:
            walkers = Walkers(devnet.clients, SWIFT, proofs=80, rate=10)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(walkers.run)
                await until(lambda: len(walkers.result.final) >= 20)
                async with trio.open_nursery() as killing:
                    for index in range(losers):
                        killing.start_soon(devnet.kill, index)
                for index in range(losers):
                    devnet.nodes[index].home.consensus_log.unlink()
                async with trio.open_nursery() as restarting:
                    for index in range(losers):
                        restarting.start_soon(devnet.restart, index)
            await check_ledgers(devnet, walkers)
