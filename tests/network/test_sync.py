"""Greeting and catching up: from honest peers to their height, from others not a step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import trio

from consensus.messages import Commit, PreVote, ProofBatch, encode_message
from consensus.wire import decode, encode
from p2p.memory import MemoryHub
from p2p.network import Fault, Stream
from step_node.batch.batch import encode_batch
from step_node.chain.chain import COMMIT_BYTES_MAX, Chain
from step_node.crypto.eip191 import sign
from step_node.ledger.commitment import state_root
from step_node.network import peers, protocols, sync
from step_node.network.protocols import (
    HELLO_BYTES_MAX,
    SYNC_BYTES_MAX,
    SYNC_PROTOCOL,
    BatchesRequest,
    FinalisedBatchMessage,
    Hello,
)
from tests.network.nodes import Answer, stranger, syncing_node
from tests.support.chains import CHAIN_ID, build, commit_for, finalise, make_genesis, open_chain, validator_names
from tests.support.proofs import address, private_key, signed_proof
from tests.support.waiting import until

GENESIS = make_genesis(4)
HEIGHT = 3


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for other machines need not wait here."""
    monkeypatch.setattr(sync, "GRACE_MS", 1)
    monkeypatch.setattr(peers, "GREETING_INTERVAL_MS", 10)


async def chain_of(height: int) -> Chain:
    chain = await open_chain(GENESIS)
    for index in range(height):
        await finalise(chain, [signed_proof(f"walker-{index}", lat=float(index), nonce="one")])
    return chain


async def messages_of(chain: Chain) -> list[FinalisedBatchMessage]:
    return [
        FinalisedBatchMessage(stored.batch, decode(Commit, stored.commit, bytes_max=COMMIT_BYTES_MAX))
        for stored in await chain.storage.batches(1, HEIGHT)
    ]


def hello(height: int = HEIGHT) -> Hello:
    return Hello(CHAIN_ID, GENESIS.hash, height)


def serving(*messages: bytes) -> Answer:
    """Send these, whatever was asked for."""

    async def answer(stream: Stream) -> None:
        await stream.receive_message()
        for message in messages:
            await stream.send_message(message)

    return answer


async def stalling(stream: Stream) -> None:
    """Take the request, and never answer."""
    await stream.receive_message()
    await trio.sleep_forever()


@pytest.mark.parametrize("dialler", ["behind", "ahead"])
async def test_a_node_far_behind_catches_up(tmp_path: Path, dialler: str) -> None:
    hub, long, short = MemoryHub(), await chain_of(40), await open_chain(GENESIS)
    names = ("a", "b") if dialler == "behind" else ("b", "a")
    async with (
        syncing_node(hub, names[0], short, tmp_path) as behind,
        syncing_node(hub, names[1], long, tmp_path) as ahead,
    ):
        await until(lambda: behind.height == 40)
        assert behind.chain.head == ahead.chain.head
        assert state_root(behind.chain.head.lanes) == state_root(long.head.lanes)
        await until(lambda: not behind.sync.active)
        assert behind.faults() == ahead.faults() == {}
        assert ahead.network.statistics().handler_failures == 0


async def test_a_node_that_falls_behind_while_running_catches_up_too(tmp_path: Path) -> None:
    hub, one, other = MemoryHub(), await chain_of(1), await open_chain(GENESIS)
    async with (
        syncing_node(hub, "a", other, tmp_path) as behind,
        syncing_node(hub, "b", one, tmp_path) as ahead,
    ):
        await until(lambda: behind.height == 1)
        judged = await build(one, [signed_proof("late")])
        await ahead.driver.apply_decided(judged.batch, commit_for(judged.batch, validator_names(4)))
        await until(lambda: behind.height == 2)


