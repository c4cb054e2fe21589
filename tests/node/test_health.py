"""What a running node tells of its own troubles."""

from __future__ import annotations

import time
from pathlib import Path

import structlog
import trio

from p2p.memory import MemoryHub
from step_node.api.status import HealthLevel
from step_node.proofs.proof import Refusal, RefusalCode, SignedProof
from tests.mempool.parts import break_journal, mend_journal
from tests.support.chains import make_genesis, validator_names
from tests.support.nodes import QUICK, running_node
from tests.support.proofs import signed_proof


async def test_a_journal_that_fails_makes_the_node_degraded_until_it_works_again(tmp_path: Path) -> None:
    (name,) = validator_names(1)
    async with running_node(MemoryHub(), name, make_genesis(1, **QUICK), tmp_path / name) as node:
        with trio.fail_after(10):
            while node.health().level is not HealthLevel.OK:
                await trio.sleep(0.01)
        broken = break_journal(tmp_path / name)
        await node.admission.submit(fresh_proof("first"), wait_ms=0, source="client")
        health = node.health()
        assert health.level is HealthLevel.DEGRADED
        assert any(reason.startswith("the journal of accepted proofs fails: ") for reason in health.reasons)
        mend_journal(broken)
        await node.admission.submit(fresh_proof("second"), wait_ms=0, source="client")
        assert not any("journal" in reason for reason in node.health().reasons)


async def test_a_node_whose_chain_has_not_begun_says_so_and_proposes_and_promises_nothing(tmp_path: Path) -> None:
    (name,) = validator_names(1)
    begins_ms = time.time_ns() // 1_000_000 + 3_600_000
    genesis = make_genesis(1, **QUICK).model_copy(update={"genesis_time_ms": begins_ms})
    with structlog.testing.capture_logs() as logged:
        async with running_node(MemoryHub(), name, genesis, tmp_path / name) as node:
            health = node.health()
            refused = await node.admission.submit(fresh_proof("early"), wait_ms=0, source="client")
            assert node._mempool.add(fresh_proof("of a peer's"))
            with trio.fail_after(10):
                while not any(line["event"] == "the node waits for genesis" for line in logged):
                    await trio.sleep(0.01)
            assert not node.driver._batches.has_work()
    assert health.level is HealthLevel.DEGRADED
    assert any(reason.startswith("the chain begins at 20") for reason in health.reasons)
    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.NOT_READY


def fresh_proof(name: str) -> SignedProof:
    return signed_proof(name, timestamp_ms=time.time_ns() // 1_000_000)
