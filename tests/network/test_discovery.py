"""Finding peers: the set is followed, strangers' words are bounded, and addresses are dialled before they are told."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog
import trio

from consensus.wire import decode, encode
from p2p.addresses import parse_peer_address
from p2p.errors import PeerUnreachable
from p2p.libp2p_host import peer_id_of
from p2p.libp2p_network import Libp2pNetwork, open_libp2p_network
from p2p.libp2p_settings import Libp2pSettings
from p2p.memory import MemoryHub, MemoryNetwork
from p2p.network import Connection, Fault, PeerId, Scope
from step_node.ledger.records import ValidatorRecord, ValidatorState
from step_node.network.address_book import AddressBook, Known
from step_node.network.discovery import ASKED_RATE, Discovery
from step_node.network.protocols import PEERS_BYTES_MAX, PEERS_PROTOCOL, PeersAnswer, PeersRequest
from tests.p2p.worlds import TEST_TIMEOUT_SECONDS, connected, private_key_of
from tests.support.clock import SetClock
from tests.support.waiting import until

NOW_MS = 1_700_000_000_000
ELSEWHERE = peer_id_of(private_key_of("elsewhere"))
PUBLIC = f"/ip4/8.8.4.4/tcp/26600/p2p/{ELSEWHERE}"
NARROW = [f"/ip4/{host}/tcp/8600/p2p/{ELSEWHERE}" for host in ("127.0.0.1", "169.254.169.254", "10.0.0.1", "0.0.0.0")]


def no_validators() -> list[ValidatorRecord]:
    return []


# On real networks.


@asynccontextmanager
async def finding(
    name: str, *bootstrap: str, book: AddressBook | None = None, private_peers: Sequence[PeerId] = ()
) -> AsyncIterator[Libp2pNetwork]:
    """A libp2p network with its discovery, on loopback."""
    settings = Libp2pSettings(
        private_key=private_key_of(name),
        bootstrap_addresses=bootstrap,
        redial_delay_initial_seconds=0.05,
        redial_delay_max_seconds=0.2,
    )
    with trio.fail_after(TEST_TIMEOUT_SECONDS):
        async with open_libp2p_network(settings) as network, trio.open_nursery() as nursery:
            discovery = Discovery(
                network=network,
                records=no_validators,
                book=AddressBook(SetClock(NOW_MS)) if book is None else book,
                private_peers=private_peers,
            )
            await network.start()
            nursery.start_soon(discovery.run)
            yield network
            nursery.cancel_scope.cancel()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("step_node.network.discovery.TICK_MS", 20)
    monkeypatch.setattr("step_node.network.discovery.ASK_AGAIN_SECONDS", 0.5)


@pytest.mark.usefixtures("quick")
async def test_strangers_that_know_one_peer_find_one_another_and_stay_when_it_is_gone() -> None:
    async with finding("one") as one, finding("two") as two:
        async with (
            finding("hub", *one.listen_addresses, *two.listen_addresses) as hub,
            finding("three", *hub.listen_addresses) as three,
        ):
            for network in (one, two, three):
                await connected(network, 3)
        await until(lambda: hub.peer_id not in (*one.peers(), *two.peers()))
        assert two.peer_id in one.peers()


@pytest.mark.usefixtures("quick")
async def test_an_address_that_leads_to_somebody_else_or_nowhere_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    book, tried = AddressBook(SetClock(NOW_MS)), list[str]()
    monkeypatch.setattr(book, "note_silence", lambda address: tried.append(str(address)))
    async with finding("hub", book=book) as hub, finding("honest", *hub.listen_addresses) as honest:
        where = honest.listen_addresses[0].partition("/p2p/")[0]
        settings = Libp2pSettings(private_key=private_key_of("liar"), bootstrap_addresses=hub.listen_addresses)
        async with open_libp2p_network(settings) as liar:
            await liar.start()
            await connected(liar, 1)
            own = (f"{where}/p2p/{liar.peer_id}", f"/ip4/127.0.0.1/tcp/1/p2p/{liar.peer_id}")
            await ask(liar, hub, own)
            await until(lambda: len(book.known()) == 1 and not book.heard() and len(tried) == 2)
            assert [str(known.address) for known in book.known()] == [honest.listen_addresses[0]]
            assert await ask(liar, hub) == {honest.listen_addresses[0]}


@pytest.mark.usefixtures("quick")
async def test_where_a_private_peer_is_found_is_neither_kept_nor_told() -> None:
    async with finding("validator") as validator, finding("other") as other:
        address, book = validator.listen_addresses[0], AddressBook(SetClock(NOW_MS))
        book.note_answer(parse_peer_address(address))  # As from before it was private.
        dialled = (address, *other.listen_addresses)
        async with finding("sentry", *dialled, book=book, private_peers=[validator.peer_id]) as sentry:
            await connected(sentry, 2)
            await until(lambda: [str(known.address) for known in book.known()] == [other.listen_addresses[0]])
            # Whoever guesses the address is not told either whether it is right.
            settings = Libp2pSettings(
                private_key=private_key_of("curious"), bootstrap_addresses=sentry.listen_addresses
            )
            async with open_libp2p_network(settings) as curious:
                await curious.start()
                await connected(curious, 1)
                sentry_hears = [f"{address.partition('/p2p/')[0]}/p2p/{validator.peer_id}"]
                assert await ask(curious, sentry, sentry_hears) == {other.listen_addresses[0]}
            assert not book.heard()


async def ask(near: Any, far: Any, own: Sequence[str] = ()) -> set[str] | None:
    """What `far` answers; None if it does not."""
    async with await near.open_stream(far.peer_id, PEERS_PROTOCOL, message_bytes_max=PEERS_BYTES_MAX) as stream:
        await stream.send_message(encode(PeersRequest(tuple(own))))
        data = await stream.receive_message()
    return None if data is None else set(decode(PeersAnswer, data, bytes_max=PEERS_BYTES_MAX).addresses)


async def test_a_book_from_before_leads_back_to_the_network_when_all_bootstrap_peers_are_gone() -> None:
    async with finding("one") as one:
        known = [Known(parse_peer_address(one.listen_addresses[0]), NOW_MS)]
        async with finding("two", book=AddressBook(SetClock(NOW_MS), known=known)) as two:
            await connected(two, 1)
            assert two.peers() == (one.peer_id,)


# On a pretended network, on which peers are where the test says.


@dataclass
class Told:
    """What a discovery has asked of its network."""

    kept: list[list[str]] = field(default_factory=list)
    connected: list[str] = field(default_factory=list)
    verified: list[str] = field(default_factory=list)


@dataclass
class Node:
    """A discovery on a network whose peers seem to come from `host`."""

    network: MemoryNetwork
    discovery: Discovery
    book: AddressBook
    told: Told


@asynccontextmanager
async def node_seen_from(
    host: str, *, records: Iterable[ValidatorRecord] = (), external: Sequence[str] = (), runs: bool = True
) -> AsyncIterator[tuple[Node, MemoryNetwork]]:
    """The node, and a peer of it that speaks for itself."""
    hub, told, book = MemoryHub(), Told(), AddressBook(SetClock(NOW_MS), rng=random.Random(1))
    with trio.fail_after(10 * TEST_TIMEOUT_SECONDS):  # Much of it is a clock that jumps.
        async with hub.join("node") as network, hub.join("peer") as peer, trio.open_nursery() as nursery:
            peer.serve(PEERS_PROTOCOL, tell_nothing, message_bytes_max=PEERS_BYTES_MAX, streams_max_per_peer=9)
            discovery = Discovery(network=network, records=lambda: records, book=book, external_addresses=external)

            def connections() -> dict[PeerId, Connection]:
                return {peer_id: Connection(f"/ip4/{host}/tcp/40000", False, 0.0) for peer_id in network.peers()}

            def keep_connected(addresses: Iterable[str], *, narrowest: Scope = Scope.LOOPBACK) -> None:
                del narrowest
                told.kept.append(list(addresses))

            async def connect(address: str, *, narrowest: Scope = Scope.LOOPBACK) -> None:
                del narrowest
                told.connected.append(address)
                raise PeerUnreachable(ELSEWHERE, "nobody is there")

            network.connections = connections  # type: ignore[method-assign]
            network.keep_connected = keep_connected  # type: ignore[method-assign]
            network.connect = connect  # type: ignore[method-assign]
            await network.start()
            await peer.start()
            if runs:
                nursery.start_soon(discovery.run)
            yield Node(network, discovery, book, told), peer
            nursery.cancel_scope.cancel()


async def tell_nothing(stream: Any) -> None:
    await stream.receive_message()
    await stream.send_message(encode(PeersAnswer(())))


@pytest.mark.parametrize(
    ("host", "dialled"),
    [
        ("8.8.8.8", [PUBLIC]),
        ("10.9.9.9", [NARROW[2], PUBLIC]),
        ("127.0.0.1", [NARROW[0], NARROW[1], NARROW[2], PUBLIC]),
    ],
    ids=["public", "private", "loopback"],
)
async def test_nobodys_word_leads_where_it_could_not_be_itself(
    host: str, dialled: list[str], autojump_clock: Any
) -> None:
    del autojump_clock
    async with node_seen_from(host) as (node, peer):
        node.discovery._take_answer(
            peer.peer_id, encode(PeersAnswer((*NARROW, PUBLIC, "/nonsense", "/ip4/8.8.8.8/tcp/1")))
        )
        await trio.sleep(60)
        assert node.told.connected == dialled


async def test_what_reaches_no_further_than_this_network_is_not_told_to_the_internet() -> None:
    for host, told in (("8.8.8.8", {PUBLIC}), ("10.9.9.9", {PUBLIC, NARROW[2]})):
        async with node_seen_from(host, runs=False) as (node, peer):
            for text in (NARROW[0], NARROW[2], PUBLIC):
                node.book.note_answer(parse_peer_address(text))
            assert await ask(peer, node.network) == told


async def test_a_banned_peers_address_is_neither_told_nor_dialled(autojump_clock: Any) -> None:
    del autojump_clock
    async with node_seen_from("8.8.8.8") as (node, peer):
        node.book.note_answer(parse_peer_address(PUBLIC))
        node.network.penalise(ELSEWHERE, Fault.WRONG_CHAIN)
        assert await ask(peer, node.network) == set()
        node.discovery._take_answer(peer.peer_id, encode(PeersAnswer((PUBLIC,))))
        await trio.sleep(5 * TEST_TIMEOUT_SECONDS)
        assert node.told.connected == []
        assert node.book.known() == ()


async def test_a_peer_that_says_it_listens_everywhere_is_looked_for_where_it_comes_from() -> None:
    own = peer_id_of(private_key_of("own"))
    async with node_seen_from("8.8.8.8", runs=False) as (node, _):
        connection = Connection("/ip4/8.8.8.8/tcp/40000", False, 0.0)
        node.network.connections = lambda: {own: connection}  # type: ignore[method-assign]
        told = [f"/ip4/0.0.0.0/tcp/26600/p2p/{own}", "/ip6/::/tcp/26600", f"/ip4/8.8.8.8/tcp/1/p2p/{ELSEWHERE}", "x"]
        seen = [node.discovery._seen_from_here(text, own) for text in told]
    here = f"/ip4/8.8.8.8/tcp/26600/p2p/{own}"
    assert [str(address) for address in seen] == [here, here, "None", "None"]


async def test_a_node_tells_of_itself_what_its_operator_said_and_no_address_that_is_of_no_use() -> None:
    own = peer_id_of(private_key_of("own"))
    external = [
        f"/ip4/8.8.8.8/tcp/26600/p2p/{own}",
        f"/dns4/node.example/tcp/26600/p2p/{own}",
        f"/ip4/10.0.0.1/tcp/1/p2p/{own}",
    ]
    async with node_seen_from("8.8.4.4", external=external, runs=False) as (node, peer):
        assert node.discovery._told_of_itself(peer.peer_id) == tuple(external[:2])
    async with node_seen_from("10.0.0.9", external=external, runs=False) as (node, peer):
        assert node.discovery._told_of_itself(peer.peer_id) == tuple(external)


async def test_a_peer_that_asks_again_and_again_gets_no_answer() -> None:
    async with node_seen_from("8.8.8.8", runs=False) as (node, peer):
        answers = [await ask(peer, node.network) for _ in range(int(ASKED_RATE.messages_burst) + 1)]
        assert answers[-1] is None
        assert None not in answers[:-1]


async def test_an_answer_or_a_request_that_cannot_be_read_is_charged() -> None:
    async with node_seen_from("8.8.8.8", runs=False) as (node, peer):
        async with await peer.open_stream(node.network.peer_id, PEERS_PROTOCOL) as stream:
            await stream.send_message(b"junk")
            with pytest.raises(PeerUnreachable):
                await stream.receive_message()
        assert node.network.statistics().penalties == {Fault.MALFORMED: 1}
    async with node_seen_from("8.8.8.8", runs=False) as (node, peer):

        async def junk(stream: Any) -> None:
            await stream.receive_message()
            await stream.send_message(b"junk")

        peer._protocols[PEERS_PROTOCOL].handler = junk
        await node.discovery._ask(peer.peer_id)
        assert node.network.statistics().penalties == {Fault.MALFORMED: 1}


# The set.


def record(name: str, where: str, state: ValidatorState = ValidatorState.ACTIVE) -> ValidatorRecord:
    return ValidatorRecord(
        address=name.encode().ljust(20),
        public_key=bytes(33),
        stake_ustep=1,
        p2p_address=where,
        owner=bytes(20),
        state=state,
    )


async def test_the_validators_of_the_head_are_followed_with_those_about_to_join_and_no_others() -> None:
    addresses = {
        state: f"/ip4/8.8.4.{int(state)}/tcp/1/p2p/{peer_id_of(private_key_of(state.name))}" for state in ValidatorState
    }
    records = [record(state.name, where, state) for state, where in addresses.items()]
    async with node_seen_from("8.8.8.8", records=records, runs=False) as (node, _):
        node.discovery.follow_set()
        node.discovery.follow_set()
        records[:] = records[1:]
        node.discovery.follow_set()
    wanted = [addresses[state] for state in (ValidatorState.WAITING, ValidatorState.ACTIVE, ValidatorState.LEAVING)]
    assert node.told.kept == [wanted, wanted[1:]]


async def test_an_address_on_the_chain_that_nobody_could_dial_hurts_nobody_and_is_told_once() -> None:
    good = PUBLIC
    bad = ["/dns4/node1/tcp/26600", "/ip4/8.8.8.8/udp/1/quic-v1", "/unix/tmp"]
    records = [record(f"{number}", where) for number, where in enumerate([*bad, good])]
    async with node_seen_from("8.8.8.8", records=records, runs=False) as (node, _):
        with structlog.testing.capture_logs() as lines:
            node.discovery.follow_set()
            records.append(record("late", good.replace("8.8.4.4", "8.8.4.5")))
            node.discovery.follow_set()
    assert [kept[0] for kept in node.told.kept] == [good, good]
    assert [line["address"] for line in lines if "cannot be dialled" in line["event"]] == sorted(bad)
