"""Four whole nodes over an in-memory network: finality, a node that goes and comes back, one that missed everything."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio

from p2p.memory import MemoryHub
from step_node.batch.batch import decode_batch
from step_node.home.config import SyncConfig
from step_node.mempool.outcomes import Finalised
from step_node.node.node import Node
from step_node.proofs.proof import RefusalCode, SignedProof
from tests.support.chains import make_genesis, validator_names
from tests.support.nodes import QUICK, equal_roots, running_node
from tests.support.proofs import signed_proof

LONGEST_SECONDS = 60.0


def fresh_proofs(count: int, *, prefix: str) -> list[SignedProof]:
    """Proofs of now, by different accounts, each in a triangle of its own."""
    now_ms = time.time_ns() // 1_000_000
    return [
        signed_proof(f"{prefix}-{index}", lat=-60.0 + index * 0.9, lon=20.0 + index, timestamp_ms=now_ms)
        for index in range(count)
    ]


async def submit_all(nodes: Sequence[Node], proofs: Sequence[SignedProof]) -> None:
    """Submit to the nodes in turn, and wait until each is finalised."""

    async def submit(node: Node, proof: SignedProof) -> None:
        answer = await node.admission.submit(proof, wait_ms=int(LONGEST_SECONDS * 1000), source="client")
        assert isinstance(answer, Finalised), answer

    async with trio.open_nursery() as nursery:
        for index, proof in enumerate(proofs):
            nursery.start_soon(submit, nodes[index % len(nodes)], proof)


async def reach(nodes: Sequence[Node], height: int) -> None:
    """Wait until every node has finalised `height`."""
    with trio.fail_after(LONGEST_SECONDS):
        for node in nodes:
            while node.status().height < height:
                await node.driver.wait_for_height()


async def test_four_nodes_finalise_the_same_ledger(tmp_path: Path) -> None:
    genesis, hub = make_genesis(4, **QUICK), MemoryHub()
    async with AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(running_node(hub, name, genesis, tmp_path / name))
            for name in validator_names(4)
        ]
        proofs = fresh_proofs(40, prefix="four")
        await submit_all(nodes, proofs)
        height = max(node.status().height for node in nodes)
        await reach(nodes, height)
        await equal_roots(nodes)
        for node in nodes:
            # Submitting again gives the outcome; the head moves a moment before the mempool is settled.
            outcomes = [await node.admission.submit(proof, wait_ms=30_000, source="client") for proof in proofs]
            assert all(isinstance(outcome, Finalised) for outcome in outcomes)


async def test_each_node_counts_what_its_validator_has_earned(tmp_path: Path) -> None:
    genesis, hub = make_genesis(4, **QUICK), MemoryHub()
    async with AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(running_node(hub, name, genesis, tmp_path / name))
            for name in validator_names(4)
        ]
        await submit_all(nodes, fresh_proofs(4, prefix="first"))
        await submit_all(nodes, fresh_proofs(4, prefix="second"))
        for node in nodes:
            address = node.status().validator_address
            assert address is not None
            with trio.fail_after(LONGEST_SECONDS):
                # Its own owner, whose account has nothing else; the head moves a moment before it is counted.
                while True:
                    account = await node._chain.storage.account(address)
                    earned = node.registry.get_sample_value("step_own_rewards_ustep_total")
                    if account is not None and 0 < account.balance_ustep == earned:
                        break
                    await trio.sleep(0.05)


def outlines(node: Node, outcome: str) -> float:
    """How many proposals have come to it in outline, with this outcome."""
    found = node.registry.get_sample_value("step_proposal_outlines_total", {"outcome": outcome})
    assert found is not None
    return found


async def test_proposals_in_outline_are_filled_and_asked_for_whole_where_they_cannot_be(tmp_path: Path) -> None:
    genesis, hub = make_genesis(4, **QUICK), MemoryHub()
    async with AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(running_node(hub, name, genesis, tmp_path / name, outlined_from=1))
            for name in validator_names(4)
        ]
        # Nothing is enclosed, and one of them does not find in its mempool what is named.
        for node in nodes:
            node._consensus._proposals._is_fresh = lambda _proof_id: False
        nodes[3]._consensus._proposals._known = lambda _proof_id: None
        for number in range(6):
            await submit_all(nodes[:3], fresh_proofs(3, prefix=f"outlined-{number}"))
        await reach(nodes, max(node.status().height for node in nodes))
        await equal_roots(nodes)
        assert sum(outlines(node, "filled") for node in nodes[:3]) > 0
        assert outlines(nodes[3], "lacking") > 0


async def test_the_chain_goes_on_without_one_node_which_catches_up_when_it_is_back(tmp_path: Path) -> None:
    genesis, hub = make_genesis(4, **QUICK), MemoryHub()
    names = validator_names(4)
    async with AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(running_node(hub, name, genesis, tmp_path / name)) for name in names[:3]
        ]
        async with running_node(hub, names[3], genesis, tmp_path / names[3]) as leaver:
            await submit_all([*nodes, leaver], fresh_proofs(8, prefix="before"))
            height_at_leaving = leaver.status().height
        missed = fresh_proofs(12, prefix="missed")
        for proof in missed:
            await submit_all(nodes, [proof])
        height = max(node.status().height for node in nodes)
        assert height > height_at_leaving
        async with running_node(hub, names[3], genesis, tmp_path / names[3]) as returner:
            await reach([*nodes, returner], height)
            await equal_roots([*nodes, returner])
            await submit_all([returner], fresh_proofs(4, prefix="after"))


async def test_a_node_that_was_cut_off_learns_what_it_missed_without_a_restart(tmp_path: Path) -> None:
    genesis, hub = make_genesis(4, **QUICK), MemoryHub()
    names = validator_names(4)
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(running_node(hub, name, genesis, tmp_path / name)) for name in names]
        hub.partition(set(names[:3]), {names[3]})
        await submit_all(nodes[:3], fresh_proofs(6, prefix="cut"))
        height = max(node.status().height for node in nodes[:3])
        hub.heal()
        await reach(nodes, height)
        await equal_roots(nodes)


async def test_a_validator_joins_from_a_snapshot_and_takes_part(tmp_path: Path) -> None:
    """Four nodes; the fourth comes with an empty home when the chain is long, and without it there is no quorum."""
    genesis, hub = make_genesis(4, **QUICK), MemoryHub()
    sync = SyncConfig(snapshot_distance_batches=5, snapshot_every_batches=4)
    names = validator_names(4)
    async with AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(running_node(hub, name, genesis, tmp_path / name, sync=sync))
            for name in names[:2]
        ]
        async with running_node(hub, names[2], genesis, tmp_path / names[2], sync=sync) as leaver:
            for proof in fresh_proofs(12, prefix="before"):
                await submit_all([*nodes, leaver], [proof])
            height = max(node.status().height for node in nodes)
            await reach([*nodes, leaver], height)
        newcomer = await stack.enter_async_context(running_node(hub, names[3], genesis, tmp_path / names[3], sync=sync))
        await reach([*nodes, newcomer], height)
        await equal_roots([*nodes, newcomer])
        # Three of four are a quorum: every batch from here on has the newcomer's vote, and some are its own.
        for proof in fresh_proofs(8, prefix="later"):
            await submit_all([newcomer], [proof])
        height = max(node.status().height for node in nodes)
        await reach([*nodes, newcomer], height)
        await equal_roots([*nodes, newcomer])
        store = newcomer.services(wait_ms_max=0).chain.storage
        first = await store.first_height()
        assert first is not None
        assert first >= 4
        proposers = {decode_batch(one.batch).header.proposer for one in await store.batches(first + 1, 100)}
        assert newcomer.status().validator_address in proposers
        for node in (*nodes, newcomer):  # Also of who has not seen the batches before: the clicks say what was minted.
            assert node.economy.guardrails.broken == ()
        assert newcomer.economy.guardrails.checked_height >= newcomer.status().height - 1 > first


async def test_a_proof_submitted_twice_is_finalised_once_and_gives_its_outcome(tmp_path: Path) -> None:
    genesis, hub = make_genesis(1, **QUICK), MemoryHub()
    (name,) = validator_names(1)
    async with running_node(hub, name, genesis, tmp_path / name) as node:
        (proof,) = fresh_proofs(1, prefix="twice")
        first = await node.admission.submit(proof, wait_ms=30_000, source="client")
        second = await node.admission.submit(proof, wait_ms=30_000, source="client")
        assert isinstance(first, Finalised)
        assert first == second
        replay = signed_proof("twice-0", timestamp_ms=proof.timestamp_ms + 20_000, nonce=proof.nonce)
        refusal = await node.admission.submit(replay, wait_ms=0, source="client")
        assert getattr(refusal, "code", None) is RefusalCode.NONCE_REPLAY


@pytest.mark.parametrize("validators", [2, 7])
async def test_other_numbers_of_validators_finalise_too(tmp_path: Path, validators: int) -> None:
    genesis, hub = make_genesis(validators, **QUICK), MemoryHub()
    async with AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(running_node(hub, name, genesis, tmp_path / name))
            for name in validator_names(validators)
        ]
        await submit_all(nodes, fresh_proofs(5, prefix=f"of-{validators}"))
        height = max(node.status().height for node in nodes)
        await reach(nodes, height)
        await equal_roots(nodes)
