"""Joining from a peer's snapshot: from an honest one to its height and on, from another not a step."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from consensus.messages import Commit, PreCommit
from consensus.wire import decode, encode
from p2p.errors import PeerUnreachable
from p2p.libp2p_network import open_libp2p_network
from p2p.libp2p_settings import Libp2pSettings
from p2p.memory import MemoryHub
from p2p.network import Fault, Network, Stream
from step_node.batch.batch import decode_batch
from step_node.chain.chain import COMMIT_BYTES_MAX, Chain
from step_node.ledger.commitment import state_root
from step_node.network import peers, protocols, snapshots, sync
from step_node.network.protocols import (
    SNAPSHOT_PROTOCOL,
    ChunkRequest,
    Hello,
    ManifestRequest,
    SetLinks,
    SnapshotChunk,
)
from step_node.snapshot.manifest import SnapshotManifest, chunk_hash
from step_node.snapshot.store import SnapshotStore
from step_node.snapshot.validator_sets import ValidatorSetLinks
from tests.network.nodes import Answer, stranger, syncing_node
from tests.receipts.test_links import forged
from tests.snapshot.changing_chain import ChangingChain, changing_genesis, signed_vote
from tests.snapshot.snapshots import Snapshot, grow, small_snapshot
from tests.support.chains import CHAIN_ID, build, commit_for, make_genesis, open_chain, validator_names
from tests.support.proofs import address, private_key, signed_proof
from tests.support.waiting import until

GENESIS = make_genesis(4)
CHANGING = changing_genesis()
BASE = 6
HEIGHT = 9


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for other machines need not wait here."""
    monkeypatch.setattr(sync, "GRACE_MS", 1)
    monkeypatch.setattr(peers, "GREETING_INTERVAL_MS", 10)


async def shelf_at(folder: Path) -> SnapshotStore:
    return await SnapshotStore.open(folder, chunk_bytes=600)


async def giving_chain(folder: Path) -> tuple[Chain, SnapshotStore]:
    """A chain of `HEIGHT` batches, and a store with its snapshot of `BASE`."""
    chain, snapshot_store = await open_chain(GENESIS), await shelf_at(folder)
    await grow(chain, BASE)
    await snapshot_store.take(chain.storage)
    await grow(chain, HEIGHT - BASE)
    return chain, snapshot_store


async def first_height(chain: Chain) -> int | None:
    return await chain.storage.first_height()


def hello(height: int = HEIGHT) -> Hello:
    return Hello(CHAIN_ID, GENESIS.hash, height)


async def silent(stream: Stream) -> None:
    await stream.receive_message()


async def test_an_empty_node_far_behind_joins_from_a_snapshot_and_fetches_the_rest(tmp_path: Path) -> None:
    hub, empty = MemoryHub(), await open_chain(GENESIS)
    long, snapshot_store = await giving_chain(tmp_path / "giver")
    async with (
        syncing_node(hub, "a", empty, tmp_path, snapshot_store=await shelf_at(tmp_path / "joiner")) as joiner,
        syncing_node(hub, "b", long, tmp_path, snapshot_store=snapshot_store) as giver,
    ):
        await until(lambda: joiner.height == HEIGHT)
        assert joiner.chain.head == giver.chain.head
        assert state_root(joiner.chain.head.lanes) == state_root(long.head.lanes)
        assert await first_height(joiner.chain) == BASE
        assert await joiner.chain.storage.batches(1, 10) == ()
        assert await joiner.chain.storage.batches(BASE, 10) == await long.storage.batches(BASE, 10)
        assert joiner.faults() == giver.faults() == {}
        assert giver.network.statistics().handler_failures == 0
        assert list((tmp_path / "joiner").iterdir()) == []
        # It goes on like any other, and gives what it has.
        judged = await build(long, [signed_proof("later")])
        await giver.driver.apply_decided(judged.batch, commit_for(judged.batch, validator_names(4)))
        await until(lambda: joiner.height == HEIGHT + 1)
        again = await build(joiner.chain, [signed_proof("later still")])
        await joiner.driver.apply_decided(again.batch, commit_for(again.batch, validator_names(4)))
        await until(lambda: giver.height == HEIGHT + 2)
        assert giver.chain.head == joiner.chain.head


