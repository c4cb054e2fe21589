"""Two processes with one p2p key: both are told, by whoever is connected to both; nobody else is alarmed."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import structlog
import trio
from trio.testing import MockClock

from consensus.wire import encode
from p2p.libp2p_network import open_libp2p_network
from p2p.libp2p_settings import Libp2pSettings
from p2p.memory import MemoryHub
from p2p.network import Network, PeerId
from step_node.chain.chain import Chain
from step_node.network.instances import (
    ASKED_MAX,
    SAY_AGAIN_SECONDS,
    TELL_INTERVAL_SECONDS,
    TOLD_MAX,
    TOLD_SECONDS,
    SharedPeerIds,
)
from step_node.network.peers import Peers
from step_node.network.protocols import HELLO_BYTES_MAX, HELLO_PROTOCOL, Hello
from tests.network.nodes import TEST_TIMEOUT_SECONDS
from tests.p2p.worlds import private_key_of
from tests.support.chains import make_genesis, open_chain
from tests.support.waiting import until

GENESIS = make_genesis(1)
SHARED = PeerId("shared")


@asynccontextmanager
async def meeting() -> AsyncIterator[tuple[AsyncExitStack, trio.Nursery]]:
    """For networks, and for what runs on them; both end with it."""
    with trio.fail_after(10 * TEST_TIMEOUT_SECONDS):
        async with trio.open_nursery() as nursery:
            async with AsyncExitStack() as stack:
                yield stack, nursery
            nursery.cancel_scope.cancel()


async def begin(network: Network, chain: Chain, nursery: trio.Nursery) -> Peers:
    """Greet peers, over a network that is not started yet."""
    peers = Peers(network, chain, on_height=lambda _peer_id, _height: None)
    nursery.start_soon(peers.run)
    await network.start()
    return peers


async def joined(hub: MemoryHub, stack: AsyncExitStack, nursery: trio.Nursery, name: str) -> Peers:
    network = await stack.enter_async_context(hub.join(name, twin=name == SHARED))
    return await begin(network, await open_chain(GENESIS), nursery)


async def test_two_processes_with_one_peer_id_are_told_of_one_another(autojump_clock: MockClock) -> None:
    del autojump_clock
    hub = MemoryHub()
    async with meeting() as (stack, nursery):
        third = await joined(hub, stack, nursery, "third")
        first = await joined(hub, stack, nursery, SHARED)
        await trio.sleep(TOLD_SECONDS)
        assert not third.shared.is_shared(SHARED)
        assert first.shared.told_by() == 0
        began = trio.current_time()
        second = await joined(hub, stack, nursery, SHARED)
        await until(lambda: first.shared.told_by() == second.shared.told_by() == 1)
        assert trio.current_time() - began < 2
        assert third.shared.is_shared(SHARED)
        assert third.shared.told_by() == 0
        # For as long as it lasts.
        for _ in range(5):
            await trio.sleep(TELL_INTERVAL_SECONDS)
            assert first.shared.told_by() == second.shared.told_by() == 1


async def test_real_hosts_with_one_key_are_told_of_one_another() -> None:
    async with meeting() as (stack, nursery):
        networks: list[Network] = []
        peers: list[Peers] = []
        for key in ("third", "shared", "shared"):
            settings = Libp2pSettings(
                private_key=private_key_of(key),
                bootstrap_addresses=tuple(network.listen_addresses[0] for network in networks[:1]),
                redial_delay_initial_seconds=0.05,
                redial_delay_max_seconds=0.2,
            )
            network = await stack.enter_async_context(open_libp2p_network(settings))
            peers.append(await begin(network, await open_chain(GENESIS), nursery))
            networks.append(network)
        await until(lambda: peers[1].shared.told_by() == peers[2].shared.told_by() == 1)
        assert peers[0].shared.told_by() == 0


async def test_a_restart_alarms_nobody(autojump_clock: MockClock) -> None:
    del autojump_clock
    hub = MemoryHub()
    async with meeting() as (stack, nursery):
        third = await joined(hub, stack, nursery, "third")
        for _ in range(3):
            async with meeting() as (brief, life):
                again = await joined(hub, brief, life, SHARED)
                await trio.sleep(5)
                assert again.shared.told_by() == 0
        assert not third.shared.is_shared(SHARED)


async def test_a_connection_that_answers_no_more_is_no_second_process(autojump_clock: MockClock) -> None:
    """As after a power cut: the process before is gone, and its connection stands for half a minute more."""
    del autojump_clock
    hub = MemoryHub()
    async with meeting() as (stack, nursery):
        third = await joined(hub, stack, nursery, "third")
        gone = await stack.enter_async_context(hub.join(SHARED, twin=True))
        gone.serve(HELLO_PROTOCOL, silence, message_bytes_max=HELLO_BYTES_MAX, streams_max_per_peer=100)
        await gone.start()
        second = await joined(hub, stack, nursery, SHARED)
        await trio.sleep(20)
        assert len(third._network.instances(SHARED)) == 2
        assert not third.shared.is_shared(SHARED)
        assert second.shared.told_by() == 0


async def silence(_stream: object) -> None:
    await trio.sleep_forever()


async def test_a_peer_s_word_makes_one_line_a_minute_and_nothing_else(autojump_clock: MockClock) -> None:
    del autojump_clock
    hub = MemoryHub()
    async with meeting() as (stack, nursery):
        victim = await joined(hub, stack, nursery, "victim")
        liar = await stack.enter_async_context(hub.join("liar"))
        await liar.start()
        hello = encode(Hello(victim._chain.chain_id, GENESIS.hash, 0, other_instance=True))
        with structlog.testing.capture_logs() as lines:
            for _ in range(100):
                async with await liar.open_stream(
                    PeerId("victim"), HELLO_PROTOCOL, message_bytes_max=HELLO_BYTES_MAX
                ) as stream:
                    await stream.send_message(hello)
                    await stream.receive_message()
                    await stream.receive_message()
                await trio.sleep(SAY_AGAIN_SECONDS / 50)
        errors = [line for line in lines if line["log_level"] == "error"]
        assert 2 <= len(errors) <= 3
        assert victim.shared.told_by() == 1
        await trio.sleep(TOLD_SECONDS)
        assert victim.shared.told_by() == 0


async def test_the_word_of_many_is_forgotten_in_the_end(autojump_clock: MockClock) -> None:
    del autojump_clock
    async with MemoryHub().join("victim") as network:
        shared = SharedPeerIds(network)
        for number in range(2 * TOLD_MAX):
            shared.hear(PeerId(f"liar {number}"))
        assert shared.told_by() == TOLD_MAX


class Crowd:
    """A network on which each peer id leads to two processes."""

    peer_id = PeerId("own")

    def __init__(self, size: int) -> None:
        self._peers = tuple(PeerId(f"peer {number}") for number in range(size))

    def peers(self) -> tuple[PeerId, ...]:
        return self._peers

    def instances(self, peer_id: PeerId) -> tuple[bytes, ...]:
        return (peer_id.encode() + b" 1", peer_id.encode() + b" 2")


@pytest.mark.parametrize("answers", [True, False])
async def test_of_many_shared_peer_ids_all_have_their_turn(autojump_clock: MockClock, answers: bool) -> None:
    del autojump_clock
    asked: dict[PeerId, int] = {}
    at_once, most_at_once = 0, 0

    async def greet(peer_id: PeerId, _instance: bytes) -> bool:
        nonlocal at_once, most_at_once
        asked[peer_id] = asked.get(peer_id, 0) + 1
        at_once += 1
        most_at_once = max(most_at_once, at_once)
        try:
            await trio.sleep(1 if answers else math.inf)
        finally:
            at_once -= 1
        return True

    crowd = Crowd(20)
    shared = SharedPeerIds(crowd)  # type: ignore[arg-type]
    with trio.move_on_after(200):
        await shared.run(greet)
    assert len(asked) == 20
    assert most_at_once <= 2 * ASKED_MAX
