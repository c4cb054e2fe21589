"""A network that begins where a single server has ended: four validators, of which one comes later, by a snapshot."""

from __future__ import annotations

import shutil
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from mesh import TriangleId
from p2p.memory import MemoryHub
from step_node.api.batches.receipts import ReceiptMaker
from step_node.chain.genesis import Genesis
from step_node.explanations.details import TryInstead
from step_node.home.config import SyncConfig
from step_node.home.paths import NodeHome
from step_node.ledger.rewards import rounded_reward_ustep
from step_node.mempool.outcomes import Finalised
from step_node.node.node import Node
from step_node.proofs.proof import Refusal, RefusalCode
from step_node.receipts.document import receipt_json
from step_node.receipts.verification import verify_receipt
from step_node.snapshot.audit import add_up_state
from step_node.snapshot.initial_state import InitialStateError
from tests.importing.conftest import import_
from tests.importing.old_database import OldServer
from tests.integration.test_nodes_in_memory import fresh_proofs, reach, submit_all
from tests.support.chains import make_genesis, validator_names
from tests.support.nodes import QUICK, equal_roots, running_node
from tests.support.proofs import address, signed_proof

LAT, LON = 47.3769, 8.5417
CLICKS = 25
"""Of which eleven subdivide the triangle of level 1 and eleven that of level 2; so three lie in one of level 3."""


def old_server(now_ms: int) -> OldServer:
    server = OldServer(level_first=1)
    for index in range(CLICKS):
        name = "alice" if index == CLICKS - 1 else f"old-{index}"
        server.click(
            f"0x{address(name).hex()}", LAT, LON, timestamp_ms=now_ms - 120_000 + index * 1_000, nonce=f"used-{index}"
        )
    return server


def imported_genesis(tmp_path: Path) -> tuple[Genesis, Path, OldServer]:
    """A genesis of four validators that names what the old server has left, the file with it, and the server."""
    now_ms = time.time_ns() // 1_000_000
    server = old_server(now_ms)
    plan = make_genesis(4, **QUICK).model_copy(update={"genesis_time_ms": now_ms - 60_000})
    found = import_(server.collections(), tmp_path / "import", plan)
    assert not found.report.counts
    genesis = plan.model_copy(update={"initial_state": found.imported.state})
    return Genesis.model_validate(genesis.model_dump()), found.path, server


def prepared(home: Path, state: Path) -> Path:
    home.mkdir()
    shutil.copy(state, NodeHome(home).initial_state)
    return home


async def refusal_of(node: Node, **proof: object) -> Refusal:
    answer = await node.admission.submit(
        signed_proof(**{"timestamp_ms": time.time_ns() // 1_000_000, "lat": LAT, "lon": LON} | proof),  # type: ignore[arg-type]
        wait_ms=0,
        source="client",
    )
    assert isinstance(answer, Refusal), answer
    return answer


async def test_four_validators_go_on_from_what_a_single_server_has_left(tmp_path: Path) -> None:
    genesis, state, server = imported_genesis(tmp_path)
    hub, names = MemoryHub(), validator_names(4)
    sync = SyncConfig(snapshot_distance_batches=5, snapshot_every_batches=4)
    alice = f"0x{address('alice').hex()}"
    had_ustep = int(server.accounts[alice]["balance"])
    active = TriangleId.parse(next(one["triangleId"] for one in server.events if one["account"] == alice))
    assert active.level == 3
    async with AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(
                running_node(hub, name, genesis, prepared(tmp_path / name, state), sync=sync)
            )
            for name in names[:3]
        ]
        used = await refusal_of(nodes[0], name="alice", nonce=f"used-{CLICKS - 1}", triangle=active)
        assert used.code is RefusalCode.NONCE_REPLAY
        subdivided = active.parent
        assert subdivided is not None
        ended = await refusal_of(nodes[1], triangle=subdivided)
        assert (ended.code, ended.details.state) == (RefusalCode.TRIANGLE_EXHAUSTED, "subdivided")
        assert isinstance(ended.details.try_instead, TryInstead)
        assert ended.details.try_instead.triangle_id in {child.text for child in subdivided.children}
        too_far = await refusal_of(nodes[2], name="alice", lat=LAT + 1, level=10)
        assert too_far.code is RefusalCode.TOO_FAST, "the last position has come along"

        proof = signed_proof("alice", lat=LAT, lon=LON, triangle=active, timestamp_ms=time.time_ns() // 1_000_000)
        outcome = await nodes[0].admission.submit(proof, wait_ms=60_000, source="client")
        assert isinstance(outcome, Finalised), outcome
        assert outcome.receipt.clicks == server.triangles[active.text]["clicks"] + 1
        assert outcome.receipt.balance_ustep == had_ustep + rounded_reward_ustep(3, 1)
        for later in fresh_proofs(12, prefix="later"):
            await submit_all(nodes, [later])
        height = max(node.status().height for node in nodes)
        await reach(nodes, height)

        newcomer = await stack.enter_async_context(
            running_node(hub, names[3], genesis, prepared(tmp_path / names[3], state), sync=sync)
        )
        nodes.append(newcomer)
        await reach(nodes, height)
        await equal_roots(nodes)
        joined = newcomer.services(wait_ms_max=0).chain.storage
        first = await joined.first_height()
        assert first is not None
        assert first > 1, "it has come by a snapshot"
        for node in nodes:
            store = node.services(wait_ms_max=0).chain.storage
            account = await store.account(address("alice"))
            assert account is not None
            assert (account.balance_ustep, account.proofs) == (outcome.receipt.balance_ustep, 2)
            untouched = await store.account(address("old-3"))
            assert untouched is not None
            assert untouched.balance_ustep == int(server.accounts[f"0x{address('old-3').hex()}"]["balance"])
            assert (await add_up_state(store)).sum.accounts > CLICKS
        maker = ReceiptMaker(
            nodes[0].services(wait_ms_max=0).chain.storage, trust=genesis.trust(), links_to=lambda _set: ()
        )
        receipts = await maker.of_batch(outcome.receipt.height)
        assert receipts is not None
        proven = verify_receipt(receipt_json(receipts.of_proof(proof.proof_id)), genesis.trust())
        assert (proven.identity, proven.account) == (proof.proof_id, address("alice"))


async def test_a_node_without_the_file_or_with_another_does_not_begin(tmp_path: Path) -> None:
    genesis, state, _ = imported_genesis(tmp_path)
    hub, (name, *_) = MemoryHub(), validator_names(4)
    (tmp_path / name).mkdir()
    with pytest.raises(InitialStateError, match=r"initial_state\.bin: cannot be read"):
        async with running_node(hub, name, genesis, tmp_path / name):
            pass
    NodeHome(tmp_path / name).initial_state.write_bytes(state.read_bytes()[:-3])
    with pytest.raises(InitialStateError, match="ends within a page"):
        async with running_node(hub, name, genesis, tmp_path / name):
            pass