async def test_a_restart_after_the_jump_goes_on_from_there(tmp_path: Path) -> None:
    empty = await open_chain(GENESIS)
    long, snapshot_store = await giving_chain(tmp_path / "giver")
    hub = MemoryHub()
    async with (
        syncing_node(hub, "a", empty, tmp_path, snapshot_store=await shelf_at(tmp_path / "joiner")) as joiner,
        syncing_node(hub, "b", long, tmp_path, snapshot_store=snapshot_store),
    ):
        await until(lambda: joiner.height == HEIGHT)
    again = await open_chain(GENESIS, storage=empty.storage)
    assert again.head == long.head
    async with syncing_node(MemoryHub(), "a", again, tmp_path):
        assert await build(again, [signed_proof("later")])


@pytest.mark.parametrize("reason", ["near", "not empty", "promised", "turned off"])
async def test_a_node_that_should_not_jump_fetches_every_batch(tmp_path: Path, reason: str) -> None:
    hub, empty = MemoryHub(), await open_chain(GENESIS)
    long, snapshot_store = await giving_chain(tmp_path / "giver")
    if reason == "not empty":
        await grow(empty, 1)
    own = None if reason == "turned off" else await shelf_at(tmp_path / "joiner")
    async with (
        syncing_node(
            hub,
            "a",
            empty,
            tmp_path,
            snapshot_store=own,
            distance_batches=HEIGHT if reason == "near" else 1,
            owes_answers=reason == "promised",
        ) as joiner,
        syncing_node(hub, "b", long, tmp_path, snapshot_store=snapshot_store),
    ):
        await until(lambda: joiner.height == HEIGHT)
        assert await first_height(joiner.chain) == 1
        assert joiner.chain.head == long.head


async def test_peers_without_a_snapshot_are_not_at_fault_and_batches_are_fetched(tmp_path: Path) -> None:
    hub, empty, long = MemoryHub(), await open_chain(GENESIS), await open_chain(GENESIS)
    await grow(long, HEIGHT)
    latest_only = await shelf_at(tmp_path / "latest")
    # Nothing follows it yet that could prove it.
    await latest_only.take(long.storage)
    async with (
        syncing_node(hub, "a", empty, tmp_path, snapshot_store=await shelf_at(tmp_path / "joiner")) as joiner,
        syncing_node(hub, "b", long, tmp_path, snapshot_store=latest_only),
        stranger(hub, "c", hello(), silent),
        stranger(hub, "d", hello(), silent, silent),
    ):
        await until(lambda: joiner.height == HEIGHT)
        assert await first_height(joiner.chain) == 1
        assert joiner.faults() == {}


async def test_who_lacks_the_batches_asked_for_misleads_nobody(tmp_path: Path) -> None:
    """One peer joined from a snapshot; a node below its base gets what it needs from another."""
    hub, empty = MemoryHub(), await open_chain(GENESIS)
    long, snapshot_store = await giving_chain(tmp_path / "giver")
    joined, behind = empty, await open_chain(GENESIS)
    async with (
        syncing_node(hub, "b", long, tmp_path, snapshot_store=snapshot_store),
        syncing_node(hub, "a", joined, tmp_path, snapshot_store=await shelf_at(tmp_path / "joiner")) as joiner,
    ):
        await until(lambda: joiner.height == HEIGHT)
    await grow(behind, 1)
    hub = MemoryHub()
    async with (
        syncing_node(hub, "a", joined, tmp_path),
        syncing_node(hub, "c", behind, tmp_path) as node,
    ):
        # With nobody else it stays where it is, and blames nobody.
        opened = node.network.statistics().streams_opened
        await until(lambda: node.network.statistics().streams_opened >= opened + 4)
        assert node.height == 1
        async with syncing_node(hub, "b", long, tmp_path):
            await until(lambda: node.height == HEIGHT)
        assert node.faults() == {}


