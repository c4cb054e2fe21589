"""Four real processes, a constant load of signed proofs, and something killed in the middle of it.

What must hold at the end: every proof that was accepted is in the ledger exactly once, on every node, and the nodes
stand at one height with one state root.
"""

from __future__ import annotations

from collections import Counter

import httpx
import pytest
import trio

from step_node.parameters import Parameters
from step_node.testing.devnet.agreement import check_agreement
from step_node.testing.devnet.network import Devnet, DevnetSettings
from step_node.testing.devnet.walkers import Walkers
from tests.support.waiting import until

QUICK = Parameters(
    batch_interval_ms=300,
    timeout_propose_ms=1_500,
    timeout_pre_vote_ms=800,
    timeout_pre_commit_ms=500,
    timeout_delta_ms=200,
)
LONGEST_SECONDS = 240.0
POLL_SECONDS = 0.1


async def height_of(devnet: Devnet, index: int) -> int:
    return (await devnet.clients[index].status()).height


async def until_height(devnet: Devnet, index: int, height: int) -> None:
    while await height_of(devnet, index) < height:
        await trio.sleep(POLL_SECONDS)


async def proofs_in_ledger(devnet: Devnet, index: int) -> Counter[str]:
    """How often each proof id stands in the node's batches."""
    found: Counter[str] = Counter()
    async with httpx.AsyncClient(base_url=devnet.node_url(index), trust_env=False) as http:
        for height in range(1, await height_of(devnet, index) + 1):
            answer = (await http.get(f"/batch/{height}")).json()
            found.update(answer["proofIds"])
    return found


async def check_ledgers(devnet: Devnet, walkers: Walkers) -> None:
    """Every proof that a client was told is final stands exactly once in each ledger, and nothing stands twice."""
    result = walkers.result
    assert len(result.final) == len(result.records), result.rejected_by_code()
    proof_ids = [record.proof_id for record in result.final]
    agreement = await check_agreement(devnet.clients, proof_ids)
    assert agreement.state_roots_equal
    assert agreement.missing == 0
    ledgers = [await proofs_in_ledger(devnet, index) for index in range(len(devnet.nodes))]
    assert all(ledger == ledgers[0] for ledger in ledgers)
    assert set(ledgers[0].values()) == {1}
    assert set(proof_ids) <= set(ledgers[0])


@pytest.mark.long
async def test_three_nodes_go_on_when_one_is_killed_and_it_catches_up_after_its_restart() -> None:
    with trio.fail_after(LONGEST_SECONDS):
        async with Devnet(DevnetSettings(base_port=0, parameters=QUICK)) as devnet:
            walkers = Walkers(devnet.clients, QUICK, proofs=200, rate=8)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(walkers.run)
                await until(lambda: len(walkers.result.final) >= 20)
                await devnet.kill(1)
                height = await height_of(devnet, 0)
                for survivor in (0, 2, 3):
                    await until_height(devnet, survivor, height + 5)
                await devnet.restart(1)
                await until_height(devnet, 1, height + 5)
            await check_ledgers(devnet, walkers)


@pytest.mark.long
@pytest.mark.slow
async def test_all_four_killed_at_once_lose_nothing_that_they_accepted() -> None:
    with trio.fail_after(LONGEST_SECONDS):
        async with Devnet(DevnetSettings(base_port=0, parameters=QUICK)) as devnet:
            walkers = Walkers(devnet.clients, QUICK, proofs=80, rate=10)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(walkers.run)
                await until(lambda: len(walkers.result.final) >= 20)
                async with trio.open_nursery() as killing:
                    for index in range(4):
                        killing.start_soon(devnet.kill, index)
                async with trio.open_nursery() as restarting:
                    for index in range(4):
                        restarting.start_soon(devnet.restart, index)
            await check_ledgers(devnet, walkers)


@pytest.mark.long
async def test_killing_mongod_under_load_loses_nothing_and_applies_nothing_twice() -> None:
    with trio.fail_after(LONGEST_SECONDS):
        async with Devnet(DevnetSettings(store="mongodb", base_port=0, parameters=QUICK)) as devnet:
            assert devnet.mongod is not None
            walkers = Walkers(devnet.clients, QUICK, proofs=120, rate=8)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(walkers.run)
                for finalised in (20, 60):
                    await until(lambda finalised=finalised: len(walkers.result.final) >= finalised)  # type: ignore[misc]
                    await trio.to_thread.run_sync(devnet.mongod.kill)
                    await devnet.mongod.restart()
            assert all(node.is_running for node in devnet.nodes)
            await check_ledgers(devnet, walkers)
