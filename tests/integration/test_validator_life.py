"""Four whole nodes: a culprit is slashed on all of them, a newcomer joins, a validator leaves and takes its stake."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import trio

from consensus.messages import MESSAGE_BYTES_MAX, PreVote, ProofBatch, SignedMessage, encode_message
from consensus.wire import encode
from p2p.memory import MemoryHub, MemoryNetwork
from p2p.network import Stream
from step_node.batch.batch import Batch, BatchContent, encode_batch
from step_node.chain.genesis import Genesis
from step_node.crypto.eip191 import sign
from step_node.home.paths import NodeHome
from step_node.ledger.offences import OffenceKind
from step_node.ledger.records import ValidatorRecord, ValidatorState
from step_node.mempool.outcomes import Finalised
from step_node.network.protocols import HELLO_BYTES_MAX, HELLO_PROTOCOL, HELLO_STREAMS_MAX, Hello, consensus_topic
from step_node.node.node import Node
from tests.support.chains import CHAIN_ID, make_genesis, validator_names
from tests.support.nodes import QUICK, equal_roots, running_node
from tests.support.operations import STAKE_USTEP, register, unbond, withdraw
from tests.support.proofs import address, private_key, signed_proof

LONGEST_SECONDS = 60.0
NAMES = validator_names(4)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def signed(message: SignedMessage, name: str) -> SignedMessage:
    return replace(message, signature=sign(message.signing_line(CHAIN_ID), private_key(name)))


@asynccontextmanager
async def nodes_of(
    names: Sequence[str], genesis: Genesis, hub: MemoryHub, home: Path, *, deaf: Collection[str] = ()
) -> AsyncIterator[list[Node]]:
    """Running nodes; those that are `deaf` do not notice that the test signs with their keys."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                running_node(hub, name, genesis, home / name, watches_for_doppelganger=name not in deaf)
            )
            for name in names
        ]


async def batch_with_a_bad_proof(node: Node, proposer: str) -> Batch:
    """The first batch as `proposer` would make it if it checked no signatures."""
    good = signed_proof("alice", timestamp_ms=now_ms())
    chain = node.services(wait_ms_max=0).chain
    built = await chain.build([good], round_number=0, proposer=address(proposer))
    assert built is not None
    bad = signed_proof("bob", timestamp_ms=now_ms())._replace(signature=good.signature)
    content = BatchContent((good, bad), None)
    ids_root, proofs_root, body_hash = content.roots()
    return content.with_header(
        replace(built.batch.header, proof_ids_root=ids_root, proofs_root=proofs_root, body_hash=body_hash)
    )


@asynccontextmanager
async def outsider(hub: MemoryHub, genesis: Genesis) -> AsyncIterator[MemoryNetwork]:
    """A peer through which messages come that no honest node sends. It tells that it is at genesis: without anybody who
    tells a height, a node does not know that it is at the head."""

    async def greet(stream: Stream) -> None:
        await stream.send_message(encode(Hello(genesis.chain_id, genesis.hash, 0)))
        await stream.receive_message()

    async with hub.join("outsider") as network:
        network.subscribe(consensus_topic(CHAIN_ID), message_bytes_max=MESSAGE_BYTES_MAX, buffer_messages=1)
        network.serve(HELLO_PROTOCOL, greet, message_bytes_max=HELLO_BYTES_MAX, streams_max_per_peer=HELLO_STREAMS_MAX)
        await network.start()
        yield network


async def finalise_one(node: Node, *, account: str, lat: float) -> None:
    """Submit a proof to `node`, and wait until it is final."""
    proof = signed_proof(account, lat=lat, lon=20.0, timestamp_ms=now_ms())
    with trio.fail_after(LONGEST_SECONDS):
        answer = await node.admission.submit(proof, wait_ms=int(LONGEST_SECONDS * 1000), source="client")
    assert isinstance(answer, Finalised), answer


async def all_have(nodes: Sequence[Node], name: str, state: ValidatorState | None) -> list[ValidatorRecord]:
    """Wait until the validator is in this state on every node (None: it is forgotten); its records."""

    def record(node: Node) -> ValidatorRecord | None:
        records = node.services(wait_ms_max=0).chain.head.validators
        return next((one for one in records if one.address == address(name)), None)

    with trio.fail_after(LONGEST_SECONDS):
        for node in nodes:
            while (None if (found := record(node)) is None else found.state) is not state:
                await trio.sleep(0.01)
    return [found for node in nodes if (found := record(node)) is not None]