class Libp2p:
    """Nodes on this machine, over TCP. Whoever comes later dials whoever came first."""

    def __init__(self) -> None:
        self.first: tuple[str, ...] = ()

    def join(self, name: str, /) -> AbstractAsyncContextManager[Network]:
        return open_libp2p_network(
            Libp2pSettings(
                private_key=private_key(name),
                listen_addresses=("/ip4/127.0.0.1/tcp/0",),
                bootstrap_addresses=self.first,
            )
        )


async def test_it_works_over_libp2p_too(tmp_path: Path) -> None:
    empty = await open_chain(GENESIS)
    long, snapshot_store = await giving_chain(tmp_path / "giver")
    hub = Libp2p()
    async with syncing_node(hub, "b", long, tmp_path, snapshot_store=snapshot_store) as giver:
        hub.first = giver.network.listen_addresses
        async with syncing_node(
            hub, "a", empty, tmp_path, snapshot_store=await shelf_at(tmp_path / "joiner")
        ) as joiner:
            await until(lambda: joiner.height == HEIGHT)
            assert joiner.chain.head == long.head
            assert await first_height(joiner.chain) == BASE
            assert joiner.faults() == giver.faults() == {}


def giving(snapshot: Snapshot) -> Answer:
    """Answer with these, whatever they are."""

    async def answer(stream: Stream) -> None:
        await stream.receive_message()
        await stream.send_message(encode(snapshot.manifest))
        for chunk in snapshot.chunks:
            if await stream.receive_message() is None:
                return
            await stream.send_message(encode(SnapshotChunk(chunk)))

    return answer


async def garbage(stream: Stream) -> None:
    await stream.receive_message()
    await stream.send_message(b"\x00garbage")


async def stalling(stream: Stream) -> None:
    await stream.receive_message()
    await trio.sleep_forever()


async def liars() -> dict[str, tuple[Answer, Fault | None]]:
    _, good = await small_snapshot(GENESIS, BASE, chunk_bytes=600)
    manifest, index = good.manifest, good.manifest.snapshot
    flipped = bytearray(good.chunks[1])
    flipped[-1] ^= 1
    chunks = (good.chunks[0], bytes(flipped), *good.chunks[2:])
    listed = replace(manifest, snapshot=replace(index, chunks=tuple(map(chunk_hash, chunks))))
    signatures = manifest.next_commit.signatures
    forged = (replace(signatures[0], signature=signatures[1].signature), *signatures[1:])
    two = replace(manifest, next_commit=replace(manifest.next_commit, signatures=signatures[:2]))
    foreign = (await small_snapshot(make_genesis(7), BASE, chunk_bytes=600))[1]
    return {
        "garbage": (garbage, Fault.MALFORMED),
        "stalling": (stalling, Fault.STALLED),
        "a flipped byte in a chunk": (giving(Snapshot(manifest, chunks)), Fault.INVALID_DATA),
        "a flipped byte in a chunk that is listed so": (giving(Snapshot(listed, chunks)), Fault.INVALID_DATA),
        "a flipped byte in the manifest": (
            giving(Snapshot(replace(manifest, snapshot=replace(index, records=index.records ^ 1)), good.chunks)),
            Fault.INVALID_DATA,
        ),
        "another state root": (
            giving(Snapshot(replace(manifest, next_header=replace(manifest.next_header, state_root=bytes(32))), ())),
            Fault.INVALID_DATA,
        ),
        "no quorum": (giving(Snapshot(two, good.chunks)), Fault.INVALID_DATA),
        "a forged signature": (
            giving(Snapshot(replace(manifest, next_commit=replace(manifest.next_commit, signatures=forged)), ())),
            Fault.INVALID_DATA,
        ),
        "chunks that end early": (giving(Snapshot(manifest, good.chunks[:2])), None),
        "another chain's validators": (giving(foreign), None),
    }