async def bad_answers() -> dict[str, tuple[Answer, Fault]]:
    good = await messages_of(await chain_of(HEIGHT))
    first, second = good[0], good[1]
    flipped = bytearray(first.batch)
    flipped[-1] ^= 1
    foreign = make_genesis(4, speed_limit_mps=16)
    other_chain = await open_chain(foreign)
    await finalise(other_chain, [signed_proof("elsewhere")])
    (other,) = await messages_of(other_chain)
    two = replace(first.commit, signatures=first.commit.signatures[:2])
    forged = replace(
        first.commit,
        signatures=tuple(
            replace(signature, signature=second.commit.signatures[0].signature) for signature in first.commit.signatures
        ),
    )
    return {
        "garbage": (serving(b"\x00garbage"), Fault.MALFORMED),
        "a flipped byte": (serving(encode(replace(first, batch=bytes(flipped)))), Fault.MALFORMED),
        "no quorum": (serving(encode(replace(first, commit=two))), Fault.INVALID_DATA),
        "forged signatures": (serving(encode(replace(first, commit=forged))), Fault.INVALID_DATA),
        "the commit of another batch": (serving(encode(replace(first, commit=second.commit))), Fault.INVALID_DATA),
        "another batch than asked for": (serving(encode(second)), Fault.UNREQUESTED),
        "the same height twice": (serving(encode(first), encode(first)), Fault.UNREQUESTED),
        "the batch of another chain": (serving(encode(replace(other, commit=first.commit))), Fault.INVALID_DATA),
        "an oversized message": (oversized, Fault.OVERSIZED),
    }


async def oversized(stream: Stream) -> None:
    await stream.receive_message()
    stream._message_bytes_max = SYNC_BYTES_MAX + 1  # type: ignore[attr-defined]  # only a liar's side does this
    await stream.send_message(bytes(SYNC_BYTES_MAX + 1))


@pytest.mark.parametrize(
    "case",
    [
        "garbage",
        "a flipped byte",
        "no quorum",
        "forged signatures",
        "the commit of another batch",
        "another batch than asked for",
        "the same height twice",
        "the batch of another chain",
        "an oversized message",
    ],
)
async def test_a_peer_that_serves_something_else_is_refused_and_an_honest_one_is_asked(
    tmp_path: Path, case: str
) -> None:
    answer, fault = (await bad_answers())[case]
    hub, chain, honest = MemoryHub(), await open_chain(GENESIS), await chain_of(HEIGHT)
    before = chain.head
    async with (
        syncing_node(hub, "a", chain, tmp_path) as node,
        stranger(hub, "liar", hello(), answer),
    ):
        await until(lambda: fault in node.faults())
        if case != "the same height twice":
            assert chain.head is before
        async with syncing_node(hub, "b", honest, tmp_path):
            await until(lambda: node.height == HEIGHT)
        assert chain.head == honest.head
        assert set(node.faults()) == {fault}


async def silent(stream: Stream) -> None:
    await stream.receive_message()


@pytest.mark.parametrize("answer", [silent, stalling])
async def test_a_peer_that_claims_a_height_it_does_not_have_holds_nobody_up(
    tmp_path: Path, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocols, "ANSWER_TIMEOUT_MS", 100)
    hub, chain, honest = MemoryHub(), await open_chain(GENESIS), await chain_of(HEIGHT)
    async with (
        syncing_node(hub, "a", chain, tmp_path) as node,
        stranger(hub, "liar", hello(2**63 - 1), answer),
        syncing_node(hub, "b", honest, tmp_path),
    ):
        await until(lambda: node.height == HEIGHT)
        await until(lambda: not node.sync.active)


