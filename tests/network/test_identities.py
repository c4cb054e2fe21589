"""Who the connected peers are: a validator only by the chain's word and the peer's own together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from consensus.wire import WireError, decode, encode
from p2p.memory import MemoryHub
from p2p.network import Fault, PeerId, Stream
from step_node.api.status.node import PeerStatus
from step_node.build import release
from step_node.chain.chain import Chain
from step_node.chain.genesis import Genesis
from step_node.ledger.records import ValidatorState
from step_node.ledger.rules import known_versions
from step_node.multiaddrs import named_peer
from step_node.network.identities import agreed_validator
from step_node.network.peers import Peers
from step_node.network.protocols import (
    HELLO_BYTES_MAX,
    HELLO_PROTOCOL,
    NODE_VERSION_CHARACTERS_MAX,
    Hello,
)
from tests.network.nodes import stranger, syncing_node
from tests.support.chains import CHAIN_ID, make_genesis, open_chain, validator_names
from tests.support.proofs import address
from tests.support.waiting import until

NAMES = validator_names(3)
ONE, TWO, THREE = NAMES


def genesis_naming(**peer_ids: str) -> Genesis:
    """A genesis whose validators' addresses name these peers, by the validator's place; others name none."""
    genesis = make_genesis(3)
    return genesis.model_copy(
        update={
            "validators": tuple(
                validator.model_copy(update={"p2p_address": f"/memory/x/p2p/{peer_id}"})
                if (peer_id := peer_ids.get(place)) is not None
                else validator
                for place, validator in zip(("one", "two", "three"), genesis.validators, strict=True)
            )
        }
    )


@asynccontextmanager
async def greeter(hub: MemoryHub, name: str, chain: Chain, *, validator: str | None = None) -> AsyncIterator[Peers]:
    """A node that greets, and holds the key of `validator`."""
    own = None if validator is None else address(validator)
    async with hub.join(name) as network, trio.open_nursery() as nursery:
        peers = Peers(network, chain, on_height=lambda _peer_id, _height: None, validator=own)
        nursery.start_soon(peers.run)
        await network.start()
        yield peers
        nursery.cancel_scope.cancel()


async def nothing(_stream: Stream) -> None: ...


def greeted(peers: Peers, peer_id: str) -> bool:
    return peers.told(PeerId(peer_id)) is not None


async def test_two_validators_show_each_other_with_all_that_is_known() -> None:
    chain = await open_chain(genesis_naming(one="a", two="b"))
    hub = MemoryHub()
    async with greeter(hub, "a", chain, validator=ONE) as a, greeter(hub, "b", chain, validator=TWO) as b:
        await until(lambda: greeted(a, "b") and greeted(b, "a"))
        assert a.statuses() == (PeerStatus("b", "/memory/b", True, release(), 0, address(TWO), known_versions()),)
        assert b.statuses() == (PeerStatus("a", "/memory/a", False, release(), 0, address(ONE), known_versions()),)


async def test_a_peer_is_shown_before_its_hello_and_forgotten_when_it_goes() -> None:
    chain = await open_chain(genesis_naming(two="b"))
    hub = MemoryHub()
    async with greeter(hub, "a", chain) as a:
        async with hub.join("b") as silent:
            await silent.start()
            assert a.statuses() == (PeerStatus("b", "/memory/b", True, None, None, None),)
        assert a.statuses() == ()
        told = Hello(CHAIN_ID, chain.genesis.hash, 7, "9.9", address(TWO))
        async with stranger(hub, "b", told, nothing):
            await until(lambda: greeted(a, "b"))
            assert a.statuses() == (PeerStatus("b", "/memory/b", True, "9.9", 7, address(TWO)),)
        async with hub.join("b") as silent:
            await silent.start()
            await until(lambda: a.statuses() == (PeerStatus("b", "/memory/b", True, None, None, None),))


@pytest.mark.parametrize("validator", [ONE, TWO, "nobody"], ids=["another's", "one that names no peer", "no validator"])
async def test_nobody_is_a_validator_by_its_own_word(validator: str) -> None:
    chain = await open_chain(genesis_naming(one="honest"))
    hub = MemoryHub()
    told = Hello(CHAIN_ID, chain.genesis.hash, 0, "0.1.0", address(validator))
    async with greeter(hub, "a", chain) as a, stranger(hub, "mallory", told, nothing):
        await until(lambda: greeted(a, "mallory"))
        (shown,) = a.statuses()
        assert shown.validator is None


async def test_nobody_is_a_validator_by_the_word_of_its_owner_alone() -> None:
    """The owner of ONE names a node that is not its own: that one stays what it is, and ONE stays away."""
    chain = await open_chain(genesis_naming(one="b", two="b", three="observer"))
    hub = MemoryHub()
    async with (
        greeter(hub, "a", chain) as a,
        greeter(hub, "b", chain, validator=TWO),
        greeter(hub, "observer", chain),
    ):
        await until(lambda: greeted(a, "b") and greeted(a, "observer"))
        assert {peer.peer_id: peer.validator for peer in a.statuses()} == {"b": address(TWO), "observer": None}


async def test_a_node_keeps_to_itself_which_validator_it_is_unless_the_chain_names_it() -> None:
    chain = await open_chain(genesis_naming(one="another node, which stands before it"))
    heard: list[Hello] = []

    async def listen(stream: Stream) -> None:
        heard.append(decode(Hello, await stream.receive_message() or b"", bytes_max=HELLO_BYTES_MAX))
        await stream.send_message(encode(Hello(CHAIN_ID, chain.genesis.hash, 0)))

    hub = MemoryHub()
    async with greeter(hub, "a", chain, validator=ONE), hub.join("b") as network:
        network.serve(HELLO_PROTOCOL, listen, message_bytes_max=HELLO_BYTES_MAX, streams_max_per_peer=4)
        await network.start()
        await until(lambda: bool(heard))
    assert heard[0].validator is None


@pytest.mark.parametrize(
    ("validator", "is_said"), [(ONE, False), (TWO, True), (THREE, True), ("nobody", False), (None, False)]
)
async def test_a_node_that_the_chain_does_not_name_for_its_validator_says_so(
    validator: str | None, is_said: bool
) -> None:
    chain = await open_chain(genesis_naming(one="a", two="b"))
    with capture_logs() as lines:
        async with greeter(MemoryHub(), "a", chain, validator=validator):
            await trio.testing.wait_all_tasks_blocked()
    said = [line for line in lines if "set-address" in line["event"]]
    assert len(said) == is_said
    assert all(line["log_level"] == "warning" and line["peer_id"] == "a" for line in said)


async def test_a_replaced_key_makes_nobody_a_validator() -> None:
    records = genesis_naming(one="b").head().validators
    first = next(record for record in records if record.address == address(ONE))
    assert agreed_validator([first], PeerId("b"), address(ONE)) == address(ONE)
    for state in ValidatorState:
        agreed = agreed_validator([replace(first, state=state)], PeerId("b"), address(ONE))
        assert (agreed is None) == (state is ValidatorState.ROTATED), state


@pytest.mark.parametrize(
    ("text", "peer_id"),
    [
        ("/dns4/node.example/tcp/26600/p2p/16Uiu2", "16Uiu2"),
        ("/ip4/192.0.2.1/tcp/1/p2p/16Uiu2relay/p2p-circuit/p2p/16Uiu2", "16Uiu2"),
        ("/p2p/16Uiu2", "16Uiu2"),
        ("/dns4/node.example/tcp/26600", None),
        ("/dns4/node.example/tcp/26600/p2p/", None),
        ("/dns4/node.example/tcp/26600/p2p/16Uiu2/", None),
        ("/ip4/192.0.2.1/tcp/1/p2p/16Uiu2/p2p-circuit", None),
        ("", None),
        ("//..:%", None),
    ],
)
def test_an_address_names_the_peer_that_it_ends_in(text: str, peer_id: str | None) -> None:
    assert named_peer(text) == peer_id


LONGEST = Hello("c" * 64, bytes(32), 2**63 - 1, "v" * NODE_VERSION_CHARACTERS_MAX, bytes(20))


def test_the_longest_hello_fits_and_this_program_s_version_can_be_told() -> None:
    assert len(encode(LONGEST)) <= HELLO_BYTES_MAX
    assert Hello(CHAIN_ID, bytes(32), 0, release()).node_version == release()


@pytest.mark.parametrize(
    "version",
    ["", "\x1b[31m", "0.1\n0", "0.1 0", "0.1\u202e0", "1.0-ü", "v" * (NODE_VERSION_CHARACTERS_MAX + 1), "0.1.0\n"],
)
def test_a_version_that_a_terminal_could_obey_is_none(version: str) -> None:
    good = encode(replace(LONGEST, node_version="GOOD"))
    bad = version.encode()
    with pytest.raises(WireError, match="node_version"):
        decode(Hello, good.replace(b"\xa4GOOD", bytes((0xD9, len(bad))) + bad), bytes_max=HELLO_BYTES_MAX)


async def test_a_hello_with_such_a_version_is_charged_and_nothing_of_it_is_shown(tmp_path: Path) -> None:
    chain = await open_chain(genesis_naming())
    forged = encode(Hello(CHAIN_ID, chain.genesis.hash, 7, "GOOD")).replace(b"GOOD", b"\x1b[0m")

    async def answer(stream: Stream) -> None:
        await stream.receive_message()
        await stream.send_message(forged)

    hub = MemoryHub()
    async with syncing_node(hub, "a", chain, tmp_path) as node, hub.join("b") as network:
        network.serve(HELLO_PROTOCOL, answer, message_bytes_max=HELLO_BYTES_MAX, streams_max_per_peer=4)
        await network.start()
        await until(lambda: node.faults() == {Fault.MALFORMED: 1})
        assert node.peers.statuses() == (PeerStatus("b", "/memory/b", True, None, None, None),)