@pytest.mark.parametrize(
    "case",
    [
        "garbage",
        "stalling",
        "a flipped byte in a chunk",
        "a flipped byte in a chunk that is listed so",
        "a flipped byte in the manifest",
        "another state root",
        "no quorum",
        "a forged signature",
        "chunks that end early",
        "another chain's validators",
    ],
)
async def test_a_bad_snapshot_leaves_the_state_as_it_is_and_an_honest_peer_is_asked(
    tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if case == "stalling":
        monkeypatch.setattr(protocols, "ANSWER_TIMEOUT_MS", 100)
    answer, fault = (await liars())[case]
    asked = trio.Event()

    async def observed(stream: Stream) -> None:
        asked.set()
        await answer(stream)

    hub, chain = MemoryHub(), await open_chain(GENESIS)
    before = chain.head
    long, snapshot_store = await giving_chain(tmp_path / "giver")
    async with (
        syncing_node(hub, "a", chain, tmp_path, snapshot_store=await shelf_at(tmp_path / "joiner")) as node,
        stranger(hub, "liar", hello(), silent, observed),
    ):
        await until(asked.is_set)
        await until(lambda: fault is None or fault in node.faults())
        monkeypatch.undo()  # The honest peer may be slow on a busy machine.
        assert chain.head is before
        assert await chain.storage.totals() == await (await open_chain(GENESIS)).storage.totals()
        async with syncing_node(hub, "b", long, tmp_path, snapshot_store=snapshot_store):
            await until(lambda: node.height == HEIGHT)
            assert await first_height(node.chain) == BASE
        assert chain.head == long.head
        assert set(node.faults()) == (set() if fault is None else {fault})
        assert list((tmp_path / "joiner").iterdir()) == []


async def changed_chain(folder: Path) -> tuple[ChangingChain, SnapshotStore]:
    """A validator has registered, one has a new key, one has been slashed; then a snapshot, and batches after it."""
    chain, snapshot_store = await ChangingChain.begin(CHANGING), await shelf_at(folder)
    await chain.grow(2)
    await chain.register()
    await chain.rotate(chain.members[0])
    await chain.slash(chain.members[1])
    await chain.grow(2)
    await snapshot_store.take(chain.chain.storage)
    await chain.grow(3)
    return chain, snapshot_store


async def test_a_node_joins_after_validators_have_been_registered_rotated_and_slashed(tmp_path: Path) -> None:
    long, snapshot_store = await changed_chain(tmp_path / "giver")
    base, height = snapshot_store.snapshots()[0].height, long.chain.head.chain.height
    joined, own_shelf = await open_chain(CHANGING), await shelf_at(tmp_path / "joiner")
    set_links = await ValidatorSetLinks.open(tmp_path / "sets", CHANGING)
    hub = MemoryHub()
    async with (
        syncing_node(hub, "a", joined, tmp_path, snapshot_store=own_shelf, set_links=set_links) as joiner,
        syncing_node(hub, "b", long.chain, tmp_path, snapshot_store=snapshot_store, set_links=long.set_links) as giver,
    ):
        await until(lambda: joiner.height == height)
        assert joined.head == long.chain.head
        assert await first_height(joined) == base
        assert joiner.faults() == giver.faults() == {}
    # After a restart it gives a snapshot itself, of a set that has changed again, with the links that it was given.
    grown = ChangingChain(joined, await ValidatorSetLinks.open(tmp_path / "sets", CHANGING))
    await grown.set_links.begin(joined.validators)
    await grown.slash(grown.members[0])
    await grown.grow(2)
    await own_shelf.take(joined.storage)
    await grown.grow()
    assert len(grown.set_links.links) == len(long.set_links.links) + 1
    third, hub = await open_chain(CHANGING), MemoryHub()
    async with (
        syncing_node(hub, "a", joined, tmp_path, snapshot_store=own_shelf, set_links=grown.set_links),
        syncing_node(hub, "c", third, tmp_path, snapshot_store=await shelf_at(tmp_path / "third")) as node,
    ):
        await until(lambda: node.height == joined.head.chain.height)
        assert third.head == joined.head
        assert await first_height(third) == own_shelf.snapshots()[0].height


async def test_the_commit_of_a_base_under_an_earlier_set_is_good_after_the_jump(tmp_path: Path) -> None:
    """The snapshot is of the very height that changed the set; and the batch after it brings a commit with one
    signature more, of somebody who is not in the set of genesis."""
    long, snapshot_store = await ChangingChain.begin(CHANGING), await shelf_at(tmp_path / "giver")
    await long.register()
    late = next(name for name in long.members if name not in validator_names(4))
    await long.grow(culprit=next(name for name in long.members if name != late), absent=[late])
    await snapshot_store.take(long.chain.storage)
    head = long.chain.head.chain
    vote = PreCommit(head.height, 0, head.batch_hash, address(late))
    long.chain.note_late_pre_commit(signed_vote(vote, late))
    await long.grow(2)
    height, joined, hub = long.chain.head.chain.height, await open_chain(CHANGING), MemoryHub()
    async with (
        syncing_node(hub, "a", joined, tmp_path, snapshot_store=await shelf_at(tmp_path / "joiner")) as joiner,
        syncing_node(hub, "b", long.chain, tmp_path, snapshot_store=snapshot_store, set_links=long.set_links) as giver,
    ):
        await until(lambda: joiner.height == height)
        assert joined.head == long.chain.head
        assert await first_height(joined) == height - 2
        assert joiner.faults() == giver.faults() == {}


@pytest.mark.parametrize("case", ["forged", "too few", "too many", "a flipped byte", "none", "stops", "garbage"])
async def test_bad_links_lead_nowhere_and_an_honest_peer_is_asked(tmp_path: Path, case: str) -> None:
    long, snapshot_store = await changed_chain(tmp_path / "giver")
    index, links = snapshot_store.snapshots()[0], long.set_links.links
    (following,) = await long.chain.storage.batches(index.height + 1, 1)
    commit = decode(Commit, following.commit, bytes_max=COMMIT_BYTES_MAX)
    manifest = SnapshotManifest(index, decode_batch(following.batch).header, commit, len(links))
    chunks = tuple([await snapshot_store.chunk(index, number) or b"" for number in range(len(index.chunks))])
    last = links[-1]
    two = replace(last, commit=replace(last.commit, signatures=last.commit.signatures[:2]))
    flipped = bytearray(encode(SetLinks(links)))
    flipped[-1] ^= 1
    answers: dict[str, tuple[int, bytes | None, Fault | None]] = {
        "forged": (1, encode(SetLinks((forged(["liar"], ["liar", "validator-1"]),))), Fault.INVALID_DATA),
        "too few": (len(links), encode(SetLinks((*links[:-1], two))), Fault.INVALID_DATA),
        "too many": (1, encode(SetLinks(links[:2])), Fault.INVALID_DATA),
        "a flipped byte": (len(links), bytes(flipped), Fault.INVALID_DATA),
        "none": (0, encode(SetLinks(links)), None),
        "stops": (len(links), None, None),
        "garbage": (1, b"\x00", Fault.MALFORMED),
    }
    count, answer_to_links, fault = answers[case]
    asked = trio.Event()

    async def answer(stream: Stream) -> None:
        asked.set()
        await stream.receive_message()
        await stream.send_message(encode(replace(manifest, links=count)))
        while (request := await stream.receive_message()) is not None and answer_to_links is not None:
            if b"LINKS" in request:
                await stream.send_message(answer_to_links)
            else:
                number = decode(ChunkRequest, request, bytes_max=1_024).number
                await stream.send_message(encode(SnapshotChunk(chunks[number])))

    hub, chain = MemoryHub(), await open_chain(CHANGING)
    before, height = chain.head, long.chain.head.chain.height
    greeting = Hello(CHAIN_ID, CHANGING.hash, height)
    async with (
        syncing_node(hub, "a", chain, tmp_path, snapshot_store=await shelf_at(tmp_path / "joiner")) as node,
        stranger(hub, "liar", greeting, silent, answer),
    ):
        await until(asked.is_set)
        await until(lambda: fault is None or fault in node.faults())
        assert chain.head is before
        async with syncing_node(
            hub, "b", long.chain, tmp_path, snapshot_store=snapshot_store, set_links=long.set_links
        ):
            await until(lambda: node.height == height)
        assert chain.head == long.chain.head
        assert await first_height(chain) == index.height
        assert set(node.faults()) == (set() if fault is None else {fault})


async def test_requests_that_make_no_sense_are_charged_and_harm_nothing(tmp_path: Path) -> None:
    hub = MemoryHub()
    chain, snapshot_store = await giving_chain(tmp_path / "giver")
    (index,) = snapshot_store.snapshots()
    async with (
        syncing_node(hub, "a", chain, tmp_path, snapshot_store=snapshot_store) as node,
        stranger(hub, "b", hello(0), silent) as peer,
    ):

        async def ask(*requests: object) -> int:
            """How many answers there are."""
            answers = 0
            async with await peer.open_stream(
                node.network.peer_id, SNAPSHOT_PROTOCOL, message_bytes_max=protocols.SNAPSHOT_BYTES_MAX
            ) as stream:
                for request in requests:
                    await stream.send_message(request if isinstance(request, bytes) else encode(request))
                await stream.close()
                while await stream.receive_message() is not None:
                    answers += 1
            return answers

        assert await ask(ManifestRequest(), *map(ChunkRequest, range(len(index.chunks)))) == 1 + len(index.chunks)
        assert node.faults() == {}
        for requests, fault in (
            ((ChunkRequest(0),), Fault.UNREQUESTED),
            ((b"\x81\xa7version\x01",), Fault.MALFORMED),
        ):
            with pytest.raises(PeerUnreachable):
                await ask(*requests)
            await until(lambda fault=fault: fault in node.faults())  # type: ignore[misc]  # bound here
        assert node.network.statistics().handler_failures == 0


async def test_only_so_many_peers_are_given_a_snapshot_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "SERVED_MAX", 1)
    hub = MemoryHub()
    chain, snapshot_store = await giving_chain(tmp_path / "giver")
    async with (
        syncing_node(hub, "a", chain, tmp_path, snapshot_store=snapshot_store) as node,
        stranger(hub, "b", hello(0), silent) as first,
        stranger(hub, "c", hello(0), silent) as second,
    ):
        limit = protocols.SNAPSHOT_BYTES_MAX
        async with await first.open_stream(node.network.peer_id, SNAPSHOT_PROTOCOL, message_bytes_max=limit) as one:
            await one.send_message(encode(ManifestRequest()))
            assert await one.receive_message()
            async with await second.open_stream(
                node.network.peer_id, SNAPSHOT_PROTOCOL, message_bytes_max=limit
            ) as two:
                await two.send_message(encode(ManifestRequest()))
                assert await two.receive_message() is None
            await one.send_message(encode(ChunkRequest(0)))
            assert await one.receive_message()


async def test_snapshots_are_taken_as_the_chain_grows(tmp_path: Path) -> None:
    hub, chain = MemoryHub(), await open_chain(GENESIS)
    snapshot_store = await shelf_at(tmp_path / "snapshot_store")
    async with syncing_node(hub, "a", chain, tmp_path, snapshot_store=snapshot_store, every_batches=3) as node:
        for height in range(1, 8):
            judged = await build(chain, [signed_proof(f"walker-{height}", lat=float(height))])
            await node.driver.apply_decided(judged.batch, commit_for(judged.batch, validator_names(4)))
            due = height - height % 3
            await until(lambda due=due: due in {0, *(one.height for one in snapshot_store.snapshots())})  # type: ignore[misc]
        assert [one.height for one in snapshot_store.snapshots()] == [6, 3]