async def test_a_validator_that_signs_twice_is_slashed_on_every_node_and_the_chain_goes_on(tmp_path: Path) -> None:
    genesis, hub = make_genesis(4, **QUICK), MemoryHub()
    culprit = NAMES[1]
    async with nodes_of(NAMES, genesis, hub, tmp_path, deaf=[culprit]) as nodes, outsider(hub, genesis) as network:
        await finalise_one(nodes[0], account="before", lat=10.0)
        await equal_roots(nodes)
        height = nodes[0].status().height + 1
        for batch_hash in (b"\x01" * 32, b"\x02" * 32):
            vote = signed(PreVote(height, 0, batch_hash, address(culprit)), culprit)
            await network.publish(consensus_topic(CHAIN_ID), encode_message(vote))
        records = await all_have(nodes, culprit, ValidatorState.JAILED)
        assert {record.stake_ustep for record in records} == {STAKE_USTEP // 2}
        for index, node in enumerate(nodes):
            await finalise_one(node, account=f"after-{index}", lat=20.0 + index)
        await equal_roots(nodes)
        for node in nodes:
            chain = node.services(wait_ms_max=0).chain
            assert {one.address for one in chain.validators} == {address(name) for name in NAMES} - {address(culprit)}
            assert chain.head.chain.burnt_ustep == STAKE_USTEP // 2
            (slashing,) = await chain.storage.slashings(limit=10)
            assert (slashing.kind, slashing.validator) == (OffenceKind.DOUBLE_SIGN, address(culprit))
            assert slashing.amount_ustep == STAKE_USTEP // 2
        assert nodes[1].status().validator_address is None
        # Who comes later checks each commit against the set of its height.
        async with running_node(hub, "observer", genesis, tmp_path / "observer") as observer:
            await all_have([observer], culprit, ValidatorState.JAILED)
            await equal_roots([*nodes, observer])


async def test_who_proposes_a_batch_with_a_bad_proof_is_slashed_on_every_node(tmp_path: Path) -> None:
    genesis, hub = make_genesis(4, **QUICK), MemoryHub()
    culprit = NAMES[1]  # whose turn it is at height 1; its own node, which is honest, does not run
    honest = [name for name in NAMES if name != culprit]
    async with nodes_of(honest, genesis, hub, tmp_path) as nodes, outsider(hub, genesis) as network:
        batch = await batch_with_a_bad_proof(nodes[0], culprit)
        proposal = signed(ProofBatch(1, 0, -1, batch.hash, encode_batch(batch), address(culprit)), culprit)
        await network.publish(consensus_topic(CHAIN_ID), encode_message(proposal))
        await all_have(nodes, culprit, ValidatorState.JAILED)
        await finalise_one(nodes[0], account="after", lat=30.0)
        await equal_roots(nodes)
        for node in nodes:
            (slashing,) = await node.services(wait_ms_max=0).chain.storage.slashings(limit=10)
            assert (slashing.kind, slashing.validator) == (OffenceKind.INVALID_PROPOSAL, address(culprit))
            assert slashing.amount_ustep == STAKE_USTEP * 3 // 10


async def test_who_votes_for_a_batch_with_a_bad_proof_is_slashed_too(tmp_path: Path) -> None:
    genesis, hub = make_genesis(4, **QUICK), MemoryHub()
    proposer, voter = NAMES[1], NAMES[2]
    honest = [name for name in NAMES if name not in (proposer, voter)]
    async with nodes_of(honest, genesis, hub, tmp_path) as nodes, outsider(hub, genesis) as network:
        batch = await batch_with_a_bad_proof(nodes[0], proposer)
        vote = signed(PreVote(1, 0, batch.hash, address(voter)), voter)
        proposal = signed(ProofBatch(1, 0, -1, batch.hash, encode_batch(batch), address(proposer)), proposer)
        for message in (vote, proposal):
            await network.publish(consensus_topic(CHAIN_ID), encode_message(message))
        with trio.fail_after(LONGEST_SECONDS):
            for node in nodes:
                while len(node.evidence.pieces()) < 2:
                    await trio.sleep(0.01)
        # Two of four are no quorum. With their nodes back, which are honest, there is one, and it convicts both.
        async with nodes_of([proposer, voter], genesis, hub, tmp_path, deaf=[proposer, voter]) as others:
            for culprit, left in ((proposer, STAKE_USTEP), (voter, STAKE_USTEP * 7 // 10)):
                for record in await all_have([*nodes, *others], culprit, ValidatorState.JAILED):
                    assert record.stake_ustep <= left


async def test_a_newcomer_joins_at_an_epoch_and_signs_and_another_leaves_with_its_stake(tmp_path: Path) -> None:
    genesis = make_genesis(4, allocations={"alice": 2 * STAKE_USTEP}, epoch_batches=2, unbonding_ms=300, **QUICK)
    hub, leaver = MemoryHub(), NAMES[2]
    async with (
        nodes_of(NAMES, genesis, hub, tmp_path) as nodes,
        running_node(hub, "newcomer", genesis, tmp_path / "newcomer") as newcomer,
    ):
        everybody = [*nodes, newcomer]
        assert newcomer.status().validator_address is None
        assert await nodes[0].operations.submit(register("alice", "newcomer", 0)) is None
        await all_have(everybody, "newcomer", ValidatorState.WAITING)
        refused = await nodes[1].operations.submit(register("alice", "newcomer", 0))
        assert refused is not None
        assert refused.code == "WRONG_SEQUENCE"
        assert await nodes[1].operations.submit(unbond(leaver, leaver, 0)) is None
        for step in range(5):
            await finalise_one(nodes[step % 4], account=f"step-{step}", lat=-40.0 + 5 * step)
        await all_have(everybody, "newcomer", ValidatorState.ACTIVE)
        await all_have(everybody, leaver, ValidatorState.UNBONDING)
        assert newcomer.status().validator_address == address("newcomer")
        await trio.sleep(0.3)  # unbonding_ms, by the clock that batches get their time from
        assert await newcomer.operations.submit(withdraw(leaver, leaver, 1)) is None
        await all_have(everybody, leaver, None)
        await finalise_one(newcomer, account="last", lat=0.0)
        await equal_roots(everybody)
        chain = newcomer.services(wait_ms_max=0).chain
        account = await chain.storage.account(address(leaver))
        assert account is not None
        assert account.balance_ustep >= STAKE_USTEP
        assert len(chain.validators) == 4


async def test_evidence_that_waited_when_its_only_witness_crashed_still_ends_in_a_slash(tmp_path: Path) -> None:
    genesis, hub = make_genesis(4, **QUICK), MemoryHub()
    witness, culprit = NAMES[0], NAMES[1]
    others = [name for name in NAMES if name not in (witness, culprit)]
    # Alone, the witness hears a validator contradict itself: no quorum is there to put that into a batch.
    async with running_node(hub, witness, genesis, tmp_path / witness) as node, outsider(hub, genesis) as network:
        for batch_hash in (b"\x01" * 32, b"\x02" * 32):
            vote = signed(PreVote(1, 0, batch_hash, address(culprit)), culprit)
            await network.publish(consensus_topic(CHAIN_ID), encode_message(vote))
        with trio.fail_after(LONGEST_SECONDS):
            while not node.evidence.pieces():
                await trio.sleep(0.01)
            while not NodeHome(tmp_path / witness).evidence.exists():
                await trio.sleep(0.01)
        assert node.status().height == 0
        assert node.registry.get_sample_value("step_evidence_waiting") == 1
    # The others have heard nothing of it; the witness comes back, and a quorum with it.
    async with nodes_of([*others, witness], genesis, hub, tmp_path) as nodes:
        records = await all_have(nodes, culprit, ValidatorState.JAILED)
        assert {record.stake_ustep for record in records} == {STAKE_USTEP // 2}
        await equal_roots(nodes)
        for node in nodes:
            (slashing,) = await node.services(wait_ms_max=0).chain.storage.slashings(limit=10)
            assert (slashing.kind, slashing.validator) == (OffenceKind.DOUBLE_SIGN, address(culprit))
            with trio.fail_after(LONGEST_SECONDS):
                while node.evidence.pieces():
                    await trio.sleep(0.01)
            value = node.registry.get_sample_value
            assert value("step_evidence_waiting") == 0
            with trio.fail_after(LONGEST_SECONDS):
                while value("step_validators_slashed_total", {"kind": "DOUBLE_SIGN"}) != 1:
                    await trio.sleep(0.01)
            assert value("step_stake_burnt_ustep_total") == STAKE_USTEP // 2
