"""A quorum that contradicts what is final: it is seen at once, said loudly, and convicts who signed both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import trio
from trio.testing import wait_all_tasks_blocked

from consensus.messages import MESSAGE_BYTES_MAX, Commit, CommitSignature, PreCommit, encode_message
from consensus.wire import encode
from p2p.memory import MemoryHub
from step_node.api.status.health import HealthCode, HealthLevel
from step_node.chain.chain import Chain
from step_node.crypto.eip191 import sign
from step_node.engine.forks import fork_shown_by
from step_node.mempool.outcomes import Finalised
from step_node.network.protocols import consensus_topic
from step_node.storage.memory import MemoryStorage
from tests.node.test_health import fresh_proof
from tests.support.chains import CHAIN_ID, finalise, make_genesis, open_chain, validator_names
from tests.support.nodes import QUICK, running_node
from tests.support.proofs import START_MS, address, private_key, signed_proof

OTHER_HASH = b"\x07" * 32


def commit_of(names: list[str], *, height: int, round_number: int, batch_hash: bytes = OTHER_HASH) -> Commit:
    """What these validators signed, whatever is final."""
    signatures = []
    for name in sorted(names, key=address):
        vote = PreCommit(height, round_number, batch_hash, address(name))
        signatures.append(CommitSignature(address(name), sign(vote.signing_line(CHAIN_ID), private_key(name))))
    return Commit(height, round_number, batch_hash, tuple(signatures))


async def own_commit(chain: Chain, height: int) -> Commit:
    commit = await chain.commit_of(height)
    assert commit is not None
    return commit


async def chain_of(batches: int) -> Chain:
    chain = await open_chain(make_genesis(4))
    for index in range(batches):
        await finalise(chain, [signed_proof(f"account-{index}", timestamp_ms=START_MS)])
    return chain


async def test_who_signed_two_commits_of_one_round_is_convicted_and_nobody_else() -> None:
    chain = await chain_of(2)
    culprits = validator_names(4)[:3]
    for height in (2, 1):
        own = await own_commit(chain, height)
        fork = await fork_shown_by(commit_of(culprits, height=height, round_number=own.round), chain)
        assert fork is not None
        assert fork.height == height
        assert [chain.offence_in(piece).accused for piece in fork.evidence()] == sorted(map(address, culprits))
        assert {chain.offence_refusal(chain.offence_in(piece)) for piece in fork.evidence()} == {None}


async def test_commits_of_two_rounds_are_a_fork_that_convicts_nobody() -> None:
    chain = await chain_of(1)
    fork = await fork_shown_by(commit_of(validator_names(4), height=1, round_number=3), chain)
    assert fork is not None
    assert fork.evidence() == ()


async def test_the_same_batch_again_and_heights_that_are_not_final_are_no_fork() -> None:
    chain = await chain_of(1)
    own = await own_commit(chain, 1)
    for harmless in (own, replace(own, round=own.round + 1), replace(own, height=2), replace(own, height=0)):
        assert await fork_shown_by(harmless, chain) is None
    assert await chain.commit_of(2) is None


async def test_a_commit_in_the_store_that_nobody_signed_makes_no_fork() -> None:
    genesis = make_genesis(4)
    storage = MemoryStorage()
    chain = await open_chain(genesis, storage=storage)
    for index in range(2):
        await finalise(chain, [signed_proof(f"account-{index}", timestamp_ms=START_MS)])
    (stored,) = await storage.batches(1, 1)
    forged = replace(await own_commit(chain, 1), batch_hash=b"\x09" * 32)
    storage._batches[1] = replace(stored, commit=encode(forged))
    assert await chain.commit_of(1) == forged
    assert await fork_shown_by(commit_of(validator_names(4), height=1, round_number=0), chain) is None


async def test_a_node_that_hears_of_a_fork_is_down_counts_it_and_takes_the_evidence(tmp_path: Path) -> None:
    # A chain of one validator, which is its own quorum, and a peer that has the key as well, to which it is deaf.
    (name,) = validator_names(1)
    hub = MemoryHub()
    async with (
        running_node(hub, name, make_genesis(1, **QUICK), tmp_path / name, watches_for_doppelganger=False) as node,
        hub.join("peer") as peer,
    ):
        topic = consensus_topic(CHAIN_ID)
        peer.subscribe(topic, message_bytes_max=MESSAGE_BYTES_MAX, buffer_messages=64)
        await peer.start()
        answer = await node.admission.submit(fresh_proof("first"), wait_ms=10_000, source="client")
        assert isinstance(answer, Finalised)
        chain = node.services(wait_ms_max=0).chain
        own = await own_commit(chain, 1)
        await peer.publish(topic, encode_message(own))
        await wait_all_tasks_blocked(0.01)
        assert node.overview.health().level is not HealthLevel.DOWN
        await peer.publish(topic, encode_message(commit_of([name], height=1, round_number=own.round)))
        with trio.fail_after(10):
            while node.overview.health().level is not HealthLevel.DOWN:
                await trio.sleep(0.01)
        (reason,) = (one.message for one in node.overview.health().reasons if one.code is HealthCode.FINALITY_BROKEN)
        assert reason.startswith("a quorum has contradicted the batch that is final here at height 1: ")
        assert node.registry.get_sample_value("step_forks_seen_total") == 1
        await wait_all_tasks_blocked(0.01)
        slashed = await chain.storage.slashings(limit=10)
        assert len(node.evidence.pieces()) + len(slashed) == 1
