"""Strangers that promise and do not deliver: they neither hold a lagging node up, nor make it say that it is behind.

Time is virtual: what is measured is how long a node waits for others.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
import trio
from trio.testing import MockClock

from consensus.wire import decode, encode
from p2p.memory import MemoryHub
from p2p.network import PeerId, Stream
from step_node.chain.chain import Chain
from step_node.chain.genesis import Genesis
from step_node.network.protocols import BatchesRequest, Hello, ProposalRequest
from step_node.offload import offload_of_task
from tests.network.nodes import Answer, SyncingNode, stranger, syncing_node
from tests.network.test_sync import messages_of, silent
from tests.support.chains import CHAIN_ID, build, commit_for, finalise, make_genesis, open_chain, validator_names
from tests.support.proofs import signed_proof

STRANGERS = 20
HEIGHT = 3
ANSWER_SECONDS = 9.9
"""Just before a request for batches would time out."""

T = TypeVar("T")


pytestmark = pytest.mark.usefixtures("on_the_event_loop")


@pytest.fixture
def on_the_event_loop() -> Iterator[None]:
    """Virtual time does not wait for worker threads: what would run on them runs on the event loop."""

    async def here(work: Callable[[], T]) -> T:
        await trio.lowlevel.checkpoint()
        return work()

    token = offload_of_task.set(here)
    yield
    offload_of_task.reset(token)


def genesis_with_member(peer_id: str) -> Genesis:
    """Four validators, the first of which names this peer."""
    genesis = make_genesis(4)
    first, *others = genesis.validators
    named = first.model_copy(update={"p2p_address": f"/dns4/validator/tcp/26600/p2p/{peer_id}"})
    return genesis.model_copy(update={"validators": (named, *others)})


async def chain_of(genesis: Genesis, height: int) -> Chain:
    chain = await open_chain(genesis)
    for index in range(height):
        await finalise(chain, [signed_proof(f"walker-{index}", lat=float(index), nonce="one")])
    return chain


async def empty_handed(stream: Stream) -> None:
    """Take the request, wait as long as goes, and answer with nothing."""
    await stream.receive_message()
    await trio.sleep(ANSWER_SECONDS)


async def one_at_a_time(chain: Chain, stream: Stream) -> None:
    """Give one good batch at once, and then nothing for as long as goes."""
    request = decode(BatchesRequest, await stream.receive_message() or b"", bytes_max=1_024)
    for message in (await messages_of(chain))[request.from_height - 1 :][:1]:
        await stream.send_message(encode(message))
    await trio.sleep(ANSWER_SECONDS)


@asynccontextmanager
async def strangers(
    hub: MemoryHub, genesis: Genesis, answer: Answer, *, height: int = 2**62, count: int = STRANGERS
) -> AsyncIterator[None]:
    """So many of them. By their names, the node dials and greets them at once, and asks them before an honest peer."""
    async with AsyncExitStack() as stack:
        for index in range(count):
            name = f"b-stranger-{index:02}"
            await stack.enter_async_context(stranger(hub, name, Hello(CHAIN_ID, genesis.hash, height), answer))
        yield


async def seconds_until(condition: Callable[[], bool], *, at_most: float) -> float:
    began = trio.current_time()
    with trio.fail_after(at_most):
        while not condition():
            await trio.sleep(0.01)
    return trio.current_time() - began


async def catch_up_among(
    tmp_path: Path, genesis: Genesis, answer: Callable[[Chain], Answer] | None, *, at_most: float
) -> float:
    """How long a node takes that lags behind one honest peer, with or without the strangers."""
    hub, chain, honest = MemoryHub(), await open_chain(genesis), await chain_of(genesis, HEIGHT)
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(syncing_node(hub, "a-node", chain, tmp_path))
        if answer is not None:
            await stack.enter_async_context(strangers(hub, genesis, answer(honest)))
            await seconds_until(lambda: all(map(node.peers.told, node.network.peers())), at_most=1)
        await stack.enter_async_context(syncing_node(hub, "z-honest", honest, tmp_path))
        return await seconds_until(lambda: node.height == HEIGHT, at_most=at_most)


@pytest.mark.parametrize("answer", [lambda _chain: empty_handed, lambda chain: partial(one_at_a_time, chain)])
async def test_promising_strangers_hold_nobody_up_whom_a_member_of_the_set_can_help(
    autojump_clock: MockClock, tmp_path: Path, answer: Callable[[Chain], Answer]
) -> None:
    del autojump_clock
    genesis = genesis_with_member("z-honest")
    (tmp_path / "alone").mkdir()
    alone = await catch_up_among(tmp_path / "alone", genesis, None, at_most=10)
    assert await catch_up_among(tmp_path, genesis, answer, at_most=30) < alone + 2


async def test_promising_strangers_are_soon_through_where_nobody_is_known(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """Even if the only honest peer is a stranger as well, and the last one to be asked: before, it took 200 s."""
    del autojump_clock
    genesis = genesis_with_member("somebody-else")
    assert await catch_up_among(tmp_path, genesis, lambda _chain: empty_handed, at_most=30) < 15


async def test_who_delivered_once_is_asked_first_from_then_on(autojump_clock: MockClock, tmp_path: Path) -> None:
    del autojump_clock
    genesis = genesis_with_member("somebody-else")
    hub, chain, honest = MemoryHub(), await open_chain(genesis), await chain_of(genesis, 1)
    async with (
        syncing_node(hub, "a-node", chain, tmp_path) as node,
        syncing_node(hub, "z-honest", honest, tmp_path) as ahead,
    ):
        await seconds_until(lambda: node.height == 1, at_most=10)
        async with strangers(hub, genesis, empty_handed):
            for number in range(5):
                judged = await build(honest, [signed_proof(f"late-{number}", lat=float(number))])
                await ahead.driver.apply_decided(judged.batch, commit_for(judged.batch, validator_names(4)))
                node.peers.note_told(PeerId("z-honest"), honest.head.chain.height)
                assert await seconds_until(lambda: node.height == honest.head.chain.height, at_most=30) < 1


async def test_a_promise_does_not_come_back_by_repeating_it(autojump_clock: MockClock, tmp_path: Path) -> None:
    """The strangers greet all the time. How often they are asked falls off."""
    del autojump_clock
    genesis = make_genesis(4)
    hub, chain, asked = MemoryHub(), await open_chain(genesis), 0

    async def answer(stream: Stream) -> None:
        nonlocal asked
        await stream.receive_message()
        asked += 1

    async with syncing_node(hub, "a-node", chain, tmp_path) as node, strangers(hub, genesis, answer, count=2):
        counts = []
        for _ in range(3):
            await trio.sleep(300)
            counts.append(asked)
            asked = 0
        assert node.peers.told(PeerId("b-stranger-00")) == 2**62
    # After 2 s, 4 s, … 256 s, and then every 300 s.
    assert counts[0] <= 2 * 9
    assert counts[2] <= 2 * 2


async def test_an_honest_peer_that_was_slow_is_asked_again_and_heard_out(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """It needs four seconds for each answer, and is the only one that is ahead."""
    del autojump_clock
    genesis = make_genesis(4)
    hub, chain, honest = MemoryHub(), await open_chain(genesis), await chain_of(genesis, HEIGHT)

    async def slowly(stream: Stream) -> None:
        request = decode(BatchesRequest, await stream.receive_message() or b"", bytes_max=1_024)
        await trio.sleep(4)
        for message in (await messages_of(honest))[request.from_height - 1 :]:
            await stream.send_message(encode(message))

    async with (
        syncing_node(hub, "a-node", chain, tmp_path) as node,
        stranger(hub, "slow", Hello(CHAIN_ID, genesis.hash, HEIGHT), slowly),
    ):
        assert await seconds_until(lambda: node.height == HEIGHT, at_most=120) < 30
        assert node.faults() == {}


@pytest.mark.parametrize("answer", [empty_handed, silent])
async def test_what_peers_tell_makes_nobody_say_that_it_is_behind(
    autojump_clock: MockClock, tmp_path: Path, answer: Answer
) -> None:
    del autojump_clock
    genesis = make_genesis(4)
    hub, chain = MemoryHub(), await chain_of(genesis, HEIGHT)
    async with syncing_node(hub, "a-node", chain, tmp_path) as node, strangers(hub, genesis, answer):
        for _ in range(1_000):
            assert not node.sync.active
            await trio.sleep(0.1)
        assert node.peers.shown == HEIGHT


async def test_a_signed_commit_and_batches_that_arrive_do(autojump_clock: MockClock, tmp_path: Path) -> None:
    del autojump_clock
    genesis = make_genesis(4)
    hub, chain, honest = MemoryHub(), await open_chain(genesis), await chain_of(genesis, 40)
    async with syncing_node(hub, "a-node", chain, tmp_path) as node:
        assert not is_active(node)
        node.peers.note_shown(PeerId("somebody"), 40)  # As the gossip does, once it has checked the signatures.
        assert node.peers.shown == 40
        assert is_active(node)
        seen_at: set[int] = set()
        async with syncing_node(hub, "z-honest", honest, tmp_path), trio.open_nursery() as nursery:
            nursery.start_soon(note_active, node, seen_at)
            await seconds_until(lambda: node.height == 40, at_most=30)
            await seconds_until(lambda: not node.sync.active, at_most=1)
            nursery.cancel_scope.cancel()
        assert len(seen_at) > 1
        assert node.peers.shown == 40


def is_active(node: SyncingNode) -> bool:
    return node.sync.active


async def note_active(node: SyncingNode, seen_at: set[int]) -> None:
    while True:
        await node.driver.wait_for_height()
        if node.sync.active:
            seen_at.add(node.height)


async def test_a_height_that_consensus_is_about_to_reach_by_itself_is_not_behind_until_it_is_late(
    autojump_clock: MockClock,
    tmp_path: Path,
) -> None:
    del autojump_clock
    genesis = make_genesis(4)
    hub, chain = MemoryHub(), await chain_of(genesis, HEIGHT)
    hello = Hello(CHAIN_ID, genesis.hash, HEIGHT + 1)
    async with syncing_node(hub, "a-node", chain, tmp_path) as node, stranger(hub, "other", hello, silent):
        await seconds_until(lambda: node.peers.told(PeerId("other")) is not None, at_most=10)
        await trio.sleep(10)
        node.peers.note_shown(PeerId("other"), HEIGHT + 1)
        assert not is_active(node)
        await trio.sleep(1)
        assert is_active(node)


async def test_a_missing_proposal_is_asked_of_members_first(autojump_clock: MockClock, tmp_path: Path) -> None:
    del autojump_clock
    genesis, batch_hash = genesis_with_member("z-member"), b"\x07" * 32
    hub, chain, requests = MemoryHub(), await open_chain(genesis), list[bytes | None]()

    async def note(stream: Stream) -> None:
        requests.append(await stream.receive_message())

    async with (
        syncing_node(hub, "a-node", chain, tmp_path) as node,
        strangers(hub, genesis, empty_handed, height=0),
        stranger(hub, "z-member", Hello(CHAIN_ID, genesis.hash, 0), note),
    ):
        node.sync.want_proposal(1, batch_hash)
        assert await seconds_until(lambda: bool(requests), at_most=60) < 1
    assert requests == [encode(ProposalRequest(1, batch_hash))]
