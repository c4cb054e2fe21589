"""What a running node tells of its own troubles."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from pathlib import Path

import structlog
import trio

from p2p.memory import MemoryHub
from step_node.api.status.health import HealthCode, HealthLevel
from step_node.node.node import Node
from step_node.proofs.proof import Refusal, RefusalCode, SignedProof
from tests.mempool.parts import break_journal, mend_journal
from tests.support.chains import make_genesis, validator_names
from tests.support.nodes import QUICK, running_node
from tests.support.proofs import address, signed_proof


async def test_a_journal_that_fails_makes_the_node_degraded_until_it_works_again(tmp_path: Path) -> None:
    (name,) = validator_names(1)
    async with running_node(MemoryHub(), name, make_genesis(1, **QUICK), tmp_path / name) as node:
        with trio.fail_after(10):
            while node.overview.health().level is not HealthLevel.OK:
                await trio.sleep(0.01)
        broken = break_journal(tmp_path / name)
        await node.admission.submit(fresh_proof("first"), wait_ms=0, source="client")
        health = node.overview.health()
        assert health.level is HealthLevel.DEGRADED
        assert [reason.code for reason in health.reasons] == [HealthCode.JOURNAL_FAILS]
        assert health.not_ready == health.reasons
        mend_journal(broken)
        await node.admission.submit(fresh_proof("second"), wait_ms=0, source="client")
        assert node.overview.health().level is HealthLevel.OK


async def test_a_node_whose_chain_has_not_begun_says_so_and_proposes_and_promises_nothing(tmp_path: Path) -> None:
    (name,) = validator_names(1)
    begins_ms = time.time_ns() // 1_000_000 + 3_600_000
    genesis = make_genesis(1, **QUICK).model_copy(update={"genesis_time_ms": begins_ms})
    with structlog.testing.capture_logs() as logged:
        async with running_node(MemoryHub(), name, genesis, tmp_path / name) as node:
            health = node.overview.health()
            refused = await node.admission.submit(fresh_proof("early"), wait_ms=0, source="client")
            assert node._mempool.add(fresh_proof("of a peer's"))
            with trio.fail_after(10):
                while not any(line["event"] == "the node waits for genesis" for line in logged):
                    await trio.sleep(0.01)
            assert node.driver._batches.work_due_in_ms() != 0
    assert health.level is HealthLevel.DEGRADED
    assert [reason.code for reason in health.not_ready] == [HealthCode.GENESIS_AHEAD]
    assert health.not_ready[0].message.startswith("the chain begins at 20")
    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.NOT_READY


async def test_without_a_quorum_a_proof_waits_and_every_place_that_tells_says_so(tmp_path: Path) -> None:
    """Two of three validators are not there; round 0 never ends, since timers of votes run with a quorum only."""
    genesis, hub = make_genesis(3, **QUICK), MemoryHub()
    names = validator_names(3)
    with structlog.testing.capture_logs() as logged:
        async with running_node(hub, names[0], genesis, tmp_path / names[0]) as node:
            with trio.fail_after(20):
                while HealthCode.NO_QUORUM not in codes(node):
                    await trio.sleep(0.05)
            await node.admission.submit(fresh_proof("waits"), wait_ms=0, source="client")
            with trio.fail_after(60):
                while HealthCode.HEIGHT_UNDECIDED not in codes(node):
                    await trio.sleep(0.05)
            status = node.standing.consensus()
            value = node.registry.get_sample_value
            assert value("step_ready") == 0
            assert value("step_height_undecided_seconds") > 1  # type: ignore[operator]
            assert value("step_health_reason", {"code": "HEIGHT_UNDECIDED"}) == 1
            async with AsyncExitStack() as stack:
                for name in names[1:]:
                    await stack.enter_async_context(running_node(hub, name, genesis, tmp_path / name))
                with trio.fail_after(60):
                    while codes(node):
                        await trio.sleep(0.05)
                assert node.status().height >= 1
    assert (status.height, status.waiting_proofs, status.quorum, len(status.voters)) == (1, 1, 2, 3)
    assert [voter.is_self for voter in status.voters].count(True) == 1
    assert all(voter.pre_vote is None and voter.pre_commit is None for voter in status.voters if not voter.is_self)
    said = [line["code"] for line in logged if line["event"] == "something is wrong"]
    assert "NO_QUORUM" in said
    assert {"a peer is connected", "that is over"} <= {line["event"] for line in logged}


def codes(node: Node) -> set[HealthCode]:
    return {reason.code for reason in node.overview.health().reasons}


async def test_a_failed_round_is_a_line_that_names_who_did_not_vote(tmp_path: Path) -> None:
    genesis, hub = make_genesis(4, **QUICK), MemoryHub()
    names = validator_names(4)
    with structlog.testing.capture_logs() as logged:
        async with AsyncExitStack() as stack:
            nodes = [
                await stack.enter_async_context(running_node(hub, name, genesis, tmp_path / name)) for name in names[:3]
            ]
            with trio.fail_after(60):
                for index in range(5):
                    await nodes[0].admission.submit(fresh_proof(f"walker-{index}"), wait_ms=30_000, source="client")
            failed = nodes[0].registry.get_sample_value("step_consensus_rounds_failed_total")
    assert failed
    lines = [line for line in logged if line["event"] == "a round has failed"]
    away = "0x" + address(names[3]).hex()
    assert any(line["proposer"] == away and away in line["pre_votes_missing"] for line in lines)
    assert all(line["log_level"] == "info" for line in lines)


def fresh_proof(name: str) -> SignedProof:
    return signed_proof(name, timestamp_ms=time.time_ns() // 1_000_000)