async def test_a_peer_that_is_too_slow_is_left_for_another_and_not_blamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives good batches, one just before each time-out, and always says that it has more."""
    monkeypatch.setattr(protocols, "ANSWER_TIMEOUT_MS", 100)
    monkeypatch.setattr(protocols, "ANSWER_MS_PER_MESSAGE", 0)
    monkeypatch.setattr(protocols, "ANSWER_BYTES_PER_SECOND_MIN", 10**9)
    hub, chain, honest = MemoryHub(), await open_chain(GENESIS), await chain_of(HEIGHT)
    given, asked = await messages_of(honest), 0

    async def slowly(stream: Stream) -> None:
        nonlocal asked
        request = decode(BatchesRequest, await stream.receive_message() or b"", bytes_max=1_024)
        asked += 1
        for message in given[request.from_height - 1 : 1]:
            await stream.send_message(encode(message))
        await trio.sleep_forever()

    async with (
        syncing_node(hub, "a", chain, tmp_path) as node,
        stranger(hub, "slow", hello(2**63 - 1), slowly),
    ):
        await until(lambda: asked >= 2)  # There is nobody else.
        assert node.height == 1
        async with syncing_node(hub, "b", honest, tmp_path):
            await until(lambda: node.height == HEIGHT)
        assert chain.head == honest.head


@pytest.mark.parametrize(
    "other",
    [
        Hello("step-other-1", GENESIS.hash, 0),
        Hello(CHAIN_ID, make_genesis(1).hash, 0),
    ],
)
@pytest.mark.parametrize("name", ["z", "0"])
async def test_a_stranger_from_another_chain_is_sent_away(tmp_path: Path, other: Hello, name: str) -> None:
    hub, chain = MemoryHub(), await open_chain(GENESIS)
    async with syncing_node(hub, "a", chain, tmp_path) as node, stranger(hub, name, other, silent) as network:
        if name == "0":  # It dials, and greets.
            async with await network.open_stream(node.network.peer_id, "/step/hello/1") as stream:
                await stream.send_message(encode(other))
                answer = await stream.receive_message()
                assert answer is not None
                told = decode(Hello, answer, bytes_max=HELLO_BYTES_MAX)
                assert (told.chain_id, told.genesis_hash) == (CHAIN_ID, GENESIS.hash), "it is told which chain this is"
        await until(lambda: node.network.peers() == ())
        assert node.faults() == {Fault.WRONG_CHAIN: 1}
        assert node.network.statistics().banned == 1
        assert node.peers.told(network.peer_id) is None


@pytest.mark.parametrize("data", [b"", b"\x00", encode(BatchesRequest(1, 1))])
async def test_a_hello_that_is_none_is_charged(tmp_path: Path, data: bytes) -> None:
    hub, chain = MemoryHub(), await open_chain(GENESIS)
    async with syncing_node(hub, "b", chain, tmp_path) as node, stranger(hub, "a", hello(0), silent) as network:
        async with await network.open_stream(node.network.peer_id, "/step/hello/1") as stream:
            await stream.send_message(data)
        await until(lambda: Fault.MALFORMED in node.faults())


async def test_requests_for_heights_that_are_not_there_are_answered_with_nothing(tmp_path: Path) -> None:
    hub, chain = MemoryHub(), await chain_of(HEIGHT)
    async with syncing_node(hub, "a", chain, tmp_path) as node, stranger(hub, "b", hello(0), silent) as network:
        for from_height, expected in ((1, 3), (3, 1), (4, 0), (2**63 - 1, 0)):
            received = []
            async with await network.open_stream(node.network.peer_id, SYNC_PROTOCOL) as stream:
                await stream.send_message(encode(BatchesRequest(from_height, 256)))
                while (data := await stream.receive_message()) is not None:
                    received.append(data)
            assert len(received) == expected
        async with await network.open_stream(node.network.peer_id, SYNC_PROTOCOL) as stream:
            await stream.send_message(b"\x81\xa7version\x01")
        await until(lambda: node.faults() == {Fault.MALFORMED: 1})
        assert node.network.statistics().handler_failures == 0


async def test_a_missing_proposal_is_asked_for_until_somebody_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocols, "ANSWER_TIMEOUT_MS", 50)
    hub, chain = MemoryHub(), await open_chain(GENESIS)
    judged = await build(chain, [signed_proof("alice")])
    header = judged.batch.header
    unsigned = ProofBatch(1, 0, -1, judged.batch.hash, encode_batch(judged.batch), header.proposer)
    proposer = next(name for name in validator_names(4) if address(name) == header.proposer)
    proposal = replace(unsigned, signature=sign(unsigned.signing_line(CHAIN_ID), private_key(proposer)))
    vote_line = PreVote(1, 0, None, header.proposer)
    vote = replace(vote_line, signature=sign(vote_line.signing_line(CHAIN_ID), private_key(proposer)))
    async with (
        syncing_node(hub, "a", chain, tmp_path) as node,
        stranger(hub, "b", hello(0), silent),
        stranger(hub, "c", hello(0), stalling),
        stranger(hub, "d", hello(0), serving(b"\x00")),
        stranger(hub, "e", hello(0), serving(encode_message(vote))),
        stranger(hub, "f", hello(0), serving(encode_message(replace(proposal, signature=vote.signature)))),
        stranger(hub, "g", hello(0), serving(encode_message(proposal))),
    ):
        node.sync.want_proposal(1, judged.batch.hash)
        await until(lambda: node.driver.proposal(1, judged.batch.hash) == proposal)
        assert node.faults() == {
            Fault.STALLED: 1,
            Fault.MALFORMED: 1,
            Fault.UNREQUESTED: 1,
            Fault.BAD_SIGNATURE: 1,
        }
